"""Sysroots: what is compiled against, made of distribution packages or taken out of a vendor's toolchain."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from recipes import paths
from recipes.arch import Arch
from recipes.config import FileNameOrNone, Name, NameOrNone, PackageName, Strict, checked_name, read_toml
from recipes.engine.docker import Engine
from recipes.errors import BuildError, ConfigError, unknown
from recipes.files import exclusive, whole_folder
from recipes.progress import timed
from recipes.rootfs.cache import load_index
from recipes.rootfs.index import Index
from recipes.toolchains.debian_root import ROOT_SCRIPTS, make_root, packages_session, root_key, unpack_root
from recipes.toolchains.images import asker_in, compiler_job, ensure_image
from recipes.toolchains.vendor import parse_arch, toolchain_of, toolchain_sysroot, vendor_names
from recipes.tools.archive import ArchiveAddress, PackageArchive, SnapshotDate

_TOOLCHAIN = "toolchain-"
_OWNERS = "debian-owners.sh"


class PackageList(Strict):
    """`board-configs/sysroots/lists/<name>.toml`: the packages that several sysroots have in common."""

    schema_: Literal[1] = Field(alias="schema")
    """The form of this file."""
    suite: Name
    """The release of Debian, by its code name."""
    packages: tuple[PackageName, ...] = Field(min_length=1)
    """Debian's names of `-dev` packages; what they depend on comes with them."""


class SysrootSpec(Strict):
    """`board-configs/sysroots/<name>.toml`: packages of a suite, or what a vendor's toolchain itself compiles against.

    For the second, `from = "toolchain"` and an arch of `board-configs/toolchains` are all that the file says.
    """

    schema_: Literal[1] = Field(alias="schema")
    """The form of this file."""
    arch: Name
    """The architecture that it is for."""
    from_: Literal["packages", "toolchain"] = Field(default="packages", alias="from")
    """`packages` of a suite, or the `toolchain` itself."""
    extends: NameOrNone = ""
    """A list of `sysroots/lists`, which names the suite and the first packages."""
    suite: NameOrNone = Field(default="", validate_default=True)
    """The release of Debian, by its code name."""
    packages: tuple[PackageName, ...] = Field(default=(), validate_default=True)
    """Debian's names of `-dev` packages, beside those of the list; what they depend on comes with them."""
    mirror: ArchiveAddress = ""
    """Where the packages are: of a relative of Debian (Ubuntu, Raspberry Pi OS), or a mirror for this sysroot alone.
    Without this Debian's archive, as the image is set up with it."""
    keyring: FileNameOrNone = ""
    """The file of keys that sign that archive, beside this file (`.gpg`, or `.asc` for an armoured one). Without this
    Debian's keyring of the image."""
    components: tuple[Name, ...] = ("main",)
    """Of the archive: `main`, and where it has them others, such as Ubuntu's `universe`."""
    snapshot: SnapshotDate = ""
    """The day whose packages are taken, as `20250520T000000Z`: the same ones at any time. The address of the days'
    archives is `mirror`, else `BOARDCAST_DEBIAN_SNAPSHOTS`, else the one that the base image mentions."""

    @field_validator("mirror", "keyring", "snapshot", "components")
    @classmethod
    def _of_packages(cls, value: str | tuple[str, ...], info: ValidationInfo) -> str | tuple[str, ...]:
        if info.data.get("from_") == "toolchain" and value:
            raise ValueError('has no place beside from = "toolchain"')
        if info.field_name == "components" and not value:
            raise ValueError("one is needed at least, such as main")
        if info.field_name == "keyring" and value and not info.data.get("mirror"):
            raise ValueError("has no place without mirror: Debian's own archive has its own keys")
        return value

    @field_validator("extends", "suite", "packages")
    @classmethod
    def _of_its_form(cls, value: str | tuple[str, ...], info: ValidationInfo) -> str | tuple[str, ...]:
        form, listed = info.data.get("from_"), info.data.get("extends")
        if form == "toolchain" and value:
            raise ValueError('has no place beside from = "toolchain"')
        if form == "packages" and not (value or listed):
            raise ValueError('Field required, but for extends, and for from = "toolchain"')
        if listed and value and info.field_name == "suite":
            raise ValueError(f"has no place beside extends: it is the one of {listed!r}")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Sysroot:
    """A root on disk: the tree, the exact packages it was made of, and their fingerprint."""

    name: str
    arch: Arch
    tree: Path
    packages: tuple[str, ...]
    fingerprint: str

    def index(self) -> Index:
        return load_index(self.tree, key=self.tree.parent.name)


def _places(name: str) -> list[Path]:
    """Return where a file or folder of sysroots may be: the first of them counts."""
    return [folder / "sysroots" / name for folder in paths.board_folders()]


def _named() -> list[str]:
    return sorted({path.stem for folder in paths.board_folders() for path in (folder / "sysroots").glob("*.toml")})


def sysroot_names() -> list[str]:
    return sorted({*_named(), *(f"{_TOOLCHAIN}{name}" for name in vendor_names())})


def sysroot_spec(name: str) -> SysrootSpec:
    """Read a sysroot's file, with the list that it extends; `toolchain-<arch>` of a vendor's toolchain needs none.

    Raises
    ------
    ConfigError
        Nobody knows the name or its list, or a file has faults.
    """
    checked_name("sysroot", name)
    path = next((path for path in _places(f"{name}.toml") if path.is_file()), None)
    if path is not None:
        return _extended(read_toml(path, SysrootSpec), path)
    arch = name.removeprefix(_TOOLCHAIN)
    if arch == name or arch not in vendor_names():
        cure = (
            "invoke sysroot.pull --host HOST writes that of a board with Debian; of another, docs/"
            "quickstart-buildroot-yocto.md; a board that extends an example says `sysroot` itself"
        )
        raise unknown("sysroot", name, sysroot_names(), where=str(paths.BOARDS / "sysroots"), next_step=cure)
    return SysrootSpec.model_validate({"schema": 1, "arch": arch, "from": "toolchain"})


def _extended(read: SysrootSpec, path: Path) -> SysrootSpec:
    """Return a sysroot as if its file had all in it: the key of a cached one does not tell lists from plain files."""
    if not read.extends:
        return read
    found = (shared for folder in reversed(_places("lists")) for shared in folder.glob("*.toml"))
    known = {shared.stem: shared for shared in found}
    if read.extends not in known:
        raise unknown("list of packages", read.extends, known, where=str(path))
    shared = read_toml(known[read.extends], PackageList)
    return read.model_copy(update={"suite": shared.suite, "packages": (*shared.packages, *read.packages)})


def default_sysroot(arch: Arch) -> str:
    """Return the sysroot to use where none is named: for a vendor's arch the one file about it, else its own."""
    if not arch.toolchain:
        return f"debian12-{arch.name}"
    about = [name for name in _named() if sysroot_spec(name).arch == arch.name]
    return about[0] if len(about) == 1 else f"{_TOOLCHAIN}{arch.name}"


def _archive(name: str, read: SysrootSpec) -> PackageArchive:
    keyring = next((path for path in _places(read.keyring) if path.is_file()), None) if read.keyring else None
    if read.keyring and keyring is None:
        raise ConfigError(
            f"sysroot {name}: the keyring of its archive is not there",
            where=f"{name}.toml: keyring",
            why=f"there is no {read.keyring} beside it",
            next_step=f"put the keys that sign {read.mirror} there; the distribution's keyring package has them",
        )
    return PackageArchive(mirror=read.mirror, keyring=keyring, components=read.components, snapshot=read.snapshot)


def sysroot_key(name: str) -> str:
    """Return what a sysroot is made of, as a digest: known before it is made, unlike its fingerprint."""
    return _key(name, sysroot_spec(name))


def _key(name: str, read: SysrootSpec) -> str:
    if read.from_ == "toolchain":
        arch = parse_arch(read.arch)
        if not arch.toolchain:
            why = f"the compiler of {read.arch} is Debian's; its sysroot is made of packages"
            raise ConfigError(f"sysroot {name} cannot come out of a toolchain", why=why)
        return root_key([read.arch, toolchain_of(arch).content()], [])
    parts = [read.arch, read.suite, *read.packages, *_archive(name, read).key()]
    return root_key(parts, [*ROOT_SCRIPTS, _OWNERS])


def _sysroot_folder(name: str, read: SysrootSpec) -> Path:
    return paths.cache() / "sysroots" / f"{name}-{_key(name, read)}"


def known_sysroot(name: str) -> Sysroot | None:
    """Return a sysroot that was made before; None where it was not."""
    read = sysroot_spec(name)
    folder = _sysroot_folder(name, read)
    try:
        packages = (folder / "packages.txt").read_text()
    except OSError:
        return None
    return Sysroot(
        name=name,
        arch=parse_arch(read.arch),
        tree=folder / "tree",
        packages=tuple(packages.splitlines()),
        fingerprint=hashlib.sha256(packages.encode()).hexdigest(),
    )


def ensure_sysroot(name: str, engine: Engine) -> Sysroot:
    """Return a sysroot, made of packages or taken out of its toolchain's image where it is not there yet."""
    found = known_sysroot(name)
    if found is not None:
        return found
    # Whoever comes second must not put a twin in the place of what the first one compiles against by now.
    with exclusive(f"sysroot-{_sysroot_folder(name, sysroot_spec(name)).name}", paths.cache() / "locks"):
        return known_sysroot(name) or _make_sysroot(name, engine)


def _make_sysroot(name: str, engine: Engine) -> Sysroot:
    read = sysroot_spec(name)
    arch = parse_arch(read.arch)
    folder = _sysroot_folder(name, read)
    # Before the folder is made: an image that is unavailable leaves no trace here.
    image = ensure_image(arch, engine) if read.from_ == "toolchain" else None
    with timed(f"sysroot {name}") as step, whole_folder(folder) as part:
        (part / "tree").mkdir()
        if image is not None:
            with engine.session(compiler_job(arch, image)) as session:
                step.at("taking it out", moved=lambda: session.taken)
                unpack_root(session, part / "tree", toolchain_sysroot(arch, asker_in(session)))
            listed = f"{toolchain_of(arch).sha256}  toolchain {arch.name}\n".encode()
        else:
            with packages_session(engine, _archive(name, read)) as session:
                step.at("packages")
                make_root(session, [arch.debian, read.suite, "extract", *read.packages], scripts=(_OWNERS,))
                step.at("taking it out", moved=lambda: session.taken)
                unpack_root(session, part / "tree")
                listed = session.read(PurePosixPath("/packages.txt"))
        (part / "packages.txt").write_bytes(listed)
    made = known_sysroot(name)
    if made is None:
        raise BuildError(f"sysroot {name} vanished while it was made", where=str(folder))
    return made


def describe_sysroot(root: Sysroot) -> dict[str, object]:
    """Return what `invoke sysroot` prints of one."""
    index = root.index()
    return {
        "sysroot": root.name,
        "tree": str(root.tree),
        "packages": len(root.packages),
        "elf files": len(index.files),
        "fingerprint": root.fingerprint[:16],
        "index": index.fingerprint[:16],
        "not usable": json.dumps(index.damaged) if index.damaged else "none",
    }

"""Roots made of distribution packages: sysroots to compile against, and the file systems of simulated boards."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from recipes import console, images, indexstore, paths, vendor
from recipes.arch import Arch
from recipes.container import Job, Session
from recipes.elfindex import Index
from recipes.engine import Engine
from recipes.errors import BuildError, ConfigError, unknown
from recipes.recipe import Strict, read_toml

_OUTPUT = "/root-tree/."  # PurePosixPath would take the dot away
_TOOLCHAIN = "toolchain-"
_OWNERS = "debian-owners.sh"


class SysrootSpec(Strict):
    """`board-configs/sysroots/<name>.toml`: packages of a suite, or what a vendor's toolchain itself compiles against.

    For the second, `from = "toolchain"` and an arch of `board-configs/toolchains` are all that the file says.
    """

    schema_: Literal[1] = Field(alias="schema")
    arch: str
    from_: Literal["packages", "toolchain"] = Field(default="packages", alias="from")
    suite: str = Field(default="", validate_default=True)
    packages: tuple[str, ...] = Field(default=(), validate_default=True)

    @field_validator("suite", "packages")
    @classmethod
    def _of_its_form(cls, value: str | tuple[str, ...], info: ValidationInfo) -> str | tuple[str, ...]:
        form = info.data.get("from_")
        if form == "packages" and not value:
            raise ValueError('Field required, but for from = "toolchain"')
        if form == "toolchain" and value:
            raise ValueError('has no place beside from = "toolchain"')
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
        return indexstore.load(self.tree, key=self.tree.parent.name)


def _named() -> list[str]:
    return sorted(path.stem for path in (paths.BOARDS / "sysroots").glob("*.toml"))


def names() -> list[str]:
    return sorted({*_named(), *(f"{_TOOLCHAIN}{name}" for name in vendor.names())})


def spec(name: str) -> SysrootSpec:
    """Read a sysroot's file; `toolchain-<arch>` of a vendor's toolchain needs none.

    Raises
    ------
    ConfigError
        Nobody knows the name, or its file has faults.
    """
    path = paths.BOARDS / "sysroots" / f"{name}.toml"
    if path.is_file():
        return read_toml(path, SysrootSpec)
    arch = name.removeprefix(_TOOLCHAIN)
    if arch == name or arch not in vendor.names():
        raise unknown("sysroot", name, names(), where=str(path.parent))
    return SysrootSpec.model_validate({"schema": 1, "arch": arch, "from": "toolchain"})


def default_for(arch: Arch) -> str:
    """Return the sysroot to use where none is named: for a vendor's arch the one file about it, else its own."""
    if not arch.toolchain:
        return f"debian12-{arch.name}"
    about = [name for name in _named() if spec(name).arch == arch.name]
    return about[0] if len(about) == 1 else f"{_TOOLCHAIN}{arch.name}"


def _key(parts: list[str], scripts: list[str]) -> str:
    digest = hashlib.sha256("\0".join(parts).encode())
    for script in scripts:
        digest.update((paths.DOCKER / script).read_bytes())
    return digest.hexdigest()[:24]


def _sysroot_folder(name: str, read: SysrootSpec) -> Path:
    if read.from_ == "toolchain":
        arch = Arch.parse(read.arch)
        if not arch.toolchain:
            why = f"the compiler of {read.arch} is Debian's; its sysroot is made of packages"
            raise ConfigError(f"sysroot {name} cannot come out of a toolchain", why=why)
        key = _key([read.arch, vendor.of(arch).content()], [])
    else:
        key = _key([read.arch, read.suite, *read.packages], ["debian-root.sh", _OWNERS])
    return paths.cache() / "sysroots" / f"{name}-{key}"


def known_sysroot(name: str) -> Sysroot | None:
    """Return a sysroot that was made before; None where it was not."""
    read = spec(name)
    folder = _sysroot_folder(name, read)
    try:
        packages = (folder / "packages.txt").read_text()
    except OSError:
        return None
    return Sysroot(
        name=name,
        arch=Arch.parse(read.arch),
        tree=folder / "tree",
        packages=tuple(packages.splitlines()),
        fingerprint=hashlib.sha256(packages.encode()).hexdigest(),
    )


def ensure_sysroot(name: str, engine: Engine) -> Sysroot:
    """Return a sysroot, made of packages or taken out of its toolchain's image where it is not there yet."""
    found = known_sysroot(name)
    if found is not None:
        return found
    read = spec(name)
    arch = Arch.parse(read.arch)
    folder = _sysroot_folder(name, read)
    # Before the folder is made: an image that cannot be had leaves no trace here.
    image = images.ensure(arch, engine) if read.from_ == "toolchain" else None
    with console.timed(f"sysroot {name}"), paths.making(folder) as part:
        (part / "tree").mkdir()
        if image is not None:
            with engine.session(images.job(arch, image)) as session:
                _unpack(session, part / "tree", f"{vendor.sysroot(arch, images.asking(session))}/.")
            listed = f"{vendor.of(arch).sha256}  toolchain {arch.name}\n".encode()
        else:
            job = Job(image=images.ensure_base(engine), network="bridge", user="0:0", cwd=PurePosixPath("/"))
            with engine.session(job) as session:
                _make(session, [arch.debian, read.suite, "extract", *read.packages], scripts=(_OWNERS,))
                _unpack(session, part / "tree")
                listed = _read(session, "/packages.txt")
        (part / "packages.txt").write_bytes(listed)
    made = known_sysroot(name)
    if made is None:
        raise BuildError(f"sysroot {name} vanished while it was made", where=str(folder))
    return made


def _make(session: Session, words: list[str], *, scripts: tuple[str, ...] = ()) -> None:
    """Run debian-root.sh, then the scripts that finish the tree, in a container of the base image."""
    log = io.BytesIO()
    files = {name: ((paths.DOCKER / name).read_bytes(), 0o755) for name in ("debian-root.sh", *scripts)}
    session.put(PurePosixPath("/"), files)
    for argv in (["/debian-root.sh", *words], *([f"/{name}"] for name in scripts)):
        if session.run(argv, log=log) != 0:
            tail = log.getvalue().decode("utf-8", "replace").strip().splitlines()[-12:]
            raise BuildError(f"{argv[0]} failed", where=" ".join(words[:3]), why="\n       ".join(tail))


def _read(session: Session, path: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(b"".join(session.get(path)))) as archive:
        reader = archive.extractfile(PurePosixPath(path).name)
        return reader.read() if reader else b""


class _Stream(io.RawIOBase):
    """The engine's chunks as a file that tarfile can read."""

    def __init__(self, chunks: Any) -> None:
        self._chunks, self._rest = chunks, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = next(self._chunks, b"")
        taken = self._rest[: len(buffer)]
        buffer[: len(taken)] = taken
        self._rest = self._rest[len(taken) :]
        return len(taken)


def _unpack(session: Session, tree: Path, what: str = _OUTPUT) -> None:
    """Unpack the finished tree as the caller's own files; absolute links become relative, devices are left out.

    A link to /lib/… would lead out of the sysroot, into the build machine.
    """
    stream = io.BufferedReader(_Stream(session.get(what)), 1 << 20)
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        archive.extraction_filter = staticmethod(lambda member, _path: member)
        for member in archive:
            if member.isdev() or ".." in Path(member.name).parts:
                continue
            if member.issym() and member.linkname.startswith("/"):
                here = Path("/") / Path(member.name).parent
                member.linkname = os.path.relpath(member.linkname, here)
            member.mode |= 0o700 if member.isdir() else 0o600
            member.uid, member.gid = os.getuid(), os.getgid()
            archive.extract(member, tree, set_attrs=not member.issym(), numeric_owner=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardRoot:
    """The file system of a simulated board: a tar file in the cache, and the engine's image of it."""

    tar: Path
    image: str

    def index(self) -> Index:
        return indexstore.load(self.tar, key=self.tar.stem)


def board_root_tar(board: str, parts: list[str], scripts: tuple[str, ...]) -> Path:
    """Return where the root of a simulated board is, or will be, cached."""
    return paths.cache() / "roots" / f"{board}-{_key(parts, ['debian-root.sh', *scripts])}.tar"


def ensure_board_root(
    board: str, arch: Arch, suite: str, mode: str, packages: tuple[str, ...], scripts: tuple[str, ...], engine: Engine
) -> BoardRoot:
    """Return a simulated board's root, made and configured first where the cache has none.

    A foreign one needs user emulation for the packages' own scripts; that takes minutes, once.
    """
    tar = board_root_tar(board, [arch.name, suite, mode, *packages], scripts)
    image = f"boardcast/{board}:{tar.stem.rpartition('-')[2]}"
    if not tar.is_file():
        with console.timed(f"root of the simulated board {board}"):
            job = Job(image=images.ensure_base(engine), network="bridge", user="0:0", cwd=PurePosixPath("/"))
            with engine.session(job) as session:
                _make(session, [arch.debian, suite, mode, *packages], scripts=scripts)
                _keep(session, tar)
    if not engine.image_id(image):
        with console.timed(f"image of {board}"), tar.open("rb") as stream:
            engine.import_tar(stream, image)
    return BoardRoot(tar=tar, image=image)


def _keep(session: Session, tar: Path) -> None:
    tar.parent.mkdir(parents=True, exist_ok=True)
    part = tar.with_name(f".{tar.name}.part-{os.getpid()}")
    try:
        with part.open("wb") as file:
            shutil.copyfileobj(io.BufferedReader(_Stream(session.get(_OUTPUT)), 1 << 20), file, 1 << 20)
        part.replace(tar)
    except OSError as error:
        raise paths.disk_error(error, tar) from error
    finally:
        part.unlink(missing_ok=True)


def describe(root: Sysroot) -> dict[str, object]:
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

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

from pydantic import Field

from recipes import console, images, indexstore, paths
from recipes.arch import Arch
from recipes.elfindex import Index
from recipes.engine import Engine, Job, Session
from recipes.errors import BuildError, unknown
from recipes.recipe import Strict, read_toml

_OUTPUT = "/root-tree/."  # PurePosixPath would take the dot away


class SysrootSpec(Strict):
    """`board-configs/sysroots/<name>.toml`."""

    schema_: Literal[1] = Field(alias="schema")
    arch: str
    suite: str
    packages: tuple[str, ...]


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


def names() -> list[str]:
    return sorted(path.stem for path in (paths.BOARDS / "sysroots").glob("*.toml"))


def spec(name: str) -> SysrootSpec:
    """Read a sysroot's file; raises ConfigError for a name nobody knows, or for faults in it."""
    path = paths.BOARDS / "sysroots" / f"{name}.toml"
    if not path.is_file():
        raise unknown("sysroot", name, names(), where=str(path.parent))
    return read_toml(path, SysrootSpec)


def default_for(arch: Arch) -> str:
    return f"debian12-{arch.name}"


def _key(parts: list[str], scripts: list[str]) -> str:
    digest = hashlib.sha256("\0".join(parts).encode())
    for script in scripts:
        digest.update((paths.DOCKER / script).read_bytes())
    return digest.hexdigest()[:24]


def _sysroot_folder(name: str, read: SysrootSpec) -> Path:
    key = _key([read.arch, read.suite, *read.packages], ["debian-root.sh"])
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
    """Return a sysroot, unpacked from the distribution's packages first where it is not there yet."""
    found = known_sysroot(name)
    if found is not None:
        return found
    read = spec(name)
    arch = Arch.parse(read.arch)
    folder = _sysroot_folder(name, read)
    with console.timed(f"sysroot {name}"), paths.making(folder) as part:
        job = Job(image=images.ensure_base(engine), network="bridge", user="0:0", cwd=PurePosixPath("/"))
        with engine.session(job) as session:
            _make(session, [arch.debian, read.suite, "extract", *read.packages])
            (part / "tree").mkdir()
            _unpack(session, part / "tree")
            (part / "packages.txt").write_bytes(_read(session, "/packages.txt"))
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


def _unpack(session: Session, tree: Path) -> None:
    """Unpack the finished tree as the caller's own files; absolute links become relative, devices are left out.

    A link to /lib/… would lead out of the sysroot, into the build machine.
    """
    stream = io.BufferedReader(_Stream(session.get(_OUTPUT)), 1 << 20)
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

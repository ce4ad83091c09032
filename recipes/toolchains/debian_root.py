"""Roots made of Debian packages in a container, and the file systems of simulated boards."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from recipes import console, paths
from recipes.arch import Arch
from recipes.engine.container import ContainerSession, Job
from recipes.engine.docker import Engine
from recipes.errors import BuildError
from recipes.files import whole_file
from recipes.rootfs.cache import load_index
from recipes.rootfs.index import Index
from recipes.toolchains.images import ensure_base_image

ROOT_TREE = "/root-tree/."  # PurePosixPath would take the dot away


def root_key(parts: list[str], scripts: list[str]) -> str:
    digest = hashlib.sha256("\0".join(parts).encode())
    for script in scripts:
        digest.update((paths.DOCKER / script).read_bytes())
    return digest.hexdigest()[:24]


def make_root(session: ContainerSession, words: list[str], *, scripts: tuple[str, ...] = ()) -> None:
    """Run debian-root.sh, then the scripts that finish the tree, in a container of the base image."""
    log = io.BytesIO()
    files = {name: ((paths.DOCKER / name).read_bytes(), 0o755) for name in ("debian-root.sh", *scripts)}
    session.put(PurePosixPath("/"), files)
    for argv in (["/debian-root.sh", *words], *([f"/{name}"] for name in scripts)):
        if session.run(argv, log=log) != 0:
            tail = log.getvalue().decode("utf-8", "replace").strip().splitlines()[-12:]
            raise BuildError(f"{argv[0]} failed", where=" ".join(words[:3]), why="\n       ".join(tail))


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


def unpack_root(session: ContainerSession, tree: Path, what: str = ROOT_TREE) -> None:
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
        return load_index(self.tar, key=self.tar.stem)


def board_root_tar(board: str, parts: list[str], scripts: tuple[str, ...]) -> Path:
    """Return where the root of a simulated board is, or will be, cached."""
    return paths.cache() / "roots" / f"{board}-{root_key(parts, ['debian-root.sh', *scripts])}.tar"


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
            job = Job(image=ensure_base_image(engine), network="bridge", user="0:0", cwd=PurePosixPath("/"))
            with engine.session(job) as session:
                make_root(session, [arch.debian, suite, mode, *packages], scripts=scripts)
                with whole_file(tar) as file:
                    file.writelines(session.get(ROOT_TREE))
    if not engine.image_id(image):
        with console.timed(f"image of {board}"), tar.open("rb") as stream:
            engine.import_tar(stream, image)
    return BoardRoot(tar=tar, image=image)

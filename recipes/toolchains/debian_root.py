"""Roots made of Debian packages in a container, and the file systems of simulated boards."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from recipes import paths
from recipes.arch import Arch
from recipes.archives.intake import AbsoluteLinks, Limits
from recipes.archives.rewrite import rewrite_tar
from recipes.engine.confinement import Rights
from recipes.engine.container import ContainerSession, Job
from recipes.engine.docker import Engine
from recipes.errors import BuildError
from recipes.files import whole_file
from recipes.progress import file_size, timed
from recipes.rootfs.cache import load_index
from recipes.rootfs.index import Index
from recipes.text import one_line
from recipes.tools.archive import MIRROR_VARIABLE, PackageArchive
from recipes.tools.base import ensure_base_image, proxies
from recipes.tools.image import ensure_tools_image

ROOT_TREE = PurePosixPath("/root-tree")
ROOT_SCRIPTS = ("debian-root.sh", "debian-archive.sh")
_LARGEST_ROOT = Limits(members=1_000_000, bytes=32 << 30)
"""The sysroots of vendors are large: kernel sources, every language's files."""


def root_key(parts: list[str], scripts: list[str]) -> str:
    digest = hashlib.sha256("\0".join(parts).encode())
    for script in scripts:
        digest.update((paths.DOCKER / script).read_bytes())
    return digest.hexdigest()[:24]


@contextlib.contextmanager
def packages_session(engine: Engine, archive: PackageArchive | None = None) -> Iterator[ContainerSession]:
    """Start a container in which a root of packages is made; the archive is the image's own, unless one is named.

    Raises
    ------
    BuildError
        No image, or the named keyring cannot be read.
    """
    archive = archive or PackageArchive()
    told = archive.environment()
    # The base has no certificates where a registry gave it.
    image = ensure_tools_image(engine) if told["MIRROR"].startswith("https:") else ensure_base_image(engine)
    job = Job(
        image=image, network="bridge", rights=Rights.PACKAGES, environment=proxies() | told, cwd=PurePosixPath("/")
    )
    with engine.session(job) as session:
        if archive.keyring:
            session.put(job.cwd, {archive.keyring_name: (archive.keyring.read_bytes(), 0o644)})
        yield session


def make_root(session: ContainerSession, words: list[str], *, scripts: tuple[str, ...] = ()) -> None:
    """Run debian-root.sh, then the scripts that finish the tree, in a container of `packages_session`."""
    log = io.BytesIO()
    files = {name: ((paths.DOCKER / name).read_bytes(), 0o755) for name in (*ROOT_SCRIPTS, *scripts)}
    session.put(PurePosixPath("/"), files)
    for argv in (["/debian-root.sh", *words], *([f"/{name}"] for name in scripts)):
        if session.run(argv, log=log) != 0:
            raise _no_root(argv[0], words, log.getvalue().decode("utf-8", "replace").strip().splitlines()[-12:])


def _no_root(script: str, words: list[str], tail: list[str]) -> BuildError:
    why = "\n       ".join(map(one_line, tail))
    if "Exec format error" in why:
        return BuildError(
            f"a root of {words[0]} cannot be set up: nothing here emulates that processor",
            where=" ".join(words[:3]),
            why="the packages' own scripts run in it, and the engine's machine has no emulator registered for them",
            next_step="on the engine's machine: sudo ./bootstrap install registers it; builds and boards need none",
        )
    return BuildError(
        f"{script} failed",
        where=" ".join(words[:3]),
        why=why,
        next_step=f"does the archive answer? {MIRROR_VARIABLE} names another, and the proxy variables count",
    )


def unpack_root(session: ContainerSession, tree: Path, what: PurePosixPath = ROOT_TREE) -> None:
    """Take the finished tree as the caller's own files; absolute links become relative, devices are left out.

    A link to /lib/… would lead out of the sysroot, into the build machine.

    Raises
    ------
    RefusedError
        It has names, kinds or an amount of files that no root has.
    """
    session.still()
    session.take(what, tree, limits=_LARGEST_ROOT, absolute=AbsoluteLinks.INSIDE, skip_odd=True)
    tree.chmod(0o755)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardRoot:
    """The file system of a simulated board: a tar file in the cache, and the engine's image of it."""

    tar: Path
    image: str

    def index(self) -> Index:
        return load_index(self.tar, key=self.tar.stem)


def board_root_tar(board: str, parts: list[str], scripts: tuple[str, ...]) -> Path:
    """Return where the root of a simulated board is, or will be, cached; boards of the same packages share one."""
    folder, key = paths.cache() / "roots", root_key(parts, [*ROOT_SCRIPTS, *scripts])
    return next(iter(sorted(folder.glob(f"*-{key}.tar"))), folder / f"{board}-{key}.tar")


def ensure_board_root(
    board: str, arch: Arch, suite: str, mode: str, packages: tuple[str, ...], scripts: tuple[str, ...], engine: Engine
) -> BoardRoot:
    """Return a simulated board's root, made and configured first where the cache has none.

    A foreign one needs user emulation for the packages' own scripts; that takes minutes, once.
    """
    tar = board_root_tar(board, [arch.name, suite, mode, *packages], scripts)
    maker, _, key = tar.stem.rpartition("-")
    image = f"boardcast/{maker}:{key}"
    if not tar.is_file():
        with timed(f"root of the simulated board {board}") as step, packages_session(engine) as session:
            step.at("packages")
            make_root(session, [arch.debian, suite, mode, *packages], scripts=scripts)
            session.still()
            step.at("taking it out", moved=lambda: session.taken)
            with whole_file(tar) as file, contextlib.closing(session.get(f"{ROOT_TREE}/.")) as chunks:
                rewrite_tar(chunks, file, limits=_LARGEST_ROOT)
    if not engine.image_id(image):
        with tar.open("rb") as stream, timed(f"image of {board}", stream.tell, total=file_size(tar)):
            engine.import_tar(stream, image)
    return BoardRoot(tar=tar, image=image)

"""What a live board has, brought over SSH: its shared libraries and loader configuration; nothing on it is changed.

The board lists first, with a hash of each file; then files come in batches, each as a tar stream. What is here already
with that hash is not fetched again: a lost connection costs one batch, a second pull only what changed.

A board is not trusted: on this machine a file is kept under its hash, never under a name that came from there; names
are text in an archive, and every answer is bounded. Our own releases on the board are left out.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from deploy.boards.index import refuse_other_machine, set_index_aside
from deploy.boards.introduce import ask_board, refuse_other_board
from deploy.boards.layers import board_path
from deploy.boards.listing import LIST_SCRIPT, LISTING_BYTES, TOPS, Listing, folders_behind, more_folders, read_listing
from deploy.boards.session import BoardSession
from recipes import paths
from recipes.arch import Arch
from recipes.archives.tarfiles import TarEntry, write_tar
from recipes.archives.tarreader import Kind, Reader, TarError
from recipes.errors import PreflightError
from recipes.files import whole_file, write_whole
from recipes.progress import progress
from recipes.rootfs.capture import write_capture
from recipes.rootfs.index import Index, scan_root
from recipes.rootfs.loaderconf import is_loader_conf
from recipes.text import one_line
from recipes.toolchains.sysroot_file import SysrootFile, plan_sysroot_file, read_os_release

_BATCH = 64
"""Files of one request: what a lost connection costs."""
_BATCH_BYTES = 16 << 20
"""The same in bytes, but for a file that is larger by itself."""
_FOLDERS = 256
"""That are looked into beside the usual ones."""
_HEADER_BYTES = 4096
"""What tar may add to a file: its header, a long name, padding."""
# Names come on stdin; a small BusyBox tar reads none from there.
_SEND = """cd / || exit 1
while IFS= read -r path; do set -- "$@" "$path"; done
exec tar -cf - "$@"
"""
_AGAIN = "the same command again: what arrived is kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class PulledRoot:
    """What a pull brought."""

    root: Path
    files: int
    links: int
    bytes: int
    fetched: int
    """Bytes that crossed the network this time."""
    headers: SysrootFile
    """What it is compiled against."""


def pull_root(
    session: BoardSession, board: str, arch: Arch, target: Path | None = None, *, ours: str = ""
) -> PulledRoot:
    """Bring a board's libraries as `board-configs/<board>/root.tar`, or as `target`; capture their index beside it.

    Parameters
    ----------
    ours:
        The board's `root`: what is below it is not the board's own. Marked roots from before are found there.

    Raises
    ------
    ConfigError
        The root has the loader of another machine; the index from before stays as it was.
    PreflightError
        The board is of another machine, and nothing was written; the connection was lost (the same command goes on
        where it ended); a file changed while it was read; or an answer is none that an honest board gives.
    """
    refuse_other_board(ask_board(session), board, arch)
    folder = paths.work() / "pull" / board
    folder.mkdir(parents=True, exist_ok=True)
    with progress(f"{board}: listing its libraries"):
        listing = _listed(session, TOPS, ours)
        confs = [path for path in listing.files if is_loader_conf(path)]
        fetched = _bring(session, listing, confs, folder)
        read = {path: (folder / listing.files[path]).read_bytes() for path in confs}
        more, asked = more_folders(read, listing.places) + folders_behind(listing), set[str]()
        while more and len(asked) < _FOLDERS:  # a link may lead to a link
            asked.update(more)
            listing = listing.joined(_listed(session, more, ours))
            more = [folder for folder in folders_behind(listing) if folder not in asked]
    if not any(".so" in path and not is_loader_conf(path) for path in listing.files):
        raise PreflightError("the board lists no libraries", next_step="may this user read /usr/lib?")
    fetched += _bring(session, listing, listing.files, folder)
    packed = target or board_path(board).parent / "root.tar"
    index = _pack(folder, listing, packed, board, arch)
    write_capture(packed.parent, index, board)
    _tidy(folder, listing)
    releases = [path for path in listing.files if path.endswith("/os-release")]
    release = (folder / listing.files[releases[0]]).read_text("utf-8", "replace") if releases else ""
    made = plan_sysroot_file(read_os_release(release), (file.soname for file in index.files.values()), arch)
    files, links = len(listing.files), len(listing.links)
    return PulledRoot(root=packed, files=files, links=links, bytes=packed.stat().st_size, fetched=fetched, headers=made)


def _listed(session: BoardSession, folders: Sequence[str], ours: str) -> Listing:
    reply = session.run(LIST_SCRIPT, [ours, *folders], most=LISTING_BYTES)
    return read_listing(reply.out, folders)


def _bring(session: BoardSession, listing: Listing, names: Mapping[str, str] | Sequence[str], folder: Path) -> int:
    """Fetch what is not here yet of these files, and return the bytes that it took.

    Raises
    ------
    PreflightError
        Some are other ones now than were listed, or something else came.
    """
    # One name a content: hard links on the board would come as links to each other.
    wanted = {listing.files[path]: path for path in names}
    missing = {digest: path for digest, path in sorted(wanted.items()) if not _have(folder, digest)}
    total = sum(listing.sizes.get(path, 0) for path in missing.values())
    before = session.traffic.received
    lost: list[str] = []
    title = f"bringing {len(missing)} files"
    with progress(title, lambda: session.traffic.received - before, total=total):
        for batch in _batches(missing.values(), listing):
            asked = {path.lstrip("/"): listing.files[path] for path in batch}
            most = sum(listing.room(path) + _HEADER_BYTES for path in batch) + (64 << 10)
            data = session.fetch(_SEND, stdin=["".join(f"{name}\n" for name in asked).encode()], most=most)
            lost += _keep(data, asked, folder)
    if lost:
        raise PreflightError(
            f"{len(lost)} files changed while they were read",
            where=f"/{lost[0]}",
            why="the board is being updated, or a file cannot be read by this user",
            next_step=_AGAIN,
        )
    return session.traffic.received - before


def _batches(names: Iterable[str], listing: Listing) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for path in names:
        if batch and (len(batch) >= _BATCH or size + listing.sizes.get(path, 0) > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(path)
        size += listing.sizes.get(path, 0)
    if batch:
        yield batch


def _have(folder: Path, digest: str) -> bool:
    """Tell whether a content is here, whole, and a file of ours."""
    try:
        here = os.open(folder / digest, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    with os.fdopen(here, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return False
        return hashlib.file_digest(file, "sha256").hexdigest() == digest


def _keep(data: bytes, asked: Mapping[str, str], folder: Path) -> list[str]:
    """Keep the files of a board's tar stream under their hashes; returns the names of those that were not as listed.

    Raises
    ------
    PreflightError
        It is no tar stream, or holds something that was not asked for.
    """
    missing = dict(asked)
    try:
        reader = Reader([data], len(data))
        for member in reader.members():
            name = member.name.removeprefix("./")
            if member.kind is not Kind.FILE or name not in asked:
                raise PreflightError(
                    "the board sends something that was not asked for; it was not taken",
                    where=one_line(member.name, most=160),
                    why=f"it is a {member.kind.value}" if name in asked else f"a {member.kind.value} of another name",
                    next_step=_AGAIN,
                )
            content = b"".join(reader.content())
            if hashlib.sha256(content).hexdigest() == asked[name]:
                write_whole(folder / asked[name], content)
                missing.pop(name, None)
    except TarError as error:
        raise PreflightError("what the board sends is damaged", why=str(error), next_step=_AGAIN) from error
    return sorted(missing)


def _entries(folder: Path, listing: Listing) -> Iterator[TarEntry]:
    """Yield what was listed: sorted, without times or owners, so that the same board gives the same archive."""
    for path in sorted({*listing.files, *listing.links, *listing.others}):
        name = path.lstrip("/")
        if path in listing.links:
            yield TarEntry(name=name, link=listing.links[path])
        elif path in listing.files:
            mode = 0o750 if path in listing.private else 0o755
            yield TarEntry(name=name, content=folder / listing.files[path], mode=mode)
        else:  # what it is does not matter, only that something is there: an empty file ends a search all the same
            yield TarEntry(name=name, folder=listing.others[path] == "folder")


def _pack(folder: Path, listing: Listing, target: Path, board: str, arch: Arch) -> Index:
    """Pack what was pulled and return its index.

    Raises
    ------
    ConfigError
        It is the root of another machine; what was there before stays.
    """
    with whole_file(target) as file:
        write_tar(file, _entries(folder, listing))
        file.flush()
        index = scan_root(Path(file.name))
        refuse_other_machine(index, board, arch)
        # An index of the root from before must not outlive it: cut here, the root itself is read.
        set_index_aside(target.parent)
    return replace(index, source=str(target))


def _tidy(folder: Path, listing: Listing) -> None:
    """Drop what no file of the board has any more, and the tree of names that older versions kept here."""
    for left in folder.iterdir():
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        elif left.name not in listing.files.values():
            left.unlink(missing_ok=True)

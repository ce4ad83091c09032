"""What a live board has, brought over SSH: its shared libraries and loader configuration; nothing on it is changed.

The board lists first, with a hash of each file; then files come in batches, each as a tar stream. What is here already
with that hash is not fetched again: a lost connection costs one batch, a second pull only what changed.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.boards.session import SshSession
from deploy.boards.sysroot_file import SysrootFile, plan_sysroot_file, read_os_release
from recipes import paths
from recipes.arch import Arch
from recipes.errors import PreflightError
from recipes.files import whole_file, write_whole
from recipes.rootfs.capture import INDEX_NAME, write_capture
from recipes.rootfs.index import scan_root
from recipes.tarfiles import TarEntry, write_tar

_BATCH = 64
"""Files of one request: what a lost connection costs."""
# Find, ls and tar as BusyBox has them. Modules, firmware and languages' own libraries load into no process of ours.
_LIST = r"""
tops=
for top in /lib /lib32 /lib64 /usr/lib /usr/lib32 /usr/lib64 /usr/local/lib /opt; do
    if [ -L "$top" ]; then echo "link $(readlink "$top") $top"; elif [ -d "$top" ]; then tops="$tops $top"; fi
done
look() {
    find $tops -xdev \( -name modules -o -name firmware -o -name 'python*' -o -name perl5 -o -name locale \) -prune \
        -o "$@"
}
releases='/etc/os-release /usr/lib/os-release'
{
    look -type l -name '*.so*' -print
    find /etc/alternatives -type l -name '*.so*' 2>/dev/null
} | while read -r path; do echo "link $(readlink "$path") $path"; done
look -type f -name '*.so*' -exec sha256sum {} +
for path in /etc/ld.so.conf /etc/ld.so.conf.d/*.conf /etc/ld.so.cache /etc/ld-musl-*.path $releases; do
    if [ -f "$path" ] && [ ! -L "$path" ]; then sha256sum "$path"; fi
done
exit 0
"""
# Names come on stdin; a small BusyBox tar reads none from there.
_SEND = """cd / || exit 1
while IFS= read -r path; do set -- "$@" "$path"; done
exec tar -cf - "$@"
"""


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


def pull_root(session: SshSession, board: str, arch: Arch, target: Path | None = None) -> PulledRoot:
    """Bring a board's libraries as `board-configs/<board>/root.tar`, or as `target`; capture their index beside it.

    Raises
    ------
    PreflightError
        The connection was lost (the same command goes on where it ended), or a file changed while it was read.
    """
    tree = paths.work() / "pull" / board
    tree.mkdir(parents=True, exist_ok=True)
    files, links = _listed(session)
    wanted = [path for path, digest in files.items() if _digest(tree, path) != digest]
    fetched = 0
    for batch in (wanted[at : at + _BATCH] for at in range(0, len(wanted), _BATCH)):
        names = "".join(f"{path.lstrip('/')}\n" for path in batch).encode()
        fetched += _unpack(session.fetch(_SEND, stdin=[names]), tree)
    if lost := [path for path in wanted if _digest(tree, path) != files[path]]:
        raise PreflightError(
            f"{len(lost)} files changed while they were read",
            where=lost[0],
            why="the board is being updated, or a file cannot be read by this user",
            next_step="the same command again",
        )
    packed = target or paths.BOARDS / board / "root.tar"
    # An index of the root from before must not outlive it: cut here, the root itself is read.
    (packed.parent / INDEX_NAME).unlink(missing_ok=True)
    _pack(tree, files, links, packed)
    index = scan_root(packed)
    write_capture(packed.parent, index, board)
    releases = [tree / path.lstrip("/") for path in files if path.endswith("/os-release")]
    release = read_os_release(releases[0].read_text("utf-8", "replace") if releases else "")
    made = plan_sysroot_file(release, (file.soname for file in index.files.values()), arch)
    size = packed.stat().st_size
    return PulledRoot(root=packed, files=len(files), links=len(links), bytes=size, fetched=fetched, headers=made)


def _listed(session: SshSession) -> tuple[dict[str, str], dict[str, str]]:
    """Return path to hash of the files, and path to target of the links."""
    reply = session.run(_LIST)
    files: dict[str, str] = {}
    links: dict[str, str] = {}
    for line in reply.out.splitlines():
        if line.startswith("link "):
            _, value, path = (*line.split(" ", 2), "", "")[:3]
            if path.startswith("/"):
                links[path] = value
        elif found := re.fullmatch(r"([0-9a-f]{64}) [ *](/.+)", line):
            files[found[2]] = found[1]
    if not files:
        raise PreflightError(
            "the board lists no libraries", why=reply.err.strip()[:200], next_step="may this user read /usr/lib?"
        )
    return files, links


def _digest(tree: Path, path: str) -> str:
    try:
        return hashlib.sha256((tree / path.lstrip("/")).read_bytes()).hexdigest()
    except OSError:
        return ""


def _unpack(data: bytes, tree: Path) -> int:
    """Write the regular files of a board's tar stream; whatever else it might hold stays out."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            reader = archive.extractfile(member) if member.isfile() or member.islnk() else None
            if reader is None or ".." in Path(member.name).parts:
                continue
            write_whole(tree / member.name.lstrip("/"), reader.read())
    return len(data)


def _pack(tree: Path, files: Mapping[str, str], links: Mapping[str, str], target: Path) -> None:
    """Pack what was pulled: sorted, without times or owners, so that the same board gives the same file."""
    entries = (
        TarEntry(name=path.lstrip("/"), link=links[path])
        if path in links
        else TarEntry(name=path.lstrip("/"), content=tree / path.lstrip("/"), mode=0o755)
        for path in sorted({*files, *links})
    )
    with whole_file(target) as file:
        write_tar(file, entries)

"""The disk that the engine keeps its containers and volumes on: whoever fills it is ended before it is full.

docker has no limit for a volume that works on every file system, so the room that is left is watched, in bytes and in
files. Where the engine is on another machine nobody here can see its disk.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from recipes.console import size
from recipes.errors import BuildError

RESERVE = 2 << 30
"""Bytes that stay free; more than is written between two looks."""
RESERVED_FILES = 20_000
"""Files that can still be made."""
_SECONDS = 0.25
"""Between two looks."""


def engine_folders(told: str) -> tuple[Path, ...]:
    """Return the engine's folders on this machine, by the one that it tells: its own, and that of volumes.

    Empty where it is not here: of an engine in a virtual machine, for instance.
    """
    root = Path(told)
    return tuple(folder for folder in (root, root / "volumes") if told and _is_seen(folder))


def _is_seen(folder: Path) -> bool:
    try:
        os.statvfs(folder)
    except OSError:
        return False
    return True


def too_little(folders: Sequence[Path]) -> tuple[Path, str] | None:
    """Return the first folder on whose disk too little is left, and how much that is; None where there is enough."""
    for folder in folders:
        there = os.statvfs(folder)
        free = there.f_bavail * there.f_frsize
        if free < RESERVE:
            return folder, f"{size(free)} are free there; {size(RESERVE)} are to stay free"
        # Some file systems have no fixed number of files, and say 0.
        if there.f_files and there.f_favail < RESERVED_FILES:
            return folder, f"{there.f_favail:,} more files can be made there; room for {RESERVED_FILES:,} is to stay"
    return None


@dataclass(slots=True, kw_only=True)
class _Watch:
    folders: Sequence[Path]
    end: Callable[[], None]
    found: tuple[Path, str] | None = None
    over: threading.Event = field(default_factory=threading.Event)

    def look(self) -> None:
        while not self.over.wait(_SECONDS):
            if (found := too_little(self.folders)) is not None:
                self.found = found
                self.end()
                return


@contextmanager
def watched(folders: Sequence[Path], end: Callable[[], None]) -> Iterator[None]:
    """Watch the engine's disk while the block runs.

    Parameters
    ----------
    end:
        Ends the container, and returns at once; it is called from another thread, once at most.

    Raises
    ------
    BuildError
        Too little is left: before the block, which does not begin then; or while it ran, whatever it raised itself.
    """
    if (found := too_little(folders)) is not None:
        raise _full("nothing was started: the engine's disk is nearly full", *found)
    watch = _Watch(folders=folders, end=end)
    thread = threading.Thread(target=watch.look, name="disk", daemon=True)
    if folders:
        thread.start()
    try:
        yield
    except Exception as error:
        if watch.found is not None:
            raise _ended(*watch.found) from error
        raise
    finally:
        watch.over.set()
        if folders:
            thread.join()
    if watch.found is not None:
        raise _ended(*watch.found)


def _ended(folder: Path, why: str) -> BuildError:
    return _full("a container was ended: the engine's disk is nearly full", folder, f"{why}; what it wrote is gone now")


def _full(what: str, folder: Path, why: str) -> BuildError:
    return BuildError(
        what,
        where=str(folder),
        why=why,
        next_step=f"docker system df shows what takes the room; docker system prune, or a larger disk for {folder}",
    )

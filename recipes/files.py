"""Files on this machine that are whole or not there: written beside, then renamed; one run at a time."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from recipes.errors import ConfigError
from recipes.paths import work


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def whole_file(target: Path, *, mode: int = 0o644, replace: bool = True) -> Iterator[IO[bytes]]:
    """Yield an open file that becomes `target` by rename(2) when the block ends well, and vanishes otherwise.

    Readers see the old content or the new, never a part. A program that writes by itself gets the file's `name`.

    Parameters
    ----------
    mode:
        Of the finished file; until then nobody else can read it.
    replace:
        False lets a file that is there already stay, be it made meanwhile by another run.

    Raises
    ------
    ConfigError
        The disk is full, or not to be written to.
    """
    with _disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.part-", dir=target.parent)
        os.close(descriptor)
        part = Path(name)
        try:
            with part.open("wb") as file:
                yield file
            part.chmod(mode)
            if replace:
                part.replace(target)
            else:
                with suppress(FileExistsError):
                    target.hardlink_to(part)
        finally:
            part.unlink(missing_ok=True)


def write_whole(target: Path, data: bytes | bytearray, *, mode: int = 0o644) -> None:
    """Write a file so that readers see the old content or the new, never a part; see `whole_file`."""
    with whole_file(target, mode=mode) as file:
        file.write(data)


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `target` by rename(2) when the block ends well, and vanishes otherwise.

    A half-written stage, sysroot or prefix can therefore never be taken for a whole one.

    Raises
    ------
    ConfigError
        The disk is full, or not to be written to.
    """
    with _disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{target.name}.part-", dir=target.parent))
        part.chmod(0o755)  # mkdtemp's 0700 would travel into the stage
        try:
            yield part
            old = target.with_name(f".{target.name}.old-{os.getpid()}")
            if target.exists():
                target.rename(old)
            part.rename(target)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(part, ignore_errors=True)


@contextmanager
def _disk_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno is None:  # no file's: requests derives what a server answers from OSError
            raise
        raise disk_error(error, target) from error


def disk_error(error: OSError, target: Path) -> ConfigError:
    """Turn an OSError on our own folders into advice; ENOSPC names the bytes that are free."""
    free = shutil.disk_usage(target.parent).free if target.parent.exists() else 0
    return ConfigError(
        f"cannot write {target}",
        why=f"{error.strerror or error} ({free:,} bytes free there)",
        next_step="free some space, or point BOARDCAST_CACHE and BOARDCAST_WORK at a larger disk",
    )


def sweep_parts(folder: Path, *, older_than: float) -> None:
    """Remove `.part-` leftovers of killed runs that nobody has touched for `older_than` seconds."""
    import time

    for left in folder.glob(".*.part-*"):
        if time.time() - left.stat().st_mtime > older_than:
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)


@contextmanager
def exclusive(what: str, folder: Path | None = None) -> Iterator[None]:
    """Hold this checkout for one kind of work; a second run says that it waits, and waits.

    Parameters
    ----------
    folder:
        Another one whose programs take turns, such as the user's cache for those of all checkouts.
    """
    from filelock import FileLock, Timeout

    folder = folder or work()
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{what}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        from recipes import console

        console.say(f"another {what} is at work here; waiting for it to end")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()

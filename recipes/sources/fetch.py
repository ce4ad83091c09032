"""Verified sources: cache, then mirrors, then upstream, then the distribution's source package of the same hash.

Nothing is used, or promoted from its `.part`, before its sha256 is the lock's.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from recipes import paths
from recipes.errors import BuildError, ConfigError
from recipes.files import file_sha256, whole_file, write_whole
from recipes.progress import file_size, progress
from recipes.sources.debian import Distribution, by_apt, download_source
from recipes.sources.git import (
    FetchedRepository,
    export_repository,
    fetch_repository,
    gitlinks,
    holds_commit,
    repository_path,
)
from recipes.sources.lock import Archive, PatchArchive, Repository

_CONNECT, _READ = 10, 60  # seconds; a black hole must not hold a build for requests' default, which is for ever
LARGEST_SOURCE = 4 << 30
"""Bytes of one archive: what has no end must not fill the disk before its hash is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedArchive:
    """One source that is in the cache, and the rung of the ladder that brought it."""

    archive: Archive | PatchArchive
    path: Path
    rung: str


def mirror_folders(given: Sequence[str] = ()) -> tuple[Path, ...]:
    """Return the mirror directories: `--mirror` first, then BOARDCAST_MIRROR (separated like PATH).

    Raises
    ------
    ConfigError
        One of them is not a directory.
    """
    listed = [*given, *(part for part in os.environ.get("BOARDCAST_MIRROR", "").split(os.pathsep) if part)]
    for entry in listed:
        if not Path(entry).is_dir():
            raise ConfigError(
                f"mirror {entry!r} is not a directory", next_step="a mirror holds archives/<file> and git/<host>/…"
            )
    return tuple(Path(entry) for entry in listed)


def fetch_pins(
    pins: Sequence[Archive | Repository],
    mirror: Sequence[Path] = (),
    *,
    offline: bool = False,
    distribution: Distribution | None = None,
) -> list[FetchedArchive | FetchedRepository]:
    """Bring archives and repositories into the cache, checked; raises BuildError at the first that is unavailable."""
    found: list[FetchedArchive | FetchedRepository] = []
    for pin in pins:
        if isinstance(pin, Archive):
            files = archive_files(pin)
            found += [fetch_archive(file, mirror, offline=offline, distribution=distribution) for file in files]
        else:
            found += fetch_repository(pin, mirror, offline=offline)
    return found


def archive_files(pin: Archive) -> list[Archive | PatchArchive]:
    """Return the files that an archive of the lock comes down to: itself, and the distribution's patches for it."""
    return [pin, *filter(None, [pin.patch_archive])]


def missing_from_cache(pin: Archive | Repository) -> str:
    """Say what the cache lacks of a pin, checked byte for byte; empty where it is whole."""
    if isinstance(pin, Archive):
        if lacks := _missing_file(pin):
            return lacks
        patched = pin.patch_archive
        lacks = _missing_file(patched) if patched else ""
        return f"its patches: {lacks}" if lacks else ""
    path = repository_path(pin.url, pin.commit)
    if not holds_commit(path, pin.commit):
        return "damaged in the cache" if path.exists() else "not in the cache"
    known = {module.path: module.url for module in pin.submodules}
    for name, commit in gitlinks(path, pin.commit).items():
        if name not in known or not holds_commit(repository_path(known[name], commit), commit):
            return f"its submodule {name} is not in the cache"
    return ""


def _missing_file(file: Archive | PatchArchive) -> str:
    there = archive_path(file)
    if not there.is_file():
        return "not in the cache"
    return "" if file_sha256(there) == file.sha256 else "the cache has other bytes"


def export_mirror(
    pins: Sequence[Archive | Repository],
    into: Path,
    mirror: Sequence[Path] = (),
    *,
    distribution: Distribution | None = None,
) -> None:
    """Write a mirror directory that a machine without internet can build from; adds to what is there."""
    for pin in pins:
        if isinstance(pin, Archive):
            for file in archive_files(pin):
                target = into / "archives" / file.file
                target.parent.mkdir(parents=True, exist_ok=True)
                write_whole(target, fetch_archive(file, mirror, distribution=distribution).path.read_bytes())
        else:
            fetch_repository(pin, mirror)
            export_repository(pin, into)


def archive_path(archive: Archive | PatchArchive) -> Path:
    return paths.cache() / "archives" / archive.sha256[:16] / archive.file


def fetch_archive(
    archive: Archive | PatchArchive,
    mirror: Sequence[Path] = (),
    *,
    offline: bool = False,
    distribution: Distribution | None = None,
) -> FetchedArchive:
    """Bring one source into the cache, checked.

    Parameters
    ----------
    offline:
        Stop after the mirrors.
    distribution:
        Who asks the distribution; this machine's apt without one.

    Raises
    ------
    BuildError
        No rung had it with the right hash; says what each one answered.
    """
    target = archive_path(archive)
    answers: list[str] = []
    if target.is_file():
        if file_sha256(target) == archive.sha256:
            return FetchedArchive(archive=archive, path=target, rung="cache")
        answers.append(f"cache: {target} has another hash by now; set aside")
        target.unlink()
    rungs: list[tuple[str, Callable[[Path], None]]] = [
        (f"mirror {folder}", lambda part, folder=folder: _from_mirror(archive, folder, part))  # type: ignore[misc]
        for folder in mirror
    ]
    if not offline:
        if archive.url:
            rungs.append((f"upstream {archive.url}", lambda part: _from_upstream(archive.url, part)))
        if archive.distribution is not None:
            pack = archive.distribution
            label = f"distribution source package {pack.package}/{pack.suite}"
            rungs.append((label, lambda part: _from_distribution(archive, distribution or by_apt(), part)))
    for rung, bring in rungs:
        answer = _try(archive, target, bring)
        if answer is None:
            return FetchedArchive(archive=archive, path=target, rung=rung)
        answers.append(f"{rung}: {answer}")
    raise BuildError(
        f"source {archive.name} {archive.version} is unavailable",
        where=archive.file,
        why="\n       ".join(answers) or "no mirror was given and the network is not to be used",
        next_step=f"put {archive.file} (sha256 {archive.sha256[:16]}…) into DIR/archives/ and pass --mirror DIR",
    )


def _try(archive: Archive | PatchArchive, target: Path, bring: Callable[[Path], None]) -> str | None:
    """Run one rung into a `.part`, check it, promote it; return the reason where it did not work."""
    try:
        with whole_file(target) as file:
            part = Path(file.name)
            bring(part)
            _check(part, archive.sha256)
    except BuildError as error:
        return "; ".join(filter(None, (error.what, error.why.replace("\n", " "))))
    return None


def _check(part: Path, wanted: str) -> None:
    """Raise with what is wrong with a downloaded file, unless its hash is the lock's."""
    found = file_sha256(part)
    if found == wanted:
        return
    size = part.stat().st_size
    with part.open("rb") as file:
        head = file.read(256).lstrip().lower()
    if head.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise BuildError(f"answered with a web page of {size} bytes, not with the file; refused")
    raise BuildError(f"sha256 is {found}, the lock says {wanted} ({size} bytes); refused")


def _from_mirror(archive: Archive | PatchArchive, folder: Path, part: Path) -> None:
    source = folder / "archives" / archive.file
    if not source.is_file():
        raise BuildError(f"has no archives/{archive.file}")
    _bounded(source.stat().st_size)
    shutil.copyfile(source, part)


def _bounded(size: int) -> None:
    if size > LARGEST_SOURCE:
        raise BuildError(f"has more than {LARGEST_SOURCE:,} bytes; refused")


def _from_upstream(url: str, part: Path) -> None:
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    # Network faults are worth another try, a 4xx is an answer.
    retry = Retry(total=2, connect=1, read=2, status=2, backoff_factor=0.5, status_forcelist=(500, 502, 503, 504))
    with requests.Session() as session:
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(max_retries=retry))
        try:
            with session.get(url, stream=True, timeout=(_CONNECT, _READ)) as answer:
                answer.raise_for_status()
                length = answer.headers.get("Content-Length", "")
                total = int(length) if re.fullmatch(r"[0-9]{1,15}", length) else 0
                with part.open("wb") as file, progress(f"bringing {url.rpartition('/')[2]}", file.tell, total=total):
                    for chunk in answer.iter_content(1 << 20):
                        _bounded(file.tell() + len(chunk))
                        file.write(chunk)
        except requests.HTTPError as error:
            raise BuildError(f"HTTP {error.response.status_code}") from error
        except requests.RequestException as error:
            raise BuildError(_short(error)) from error


def _short(error: Exception) -> str:
    """Return the innermost reason of a requests error: its own text repeats the whole stack of wrappers."""
    reason: BaseException | str = error
    while isinstance(reason, BaseException):
        inner = getattr(reason, "reason", None) or (reason.args[0] if reason.args else None)
        if not isinstance(inner, BaseException):
            break
        reason = inner
    return f"no answer ({str(reason).split(': ', 1)[-1]})"


def _from_distribution(archive: Archive | PatchArchive, asked: Distribution, part: Path) -> None:
    pack = archive.distribution
    if pack is None:
        raise BuildError("the lock names no source package")
    with progress(f"bringing {archive.file}", lambda: file_size(part)):
        download_source(asked, pack.package, pack.suite, archive.file, part)

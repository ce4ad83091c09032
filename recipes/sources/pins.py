"""What the lock pins: how old each pin is, whether upstream still fixes it, and how one is moved on purpose."""

from __future__ import annotations

import contextlib
import datetime as dt
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from recipes import paths
from recipes.archives.packed import PackedError
from recipes.archives.tarinput import open_tar
from recipes.archives.tarreader import Kind, TarError
from recipes.errors import ConfigError
from recipes.files import write_whole
from recipes.sources.debian import Distribution, Offered, later
from recipes.sources.fetch import archive_path, fetch_pins
from recipes.sources.git import commit_date
from recipes.sources.lock import Archive, Lock, Repository, load_lock, lock_path
from recipes.sources.patches import read_patches
from recipes.tools.box import shared_tools

_OF_ARCHIVES = ("sha256", "file", "revision", "patches")


@dataclass(frozen=True, slots=True, kw_only=True)
class PinRow:
    """One pin, as a person wants to see it."""

    name: str
    version: str
    revision: str
    """The distribution's version, where its patches are applied; empty otherwise."""
    unit: str
    pinned: str
    date: str
    """Day of the commit, or of the newest file in the archive; empty where the cache does not have it, or it cannot be
    read."""
    flag: str

    def as_dict(self) -> dict[str, str]:
        names = ("name", "version", "revision", "unit", "pinned", "date", "flag")
        return {name: getattr(self, name) for name in names}


@shared_tools()
def pin_rows(pins: Lock, today: dt.date) -> list[PinRow]:
    """Return all pins with age and flags; dates come from the sources themselves, as far as the cache has them."""
    return [
        PinRow(
            name=pin.name,
            version=pin.version,
            revision=pin.revision if isinstance(pin, Archive) else "",
            unit=pin.unit,
            pinned=pin.pinned,
            date=_date(pin),
            flag=_flag(pin, today),
        )
        for pin in pins.pins
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class StalePin:
    """A pin that a build uses of itself and that has to be moved."""

    name: str
    has: str
    """Its version; Debian's, with the revision, where patches are applied."""
    because: str
    cure: str
    """The command that moves it as far as the index says all of it; empty where upstream's next line is a choice."""

    def as_dict(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in ("name", "has", "because", "cure")}


def stale_pins(pins: Lock, today: dt.date, distribution: Distribution | None) -> list[StalePin]:
    """Return the defaults whose line has ended, and those that are older than their distribution's newest.

    Parameters
    ----------
    distribution:
        None where it is not to be asked.

    Raises
    ------
    BuildError
        The distribution does not answer.
    """
    found = []
    for pin in pins.pins:
        if pin.on_request:
            continue
        has = (pin.revision if isinstance(pin, Archive) else "") or pin.version
        if pin.eol is not None and pin.eol <= today:
            because = f"its line ended upstream on {pin.eol}"
            found.append(StalePin(name=pin.name, has=has, because=because, cure=""))
        if distribution is None or not isinstance(pin, Archive) or pin.distribution is None:
            continue
        newest: Offered | None = None
        for one in distribution.offered(pin.distribution.package, pin.distribution.suite):
            if newest is None or later(one.version, newest.version):
                newest = one
        # Without a revision it has no patch level at all, so any of the distribution's is later.
        if newest is not None and later(newest.version, pin.revision or f"{pin.version}-0"):
            because = f"{newest.suite} has {newest.version}"
            found.append(StalePin(name=pin.name, has=has, because=because, cure=_move(pin, newest)))
    return found


def _move(pin: Archive, newest: Offered) -> str:
    """Return the command that moves an archive to what a distribution has now."""
    words = ["invoke", "pins", "--update", pin.name]
    patches = next((digest for file, (_, digest) in newest.files.items() if ".debian.tar." in file), "")
    version = newest.version.rpartition("-")[0] or newest.version
    origin = next(((file, digest) for file, (_, digest) in newest.files.items() if ".orig.tar." in file), ("", ""))
    if version != pin.version:
        words += ["--to-version", version, "--to-file", origin[0], "--to-sha256", origin[1]]
        words += ["--to-url", pin.url.replace(pin.version, version)]
    return shlex.join([*words, "--to-revision", newest.version, "--to-patches", patches])


def _flag(pin: Archive | Repository, today: dt.date) -> str:
    flags = []
    if pin.eol is not None:
        word = "EOL upstream since" if pin.eol <= today else "EOL upstream on"
        flags.append(f"{word} {pin.eol}")
    if pin.on_request:
        flags.append("on request")
    return "; ".join(flags)


def pin_age(row: PinRow, today: dt.date) -> str:
    """Return the age of a pin in years and months."""
    if not row.date:
        return "-"
    months = (today - dt.date.fromisoformat(row.date)).days * 12 // 365
    return f"{months // 12} y {months % 12} m" if months >= 12 else f"{months} m"


def _date(pin: Archive | Repository) -> str:
    if isinstance(pin, Repository):
        return commit_date(pin.url, pin.commit)
    there = archive_path(pin)
    if not there.is_file():
        return ""
    kept = paths.cache() / "dates" / pin.sha256  # unpacking them all takes a second
    with contextlib.suppress(OSError, ValueError):
        return dt.date.fromisoformat(kept.read_text()).isoformat()
    try:
        with open_tar(there) as archive:
            newest = max((member.time for member in archive.members() if member.kind is Kind.FILE), default=0)
        date = dt.datetime.fromtimestamp(newest, dt.UTC).date().isoformat()
    except (TarError, PackedError, OverflowError, ValueError, OSError):  # `fetch --check` says what is wrong with it
        return ""
    with contextlib.suppress(ConfigError):  # a cache that cannot be written to costs that second again
        write_whole(kept, date.encode())
    return date


def move_pin(
    name: str,
    changes: Mapping[str, str],
    mirror: Sequence[Path] = (),
    *,
    offline: bool = False,
    distribution: Distribution | None = None,
) -> Path:
    """Move one pin: fetch the new source, check it, then write it into the lock file; comments stay.

    Parameters
    ----------
    changes:
        Key to new value: version, url, and commit and refs for a repository, or sha256, file, revision and patches for
        an archive.

    Raises
    ------
    ConfigError
        The pin has no such key, or the lock would not be one any more.
    BuildError
        The new source is unavailable with that commit or hash, or one of its patches is refused; the lock is as before.
    """
    where = lock_path()
    pin = load_lock().get(name)
    keys = {"version", "url"} | ({"commit", "refs"} if isinstance(pin, Repository) else set(_OF_ARCHIVES))
    if strange := sorted(changes.keys() - keys):
        has = ", ".join(sorted(keys))
        raise ConfigError(f"{name} has no {', '.join(strange)}", where=str(where), why=f"it has {has}")
    if not changes:
        raise ConfigError(f"nothing to change in {name}", next_step=f"invoke pins --update {name} --to-version …")
    text = _edited(where.read_text(), name, changes)
    try:
        moved = Lock.model_validate(tomllib.loads(text))
    except (ValidationError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{name} cannot be pinned so", where=str(where), why=str(error)) from error
    found = moved.get(name)
    fetch_pins([found], mirror, offline=offline, distribution=distribution)
    if isinstance(found, Archive) and found.patch_archive is not None:
        read_patches(found, archive_path(found.patch_archive))
    write_whole(where, text.encode())
    return where


def _edited(text: str, name: str, changes: Mapping[str, str]) -> str:
    """Return the lock's text with other values in one table; comments and layout stay. `refs` is a list of one."""
    import tomlkit

    document = tomlkit.parse(text)
    tables = [table for kind in ("archive", "repository") for table in document.get(kind, ())]
    table = next(table for table in tables if table["name"] == name)
    for key, value in changes.items():
        item = tomlkit.item([value] if key == "refs" else value)
        if key in table:
            table[key] = item
        else:
            # At the end of a table it would come after the comment above the next one.
            table.value._insert_after([*table][-1], key, item)  # noqa: SLF001 - tomlkit has no public way to do it
    return tomlkit.dumps(document)

"""What the lock pins: how old each pin is, whether upstream still fixes it, and how one is moved on purpose."""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from recipes.archives.packed import PackedError
from recipes.archives.tarinput import open_tar
from recipes.archives.tarreader import Kind, TarError
from recipes.errors import ConfigError
from recipes.files import write_whole
from recipes.sources.fetch import archive_path, fetch_pins
from recipes.sources.git import commit_date
from recipes.sources.lock import Archive, Lock, Repository, load_lock, lock_path
from recipes.tools.box import shared_tools


@dataclass(frozen=True, slots=True, kw_only=True)
class PinRow:
    """One pin, as a person wants to see it."""

    name: str
    version: str
    unit: str
    pinned: str
    date: str
    """Day of the commit, or of the newest file in the archive; empty where the cache does not have it, or it cannot be
    read."""
    flag: str

    def as_dict(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in ("name", "version", "unit", "pinned", "date", "flag")}


def pin_rows(pins: Lock, today: dt.date) -> list[PinRow]:
    """Return all pins with age and flags; dates come from the sources themselves, as far as the cache has them."""
    with shared_tools():
        return [
            PinRow(
                name=pin.name,
                version=pin.version,
                unit=pin.unit,
                pinned=pin.pinned,
                date=_date(pin),
                flag=_flag(pin, today),
            )
            for pin in pins.pins
        ]


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
    try:
        with open_tar(there) as archive:
            newest = max((member.time for member in archive.members() if member.kind is Kind.FILE), default=0)
        return dt.datetime.fromtimestamp(newest, dt.UTC).date().isoformat()
    except (TarError, PackedError, OverflowError, ValueError, OSError):  # `fetch --check` says what is wrong with it
        return ""


def move_pin(name: str, changes: Mapping[str, str], mirror: Sequence[Path] = (), *, offline: bool = False) -> Path:
    """Move one pin: fetch the new source, check it, then write it into the lock file; comments stay.

    Parameters
    ----------
    changes:
        Key to new value: version, url, and commit for a repository or sha256 and file for an archive.

    Raises
    ------
    ConfigError
        The pin has no such key, or the lock would not be one any more.
    BuildError
        The new source is unavailable with that commit or hash; the lock is as before.
    """
    where = lock_path()
    pin = load_lock().get(name)
    keys = {"version", "url"} | ({"commit", "refs"} if isinstance(pin, Repository) else {"sha256", "file"})
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
    fetch_pins([moved.get(name)], mirror, offline=offline)
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

"""What a rollout came to so far, in a file that is whole at any moment: an end by hand or a power cut is gone on from.

One file for each selection of hosts, below the work folder. It holds names, ids, figures and words of errors.
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from deploy.fleet.selection import MOST_HOSTS
from deploy.fleet.waves import Fate
from deploy.release.deployment import is_off
from recipes import paths
from recipes.config import Name, OneLine, Strict
from recipes.errors import ConfigError, UserError
from recipes.files import write_whole
from recipes.text import one_line

State = Literal["deployed", "unchanged", "staged", "activated", "waiting", "failed", "off"]
_BAD = ("failed", "off")
_MOST_BYTES = 16 << 20
_MOST_JOURNALS = 64
_WORDS = 400
"""Characters of each part of an error."""


class HostRecord(Strict):
    """What became of one host."""

    host: Name
    state: State
    """`off` for one that does not answer; `unchanged` where nothing was to be done; `waiting` where what is staged was
    ready, and was not switched on."""
    release: OneLine = ""
    sent: int = Field(default=0, ge=0)
    """Bytes of contents and lists."""
    round_trips: int = Field(default=0, ge=0)
    seconds: float = Field(default=0.0, ge=0)
    ended: OneLine = ""
    """When, in UTC."""
    error: OneLine = ""
    why: OneLine = ""
    next_step: OneLine = ""
    exit_code: int = 0
    """That a command for this host alone would end with."""

    @property
    def fate(self) -> Fate:
        return Fate.FAILED if self.state in _BAD else Fate.DONE

    @property
    def words(self) -> str:
        """What is told of it beside its state: why it failed."""
        told = ("", self.why or self.error) if self.state == "off" else (self.error, self.why)
        return ": ".join(part for part in told if part)


def failed_record(host: str, error: UserError, seconds: float) -> HostRecord:
    """Return the record of a host where something ended with an error."""
    return HostRecord(
        host=host,
        state="off" if is_off(error) else "failed",
        seconds=round(seconds, 2),
        ended=now(),
        error=one_line(error.what, most=_WORDS),
        why=one_line(error.why, most=_WORDS),
        next_step=one_line(error.next_step.replace("HOST", host), most=_WORDS),
        exit_code=int(error.code),
    )


def now() -> str:
    """Return the time in UTC, as it is written down."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


class Journal(Strict):
    """One rollout: what was asked for, and what it came to so far."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    begun: OneLine
    words: OneLine
    """The hosts that were meant, in words of the command line."""
    waves: OneLine
    errors: OneLine
    stage: bool = False
    """Nothing is switched: it is staged."""
    bundles: dict[Name, OneLine]
    """Board to the id of its bundle."""
    hosts: tuple[Name, ...] = Field(max_length=MOST_HOSTS)
    results: dict[Name, HostRecord] = Field(default_factory=dict, max_length=MOST_HOSTS)

    def fates(self) -> dict[str, Fate]:
        return {host: record.fate for host, record in self.results.items()}

    def left(self) -> tuple[str, ...]:
        """Return the hosts that have no outcome."""
        return tuple(host for host in self.hosts if host not in self.results)


def journal_path(key: str) -> Path:
    return paths.work() / "fleet" / f"{key}.json"


def read_journal(key: str) -> Journal | None:
    """Return what was written down for a selection; None where nothing was.

    Raises
    ------
    ConfigError
        The file is no journal of ours.
    """
    path = journal_path(key)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ConfigError("the journal of a rollout is larger than any of ours", where=str(path))
        return Journal.model_validate(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError, ValidationError) as error:
        raise ConfigError(
            "the journal of a rollout cannot be read",
            where=str(path),
            why=one_line(str(error)),
            next_step="remove it, then the same command without --resume: hosts that have the release stay as they are",
        ) from error


def write_journal(key: str, journal: Journal) -> None:
    """Write a journal so that a reader sees the old one or the new one; raises ConfigError where the disk is full."""
    path = journal_path(key)
    if not path.exists():
        _make_room(path.parent)
    write_whole(path, journal.model_dump_json(by_alias=True).encode())


def _make_room(folder: Path) -> None:
    """Remove the oldest journals where there are many."""
    files = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
    for path in files[: max(0, len(files) - _MOST_JOURNALS + 1)]:
        path.unlink(missing_ok=True)

"""Faults on demand: what the service does wrong for a stream, because somebody asked it to.

So that people and tests see what a board does when the service refuses, breaks off, or falls silent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal, get_args

from deploy.kvsstore.database import Database
from recipes.errors import ConfigError, unknown

Kind = Literal["error", "drop", "stall", "slow", "denied", "expired", "throttled"]
KINDS: tuple[str, ...] = get_args(Kind)
_WORDS = {"403": "denied"}
_EXAMPLE = "invoke kvs fault --stream cam01 error=4010 at=3"
_MOST_RULES = 100


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to do wrong.

    Attributes
    ----------
    kind:
        error: an ERROR ack; drop: the connection is cut; stall: nothing is read or answered while the socket
        stays open; slow: bytes are read at `rate`; denied, expired, throttled: requests are refused as AWS does.
    stream:
        A stream's or channel's name; `*` for all.
    code:
        Of an ERROR ack.
    at:
        In the how manyeth fragment of a connection, from 1; 0 for at once.
    times:
        How often it still happens; 0 for always.
    seconds:
        Of a stall.
    rate:
        Bytes a second, of slow.
    """

    kind: Kind
    stream: str = "*"
    code: int = 0
    at: int = 0
    times: int = 1
    seconds: float = 60.0
    rate: int = 20_000


def parse_fault(words: Sequence[str], stream: str) -> Fault:
    """Read a fault as people type it: `error=4010 at=3`, `stall at=2 seconds=50`, `403`, `slow rate=5000`.

    Raises
    ------
    ConfigError
        A word is not known, or its value is out of range.
    """
    if not words:
        raise ConfigError("which fault?", why=f"known: {', '.join(KINDS)}", next_step=_EXAMPLE)
    kind, _, code = words[0].partition("=")
    kind = _WORDS.get(kind, kind)
    if kind not in KINDS:
        raise unknown("fault", kind, KINDS, next_step=_EXAMPLE)
    values = {"at": 1 if kind in ("error", "drop", "stall") else 0} | dict(_number(word) for word in words[1:])
    if kind == "error":
        values["code"] = int(code) if re.fullmatch(r"[0-9]{4}", code) else -1
        if not 4000 <= values["code"] <= 5999:
            raise ConfigError(f"error={code} is no code of an ack", why="they are 4000 to 5999", next_step=_EXAMPLE)
    return Fault(kind, stream or "*", **values)  # type: ignore[arg-type]  # checked just above


def _number(word: str) -> tuple[str, int]:
    name, _, value = word.partition("=")
    if name not in ("at", "times", "seconds", "rate"):
        raise unknown("word of a fault", name, ("at", "times", "seconds", "rate"), next_step=_EXAMPLE)
    if not re.fullmatch(r"[0-9]{1,9}", value):
        raise ConfigError(f"{name}={value} is no number", next_step=_EXAMPLE)
    return name, int(value)


class Faults:
    """The faults that are asked for; they outlive a restart of the service."""

    def __init__(self, database: Database) -> None:
        self._database = database
        rows = database.read("SELECT id, rule FROM faults ORDER BY id")
        self._rules: dict[int, Fault] = {int(row[0]): Fault(**json.loads(row[1])) for row in rows}

    def ask(self, fault: Fault) -> None:
        """Ask for one more."""
        if len(self._rules) >= _MOST_RULES:
            raise ConfigError(f"more than {_MOST_RULES} faults are asked for", next_step="invoke kvs fault --clear")
        number = self._database.write("INSERT INTO faults (rule) VALUES (?)", json.dumps(asdict(fault)))
        self._rules[number] = fault

    def clear(self) -> int:
        """Take all back; returns how many there were."""
        count = len(self._rules)
        self._rules.clear()
        self._database.write("DELETE FROM faults")
        return count

    def all(self) -> list[Fault]:
        """Return what is still to happen."""
        return list(self._rules.values())

    def take(self, stream: str, *kinds: Kind, at: int = 0) -> Fault | None:
        """Return the fault that is to happen now, and count it.

        Parameters
        ----------
        at:
            The how manyeth fragment of its connection it is; 0 outside of any.
        """
        for number, fault in self._rules.items():
            if fault.kind in kinds and fault.stream in ("*", stream) and fault.at == at:
                self._count(number, fault)
                return fault
        return None

    def _count(self, number: int, fault: Fault) -> None:
        if fault.times == 0:
            return
        if fault.times == 1:
            del self._rules[number]
            self._database.write("DELETE FROM faults WHERE id = ?", number)
        else:
            self._rules[number] = replace(fault, times=fault.times - 1)
            self._database.write(
                "UPDATE faults SET rule = ? WHERE id = ?", json.dumps(asdict(self._rules[number])), number
            )


def fault_from(facts: Mapping[str, object]) -> Fault:
    """Read a fault as it travels between the command and the service."""
    known = {name: facts[name] for name in Fault.__slots__ if name in facts}
    return Fault(**known)  # type: ignore[arg-type]  # ours on both sides

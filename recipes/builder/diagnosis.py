"""The log of a build: how far it says that it is; known failures, recognised and answered with cause and cure.

The table is `catalog/causes.toml`: it grows with every failure that was understood, and needs no code for it.
"""

from __future__ import annotations

import functools
import re
import secrets
import shlex
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Annotated, Literal

from pydantic import Field, StringConstraints

from recipes import paths
from recipes.builder.commands import Command
from recipes.builder.plan import BuildPlan
from recipes.config import Strict, Text, read_toml
from recipes.engine.container import LONGEST_LOG
from recipes.errors import BuildError
from recipes.progress import Step
from recipes.sources.recipe import Recipe
from recipes.text import one_line, shown

_LOG_READ = 16 << 20
"""Bytes at the end of a log in which a failure's cause is looked for."""
# CMake's makefiles print `[ 45%]` before a line, ninja `[12/340]`.
_SHARE = re.compile(rb"^\[ *(?:(\d{1,3})%|(\d{1,6})/(\d{1,6}))\]", re.MULTILINE)
LONGEST_LINE = 2_000
"""Characters of a line that are read: what a tool says is at its start, and no pattern's time can grow further."""
# A log is shown on a terminal: colours of the build's tools, and anything else that would move the cursor, go.
_NOT_TEXT = re.compile(r"\x1b\[[0-9;?]{0,32}[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "`": "'"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why a build failed and what to do, from the rule `name`; `line` is the one that gave it away."""

    name: str
    because: str
    cure: str
    source: str
    line: str


class CauseRule(Strict):
    """One known failure. Named groups of a pattern may be used as `{group}` in `because` and `cure`."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+$")]
    """By which tests and reports call it."""
    patterns: Annotated[tuple[re.Pattern[str], ...], Field(min_length=1)]
    """Any of them, on one line, every quote written as `'`."""
    also: re.Pattern[str] | None = None
    """Must be in the log as well: what the patterns find alone may be harmless."""
    within: Annotated[int, Field(ge=0)] = 0
    """How many lines away `also` may be; anywhere for 0."""
    because: Text
    """What went wrong, in words."""
    cure: Text
    """What to do."""
    source: Annotated[str, StringConstraints(pattern=r"^https://\S+$")]
    """Where this is written down."""


class CauseTable(Strict):
    """`catalog/causes.toml`."""

    schema_: Literal[1] = Field(alias="schema")
    """The form of this file."""
    harmless: tuple[re.Pattern[str], ...] = ()
    """Lines that no rule gets to see."""
    rule: tuple[CauseRule, ...]
    """The known failures; the first that fits decides."""


@functools.cache
def cause_table(path: Path = paths.CATALOG / "causes.toml") -> CauseTable:
    """Read the table, compile its patterns, once; raises ConfigError with all its faults."""
    return read_toml(path, CauseTable)


def diagnose(lines: Sequence[str]) -> Cause | None:
    """Return the cause of a failed build, or None where no rule knows it.

    The first rule of the table that fits decides, at the first line that it fits: later lines are consequences.
    """
    texts = [_seen(_without_controls(line)) for line in lines]
    for rule in cause_table().rule:
        for at, match in _matches(rule, texts):
            if rule.also is None or _is_near(rule.also, texts, at, rule.within):
                facts = {name: one_line(value or "?") for name, value in match.groupdict().items()}
                return Cause(
                    name=rule.name,
                    because=rule.because.strip().format_map(facts),
                    cure=rule.cure.strip().format_map(facts),
                    source=rule.source,
                    line=plain_line(lines[at]).strip(),
                )
            if not rule.within:
                break  # what is nowhere in the log is not there for the next match either
    return None


def plain_line(line: str) -> str:
    """Return a line of a log as it may be shown: without colours, and with nothing that moves a cursor or hides."""
    return shown(_without_controls(line), lines=False)


def _without_controls(line: str) -> str:
    return _NOT_TEXT.sub("", line[:LONGEST_LINE]).rstrip()


def _seen(line: str) -> str:
    """Return a line as patterns see it: quotes in one spelling, and nothing of a harmless line."""
    text = line.translate(_QUOTES)
    return "" if any(pattern.search(text) for pattern in cause_table().harmless) else text


def _matches(rule: CauseRule, texts: Sequence[str]) -> Iterator[tuple[int, re.Match[str]]]:
    for at, text in enumerate(texts):
        for pattern in rule.patterns:
            if match := pattern.search(text):
                yield at, match
                break


def _is_near(also: re.Pattern[str], texts: Sequence[str], at: int, within: int) -> bool:
    near = texts[max(0, at - within) : at + within + 1] if within else texts
    return any(also.search(text) for text in near)


@dataclass(slots=True, kw_only=True)
class CallLog:
    """The log of a call that carries out several commands, read for how far it is; see `commands.in_one_call`.

    In the place of a mark it has the time of the command before, and the next one's name and words.
    """

    log: IO[bytes]
    told: Step
    commands: Sequence[Command]
    mark: str = field(default_factory=lambda: secrets.token_hex(16))
    _begun: int = 0
    _since: float = 0.0
    _printed: int = 0
    _kept: bytes = b""

    @property
    def current(self) -> Command:
        """The command that is carried out, or was last."""
        return self.commands[max(0, self._begun - 1)]

    def write(self, data: bytes, /) -> None:
        """Write what was printed, and note the last share in it; the beginning of a mark waits for what follows.

        Raises
        ------
        BuildError
            One command printed more than LONGEST_LOG bytes.
        """
        line = f"\n{self.mark}\n".encode()
        *whole, last = (self._kept + data).split(line)
        for part in whole:
            self._write(part)
            self._next()
        cut = next((size for size in range(min(len(last), len(line) - 1), 0, -1) if line.startswith(last[-size:])), 0)
        self._kept = last[len(last) - cut :]
        self._write(last[: len(last) - cut])

    def close(self) -> None:
        """Write what waits, and the time of the last command."""
        self.log.write(self._kept)
        self._kept = b""
        self._end()
        self.log.flush()

    def _write(self, data: bytes) -> None:
        self._printed += len(data)
        if self._printed > LONGEST_LOG:
            raise BuildError(f"{self.current.argv[0]} prints without end", why=f"more than {LONGEST_LOG:,} bytes")
        self.log.write(data)
        for percent, done, of in _SHARE.findall(data)[-1:]:
            self.told.reached(int(percent) / 100 if percent else int(done) / max(1, int(of)))

    def _next(self) -> None:
        if self._begun == len(self.commands):
            return  # whoever printed a mark more is none of ours
        self._end()
        self._begun, self._printed = self._begun + 1, 0
        self._since = time.monotonic()
        self.told.at(self.current.name)
        self.log.write(f"\n==> {self.current.name}: {' '.join(self.current.full)}\n".encode())

    def _end(self) -> None:
        if self._begun:
            self.log.write(f"\n<== {self.current.name}: {time.monotonic() - self._since:.1f} s\n".encode())


def failed_command(prepared: BuildPlan, recipe: Recipe, command: Command, log_path: Path, code: int) -> BuildError:
    """Return the error for a command of a build that failed, with the cause and the cure where its log shows them."""
    lines = _end_of(log_path).rstrip().split("\n")
    start = next((at for at, line in enumerate(lines) if line.startswith(f"==> {command.name}:")), 0)
    printed = [plain_line(line) for line in lines[start + 1 :]]
    what = f"{recipe.name} {recipe.version}: {command.name} failed with exit code {code}"
    known = diagnose(lines[start:])
    if known is not None:
        why = "\n       ".join([known.because, f"seen: {known.line[:160]}", f"see {known.source}"])
        error = BuildError(what, where=str(log_path), why=why, next_step=known.cure)
        error.fill_in({"ARCH": prepared.arch.name, "SYSROOT": prepared.sysroot.name})
        return error
    marks = ("error:", "Error ", "fatal:", "undefined reference", "CMake Error", "not found")
    first = next((at for at, line in enumerate(printed) if any(mark in line for mark in marks)), None)
    part = printed[max(0, first - 1) : first + 9] if first is not None else printed[-10:]
    return BuildError(
        what,
        where=str(log_path),
        why="\n       ".join(part),
        next_step=f"read the log; or `invoke shell --arch {prepared.arch.name}` and run: "
        f"{shlex.join(command.full)[:160]}",
    )


def _end_of(log_path: Path) -> str:
    with log_path.open("rb") as log:
        log.seek(max(0, log_path.stat().st_size - _LOG_READ))
        return log.read().decode("utf-8", "replace")

"""What the logs of streams show, and what it means: status codes of the SDKs, words, exit codes.

The table is `statuscodes.toml` beside this file: it grows with every symptom that was understood, and needs no code for
it. Its patterns are those that BusyBox's `grep -E` and Python read alike, since a board's service looks for the same.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from recipes.config import Form, Name, OneLine, Strict, read_toml

LONGEST_LINE = 2_000
"""Characters of a line that are read: what a program says is at its start, and no pattern's time can grow further."""
_TABLE = Path(__file__).with_name("statuscodes.toml")
_GROUP = re.compile(r"\((?:[^()]|\([^()]*\))*\)")
_BRACKETS = re.compile(r"\[\^?[^]\\[]{1,40}\]")
_REPEAT = r"(?:\?|\{[^}]*\})"
_NOT_PLAIN = re.compile(rf"(?:\[[^]]*\]|\((?:[^()]|\([^()]*\))*\)|\.){_REPEAT}?|.{_REPEAT}|[$^|]")
_SMALL = 0x1000
"""A code below is looked for behind the word `status` only: alone it may be any number."""


def _is_pattern(value: str) -> bool:
    """Tell whether BusyBox's grep, GNU's and Python read a pattern alike, and none of them for long."""
    bare = _BRACKETS.sub("x", value)
    if "|" in _GROUP.sub("", bare):
        return False
    if not (value.isascii() and value.isprintable() and 3 <= len(value) <= 200) or re.search(r"[\\*+[\]]|\(\?", bare):
        return False
    if re.search(r"\{(?!(?:[0-9]{1,2},)?(?:[0-9]{1,2}|1[0-9]{2})\})", bare):
        return False  # grep makes as many copies of what is repeated
    try:
        return re.compile(value).search("") is None
    except re.error:
        return False


_PATTERN = Form(
    "log pattern", "an extended regular expression of 3 to 200 letters: no \\ * + (?, | in brackets only", _is_pattern
)
_CODE = Form("status code", "a status code: 0x and 8 digits", lambda v: re.fullmatch(r"0x[0-9a-f]{8}", v) is not None)
_SOURCE = Form("web address", "an address: https://…", lambda v: re.fullmatch(r"https://[!-~]{4,300}", v) is not None)


class Symptom(Strict):
    """Something that a log, a status file or an exit code may show."""

    name: Name
    """By which reports and tests call it."""
    title: OneLine
    """What has happened, in a few words."""
    codes: tuple[Annotated[str, _CODE], ...] = ()
    """Status codes of the SDKs, such as `0x5200007c`."""
    acks: tuple[Annotated[int, Field(ge=4000, le=5999)], ...] = ()
    """Numbers of error acknowledgements (`ErrorId`) of the service."""
    lines: tuple[Annotated[str, _PATTERN], ...] = ()
    """Any of them, on one line."""
    exits: tuple[Annotated[int, Field(ge=1, le=255)], ...] = ()
    """Exit codes; 128 and the number for a signal."""
    meaning: OneLine
    """Why it happens."""
    cure: OneLine
    """What to do."""
    next_step: OneLine = Field(alias="next")
    """The command to type, or what to edit; HOST, BOARD and ARCH are filled in."""
    restart: bool
    """Starting the stream again may help."""
    level: Literal["error", "warning", "note"]
    """How bad it is: nothing streams, it streams badly, it is worth knowing."""
    checks: tuple[Name, ...] = ()
    """Findings of the probe that tell the same of the board, or its cause."""
    source: Annotated[str, _SOURCE]
    """Where this is written down."""

    @model_validator(mode="after")
    def _shows(self) -> Self:
        if not (self.codes or self.acks or self.lines or self.exits):
            raise ValueError("needs at least one of codes, acks, lines, exits")
        return self

    @property
    def patterns(self) -> tuple[str, ...]:
        """All that shows it in a log, as extended regular expressions."""
        codes = tuple(pattern for code in self.codes for pattern in code_patterns(code))
        return (*codes, *(f'"ErrorId" ?: ?{ack}([^0-9]|$)' for ack in self.acks), *self.lines)


class SymptomTable(Strict):
    """`deploy/launch/statuscodes.toml`."""

    schema_: Literal[1] = Field(alias="schema")
    """The form of this file."""
    symptom: tuple[Symptom, ...]
    """All that is known, the causes before what follows from them."""

    @model_validator(mode="after")
    def _once(self) -> Self:
        for what, values in (
            ("name", [symptom.name for symptom in self.symptom]),
            ("code", [code for symptom in self.symptom for code in symptom.codes]),
            ("ack", [ack for symptom in self.symptom for ack in symptom.acks]),
            ("exit code", [code for symptom in self.symptom for code in symptom.exits]),
        ):
            twice = _twice(values)
            if twice:
                raise ValueError(f"{what} {twice} is there twice")
        return self


def _twice(values: Iterable[str | int]) -> str:
    return ", ".join(str(value) for value, count in Counter(values).items() if count > 1)


@functools.cache
def symptom_table(path: Path = _TABLE) -> SymptomTable:
    """Read the table once; raises ConfigError with all its faults."""
    return read_toml(path, SymptomTable)


def code_patterns(code: str) -> tuple[str, ...]:
    """Return what a status code looks like in a log, as extended regular expressions.

    Both SDKs print hexadecimal numbers of 8 digits, some lines of the C++ one decimal ones or without leading zeros.
    """
    number = int(code, 16)
    if number < _SMALL:
        return (f"[Ss]tatus( code)?[:= ]{{1,3}}0x0{{0,7}}{_any_case(f'{number:x}')}([^0-9a-fA-F]|$)",)
    words = "([Ss]tatus( code)?|[Ee]rror( code)?|failed with)[:= ]{1,3}"
    return (f"0[xX]{_any_case(code[2:])}([^0-9a-fA-F]|$)", f"{words}{number}([^0-9]|$)")


def _any_case(digits: str) -> str:
    return "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in digits)


def symptom_of_line(line: str) -> Symptom | None:
    """Return what a line of a log shows; None where it is nothing that is known."""
    text = line[:LONGEST_LINE]
    return next(
        (symptom for symptom, needed, pattern in _compiled() if needed in text and pattern.search(text)),
        None,
    )


def symptom_of_code(code: int) -> Symptom | None:
    """Return what a status code of the SDKs means; None for one that is not in the table."""
    return _codes().get(code)


def symptom_of_exit(code: int) -> Symptom | None:
    """Return what an exit code means, 128 and the number for a signal; None for one that is not in the table."""
    return next((symptom for symptom in symptom_table().symptom if code in symptom.exits), None)


def symptoms_with_check(check: str) -> tuple[Symptom, ...]:
    """Return the symptoms that a finding of the probe tells too, or explains."""
    return tuple(symptom for symptom in symptom_table().symptom if check in symptom.checks)


def incurable_lines() -> tuple[tuple[str, str], ...]:
    """Return (pattern for `grep -E`, meaning) of each error that starting the program again does not cure."""
    return tuple(
        ("|".join(symptom.patterns), symptom.title)
        for symptom in symptom_table().symptom
        if symptom.level == "error" and not symptom.restart and symptom.patterns
    )


def incurable_exits() -> tuple[int, ...]:
    """Return the exit codes after which starting the program again does not help."""
    ends = (code for symptom in symptom_table().symptom if not symptom.restart for code in symptom.exits)
    return tuple(sorted(ends))


def needed_text(pattern: str) -> str:
    """Return the longest text that is in every line that a pattern fits: quicker to look for than the pattern."""
    return max(_NOT_PLAIN.sub("\0", pattern).split("\0"), key=len)


@functools.cache
def _compiled() -> Sequence[tuple[Symptom, str, re.Pattern[str]]]:
    return [
        (symptom, needed_text(pattern), re.compile(pattern))
        for symptom in symptom_table().symptom
        for pattern in symptom.patterns
    ]


@functools.cache
def _codes() -> dict[int, Symptom]:
    return {int(code, 16): symptom for symptom in symptom_table().symptom for code in symptom.codes}

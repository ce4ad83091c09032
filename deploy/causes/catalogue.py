"""The catalogue of causes: what one sees, why, and what to do; for `verify`, `doctor` and docs/troubleshooting.md.

The table is `causes.toml` beside this file. What builds and the logs of streams show has tables of its own, since their
patterns are matched: those are part of the page too, and their names may be looked up here.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from deploy.launch.statuscodes import symptom_table
from recipes.builder.diagnosis import cause_table
from recipes.config import Name, OneLine, Strict, Text, read_toml

PAGE, CODES_PAGE = "docs/troubleshooting.md", "docs/status-codes.md"
"""Where causes are written down, and where what logs say is."""
_TABLE = Path(__file__).with_name("causes.toml")


class Cause(Strict):
    """Why something does not work."""

    name: Name
    """Short; the anchor on the page, and what `reason` is in a verdict."""
    sees: Annotated[tuple[OneLine, ...], Field(min_length=1)]
    """What one sees: messages between backquotes, or words."""
    why: OneLine
    """The cause."""
    cure: OneLine = ""
    """What to do, in words; Markdown."""
    next_step: OneLine = Field("", alias="next")
    """The command or edit that comes next; HOST and STREAM are filled in."""
    side: Literal["", "board", "workstation", "nobody", "service"] = ""
    """For what is seen through the service: where the fault is, or from where the service is not reached."""
    checks: tuple[OneLine, ...] = ()
    """Checks of `invoke verify` that are red of it, where they name no cause of their own."""
    findings: tuple[Name, ...] = ()
    """Findings of `probe` and `doctor` that tell the same."""

    @model_validator(mode="after")
    def _helps(self) -> Self:
        if not (self.cure or self.next_step):
            raise ValueError("needs cure or next")
        return self


class Section(Strict):
    """A part of the page: where in the work one is."""

    name: Name
    """The anchor."""
    title: OneLine
    """Its heading."""
    text: Text = ""
    """Markdown before its table."""
    rows: Literal["", "builds", "symptoms"] = ""
    """A table that is elsewhere: of failed builds, or of what logs say."""
    cause: tuple[Cause, ...] = ()
    """What is known, the causes before what follows from them."""

    @model_validator(mode="after")
    def _one_table(self) -> Self:
        if bool(self.rows) == bool(self.cause):
            raise ValueError("needs one of cause and rows")
        return self


class Catalogue(Strict):
    """`deploy/causes/causes.toml`."""

    schema_: Literal[1] = Field(alias="schema")
    """The form of this file."""
    section: tuple[Section, ...]
    """In the order of the work."""

    @property
    def causes(self) -> tuple[Cause, ...]:
        return tuple(cause for section in self.section for cause in section.cause)

    @model_validator(mode="after")
    def _once(self) -> Self:
        names = [section.name for section in self.section] + [cause.name for cause in self.causes]
        for what, values in (
            ("name", names),
            ("check", [check for cause in self.causes for check in cause.checks]),
            ("finding", [finding for cause in self.causes for finding in cause.findings]),
        ):
            twice = sorted({value for value in values if values.count(value) > 1})
            if twice:
                raise ValueError(f"{what} {', '.join(twice)} is there twice")
        return self


@functools.cache
def catalogue(path: Path = _TABLE) -> Catalogue:
    """Read the table once; raises ConfigError with all its faults."""
    return read_toml(path, Catalogue)


@functools.cache
def causes() -> Mapping[str, Cause]:
    """Return every cause by its name, in the order of the table."""
    return {cause.name: cause for cause in catalogue().causes}


@functools.cache
def causes_of_checks() -> Mapping[str, Cause]:
    """Return the cause of each of our checks; of what is red at once the first here explains the others."""
    return {check: cause for cause in catalogue().causes for check in cause.checks}


def cause_of(name: str) -> Cause | None:
    """Return a cause by its name, or by that of a finding; None for no such."""
    return causes().get(name) or next((cause for cause in catalogue().causes if name in cause.findings), None)


def written_at(name: str) -> str:
    """Return the page and anchor of a cause, a finding, a failure of builds or a symptom of logs; empty for no such."""
    return _places().get(name, "")


@functools.cache
def _places() -> Mapping[str, str]:
    return dict(reversed([*_named()]))  # the first one that has a name counts


def _named() -> Iterator[tuple[str, str]]:
    for cause in catalogue().causes:
        yield cause.name, f"{PAGE}#{cause.name}"
    for cause in catalogue().causes:
        yield from ((finding, f"{PAGE}#{cause.name}") for finding in cause.findings)
    for symptom in symptom_table().symptom:
        yield symptom.name, f"{CODES_PAGE}#{symptom.name}"
    for rule in cause_table().rule:
        yield f"build-{rule.name}", f"{PAGE}#build-{rule.name}"

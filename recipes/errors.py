"""Every failure a user can cause or cure, and the exit code of each kind.

An error says what went wrong, where, why, and the next command to type. Only `tasks.py` prints and exits.
"""

from __future__ import annotations

import difflib
import re
import shutil
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum

from recipes.text import shown

WIDEST = 100
"""Columns of a line of text, where the terminal has as many."""
_NARROWEST = 40
_NEXT = "  next: "
_MOST = 1 << 16  # characters of each part of an error


class ExitCode(IntEnum):
    """Stable exit codes; the README has the table."""

    OK = 0
    USAGE = 1
    CONFIG = 2
    BUILD = 3
    PROOF = 4
    PREFLIGHT = 5
    ROLLED_BACK = 6
    VERIFY = 7
    FLEET = 8


class UserError(Exception):
    """A failure that is the user's to know: printed without a traceback, exits with its own code.

    Parameters
    ----------
    what:
        One sentence: what failed.
    where:
        The file, recipe, host or step, if there is one.
    why:
        The cause, as far as it is known.
    next_step:
        The command or edit that comes next. HOST, BOARD and ARCH in it are filled in by the command, which knows them.
    """

    code: ExitCode = ExitCode.USAGE

    def __init__(self, what: str, *, where: str = "", why: str = "", next_step: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.why = why
        self.next_step = next_step

    def __str__(self) -> str:
        """Return it whole; text from elsewhere in it neither acts nor looks like a line of ours."""
        return "\n".join(f"{label}{value}" for label, value in self._labelled())

    def for_people(self) -> str:
        """Return it as it is printed: no line is wider than the terminal, and a command is on one."""
        return "\n".join(
            line for label, value in self._labelled() for line in _folded(label, value, clauses=label == _NEXT)
        )

    def _labelled(self) -> Iterator[tuple[str, str]]:
        yield "error: ", _fit(self.what)
        for label, value in (("  where: ", self.where), ("  why: ", self.why), (_NEXT, self.next_step)):
            if value:
                yield label, _fit(value)

    def fill_in(self, names: Mapping[str, str]) -> None:
        """Put the names that a command knows into the next step, in place of HOST, BOARD, ARCH and SYSROOT.

        A word that is not among the names, or whose name is empty, stays as it is.
        """
        self.next_step = re.sub(
            r"\b(?:HOST|BOARD|ARCH|SYSROOT)\b", lambda word: names.get(word[0]) or word[0], self.next_step
        )

    def as_dict(self) -> dict[str, str | int]:
        return {
            "error": self.what,
            "where": self.where,
            "why": self.why,
            "next": self.next_step,
            "exit_code": int(self.code),
        }


def _fit(text: str) -> str:
    first, *others = shown(text, most=_MOST).split("\n")
    return "\n".join([first, *(line if line.startswith("    ") else f"       {line}" for line in others)])


def _folded(label: str, text: str, *, clauses: bool = False) -> Iterator[str]:
    """Yield the lines of a text, none wider than the terminal or WIDEST but where a single word is.

    Parameters
    ----------
    clauses:
        Break behind punctuation alone: a command stays on one line, to be copied.
    """
    width = min(WIDEST, max(_NARROWEST, shutil.get_terminal_size((WIDEST, 24)).columns))
    for line in f"{label}{text}".split("\n"):
        if len(line) <= width:
            yield line
            continue
        indent = " " * (len(label) + 2)
        held = re.sub(r"(?<![,;:.!?)]) ", "\0", line.strip()) if clauses else line.strip()
        begins = line[: len(line) - len(line.lstrip())]
        for part in textwrap.wrap(
            held, width, initial_indent=begins, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        ):
            yield part.replace("\0", " ")


class ConfigError(UserError):
    """A file of ours, or a name in it, is wrong."""

    code = ExitCode.CONFIG


class BuildError(UserError):
    """Sources, images, sysroots or a compile step failed."""

    code = ExitCode.BUILD


class ProofError(UserError):
    """A board cannot run what was built, and no library we may ship cures it."""

    code = ExitCode.PROOF


class PreflightError(UserError):
    """Refused before anything on the board changed."""

    code = ExitCode.PREFLIGHT


class RolledBackError(UserError):
    """The new release did not hold; the board runs what it ran before."""

    code = ExitCode.ROLLED_BACK


class VerifyError(UserError):
    """At least one check is red."""

    code = ExitCode.VERIFY


class FleetError(UserError):
    """Some hosts of many did not come to what they should."""

    code = ExitCode.FLEET


def unknown(kind: str, name: str, known: Iterable[str], *, where: str = "", next_step: str = "") -> ConfigError:
    """Build the error for a name that nobody knows: what was found instead, and the nearest match."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    listed = ", ".join(names) if names else "none"
    return ConfigError(f"no {kind} {name!r}", where=where, why=f"{hint}known: {listed}", next_step=next_step)

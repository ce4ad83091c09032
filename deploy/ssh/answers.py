"""Answers of a board, read strictly: `name=value` lines between two marks, each value in the form of its command.

Whatever a log-in prints before the first mark is passed over. A line that cannot be what its command prints ends the
reading with the line and the command; nothing is guessed of a board, and no answer ends in a traceback. And `brief`,
for the scripts that ask. Pure.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping

from recipes import elf
from recipes.arch import Identity, compatible
from recipes.elf import ElfError
from recipes.errors import PreflightError
from recipes.text import one_line

COMMAND_BYTES = 9000
"""MAX_CMD_LEN of dropbear: https://github.com/mkj/dropbear/blob/master/src/sysoptions.h"""
BEGIN, END = "boardcast=begin", "boardcast=end"
"""The marks; a script prints them as lines of their own."""
NUMBER, NAME, YES = r"-?\d{1,15}", r"[\x21-\x7e]{0,255}", "yes|no"
PROGRAM = r"([0-9a-f]{2})*|[A-Za-z0-9+/]*={0,2}"
"""What HEAD_FUNCTION prints."""
HEAD_FUNCTION = r"""
first_bytes() { # of the file $1, 64 of them: in hexadecimal, or where the board has neither tool in base64
    od -An -v -tx1 -N64 "$1" 2>/dev/null || hexdump -v -n 64 -e '1/1 "%02x"' "$1" 2>/dev/null ||
        dd if="$1" bs=64 count=1 2>/dev/null | base64 2>/dev/null
}
joined() { (IFS=; echo "$*"); }
"""
_HEADER = 64  # bytes of an ELF header; 52 where it is for 32 bits
_OLD_ARM = {"armv4l", "armv4tl", "armv5l", "armv5tel", "armv5tejl", "armv6l"}


def brief(script: str) -> str:
    """Return a script of sh without its comments and indents; it must have no text over several lines in it. Pure.

    dropbear ends the connection at a command of more than COMMAND_BYTES.
    """
    lines = (line.strip() for line in script.splitlines())
    return "".join(f"{line}\n" for line in lines if line and not line.startswith("#"))


def framed(text: str) -> str:
    """Return what a script printed, without what a log-in prints around it.

    Raises
    ------
    PreflightError
        A mark is missing: another program answered, or the answer was cut.
    """
    _, begin, rest = f"\n{text}".replace("\r\n", "\n").partition(f"\n{BEGIN}\n")
    body, end, _ = f"\n{rest}".partition(f"\n{END}\n")
    if begin and end:
        return body
    raise PreflightError(
        "the board's answer is not whole" if begin else "the board did not answer what it was asked",
        why=f"it {'ends' if begin else 'begins'} with {one_line(text[-200:] if begin else text[:200], most=160)!r}",
        next_step="does the log-in of this user start a menu or another program in place of a shell?",
    )


def read_values(text: str, forms: Mapping[str, tuple[str, str]]) -> dict[str, list[str]]:
    """Read `name=value` lines: the values of each name, in their order.

    Parameters
    ----------
    forms:
        For each name the pattern of its values, and the command on the board that printed them.

    Raises
    ------
    PreflightError
        A line has another name, or its value cannot be what its command prints.
    """
    found: dict[str, list[str]] = {}
    for line in text.split("\n"):
        if not line:
            continue
        name, equals, value = line.partition("=")
        form, command = forms.get(name, ("", ""))
        if not equals or name not in forms or not re.fullmatch(form, value, re.ASCII):
            raise PreflightError(
                "the board's answer cannot be read; nothing was changed",
                where=one_line(line, most=160),
                why=f"`{command}` on the board did not print what it should"
                if command
                else "no such line was asked for",
                next_step=f"log in and try `{command}`" if command else "does a profile of this user print something?",
            )
        found.setdefault(name, []).append(value)
    return found


def program_identity(text: str) -> Identity | None:
    """Return what a program is made for, by its first bytes as HEAD_FUNCTION prints them; None for no ELF header."""
    try:
        head = bytes.fromhex(text) if len(text) == 2 * _HEADER else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return None
    if len(head) < _HEADER or head[4] not in (1, 2):
        return None
    # A file of the header alone: it has no segments.
    at = 56 if head[4] == 2 else 44
    try:
        return elf.parse(head[:at] + b"\0\0" + head[at + 2 : _HEADER]).identity
    except ElfError:
        return None


def runs_there(has: Identity, machine: str, wanted: Identity, machines: tuple[str, ...]) -> bool:
    """Tell whether files made for `wanted` run on a board whose own programs are `has`.

    Its kernel alone says little: 32-bit programs run on many a 64-bit one, and are all that such a board has.

    Parameters
    ----------
    machine:
        What `uname -m` says. Of ARM it tells what no ELF header does: that a processor is older than the files.
    machines:
        What `uname -m` says on those that the files are made for.
    """
    return compatible(has, wanted) and (machine in machines or machine not in _OLD_ARM)

"""Lines of a board's log as they may be shown: without secrets, printable, bounded; line by line, as they come.

A secret may run over lines: a private key has many, a hex dump has sixteen bytes a line, a logger cuts what is long. So
a few lines of a dump are held back until what follows is known; `flush` gives them out where nothing follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from deploy.doctor.hexdumps import DumpLine, read_dump_line
from deploy.doctor.secrets import hidden, is_mixed, merged, secret_spans
from recipes.text import shown

READ = 8_192
"""Bytes of a line that are read; of a longer one its last word goes too, since it may be the first half of a secret."""
SHOWN = 2_000
"""Characters of a line that are shown."""
_WINDOW, _KEPT = 32, 8
"""Lines of a dump that wait for the next ones; when there are so many, all but the last few are given out."""
_DUMP = 8_192
"""Bytes of one dump that are looked at; what is behind is hidden, and all of one whose beginning was not seen."""
_KEY_LINES = 120
"""Most lines of a private key; RSA with 4096 bits has 52."""
_CUT_FROM = 200
"""A value that ends with a line of so many letters may go on in the next."""

_COLOUR = re.compile(r"\x1b\[[0-9;?]{0,32}[A-Za-z]")
_KEY_BEGINS = re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----")
_KEY_ENDS = re.compile(r"-----END [A-Z ]{0,40}-----")
_GOES_ON = re.compile(r"[A-Za-z0-9+/=_%.~-]{16,}")


class Redactor:
    """Takes the lines of one log in their order.

    Parameters
    ----------
    secrets:
        Texts that must not be shown, whatever stands around them.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = tuple(secrets)
        self._held: list[DumpLine] = []
        self._before = b""
        self._next = 0
        self._headless = False
        self._key_lines = 0
        self._goes_on = False

    def feed(self, line: bytes | str) -> list[str]:
        """Take one line, with or without its line break; return the lines that can be shown now."""
        text = _read(line)
        dumped = read_dump_line(text)
        if dumped is None:
            return [*self.flush(), *self._plain(text)]
        if dumped.offset != self._next or not self._before + b"".join(part.raw for part in self._held):
            given = self.flush()
            self._before = b""
            self._headless = dumped.offset != 0
        else:
            given = []
        self._held.append(dumped)
        self._next = dumped.offset + len(dumped.raw)
        return given if len(self._held) < _WINDOW else [*given, *self._give(_WINDOW - _KEPT)]

    def flush(self) -> list[str]:
        """Return what is held back: the log is at its end, or nothing comes for a while."""
        return self._give(len(self._held), cut=True)

    def _give(self, count: int, *, cut: bool = False) -> list[str]:
        """Return the first of the lines that are held back, without the secrets of the dump so far."""
        if not count:
            return []
        whole = self._before + b"".join(line.raw for line in self._held)
        text = whole[:_DUMP].decode("latin-1")
        spans = secret_spans(text, self._secrets, cut=cut or len(whole) > _DUMP)
        secret = {place for start, end in spans for place in range(start, end)}
        at, given = len(self._before), []
        for line in self._held[:count]:
            numbers = range(len(line.raw))
            bad = [number for number in numbers if self._headless or at + number in secret or at + number >= _DUMP]
            given.append(_printable(line.without(bad)))
            at += len(line.raw)
        self._before, self._held = whole[:at], self._held[count:]
        return given

    def _plain(self, text: str) -> list[str]:
        if self._key_lines:
            return self._within_key(text)
        spans = secret_spans(text, self._secrets)
        if self._goes_on:
            spans = merged([*spans, *(part.span() for part in _GOES_ON.finditer(text) if is_mixed(part[0]))])
        self._goes_on = len(text) >= _CUT_FROM and bool(spans) and spans[-1][1] == len(text)
        begun = [match.end() for match in _KEY_BEGINS.finditer(text)]
        if begun and not _KEY_ENDS.search(text, begun[-1]):
            self._key_lines = _KEY_LINES
        return [_printable(hidden(text, spans))]

    def _within_key(self, text: str) -> list[str]:
        ends = _KEY_ENDS.search(text)
        if ends is None:
            self._key_lines -= 1
            return []
        self._key_lines = 0
        return self._plain(text[ends.end() :]) if text[ends.end() :].strip() else []


def redacted(log: bytes | str, secrets: Iterable[str] = ()) -> list[str]:
    """Return the lines of a log as they may be shown."""
    if isinstance(log, bytes):
        return list(redacted_lines(log.removesuffix(b"\n").split(b"\n") if log else (), secrets))
    return list(redacted_lines(log.removesuffix("\n").split("\n") if log else (), secrets))


def redacted_lines(lines: Iterable[bytes | str], secrets: Iterable[str] = ()) -> Iterator[str]:
    """Yield lines as they may be shown, as soon as they may."""
    redactor = Redactor(secrets)
    for line in lines:
        yield from redactor.feed(line)
    yield from redactor.flush()


def _read(line: bytes | str) -> str:
    """Return a line as text, without colours; of one that is too long what is sure to be whole."""
    text = line[: READ + 1].decode("utf-8", "surrogateescape") if isinstance(line, bytes) else line[: READ + 1]
    text = _COLOUR.sub("", text.rstrip("\r\n"))
    if len(line) <= READ:
        return text
    return f"{text[:READ].rpartition(' ')[0]} …"


def _printable(line: str) -> str:
    return shown(line, most=SHOWN, lines=False)

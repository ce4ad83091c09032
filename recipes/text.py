r"""Text from elsewhere (a board, a compiler, an archive) made fit to be shown: nothing of it moves a cursor or hides.

A line that a board sent may clear the screen, forge a line of ours, or turn what follows around; the same text is
later part of a report that a browser shows. So control characters, the C1 set, bidirectional marks, separators of lines
and invisible characters become what a person can read: `\x1b`, `\u202e`.
"""

from __future__ import annotations

import unicodedata

MOST = 4096
"""Characters of one text that are shown, unless somebody asks for more."""
_KEPT = {"\n", "\t"}
# Cc control, Cf format (bidirectional marks, zero width), Cs lone surrogates, Co private use, Cn unassigned; Zl and Zp
# are line breaks to some programs and none to others: https://www.unicode.org/reports/tr36/#Bidirectional_Text_Spoofing
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def shown(text: str | bytes, *, most: int = MOST, lines: bool = True) -> str:
    r"""Return a text as it may be printed.

    Parameters
    ----------
    most:
        Characters; what is longer is cut, and says so.
    lines:
        False for a text that has to be one line: its line breaks are shown as `\\n` too.
    """
    read = text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else text
    cut = f"… ({len(read) - most:,} more characters)" if len(read) > most else ""
    read = read[:most].replace("\r\n", "\n")
    if read.isprintable():
        return read + cut
    kept = _KEPT if lines else {"\t"}
    return "".join(letter if letter in kept else _letter(letter) for letter in read) + cut


def one_line(text: str | bytes, *, most: int = 400) -> str:
    """Return a text on one line: line breaks and runs of blanks become one blank."""
    return shown(" ".join((text.decode("utf-8", "replace") if isinstance(text, bytes) else text).split()), most=most)


def _letter(letter: str) -> str:
    if unicodedata.category(letter) not in _HIDDEN:
        return letter
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was no UTF-8, as Python keeps it
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

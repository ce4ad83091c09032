"""Logs of a host's streams, without secrets: the end of each, and what comes after it.

Under every init system a stream's output goes into two files of bounded size, which our supervising loop writes: they
are read wherever the board is, and nothing else of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from deploy.boards.session import BoardSession
from deploy.bundle.manifest import ServiceRow
from deploy.doctor.redact import Redactor, redacted

MOST_BYTES = 1 << 20
"""Of one log that is shown, and of what is asked for at once."""
_PAUSE_SECONDS = 1.0
_END = r"""
# $1 the log, $2 how many lines. Both generations, the older first.
[ -r "$1" ] || [ -r "$1.1" ] || exit 0
cat "$1.1" "$1" 2>/dev/null | tail -n "$2" | tail -c 1048576
"""
_AFTER = r"""
# $1 the log, $2 its number in the file system when it was read last (- at first, 0 where there was none), $3 how far.
# Prints both anew, then what is new. Of a log that has become the older generation the rest is read first.
number() { set -- $(ls -id "$1" 2>/dev/null); echo "${1:-0}"; }
now=$(number "$1") from=$3
if [ "$2" != - ] && [ "$2" != 0 ] && [ "$now" != "$2" ]; then
    if [ "$(number "$1.1")" = "$2" ]; then rest=$1.1; else rest=; fi
    echo "$now 0"
    [ -z "$rest" ] || tail -c "+$((from + 1))" "$rest" | head -c 1048000
    exit 0
fi
size=$(wc -c < "$1" 2>/dev/null) || size=0
[ "$2" != - ] || from=$size
most=1048000
[ $((size - from)) -le "$most" ] && end=$size || end=$((from + most))
echo "$now $end"
[ "$end" -le "$from" ] || tail -c "+$((from + 1))" "$1" | head -c "$((end - from))"
exit 0
"""


@dataclass(slots=True)
class _Followed:
    """One log while it is followed."""

    row: ServiceRow
    number: str = "-"
    offset: str = "0"
    rest: bytes = b""
    redactor: Redactor = field(default_factory=Redactor)


def log_end(session: BoardSession, row: ServiceRow, lines: int) -> list[str]:
    """Return the last lines of a service's log as they may be shown; none where there is no log yet."""
    return redacted(raw_log_end(session, row, lines))


def raw_log_end(session: BoardSession, row: ServiceRow, lines: int) -> bytes:
    """Return the last lines as the board sent them: for `doctor`, which shows no line of them as it is."""
    return session.fetch(_END, [row.log, str(lines)], most=MOST_BYTES + 4096)


def follow_logs(
    session: BoardSession, rows: Sequence[ServiceRow], *, goes_on: Callable[[], bool] = lambda: True
) -> Iterator[tuple[str, str]]:
    """Yield (service, line) of all that the logs get from now on, once a second, until `goes_on` says no.

    Raises
    ------
    PreflightError
        The connection was lost.
    """
    logs = [_Followed(row) for row in rows]
    while True:
        for log in logs:
            yield from ((log.row.name, line) for line in _new_lines(session, log))
        if not goes_on():
            return
        time.sleep(_PAUSE_SECONDS)


def _new_lines(session: BoardSession, log: _Followed) -> list[str]:
    answer = session.fetch(_AFTER, [log.row.log, log.number, log.offset], most=MOST_BYTES + 4096)
    head, _, body = answer.partition(b"\n")
    words = head.decode("ascii", "replace").split()
    if len(words) != 2 or not all(word.isdecimal() and len(word) < 20 for word in words):
        return []
    log.number, log.offset = words
    *whole, log.rest = (log.rest + body).split(b"\n")
    if len(log.rest) > MOST_BYTES:
        log.rest = b""
    lines = [line for text in whole for line in log.redactor.feed(text)]
    return lines if whole else [*lines, *log.redactor.flush()]

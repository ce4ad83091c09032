"""The line between a session with a board and the checks: they run in a process of their own, over one connection.

The process that has the connection answers; the one that runs pytest asks. One JSON object a line, over a socket pair:
first the release, then what the board said when it was asked everything at once, then script after script and its
reply, and a line for each check that begins. Pure but for that socket.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from deploy.boards.session import BoardSession

CHANNEL_VARIABLE = "BOARDCAST_CHANNEL"
"""Names the descriptor of the socket in the environment of the checks."""
LONGEST_ARGUMENT = 4000
"""Characters of a script that travels as an argument; dropbear refuses some 9,000, and a longer one goes on stdin."""
_FROM_STDIN = 'eval "$(cat)"'


class Answered(NamedTuple):
    """What a script on the board left behind."""

    code: int
    out: str
    err: str


def answer_checks(
    line: socket.socket,
    session: BoardSession,
    release: Mapping[str, Any],
    facts: Callable[[], Mapping[str, Any]],
    *,
    seconds: float,
    told: Callable[[str], object],
) -> None:
    """Tell the checks which release they look at and what the board says, and run what they ask for until they end.

    Parameters
    ----------
    facts:
        Asks the board; the checks are being started meanwhile.
    seconds:
        For all of them together.
    told:
        Takes which check begins: `2 of 4, files are intact`.

    Raises
    ------
    PreflightError
        The connection to the board was lost.
    TimeoutError
        They did not end in time.
    """
    deadline = time.monotonic() + seconds
    line.settimeout(seconds)
    with line.makefile("rw", encoding="ascii") as stream:
        _say(stream, release)
        _say(stream, facts())
        while True:
            line.settimeout(max(0.1, deadline - time.monotonic()))
            if not (text := stream.readline()):
                return
            asked = json.loads(text)
            if "begins" in asked:
                told(asked["begins"])
                continue
            reply = session.run(asked["script"], stdin=[asked["stdin"].encode()] if asked["stdin"] else [])
            _say(stream, {"code": reply.code, "out": reply.out, "err": reply.err})


def tell_release(line: socket.socket, release: Mapping[str, Any]) -> None:
    """Tell checks that are only to be collected which release they are for."""
    with line.makefile("w", encoding="ascii") as stream:
        _say(stream, release)


def _say(stream: Any, message: object) -> None:
    stream.write(json.dumps(message) + "\n")
    stream.flush()


class AskingLine:
    """The end of the line that the checks have."""

    def __init__(self, descriptor: int) -> None:
        with socket.socket(fileno=descriptor) as line:
            self._stream = line.makefile("rw", encoding="ascii")

    @cached_property
    def release(self) -> dict[str, Any]:
        """Return the manifest, with what else is known of the release."""
        return self._heard()

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Return what the board said when it was asked everything; raises ConnectionError where it did not."""
        return self._heard() if self.release else {}

    def close(self) -> None:
        """Tell the other end that nothing more is asked."""
        self._stream.close()

    def begin(self, check: str) -> None:
        """Tell the other end which check begins; there is no reply."""
        _say(self._stream, {"begins": check})

    def run(self, script: str, stdin: str = "") -> Answered:
        """Run a script on the board, with a text on its stdin.

        Raises
        ------
        ConnectionError
            The other end is gone: the board did not answer any more.
        ValueError
            Both are long: a script that is too long for an argument has to go on stdin itself.
        """
        # A shell may become its last command; where a signal ends that one, the SSH server has no exit code to tell. So
        # the shell stays, and says 128 and the signal's number.
        script += "\nexit $?"
        if len(script) > LONGEST_ARGUMENT:
            if stdin:
                raise ValueError(f"a script of more than {LONGEST_ARGUMENT} characters leaves no room on stdin")
            script, stdin = _FROM_STDIN, script
        if not self.facts:  # the board's first answer comes before any reply
            raise ConnectionError("the board did not answer")
        _say(self._stream, {"script": script, "stdin": stdin})
        return Answered(**self._heard())

    def _heard(self) -> dict[str, Any]:
        if not (text := self._stream.readline()):
            raise ConnectionError("the board does not answer any more")
        return dict(json.loads(text))

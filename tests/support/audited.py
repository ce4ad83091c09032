"""`python -m tests.support.audited LOG WORD…`: invoke, with every command line that it starts written to a file.

CPython tells an audit hook of each program before it is started: https://docs.python.org/3.11/library/audit_events.html
"""

from __future__ import annotations

import os
import sys

_EVENTS = {"subprocess.Popen": 1, "os.exec": 1, "os.posix_spawn": 1, "os.system": 0}
"""Event to the place of the words in its arguments."""


def main(log: str, words: list[str]) -> None:
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def heard(event: str, arguments: tuple[object, ...]) -> None:
        if event in _EVENTS:
            os.write(handle, f"{event} {arguments[_EVENTS[event]]!r}\n".encode())

    sys.addaudithook(heard)
    from invoke.main import program

    program.run(["invoke", *words])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

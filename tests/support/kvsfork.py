"""Starts the real process of the service many times, quickly: it is loaded once, and forked for each start.

Reads folders on stdin, one a line; answers with the process ID of a service that serves from there. The child is the
same as `python -m deploy.localkvs.run FOLDER` after its imports.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from deploy.localkvs import app, run

assert app  # loaded here, so that no child has to


def main() -> None:
    for line in sys.stdin:
        number = os.fork()
        if number == 0:
            os.setsid()
            run.main(Path(line.strip()))
            os._exit(0)
        print(number, flush=True)


if __name__ == "__main__":
    main()

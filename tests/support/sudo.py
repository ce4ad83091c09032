"""A `sudo` for a user who is none: what he gives it is started by the suite, which is root, in his folder.

As with the real one, nothing of his environment is passed on but what he names behind `env`.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.support.otheruser import NUMBER

_ASK = """#!{python} -I
import json, os, socket, sys
if sys.argv[1:2] and sys.argv[1].startswith("-"):
    sys.exit("sudo: no options are known here")
line = socket.socket(socket.AF_UNIX)
line.connect({place!r})
facts = {{"argv": sys.argv[1:], "cwd": os.getcwd(), "mark": os.environ["RUNNER_TRACKING_ID"]}}
socket.send_fds(line, [json.dumps(facts).encode()], [0, 1, 2])
sys.exit(int(line.recv(16)))
"""
_LONGEST = 1 << 16


@contextlib.contextmanager
def sudo(program: Path, folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Write the program, and answer it until the block ends; its socket is in a folder that is his alone."""
    folder.mkdir(mode=0o700)
    place = folder / "sudo.sock"
    program.write_text(_ASK.format(python=Path(sys.executable).resolve(), place=str(place)))
    program.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place))
        server.listen()
        for path in (place, folder):
            os.chown(path, NUMBER, NUMBER)
        thread = threading.Thread(target=_answer, args=(server, environment), daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def _answer(server: socket.socket, environment: Mapping[str, str]) -> None:
    while True:
        try:
            line, _ = server.accept()
        except OSError:  # it was shut down: the block is over
            return
        with line:
            told, files, _, _ = socket.recv_fds(line, _LONGEST, 3)
            asked = json.loads(told)
            try:
                done = subprocess.run(
                    asked["argv"],
                    cwd=asked["cwd"],
                    env={**environment, "RUNNER_TRACKING_ID": asked["mark"], "SUDO_UID": str(NUMBER)},
                    stdin=files[0],
                    stdout=files[1],
                    stderr=files[2],
                    check=False,
                )
                code = done.returncode
            except OSError:
                code = 127
            finally:
                for file in files:
                    os.close(file)
            line.sendall(str(code).encode())

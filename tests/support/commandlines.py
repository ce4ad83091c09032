"""Many command lines in one process of invoke: it is the program that is asked, not how fast it starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from recipes import paths

DRIVER = """
import contextlib, io, json, sys
from invoke.main import program
answers = []
for words in json.load(sys.stdin):
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            program.run(["invoke", *words])
        except SystemExit as end:
            code = end.code
    answers.append([code, out.getvalue(), err.getvalue()])
json.dump(answers, sys.stdout)
"""


def answers(lines: list[list[str]], env: dict[str, str] | None = None) -> list[tuple[int, str, str]]:
    """Return exit code, standard output and standard error of each command line."""
    # A session whose stand-in upstreams are up has a lock of its own.
    here = {key: value for key, value in os.environ.items() if key != "BOARDCAST_LOCK"}
    done = subprocess.run(
        [sys.executable, "-c", DRIVER],
        cwd=paths.CHECKOUT,
        env={**here, "NO_COLOR": "1", **(env or {})},
        input=json.dumps(lines),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return [(code, out, err) for code, out, err in json.loads(done.stdout)]

"""Commands that end all of a script in front of the one whose turn it is, as a power cut does."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

_WRAPPER = """#!/bin/sh
count=0
read -r count <"$COUNTER"
echo $((count + 1)) >"$COUNTER"
[ "$count" != "$CUT" ] || kill -s KILL 0
exec {real} "$@"
"""


def wrap_commands(tools: Path, commands: Iterable[str]) -> None:
    """Make a folder for the front of PATH; $COUNTER names the file that counts, $CUT the number of the last command."""
    tools.mkdir()
    for command in commands:
        (tools / command).write_text(_WRAPPER.format(real=shutil.which(command)))
        (tools / command).chmod(0o755)

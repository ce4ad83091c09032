"""What hangs on a board does not hang the checks, its children neither."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from deploy.verify import script

pytestmark = pytest.mark.process
HANGS = """#!/bin/sh
echo '{"half": '
sleep 300 &
echo "$!" > children
sleep 300
"""


@pytest.mark.parametrize("shell", [("sh",), ("busybox", "sh"), ("bash", "--posix")])
def test_a_program_that_hangs_is_ended_with_its_children(shell: tuple[str, ...], tmp_path: Path) -> None:
    """A scanner of plugins that is stuck holds the pipe of the program that started it."""
    (tmp_path / "hangs").write_text(HANGS)
    (tmp_path / "hangs").chmod(0o755)
    asked = script.GATHER.replace(f"+ {script.PROBE_SECONDS})", "+ 2)")
    assert asked != script.GATHER
    arguments = ["m" * 16, str(tmp_path), str(tmp_path), "/lib/ld.so", "list", "-", str(tmp_path / "hangs")]
    begun = time.monotonic()
    words = [*shell, "-c", asked, "boardcast", *arguments]
    done = subprocess.run(words, input=b"", cwd=tmp_path, capture_output=True, check=False, timeout=120)
    assert time.monotonic() - begun < 100
    assert b'boardprobe\n{"half": \n' in done.stdout
    assert b"exit=137" in done.stdout
    assert done.stdout.rstrip().endswith(b" end")
    child = int((tmp_path / "children").read_text())
    assert not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text().rpartition(")")[2]

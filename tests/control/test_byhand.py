"""The line that a person pastes: shells give the program the same words, and it streams."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from invoke import Context

from deploy.boards.board import Board, BoardFile
from deploy.commands.streams import render as render_task
from deploy.control.render import render_board
from deploy.launch.streams import stream_programs
from deploy.pipelines.argv import GST_LAUNCH

pytestmark = pytest.mark.process
SHELLS = [[path] for name in ("dash", "bash") if (path := shutil.which(name))]
SHELLS += [[busybox, "ash"]] if (busybox := shutil.which("busybox")) else []
HEAD = 'schema = 2\narch = "armv7"\nsysroot = "debian12-armv7"\ninit = "systemd"\n'
SHOW = r"""#!/bin/sh
for word; do printf '%s\0' "$word"; done
printf '%s\0' "-- $AWS_ACCESS_KEY_ID $GST_PLUGIN_PATH $NOTE"
"""


def board(text: str) -> Board:
    return Board(name="cam", file=BoardFile.model_validate(tomllib.loads(HEAD + text)))


def run(line: str, shell: list[str], folder: Path) -> list[str]:
    """Return the words that the program got, and the variables that it saw behind them."""
    program = folder / GST_LAUNCH
    if not program.exists():
        program.write_text(SHOW)
        program.chmod(0o755)
    path = f"{folder}:{os.environ['PATH']}"
    done = subprocess.run([*shell, "-c", line], env={"PATH": path}, capture_output=True, check=True, timeout=30)
    assert done.stderr == b""
    return done.stdout.decode().split("\0")[:-1]


NASTY = st.text(st.sampled_from(" \"'\\!,;=(){}[]<>|&$`#*~^%@?:/.ä€ab"), min_size=1, max_size=16)


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: Path(shell[0]).name)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(clock=NASTY, track=NASTY, note=NASTY)
def test_every_shell_gives_the_words_of_the_board_file(
    shell: list[str], tmp_path: Path, clock: str, track: str, note: str
) -> None:
    secrets = tmp_path / "it's a file"
    secrets.write_text('AWS_ACCESS_KEY_ID="AKIDEXAMPLE"\n')
    named = {"clock": clock, "track": track, "note": note}
    quoted = {name: json.dumps(value, ensure_ascii=False) for name, value in named.items()}
    text = f"""
[credentials]
file = "{secrets}"
[environment]
variables = {{ NOTE = {quoted["note"]} }}
[streams.main]
source = {{ test = "ball" }}
video = {{ encoder = "x264enc", framerate = 30, key_frame_interval = 60, clock = {quoted["clock"]} }}
sink = {{ kvs = "porch", track_name = {quoted["track"]} }}
"""
    made = board(text)
    (rendered,) = render_board(made)
    (program,) = stream_programs(made)
    *words, seen = run(rendered.line, shell, tmp_path)
    assert words == ["-v", *program.arguments[program.arguments.index("--") + 1 :]]
    assert seen == f"-- AKIDEXAMPLE /opt/boardcast/current/gstreamer-1.0 {note}"
    assert "AKIDEXAMPLE" not in rendered.line


def test_it_is_printed_and_streams(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if (
        not shutil.which(GST_LAUNCH)
        or subprocess.run(["gst-inspect-1.0", "--exists", "x264enc"], check=False).returncode
    ):
        pytest.skip("no GStreamer with x264enc here")
    file = tmp_path / "a b.mkv"
    monkeypatch.setenv("BOARDCAST_BOARDS", str(tmp_path))
    (tmp_path / "cam").mkdir()
    (tmp_path / "cam" / "board.toml").write_text(
        f'{HEAD}[streams.main]\nsource = {{ test = "ball", properties = {{ num-buffers = 30, is-live = false }} }}\n'
        f'video = {{ encoder = "x264enc", width = 64, height = 48, framerate = 30, key_frame_interval = 30 }}\n'
        f'sink = {{ file = "{file}" }}\n'
    )
    render_task.body(Context(), board="cam")
    out = capsys.readouterr().out.splitlines()
    line = out[out.index("  by hand, on the board:") + 1].strip()
    assert shlex.split(line)[1:3] == [GST_LAUNCH, "-v"]
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert file.read_bytes()[:4] == b"\x1aE\xdf\xa3"

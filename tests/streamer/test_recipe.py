"""The two recipes, as boards get them: built for their architectures, and run by an emulated board's own GStreamer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.boards.inventory import SimState, host_target
from deploy.boards.session import SshSession, connect
from recipes import elf
from recipes.arch import ARCHES
from recipes.sources.recipe import load_catalogue
from recipes.stage.manifest import Stage
from tests.support.boardstream import AVC, SINK

RECIPES = ("streamer", "fakekvssink")
PROGRAM, PLUGIN = "bin/boardstream", "test-plugins/libgstfakekvssink.so"
HERE = "/tmp/boardstream"
_GLIB = {"libgstreamer-1.0.so.0", "libgobject-2.0.so.0", "libglib-2.0.so.0"}
CAMERA = (
    "videotestsrc is-live=true pattern=ball ! video/x-raw,width=64,height=48,framerate=10/1 ! videoconvert ! "
    f"x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 ! h264parse ! {AVC} ! {SINK}"
)


def test_the_fake_is_for_tests_alone() -> None:
    catalogue = load_catalogue()
    assert not catalogue["fakekvssink"].default
    assert not any(output.path.startswith("gstreamer-1.0/") for output in catalogue["fakekvssink"].outputs)
    assert not [name for name, recipe in catalogue.items() if "fakekvssink" in {need.name for need in recipe.depends}]


@pytest.mark.engine
@pytest.mark.parametrize("name", ["armv7", "aarch64", "x86_64"])
def test_both_are_built_and_bring_no_gstreamer_of_their_own(built: Callable[..., Stage], name: str) -> None:
    staged = built(name, "", *RECIPES)
    for path in (PROGRAM, PLUGIN):
        facts = elf.read(staged.tree / path)
        assert ARCHES[name].matches(facts.identity), path
        assert "libgstreamer-1.0.so.0" in facts.needed
        assert {need for need in facts.needed if not need.startswith(("libc.", "ld-"))} <= _GLIB, path
    assert not list((staged.tree / "lib").glob("*.so*"))
    assert {recipe.name for recipe in staged.manifest.recipes} == set(RECIPES)


@pytest.fixture(scope="module")
def board(built: Callable[..., Stage], arm: SimState) -> Iterator[SshSession]:
    """Return a session to the emulated board, with the program and the plugin on it."""
    staged = built("armv7", "", *RECIPES)
    with connect(host_target(arm.name)) as session:
        for path in (PROGRAM, PLUGIN):
            put(session, staged.tree / path, f"{HERE}/{path}")
        yield session
        session.run(f"rm -rf {HERE}")


def put(session: SshSession, source: Path, target: str) -> None:
    script = 'mkdir -p "${1%/*}" && cat > "$1" && chmod 755 "$1"'
    reply = session.run(script, [target], [source.read_bytes()])
    assert reply.code == 0, reply.err


def run(session: SshSession, options: str, script: str = "wait $!", fault: str = "") -> tuple[int, str]:
    """Start the program on the board, run a script beside it, and return its exit code and what it said."""
    start = f"""
        cd {HERE} && rm -rf dump && mkdir -p dump
        GST_PLUGIN_PATH={HERE}/test-plugins GST_REGISTRY={HERE}/registry FAKEKVSSINK_DUMP={HERE}/dump \\
        FAKEKVSSINK_FAULT={fault} ./bin/boardstream --name cam --status status.json {options} -- {CAMERA} 2>log &
        {script}
        code=$?
        cat log
        exit $code
    """
    reply = session.run(start)
    return reply.code, reply.out + reply.err


@pytest.mark.engine
@pytest.mark.sim
def test_the_board_streams_and_closes_what_is_open(board: SshSession) -> None:
    until = "until grep -q streaming: log; do kill -0 $! || break; sleep 0.2; done"
    code, said = run(board, "--start 120", f"{until}; sleep 5; kill -INT $!; wait $!")
    assert code == 0, said
    assert "boardstream: cam: stop: as asked; the last fragment is closed" in said
    rows = [json.loads(line) for line in board.fetch(f"cat {HERE}/dump/index.jsonl", most=8 << 20).splitlines()]
    frames = [row for row in rows if "pts" in row]
    assert len(frames) > 15, "the picture is small, the board emulated"
    assert rows[-1] == {"end": True, "frames": len(frames)}
    assert next(row for row in rows if "caps" in row)["codec_data"].startswith("01")
    assert [row["fragment"] for row in frames if row["key"]][:2] == [1, 2]
    assert [row for row in rows if row.get("ack") == "PERSISTED"][-1]["fragment"] == frames[-1]["fragment"]
    status = json.loads(board.fetch(f"cat {HERE}/status.json", most=65536))
    assert (status["state"], status["frames"], status["exit"]) == ("ended", len(frames), 0)


@pytest.mark.engine
@pytest.mark.sim
@pytest.mark.parametrize(
    ("fault", "options", "code", "reason"),
    [
        ("stall@10", "--stall 5", 75, "restart: no buffer at sink.video_0 for 5 s, after 11"),
        ("hang@10", "--stall 5", 75, "restart: stuck while the pipeline was taken down: ended"),
        ("error=0x5200007c@10", "--stall 60", 78, "give-up: sink: stream type mismatch"),
        ("crash@10", "--stall 60", 139, ""),
    ],
)
def test_the_exit_code_says_on_the_board_too_what_helps(
    board: SshSession, fault: str, options: str, code: int, reason: str
) -> None:
    ended, said = run(board, f"--start 120 {options}", fault=fault)
    assert ended == code, said
    assert reason in said

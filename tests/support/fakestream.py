"""Boards whose streams are run by a script in place of boardstream: it counts pictures, and nothing else."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from deploy.boards.board import Board, BoardFile
from deploy.bundle.streams import Contents, stream_contents

# As boardstream does: a status file with a count of pictures. What follows `frames=` is how many come each half second.
STREAMER = b"""#!/bin/sh
status='' frames=1
for word; do
    case $before in --status) status=$word ;; esac
    case $word in pattern=*) frames=${word#pattern=} ;; esac
    before=$word
done
trap 'exit 0' INT TERM
count=0
while :; do
    count=$((count + frames))
    printf '{"pid":%d,"frames":%d,"fragments":0,"fps":2.0}' $$ "$count" > "$status.new" && mv "$status.new" "$status"
    sleep 0.5
done
"""


def stream(frames: int = 1, **changes: Any) -> dict[str, Any]:
    """Return a stream whose pattern says how many pictures the program counts each time."""
    return {
        "source": {"test": str(frames)},
        "video": {"encoder": "x264enc", "key_frame_interval": 30, "framerate": 15},
        "sink": {"fake": True},
        **changes,
    }


def board_of(root: PurePath, streams: dict[str, Any], **changes: Any) -> Board:
    """Return a board of these streams; its init system is our own loop unless `init` says another."""
    text = {
        "schema": 2,
        "arch": "armv7",
        "sysroot": "debian12-armv7",
        "root": str(root),
        "init": "none",
        "service": {"log_folder": str(root.parent / "log"), "groups": []},
        "streams": streams,
        "recipes": [] if streams else ["boardprobe"],
    }
    return Board(name="sim-tiny", file=BoardFile.model_validate(text | changes))


def contents_of(board: Board, streamer: bytes = STREAMER) -> Contents:
    """Return the files of a release of a board: the program, launch scripts, services."""
    program = {"bin/boardstream": (streamer, 0o755)}
    return program | stream_contents(board, program, plugins=False)

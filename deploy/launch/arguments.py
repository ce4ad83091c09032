"""The arguments that a board's file gives to the programs of a release."""

from __future__ import annotations

from deploy.boards.board import Board


def probe_arguments(board: Board, program: str) -> list[str]:
    """Return the words that a board's file gives one of the programs."""
    if program != "boardprobe":
        return []
    probe = board.file.probe
    words = [word for name in probe.elements for word in ("--element", name)]
    for option, value in (("--ca-file", probe.ca_file), ("--https", probe.https), ("--wss", probe.wss)):
        words += [option, value] if value else []
    return words

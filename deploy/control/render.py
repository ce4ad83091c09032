"""What a board's file becomes: each stream's programs, scripts and services, and what would change on a host."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from deploy.boards.board import Board
from deploy.boards.inventory import host_target, load_host
from deploy.boards.probe import probe_host
from deploy.boards.session import connect
from deploy.bundle.streams import SERVICES_FOLDER, Contents, refuse_faulty_streams, stream_contents
from deploy.control.byhand import line_by_hand
from deploy.launch.streams import LOG_CONFIGURATION, StreamProgram, stream_programs
from deploy.pipelines.argv import pipeline_command
from deploy.pipelines.pipeline import Pipeline, compose
from deploy.release.carried import find_release
from deploy.streams.model import PipelineStream
from deploy.streams.sinks import KvsSink
from recipes.text import shown

_DIFF_LINES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedStream:
    """One stream as it would run."""

    name: str
    pipeline: Pipeline | None
    """None for the SDKs' own programs, which make theirs themselves."""
    by_hand: tuple[str, ...]
    """The words of gst-launch-1.0, for a person at the board; none where there is no pipeline, or a password in it."""
    line: str
    """The line that a person pastes into a shell of the board; empty where there is no pipeline."""
    programs: tuple[StreamProgram, ...]

    def as_dict(self) -> dict[str, object]:
        return {
            "stream": self.name,
            "pipeline": str(self.pipeline).splitlines() if self.pipeline else [],
            "gst-launch": list(self.by_hand),
            "by hand": self.line,
            "programs": [
                {
                    "name": program.name,
                    "program": program.program,
                    "arguments": list(program.arguments),
                    "environment": dict(program.environment),
                    "at boot": program.boot,
                }
                for program in self.programs
            ],
        }

    def lines(self) -> Iterator[str]:
        """Yield the lines that are printed: the pipeline chain by chain, then what is started."""
        yield self.name
        yield from (f"    {line}" for line in str(self.pipeline).splitlines()) if self.pipeline else ()
        if self.line:
            yield "  by hand, on the board:"
            yield f"    {self.line}"
        for program in self.programs:
            how = "at boot" if program.boot else "by hand"
            yield f"  run/{program.name}, {how}: {program.program.removeprefix('bin/')}"
            yield from (f"    {name}={value}" for name, value in program.environment.items())
            if not self.pipeline or program.name != self.name:
                yield f"    {shlex.join(program.arguments)}"


def render_board(board: Board) -> tuple[RenderedStream, ...]:
    """Return the streams of a board as they would run; raises ConfigError for one that cannot."""
    refuse_faulty_streams(board)
    programs = stream_programs(board)
    found = []
    for name, stream in board.file.streams.items():
        pipeline = compose(stream) if isinstance(stream, PipelineStream) else None
        own = tuple(program for program in programs if program.stream == name)
        open_words = pipeline is not None and not pipeline.file_properties
        found.append(
            RenderedStream(
                name=name,
                pipeline=pipeline,
                by_hand=pipeline_command(pipeline).argv if pipeline and open_words else (),
                line=line_by_hand(board, stream, own[0]) if pipeline else "",
                programs=own,
            )
        )
    return tuple(found)


def rendered_files(board: Board) -> Contents:
    """Return every file of a bundle that is made from the board's streams."""
    refuse_faulty_streams(board)
    sinks = [
        sink for stream in board.file.streams.values() if isinstance(stream, PipelineStream) for sink in stream.outputs
    ]
    programs = {program.program: (b"", 0o755) for program in stream_programs(board)}
    return stream_contents(board, programs, plugins=any(isinstance(sink, KvsSink) for sink in sinks))


def changes_on(host_name: str, board: Board) -> tuple[str, ...]:
    """Return what would change in the scripts and services of a host, as the lines of a unified diff.

    Raises
    ------
    PreflightError
        The host does not answer, or nothing that is trusted here says what runs there.
    """
    new = rendered_files(board)
    root = board.file.root
    with connect(host_target(host_name)) as session:
        current = probe_host(session, root, []).current
        old: Mapping[str, bytes] = {}
        if current:
            release, _ = find_release(session, host_name, load_host(host_name).board, root, current)
            blobs = release.blobs()
            names = {f"run/{row.name}" for row in release.manifest.services} | new.keys()
            old = {
                file.path: blobs[file.blob]
                for file in release.manifest.files
                if file.path in names or file.path.startswith(SERVICES_FOLDER) or file.path == LOG_CONFIGURATION
            }
    return tuple(_differences(old, {path: content for path, (content, _) in new.items()}))


def _differences(old: Mapping[str, bytes], new: Mapping[str, bytes]) -> Iterator[str]:
    left = _DIFF_LINES
    for path in sorted(old.keys() | new.keys()):
        before, after = _text(old.get(path, b"")), _text(new.get(path, b""))
        names = (f"there/{path}" if path in old else "/dev/null", f"here/{path}" if path in new else "/dev/null")
        for line in difflib.unified_diff(before, after, *names, lineterm="", n=2):
            left -= 1
            if left < 0:
                yield "… and more"
                return
            yield line


def _text(content: bytes) -> list[str]:
    return [shown(line, lines=False) for line in content.decode("utf-8", "replace").splitlines()]

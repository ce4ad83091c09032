"""A stream's pipeline as one line that a person pastes into a shell of the board, to see what it does and says.

Every word is quoted for sh. No secret is in it: credentials are read from the file that the board's file names, and a
pipeline with a password is run by `boardstream`, which takes the password from its own file.
"""

from __future__ import annotations

import shlex

from deploy.boards.board import Board
from deploy.launch.streams import StreamProgram, filled_stream
from deploy.pipelines.argv import GST_LAUNCH, pipeline_command
from deploy.pipelines.pipeline import compose
from deploy.streams.model import PipelineStream
from deploy.streams.samples import Sample
from deploy.streams.sinks import KvsSink


def line_by_hand(board: Board, stream: PipelineStream | Sample, program: StreamProgram) -> str:
    """Return the line for a pipeline; empty for the SDKs' own programs, whose launch scripts are lines already.

    Parameters
    ----------
    program:
        The program of this stream that runs its pipeline.
    """
    described = filled_stream(board, stream)
    pipeline = compose(described) if isinstance(described, PipelineStream) else None
    if pipeline is None or not isinstance(described, PipelineStream):
        return ""
    current = f"{board.file.root}/current"
    words = list(pipeline_command(pipeline, verbose=True).argv)
    if words[0] != GST_LAUNCH:
        words[0] = f"{current}/bin/{words[0]}"
        words[1:1] = ["--name", program.name]
    plugins = any(isinstance(sink, KvsSink) for sink in described.outputs)
    variables = {**({"GST_PLUGIN_PATH": f"{current}/gstreamer-1.0"} if plugins else {}), **program.environment}
    line = " ".join([*(f"{name}={shlex.quote(value)}" for name, value in variables.items()), shlex.join(words)])
    if not (plugins and board.file.credentials.file):
        return line
    # In a shell of its own: what is read from the file stays there.
    return f"(set -a; . {shlex.quote(board.file.credentials.file)}; {line})"

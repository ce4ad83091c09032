"""What `doctor` asks of a host: one probe of the board, and of each stream its state, its status and its log."""

from __future__ import annotations

from dataclasses import dataclass, replace

from deploy.boards.board import Board, load_board
from deploy.boards.inventory import load_host
from deploy.boards.session import BoardSession
from deploy.bundle.manifest import Manifest
from deploy.control.logs import raw_log_end
from deploy.control.registries import read_registries
from deploy.control.services import HostService, ask_services, running_release, wanted_rows
from deploy.doctor.diagnose import diagnose
from deploy.doctor.diagnosis import Diagnosis, StreamEvidence
from deploy.launch.streams import stream_programs
from deploy.probe.findings import STORAGE_MIB, findings
from deploy.probe.probe import ProbeRequest, probe_board
from deploy.streams.model import PipelineStream
from deploy.streams.sinks import KvsSink

_LINES = 400
"""Of a log's end."""
_STATUS_BYTES = 8192
_STATUS = """
[ ! -f "$1" ] || head -c 8192 "$1"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What was found on a host."""

    host: str
    streams: tuple[StreamEvidence, ...]
    diagnoses: tuple[Diagnosis, ...]


def examine_host(host_name: str, streams: tuple[str, ...] = ()) -> Examination:
    """Ask a host all that tells why a stream does not stream, and say what it means, worst first.

    Raises
    ------
    ConfigError
        Nothing of ours runs there.
    PreflightError
        It does not answer.
    """
    with running_release(host_name) as (session, manifest):
        plugins = f"{manifest.root}/current/gstreamer-1.0"
        has_plugin = any(file.path.startswith("gstreamer-1.0/") for file in manifest.files)
        # To read all plugins anew takes longer than anybody waits for a diagnosis.
        request = ProbeRequest(
            folders=(manifest.root, "/tmp"),  # noqa: S108 - a folder of the board
            plugin_path=plugins if has_plugin else "",
            boardprobe=f"{manifest.root}/current/bin/boardprobe",
            scan=False,
        )
        facts = probe_board(session, host_name, request)
        evidence = _evidence(session, manifest, streams, host_name)
        board = load_board(load_host(host_name).board)
        evidence = _with_registries(session, manifest.root, board, evidence)
    sizes = [
        sink.storage_size or STORAGE_MIB
        for stream in board.file.streams.values()
        if isinstance(stream, PipelineStream)
        for sink in stream.outputs
        if isinstance(sink, KvsSink)
    ]
    found = findings(facts, storage_mib=sum(sizes), camera_wanted=_wants_camera(board.file.streams))
    names = {"HOST": host_name, "BOARD": board.name, "ARCH": board.file.arch}
    diagnoses = diagnose(found, evidence, clock=facts.clock.seconds, names=names)
    return Examination(host=host_name, streams=evidence, diagnoses=diagnoses)


def _with_registries(
    session: BoardSession, root: str, board: Board, streams: tuple[StreamEvidence, ...]
) -> tuple[StreamEvidence, ...]:
    """Return the evidence with what GStreamer remembers for each stream."""
    named = {stream.name for stream in streams}
    folders = {program.name: program.folder for program in stream_programs(board) if program.name in named}
    known = read_registries(session, root, folders)
    return tuple(
        replace(stream, registry=known[stream.name].path, blacklisted=known[stream.name].blacklisted)
        if stream.name in known
        else stream
        for stream in streams
    )


def _wants_camera(streams: object) -> bool:
    kinds = {
        stream.source.kind
        for stream in (streams.values() if isinstance(streams, dict) else ())
        if isinstance(stream, PipelineStream) and stream.source is not None
    }
    return bool(kinds & {"v4l2", "libcamera"})


def _evidence(
    session: BoardSession, manifest: Manifest, streams: tuple[str, ...], host_name: str
) -> tuple[StreamEvidence, ...]:
    if not manifest.services and not streams:
        return ()
    rows = wanted_rows(manifest, streams, host_name)
    return tuple(_of_service(session, service) for service in ask_services(session, manifest.root, rows))


def _of_service(session: BoardSession, service: HostService) -> StreamEvidence:
    row = service.row
    status = session.fetch(_STATUS, [row.status], most=_STATUS_BYTES) if row.status else b""
    return StreamEvidence(name=row.name, service=service.state, log=raw_log_end(session, row, _LINES), status=status)

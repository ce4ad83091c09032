"""The streams of a board as programs: what each starts, with which words, variables and working folder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from deploy.boards.board import Board
from deploy.pipelines.argv import RUNNER, Command, commands, pipeline_words
from deploy.pipelines.pipeline import FileProperty, Pipeline, compose
from deploy.streams.model import PipelineStream
from deploy.streams.samples import Sample, UploaderSample
from deploy.streams.sinks import IotCertificate, KvsSink
from recipes.errors import ConfigError

LOG_CONFIGURATION = "share/boardcast/kvs_log_configuration"
"""Path in the bundle of the file that tells kvssink what to log."""
STATE_FOLDER = "/var/run/boardcast"
"""What the folders begin with in which services say how they are; the service's name follows."""
_LOG4CPLUS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL", "OFF", "INFO")
"""log4cplus' names of the SDKs' levels 1 to 8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamProgram:
    """One program of a stream: a launch script of a release, and as a rule a service."""

    name: str
    """Of the launch script in `run/`, and of the service."""
    stream: str
    program: str
    """Path in the bundle."""
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: str
    """Its working folder on the board."""
    log: str
    """Its log on the board."""
    status: str = ""
    """File on the board where it says how it is; empty for a program of the SDK, which says nothing."""
    confirmed: bool = False
    """Its fragments are confirmed by the service."""
    network: bool = False
    """It needs one."""
    boot: bool = True
    """It is a service."""


def stream_programs(board: Board) -> tuple[StreamProgram, ...]:
    """Return the programs of all streams of a board, in the order of its file.

    Raises
    ------
    ConfigError
        Two of them would have one name, or a value is none that GStreamer's parser can read.
    """
    programs = [
        program
        for name, stream in board.file.streams.items()
        for program in _programs(board, name, filled_stream(board, stream))
    ]
    names = [program.name for program in programs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(
            f"two programs of {board.name} would be called {twice[0]!r}",
            why="each stream has a launch script of its name, and one for its WebRTC channel with -webrtc behind it",
            next_step=f"another name for [streams.{twice[0]}]",
        )
    return tuple(programs)


def _programs(board: Board, name: str, stream: PipelineStream | Sample) -> Iterator[StreamProgram]:
    pipeline = compose(stream) if isinstance(stream, PipelineStream) else None
    if pipeline is not None and isinstance(stream, PipelineStream):
        yield _watched(board, name, stream, pipeline)
    samples = commands(stream)[1 if pipeline else 0 :]
    for number, command in enumerate(samples):
        tail = "" if number == 0 else str(number + 1)
        own = f"{name}-webrtc{tail}" if pipeline or number else name
        yield StreamProgram(
            name=own,
            stream=name,
            program=f"bin/{command.argv[0]}",
            arguments=command.argv[1:],
            environment={**_shared(board), **command.environment, **_certificate(board, stream, command)},
            folder=_folder(board, own),
            log=f"{board.file.service.log_folder}/{own}.log",
            network=True,
            boot=stream.runs == "boot",
        )


def _watched(board: Board, name: str, stream: PipelineStream, pipeline: Pipeline) -> StreamProgram:
    """Return the program that runs a pipeline, watches it, and says how it is."""
    limits, folder = board.file.limits, _folder(board, name)
    kvs = any(isinstance(sink, KvsSink) for sink in stream.outputs)
    # In memory on most boards: it is written every 5 s.
    status = f"{STATE_FOLDER}-{name}/stream.json" if stream.runs == "boot" else ""
    once = stream.source is not None and not stream.source.definition.live and stream.runs == "hand"
    options = ["--name", name, *(["--status", status] if status else []), "--stall", str(limits.stall)]
    options += ["--ack-stall", str(limits.ack_stall if kvs else 0), "--memory", str(limits.memory)]
    options += ["--once"] if once else []
    return StreamProgram(
        name=name,
        stream=name,
        program=f"bin/{RUNNER}",
        arguments=(*options, *_secrets(pipeline.file_properties), "--", *pipeline_words(pipeline)),
        environment=_shared(board),
        folder=folder,
        log=f"{board.file.service.log_folder}/{name}.log",
        status=status,
        confirmed=kvs,
        network=kvs or (stream.source is not None and stream.source.delivers == "rtp"),
        boot=stream.runs == "boot",
    )


def _secrets(properties: Iterable[FileProperty]) -> Iterator[str]:
    for given in properties:
        yield from ("--property-file", f"{given.element}.{given.property}={given.file}")


def _folder(board: Board, name: str) -> str:
    return f"{board.file.service.work_folder or f'{board.file.root}/work'}/{name}"


def filled_stream(board: Board, stream: PipelineStream | Sample) -> PipelineStream | Sample:
    """Return a stream with what the board's file says for all: its certificate, and what kvssink logs."""
    iot = board.file.credentials.iot
    if isinstance(stream, UploaderSample):
        return stream.model_copy(update={"iot": stream.iot or iot})
    if not isinstance(stream, PipelineStream):
        return stream

    def filled(sink: object) -> object:
        if not isinstance(sink, KvsSink):
            return sink
        named = sink.iot is None and sink.credential_path is None and iot is not None
        log = sink.log_config or f"{board.file.root}/current/{LOG_CONFIGURATION}"
        return sink.model_copy(update={"log_config": log, **({"iot": iot} if named else {})})

    return stream.model_copy(
        update={"sink": filled(stream.sink), "sinks": tuple(filled(sink) for sink in stream.sinks)}
    )


def _shared(board: Board) -> dict[str, str]:
    """Return the variables of every program of a board's streams."""
    given = board.file.environment
    named = {"AWS_DEFAULT_REGION": given.region, "AWS_KVS_CACERT_PATH": given.ca_file}
    shared = {name: value for name, value in named.items() if value}
    shared |= {"AWS_KVS_LOG_LEVEL": str(given.log_level)} | ({"DEBUG_LOG_SDP": "TRUE"} if given.log_sdp else {})
    return {**shared, **given.variables}


def _certificate(board: Board, stream: PipelineStream | Sample, command: Command) -> dict[str, str]:
    """Return a board's certificate in the words of a program of an SDK: the two have two vocabularies."""
    iot = board.file.credentials.iot
    if iot is None or isinstance(stream, UploaderSample):  # that one has it as a word of its own
        return {}
    return _webrtc_words(iot, command.argv[1]) if isinstance(stream, PipelineStream) else _producer_words(iot)


def _webrtc_words(iot: IotCertificate, channel: str) -> dict[str, str]:
    return {
        "AWS_IOT_CORE_CREDENTIAL_ENDPOINT": iot.endpoint,
        "AWS_IOT_CORE_CERT": iot.cert_path,
        "AWS_IOT_CORE_PRIVATE_KEY": iot.key_path,
        "AWS_IOT_CORE_ROLE_ALIAS": iot.role_aliases,
        "AWS_IOT_CORE_THING_NAME": iot.iot_thing_name or channel,
    }


def _producer_words(iot: IotCertificate) -> dict[str, str]:
    return {
        "IOT_GET_CREDENTIAL_ENDPOINT": iot.endpoint,
        "CERT_PATH": iot.cert_path,
        "PRIVATE_KEY_PATH": iot.key_path,
        "ROLE_ALIAS": iot.role_aliases,
        "CA_CERT_PATH": iot.ca_path,
    }


def log_configuration(board: Board) -> bytes:
    """Return the file that tells log4cplus what to write to standard output, by the board's log level.

    Without one kvssink writes at DEBUG: some 5 kB a second.
    """
    level = _LOG4CPLUS[board.file.environment.log_level - 1]
    appender = "log4cplus.appender.Console"
    lines = (
        f"log4cplus.rootLogger={level}, Console",
        f"{appender}=log4cplus::ConsoleAppender",
        f"{appender}.layout=log4cplus::PatternLayout",
        f"{appender}.layout.ConversionPattern=%-5p %m%n",
    )
    return "".join(f"{line}\n" for line in lines).encode()


def used_programs(programs: Iterable[StreamProgram]) -> frozenset[str]:
    """Return the programs of the bundle that streams start."""
    return frozenset(program.program for program in programs)


def is_sdk_program(path: str, owner: str) -> bool:
    """Tell whether a file of the Stage is one of the SDKs' own programs, which travel where they are used.

    The program of `kvsclient`, which takes an SDK's place, is taken for one.
    """
    return owner in ("producer", "webrtc", "kvsclient") and re.fullmatch(r"bin/[^/]+", path) is not None

"""What a bundle holds for the streams of its board: launch scripts, and each service as files and scripts.

A service's scripts travel in the release, so a board can start, stop and take away by itself what a release brought.
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable

from deploy.atboot import guard
from deploy.boards.board import Board
from deploy.bundle.manifest import ServiceRow
from deploy.dedupe.byname import OpenedByName, Presence
from deploy.launch.script import WorkPlace, launch_script
from deploy.launch.statuscodes import incurable_exits, incurable_lines
from deploy.launch.streams import LOG_CONFIGURATION, StreamProgram, is_sdk_program, log_configuration, stream_programs
from deploy.pipelines.checks import check_stream
from deploy.pipelines.facts import BoardFacts, Severity
from deploy.pipelines.fit import stream_elements
from deploy.services.quoting import shell_word
from deploy.services.service import Incurable, Service
from deploy.services.supervise import environment_reader
from deploy.services.systems import InitSystem, init_system
from deploy.streams.elements import PACKAGES, PLUGINS
from recipes.arch import Arch
from recipes.errors import ConfigError
from recipes.proof.search import Loader, first_file
from recipes.rootfs.index import Index
from recipes.rootfs.origin import Origin
from recipes.stage.manifest import Stage

Contents = dict[str, tuple[bytes, int]]
"""Path in the bundle → content and mode."""
SERVICES_FOLDER = "services/"
VERBS = ("enable", "disable", "start", "stop", "restart", "status", "remove")


def idle_programs(board: Board, staged: Stage) -> frozenset[str]:
    """Return the SDKs' own programs in a Stage that no stream of the board starts; none where its file asks for all."""
    if board.file.schema_ == 1 or "samples" in board.file.extras:
        return frozenset()
    used = {program.program for program in stream_programs(board)}
    programs = {path: recipe.name for recipe in staged.manifest.recipes for path in recipe.outputs}
    return frozenset(path for path, owner in programs.items() if is_sdk_program(path, owner) and path not in used)


def refuse_faulty_streams(board: Board, facts: BoardFacts | None = None) -> None:
    """Raise ConfigError where a stream cannot run, by the service's rules and by what is known of the board."""
    limits = BoardFacts(uplink_kbps=board.file.limits.uplink_kbps) if facts is None else facts
    faults = [
        f"streams.{name}.{fault}"
        for name, stream in board.file.streams.items()
        for fault in check_stream(stream, limits)
        if fault.severity is Severity.ERROR
    ]
    if faults:
        raise ConfigError(
            f"{len(faults)} fault{'s' * (len(faults) > 1)} in the streams of {board.name}",
            where=f"[streams] in the file of {board.name}",
            why="\n       ".join(faults),
        )


def stream_contents(board: Board, present: Collection[str], *, plugins: bool) -> Contents:
    """Return the launch scripts of the streams, and the files and scripts of their services.

    Parameters
    ----------
    present:
        Paths of the bundle so far: its programs, and their launch scripts.
    plugins:
        The bundle has a GStreamer plugin.

    Raises
    ------
    ConfigError
        A stream starts a program that the bundle lacks, or a value is none that the board's init system can have.
    """
    programs = stream_programs(board)
    if lost := sorted({program.program for program in programs} - set(present)):
        raise ConfigError(
            f"the bundle of {board.name} lacks {lost[0]}, which a stream starts",
            why="the Stage was built from fewer recipes than the streams need",
            next_step=f"invoke build --arch {board.file.arch} --board {board.name}",
        )
    found: Contents = {}
    if twice := [program.name for program in programs if f"run/{program.name}" in present]:
        raise ConfigError(
            f"[streams.{twice[0]}] of {board.name} has the name of a program",
            why=f"run/{twice[0]} is that program's launch script",
            next_step="another name for the stream",
        )
    for program in programs:
        found[f"run/{program.name}"] = (_launch_script(board, program, plugins=plugins), 0o755)
    if programs:
        found[LOG_CONFIGURATION] = (log_configuration(board), 0o644)
    found |= _services(board, programs)
    return found


def _launch_script(board: Board, program: StreamProgram, *, plugins: bool) -> bytes:
    environment_file = board.file.credentials.file or ""
    place = WorkPlace(
        folder=program.folder,
        log_configuration=LOG_CONFIGURATION,
        environment_file=environment_file,
        reader=environment_reader().rstrip() if environment_file else "",
        core_files=board.file.limits.core_files,
    )
    return launch_script(
        title=f"stream {program.stream} of {board.name}",
        program=program.program,
        arguments=program.arguments,
        environment=program.environment,
        plugins=plugins,
        place=place,
    )


def _services(board: Board, programs: Iterable[StreamProgram]) -> Contents:
    """Return each service's files below `services/<name>/files`, its scripts beside them, and the list of all."""
    services = [board_service(board, program) for program in programs if program.boot]
    if not services or board.file.init is None:
        return {}
    init, found = init_system(board.file.init), Contents()
    for service in services:
        place = f"{SERVICES_FOLDER}{service.name}/"
        found |= {f"{place}files{path}": file for path, file in init.files(service).items()}
        found |= {f"{place}{verb}": (_script(init, service, verb), 0o644) for verb in VERBS}
    # First: it is there before anything that it watches over.
    place, root = f"{SERVICES_FOLDER}{guard.NAME}/", board.file.root
    found |= {f"{place}files{path}": file for path, file in guard.guard_files(init.name, root).items()}
    found |= {
        f"{place}{verb}": (f"#!/bin/sh\n# Rendered by Boardcast.\n{body}\n".encode(), 0o644)
        for verb, body in guard.guard_scripts(init.name, root).items()
    }
    names = [guard.NAME, *(service.name for service in services)]
    found[f"{SERVICES_FOLDER}list"] = ("".join(f"{name}\n" for name in names).encode(), 0o644)
    return found


# The link that launch scripts put beside the working folders; it goes with the last of them.
_LAST_GOES = """
folder=@FOLDER@
if [ "$(ls -A "$folder" 2>/dev/null)" = kvs_log_configuration ] && [ -L "$folder/kvs_log_configuration" ]; then
    rm -f "$folder/kvs_log_configuration" && rmdir "$folder"
fi
"""


def _script(init: InitSystem, service: Service, verb: str) -> bytes:
    body: str = getattr(init, verb)(service)
    if verb == "remove":
        body += _LAST_GOES.replace("@FOLDER@", shell_word(posixpath.dirname(service.working_folder)))
    return f"#!/bin/sh\n# {verb} {service.id}. Rendered by Boardcast.\n{body}\n".encode()


def board_service(board: Board, program: StreamProgram) -> Service:
    """Return the service of a program; raises ConfigError where a value is none that a board can have."""
    settings, limits = board.file.service, board.file.limits
    return Service(
        name=program.name,
        description=f"stream {program.stream} of {board.name}",
        command=f"{board.file.root}/current/run/{program.name}",
        working_folder=program.folder,
        log_file=program.log,
        user=settings.user,
        groups=settings.groups,
        environment_file=board.file.credentials.file or "",
        working_kib=limits.work_kib,
        log_bytes=limits.log_kib * 1024,
        needs_network=settings.wait_for_network and program.network,
        needs_clock=settings.wait_for_clock and program.network,
        patience=settings.patience,
        incurable_exits=incurable_exits(),
        incurable_lines=tuple(Incurable(pattern=pattern, meaning=meaning) for pattern, meaning in incurable_lines()),
    )


def stream_plugins(board: Board, index: Index, arch: Arch) -> tuple[OpenedByName, ...]:
    """Return the plugins of GStreamer that the elements of a board's streams are in, and where the board has them.

    A plugin whose own libraries are not found counts as absent: GStreamer passes it over in silence.
    """
    wanted: dict[str, str] = {}
    for name, stream in board.file.streams.items():
        for element in stream_elements(stream):
            wanted.setdefault(element, f"{element} in streams.{name}")
    there = {
        path.rpartition("/")[2]: path
        for path, file in sorted(index.files.items())
        if "/gstreamer-1.0/" in path and arch.matches(file.identity)
    }
    loader, rows = Loader(index, arch.identity), list[OpenedByName]()
    for element, by in wanted.items():
        without = f"the stream does not start{f'; install {PACKAGES[element]}' if element in PACKAGES else ''}"
        if element not in PLUGINS:
            name = f"the plugin of {element}"
            rows.append(OpenedByName(name=name, by=by, presence=Presence.UNKNOWN, without=without))
        for names in PLUGINS.get(element, ()):
            path = next((there[name] for name in names if name in there), "")
            steps = loader.process([first_file(Origin(path), index.files[path])]) if path else ()
            lost = next((step.name for step in steps if step.got is None), "")
            found = Presence.BOARD if path and not lost else Presence.ABSENT
            why = f"{without} ({path} needs {lost}, which is not there)" if lost else without
            rows.append(
                OpenedByName(name=names[0], by=by, presence=found, provider=Origin("" if lost else path), without=why)
            )
    rows += _scanner(index, next(iter(wanted.values()), ""))
    return tuple({row.name: row for row in reversed(rows)}.values())[::-1]


def _scanner(index: Index, by: str) -> list[OpenedByName]:
    """Say where the program is in which GStreamer looks at plugins; an index of libraries alone does not list it."""
    if not by:
        return []
    path = next((path for path in sorted(index.files) if path.endswith("/gst-plugin-scanner")), "")
    presence = Presence.BOARD if path else Presence.UNKNOWN
    without = "plugins are looked at in the process itself, and one that crashes ends it"
    return [OpenedByName(name="gst-plugin-scanner", by=by, presence=presence, provider=Origin(path), without=without)]


def service_rows(board: Board) -> tuple[ServiceRow, ...]:
    """Return what a manifest says of the services."""
    return tuple(
        ServiceRow(
            name=program.name,
            stream=program.stream,
            log=program.log,
            status=program.status,
            confirmed=program.confirmed,
        )
        for program in stream_programs(board)
        if program.boot
    )

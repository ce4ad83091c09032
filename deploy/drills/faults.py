"""The faults of a drill: what is done to a board, how it is put back, and when it was over."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal

from deploy.boards.board import Board
from deploy.boards.inventory import host_target, sim_state
from deploy.boards.session import BoardSession, Reply, connect
from deploy.bundle.manifest import ServiceRow
from deploy.cloud.promise import board_promises, board_region
from deploy.control.services import HostService
from deploy.drills.scripts import BOOT, CAMERA, CUT, DETACH, FOLDER, KILL, PEER, REBOOT, STANDSTILL, UNDO
from deploy.kvs.names import host_names
from deploy.localkvs.lifecycle import running
from deploy.services.systems import Phase
from deploy.streams.model import PipelineStream
from deploy.streams.samples import AudioVideoSample, CameraSample
from recipes.errors import PreflightError
from recipes.progress import progress
from recipes.text import one_line

Kind = Literal["network", "power", "camera", "service"]
_POLL = 1.0
_SAMPLES_CAMERA = "/dev/video0"
"""That the samples of the SDK open."""
_CUTTER = "boardcast-drill"
_READY = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drilled:
    """A board that a fault is made on.

    Attributes
    ----------
    root:
        Our folder on it.
    services:
        How they were before.
    seconds:
        How long network or camera are away.
    within:
        Seconds in which everything has to come back.
    """

    host: str
    board: Board
    root: str
    services: tuple[HostService, ...]
    seconds: float
    within: float

    @property
    def rows(self) -> tuple[ServiceRow, ...]:
        return tuple(one.row for one in self.services)

    def at_work(self) -> tuple[HostService, ...]:
        return tuple(one for one in self.services if one.state.phase is Phase.RUNNING and one.state.pid)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A fault that was made.

    Attributes
    ----------
    done:
        In words.
    lasted:
        Seconds; 0 for a fault of a moment.
    begin, end:
        By this workstation's clock, in seconds since 1970; everything has to come back within some time of the end.
    sure:
        When the fault was made or over for certain: what was filmed before that is no sign of life.
    until:
        Until when a fault that lasted did so at least: the board's timer began before this workstation heard of it.
    trouble:
        Why the board did not come back at all.
    """

    done: str
    begin: float
    end: float
    sure: float
    until: float = 0.0
    lasted: float = 0.0
    trouble: str = ""


def refusal(drilled: Drilled, kind: Kind, why: str) -> PreflightError:
    return PreflightError(
        f"{drilled.host} cannot have a {kind} drill", why=f"{why}; nothing was changed there",
        next_step="another --drill, or the cable, the plug and the camera by hand with verify --watch",
    )  # fmt: skip


def make_fault(kind: Kind, drilled: Drilled) -> Made:
    """Make a fault, and return when it is over; the board is put back, whatever happens.

    Raises
    ------
    PreflightError
        The board cannot have this fault; nothing was changed there.
    """
    return _FAULTS[kind](drilled)


def _network(drilled: Drilled) -> Made:
    with connect(host_target(drilled.host)) as session:
        words = session.run(PEER).out.split()
    if len(words) < 4:
        raise refusal(drilled, "network", "it does not say from where it is reached")
    regions = {board_region(drilled.board), *(one.region for one in board_promises(drilled.board).streams)}
    local = running()
    names = [name for region in sorted(regions) for name in host_names(region)]
    shut = [words[0].removeprefix("::ffff:"), words[3], *names, *(local.addresses if local else ())]
    state = sim_state(drilled.host)
    if state is not None:
        with _beside(drilled, state.container, shut) as (said, begin, until):
            _stay(drilled, "its network is cut", begin)
    else:
        with _held(drilled, "network", CUT, shut) as (said, begin, until):
            _stay(drilled, "its network is cut", begin)
    return _over(drilled, f"packets out of it dropped ({said}), but those of this session", begin, until)


def _over(drilled: Drilled, done: str, begin: float, until: float) -> Made:
    end = time.time()
    return Made(done=done, begin=begin, end=end, sure=end, until=until, lasted=drilled.seconds)


def _stay(drilled: Drilled, what: str, begin: float) -> None:
    """Wait until a fault has lasted its time."""
    with progress(f"{drilled.host}: {what}") as step:
        while (left := begin + drilled.seconds - time.time()) > 0:
            step.reached(1 - left / drilled.seconds)
            time.sleep(min(_POLL, left))


@contextmanager
def _held(drilled: Drilled, kind: Kind, script: str, words: Sequence[str]) -> Iterator[tuple[str, float, float]]:
    """Hold a fault by a process on the board that takes it back by itself.

    Gives what it said, when it had begun, and until when it lasts at least.
    """
    target = host_target(drilled.host)
    arguments = [FOLDER, "hold", FOLDER, f"{drilled.seconds:.0f}", *words]
    try:
        with connect(target) as session:
            asked = time.time()
            reply = session.run(DETACH, arguments, [script.encode()])
        yield _said(drilled, kind, reply.out or reply.err), time.time(), asked + drilled.seconds
    finally:
        # The board's own timer does it too, where it is out of reach.
        with suppress(PreflightError), connect(target) as session:
            session.run(UNDO, [FOLDER])


def _said(drilled: Drilled, kind: Kind, text: str) -> str:
    word, _, rest = one_line(text).partition(" ")
    if word != "begun":
        raise refusal(drilled, kind, rest if word == "cannot" else one_line(text) or "it did not say why")
    return rest


@contextmanager
def _beside(drilled: Drilled, container: str, words: Sequence[str]) -> Iterator[tuple[str, float, float]]:
    """Cut a simulated board's network from a container beside it, which has the right to and is its own timer."""
    from recipes.engine.docker import Engine

    engine = Engine.connect()
    name = f"{container}.{_CUTTER}"
    try:
        engine.services.remove(name)
        command = ["/bin/sh", "-c", CUT, "boardcast", "hold", "/tmp/drill", f"{drilled.seconds:.0f}", *words]  # noqa: S108
        asked = time.time()
        engine.services.beside(name, container, command, capabilities=["NET_ADMIN"])
        until = time.monotonic() + _READY
        while not (text := engine.services.log_tail(name).strip()) and time.monotonic() < until:
            if not engine.services.running(name):
                break
            time.sleep(0.05)
        yield _said(drilled, "network", text), time.time(), asked + drilled.seconds
    finally:
        engine.services.stop(name, 10)
        engine.close()


def _camera(drilled: Drilled) -> Made:
    devices, inside, strange = sources(drilled.board, drilled.at_work())
    if strange:
        raise refusal(drilled, "camera", strange)
    if devices:
        with _held(drilled, "camera", CAMERA, ["/sys", *devices]) as (_, begin, until):
            _stay(drilled, "its camera is away", begin)
        done = f"{', '.join(devices)} taken from its driver, and given back"
    elif inside:
        pids = [str(one.state.pid) for one in inside]
        with connect(host_target(drilled.host)) as session:
            births = re.findall(r"^born (\d+) (\d+)$", session.run(PEER, pids).out, re.MULTILINE)
        words = [f"{pid}:{birth}" for pid, birth in births if pid in pids]
        if len(words) != len(pids):
            raise refusal(drilled, "camera", "a program that has its source in it runs no more")
        with _held(drilled, "camera", STANDSTILL, words) as (_, begin, until):
            _stay(drilled, "its source stands still", begin)
        done = f"the source of {', '.join(one.row.name for one in inside)} is in its program, which stood still"
    else:
        raise refusal(drilled, "camera", "no stream with a source of its own runs there")
    return _over(drilled, done, begin, until)


def sources(board: Board, services: Sequence[HostService]) -> tuple[list[str], list[HostService], str]:
    """Return the cameras of what runs, the services that have their source in them, and why some stream has neither."""
    devices, inside = list[str](), list[HostService]()
    for one in services:
        stream = board.file.streams.get(one.row.stream)
        source = stream.source if isinstance(stream, PipelineStream) else None
        if source is not None and source.kind == "v4l2":
            devices.append(str(source.address))
        elif isinstance(stream, PipelineStream) and (source is None or source.kind == "test"):
            inside.append(one)
        elif isinstance(stream, CameraSample | AudioVideoSample) and not (_far(stream) or stream.files):
            devices.append(_SAMPLES_CAMERA)
        else:
            kind = source.kind if source is not None else getattr(stream, "sample", "another board file")
            return [], [], f"the source of {one.row.stream} ({kind}) is nothing that can be taken from it there"
    if devices and inside:
        return [], [], "some of its streams have a camera, and some a source of their own: one at a time"
    return list(dict.fromkeys(devices)), inside, ""


def _far(sample: CameraSample | AudioVideoSample) -> bool:
    return isinstance(sample, CameraSample) and bool(sample.rtsp)


def _service(drilled: Drilled) -> Made:
    rows = [one.row for one in drilled.at_work()]
    if not rows:
        raise refusal(drilled, "service", "no service of a stream runs there")
    with connect(host_target(drilled.host)) as session:
        begin = time.time()
        reply = session.run(KILL, [drilled.root], ["".join(f"{row.name}\n" for row in rows).encode()])
        sure = time.time()
    killed = re.findall(r"^killed (\S+) (\d+)$", reply.out, re.MULTILINE)
    if len(killed) != len(rows):
        missed = {row.name for row in rows} - {name for name, _ in killed}
        if not killed:
            raise refusal(drilled, "service", f"who logs in may not end {', '.join(sorted(missed))}")
    told = ", ".join(f"{name} (process {pid})" for name, pid in killed)
    return Made(done=f"SIGKILL to {told}", begin=begin, end=begin, sure=sure)


def _power(drilled: Drilled) -> Made:
    target = host_target(drilled.host)
    with connect(target) as session:
        before = _boot(session)
    begin = time.time()
    if sim_state(drilled.host) is not None:
        from deploy.sim.boards import restart_board
        from recipes.engine.docker import Engine

        engine = Engine.connect()
        try:
            with progress(f"{drilled.host}: switched off and on"):
                restart_board(drilled.host, engine)
        finally:
            engine.close()
        done = "switched off and on again (its container was killed and started)"
    else:
        for word, why in (("root", "who logs in is not root"), ("reboot", "it has no `reboot`")):
            if word not in before:
                raise refusal(drilled, "power", why)
        with connect(target) as session:
            session.run(REBOOT)
        done = "rebooted"
    trouble = _await_boot(drilled, before.get("boot", ""), begin + drilled.within)
    return Made(done=done, begin=begin, end=begin, sure=time.time(), trouble=trouble)


def _boot(session: BoardSession) -> dict[str, str]:
    reply: Reply = session.run(BOOT)
    return {name: value for name, _, value in (line.partition("=") for line in reply.out.splitlines())}


def _await_boot(drilled: Drilled, before: str, until: float) -> str:
    """Wait until the board answers after another start; returns why it does not."""
    why = "it did not answer"
    with progress(f"{drilled.host}: it boots"):
        while time.time() < until:
            try:
                with connect(host_target(drilled.host)) as session:
                    if (now := _boot(session).get("boot", "")) and now != before:
                        return ""
                why = "it answers, and did not restart"
            except PreflightError as error:
                why = f"{error.what}: {error.why}" if error.why else error.what
            time.sleep(_POLL)
    return why


_FAULTS: Mapping[Kind, Callable[[Drilled], Made]] = {
    "network": _network,
    "power": _power,
    "camera": _camera,
    "service": _service,
}

"""Deploys in a row between two releases, each cut at a random moment: the board always answers with a whole release."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import pytest

from deploy.atboot.put_in import put_in
from deploy.boards.inventory import SimState, host_target
from deploy.boards.session import TEXT_BYTES, BoardSession, Reply, SshSession, connect
from deploy.bundle.load import Bundle
from deploy.sim.boards import bring_up
from recipes.engine.docker import Engine
from recipes.errors import UserError
from tests.support.counting import counting_streamer
from tests.support.fakestream import stream
from tests.support.initsession import ROOT, bundle_of, deploy
from tests.support.simboard import power_up, rounds

pytestmark = [pytest.mark.engine, pytest.mark.sim]
HOST = "sim-tiny"
CHILDREN = r"""
for comm in /proc/[0-9]*/comm; do
    name=''; { read -r name < "$comm"; } 2>/dev/null
    process=${comm#/proc/} process=${process%/comm}
    case $process:$name in 1:*) ;; *:dropbear*) kill -9 "$process" ;; esac
done
"""


@pytest.fixture
def board(tiny: SimState) -> Iterator[str]:
    """Give the BusyBox board; what is ours there is on its flash that outlives a power cut, and goes in the end."""
    yield tiny.name
    with connect(host_target(HOST)) as session:
        put_in(session, str(ROOT), "", "a test")
        session.run(f"rm -rf {ROOT}")


class Cut:
    """What goes, at a moment of its own, while a deploy is at work."""

    def __init__(self, kind: str, session: SshSession, engine: Engine, container: str) -> None:
        self.kind, self.session = kind, session
        self.board: Any = engine.services._client.containers.get(container)

    def __call__(self) -> None:
        if self.kind == "connection":
            self.session.cut()
        elif self.kind == "shell":
            self.board.exec_run(["/bin/sh", "-c", CHILDREN])
        else:
            self.board.kill()


def whole(session: BoardSession, *known: Bundle) -> str:
    """Check that what is switched on is exactly one of the known releases, and that its programs are what streams."""
    script = 'cd "$1/current" && readlink "$1/current" && find . -type f ! -name ".*" ! -path "./.bundle/*" '
    reply = session.run(f"{script} -exec sha256sum {{}} +", [str(ROOT)])
    assert reply.code == 0, reply.err
    head, *lines = reply.out.splitlines()
    bundle = next(one for one in known if one.id == head.rpartition("/")[2])
    files = {line.split()[1][2:]: line.split()[0] for line in lines}
    assert files == {file.path: file.sha256 for file in bundle.manifest.files}, "a mixed or damaged release is on"
    return bundle.id


def serving(session: BoardSession) -> set[str]:
    """Return the ids of the releases whose programs run."""
    script = 'for line in /proc/[0-9]*/cmdline; do tr "\\0" " " 2>/dev/null <$line; echo; done'
    lines = [line for line in session.run(script).out.splitlines() if "bin/boardstream" in line]
    return {line.partition("/releases/")[2].partition("/")[0] for line in lines}


def streams_within(session: BoardSession, known: set[str], seconds: float) -> set[str]:
    """Wait until programs of exactly one known release run."""
    deadline = time.monotonic() + seconds
    while not ((found := serving(session)) <= known and len(found) == 1):
        assert time.monotonic() < deadline, f"streams of {found}"
        time.sleep(0.3)
    return found


def look(session: BoardSession, bundle: Bundle) -> None:
    """Stand in for the checks, which take some seconds too: the release is on trial meanwhile."""
    streams_within(session, {bundle.id}, 20)
    time.sleep(2)


class CutSession:
    """A real session to a board; within one of its commands something goes, or right behind it."""

    def __init__(self, session: BoardSession, at: int, moment: float, cut: Callable[[], None]) -> None:
        self.session, self.at, self.moment = session, at, moment
        # At the end of a command its timer may run out at the same moment: one of both cuts.
        self.left = iter([cut])
        self.traffic = session.traffic
        self.deadline = math.inf
        self.count, self.seconds = 0, list[float]()

    def fetch(self, script: str, arguments: Sequence[str] = (), stdin: Iterable[bytes] = (), *, most: int) -> bytes:
        return self.session.fetch(script, arguments, stdin, most=most)

    def run(
        self, script: str, arguments: Sequence[str] = (), stdin: Iterable[bytes] = (), *, most: int = TEXT_BYTES
    ) -> Reply:
        self.count += 1
        begun = time.monotonic()
        if self.count != self.at:
            reply = self.session.run(script, arguments, stdin, most=most)
            self.seconds.append(time.monotonic() - begun)
            return reply
        timer = threading.Timer(self.moment, self._cut)
        timer.start()
        try:
            return self.session.run(script, arguments, stdin, most=most)
        finally:
            if timer.is_alive() and time.monotonic() - begun < self.moment:
                timer.cancel()
                self._cut()
            timer.join()

    def _cut(self) -> None:
        next(self.left, lambda: None)()


def cut_deploy(bundle: Bundle, kind: str, at: int, moment: float, engine: Engine, container: str) -> str:
    """Deploy with a cut within a command, and say how that ended."""
    with connect(host_target(HOST)) as session:
        cut = Cut(kind, session, engine, container)
        cable = CutSession(session, at, moment, cut)
        try:
            deploy(cable, bundle, partial(look, cable, bundle))
        except (UserError, OSError, EOFError) as error:
            return type(error).__name__
        if cable.count < at:
            cut()
            return "cut after its end"
    return "done all the same"


def release(number: int, program: bytes) -> Bundle:
    """Return a release that the board has not seen: what it verified once is on trial no more."""
    other = "back" if number % 2 else "side"
    return bundle_of("none", {"front": stream(10 + number), other: stream(10 + number)}, str(number), program)


def test_deploys_that_are_cut_at_random(
    board: str, engine: Engine, dice: random.Random, figure: Callable[[str], None]
) -> None:
    program = counting_streamer("x86_64", engine)
    known = [release(0, program)]
    with connect(host_target(HOST)) as session:
        deploy(session, known[0])
        known.append(release(1, program))
        uncut = CutSession(session, 0, 0, lambda: None)
        deploy(uncut, known[1], partial(look, uncut, known[1]))
        usual = uncut.seconds
    tried: dict[str, int] = {}
    ended: dict[str, int] = {}
    cuts, by_themselves = rounds(3, 50), 0
    kinds = [("connection", "shell", "power")[number % 3] for number in range(cuts)]
    dice.shuffle(kinds)
    state = bring_up(HOST, engine)
    for number, kind in enumerate(kinds):
        # The bigger half of them between the switch and the confirmation: there it matters most.
        at = dice.choice([1, 2, 3, 3, 4, 4, 5, 5, 6])
        moment = dice.uniform(0, usual[min(at, len(usual)) - 1])
        known.append(release(number + 2, program))
        how = cut_deploy(known[-1], kind, at, moment, engine, state.container)
        tried[kind], ended[how] = tried.get(kind, 0) + 1, ended.get(how, 0) + 1
        if kind == "power":
            state = power_up(HOST, engine)
        with connect(host_target(HOST)) as session:
            assert whole(session, *known), f"{number}: {kind} in command {at}"
            streams_within(session, {bundle.id for bundle in known}, 60)
            if kind == "power":
                # At a start nothing unconfirmed stays.
                note = session.run(f"ls {ROOT}/current/.confirmed {ROOT}/.reverted 2>/dev/null").out
                assert "/.confirmed" in note, f"{number}: {kind} in command {at}: unconfirmed after a start"
                by_themselves += ".reverted" in note
    with connect(host_target(HOST)) as session:
        known.append(release(cuts + 2, program))
        assert deploy(session, known[-1]).changed
        assert whole(session, *known) == known[-1].id
        streams_within(session, {known[-1].id}, 60)
    same = f"0 mixed releases, {cuts} of {cuts} stream one release"
    kinds_told = ", ".join(f"{count} {kind}" for kind, count in sorted(tried.items()))
    ends_told = ", ".join(f"{count} {how}" for how, count in sorted(ended.items()))
    figure(
        f"{cuts} deploys cut ({kinds_told}; ended as {ends_told}): {same}, "
        f"{by_themselves} taken back by the board at its start"
    )

"""P-06: a board that is switched off between the switch and the confirmation goes back by itself, in 100 % of cases."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from deploy.atboot.put_in import SERVICES
from deploy.bundle.load import Bundle
from deploy.release.carried import paper_sizes
from deploy.release.plan import plan_release
from deploy.release.run import install_release
from tests.support.counting import counting_streamer
from tests.support.fakestream import stream
from tests.support.initboard import InitBoard
from tests.support.initsession import ROOT, InitSession, bundle_of, deploy, facts_of
from tests.support.simboard import rounds

pytestmark = [pytest.mark.process, pytest.mark.engine]
OLD, NEW = {"front": stream(3), "back": stream(4)}, {"front": stream(5), "side": stream(6)}


@pytest.fixture
def board(booted: InitBoard) -> Any:
    """Give the board without anything of ours."""
    yield booted
    booted.sh(f'[ ! -d {ROOT}/applied ] || sh -c "$1" boardcast {ROOT} "" "a test"', SERVICES, good=False)
    booted.sh(f"rm -rf {ROOT}")


def until(what: Callable[[], bool], board: InitBoard, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, board.sh(
            f"ls -la {ROOT} {ROOT}/applied; cat {ROOT}/.trial {ROOT}/.serving /var/log/boardcast/*; ps -ef || ps",
            good=False,
        )
        time.sleep(0.3)


def streaming(board: InitBoard, bundle: Bundle) -> Callable[[], bool]:
    """Return whether exactly the streams of a release run, each from its programs."""

    def look() -> bool:
        script = 'for line in /proc/[0-9]*/cmdline; do tr "\\0" " " 2>/dev/null <$line; echo; done'
        running = [line for line in board.sh(script, good=False).splitlines() if "bin/boardstream" in line]
        names = {row.name for row in bundle.manifest.services}
        applied = set(board.sh(f"ls {ROOT}/applied", good=False).split())
        return (
            len(running) == len(names)
            and all(f"releases/{bundle.id}/" in line for line in running)
            and applied == {"_boot", *names}
            and all(frames(board, name) > 0 for name in names)
        )

    return look


def frames(board: InitBoard, name: str) -> int:
    told = board.sh(f"cat /var/run/boardcast-{name}/stream.json 2>/dev/null", good=False)
    return int(json.loads(told)["frames"]) if told else 0


def switch(session: InitSession, bundle: Bundle, *, services: bool) -> None:
    """Do what a deploy does up to its checks."""
    facts = facts_of(session)
    planned = plan_release(bundle.id, bundle.manifest, facts, papers=paper_sizes(bundle))
    assert install_release(session, bundle, planned, facts.tools, "a test")
    if services:
        assert session.run(SERVICES, [str(ROOT), bundle.id, "a test"]).code == 0


def power_cut(board: InitBoard) -> None:
    """Kill all of the board at once, and start it again."""
    container = board._container()
    container.kill()
    container.wait()
    container.start()
    board.booted()


ENDS: dict[str, Callable[[InitBoard], None]] = {"reboot": InitBoard.reboot, "power cut": power_cut}
MOMENTS = [(True, "power cut"), (True, "reboot"), (False, "power cut"), (False, "reboot")]
"""Whether the services of the new release were put in already, and how the board went."""


def test_a_release_that_was_not_confirmed_is_taken_back_at_the_next_start(
    board: InitBoard, figure: Callable[[str], None]
) -> None:
    session, program = InitSession(board), counting_streamer("x86_64", board.engine)
    old, new = (bundle_of(board.system.name, streams, "", program) for streams in (OLD, NEW))
    deploy(session, old)
    until(streaming(board, old), board)
    tried = 0
    for services, end in MOMENTS[: rounds(1, len(MOMENTS))]:
        switch(session, new, services=services)
        if services:
            until(streaming(board, new), board)
        ENDS[end](board)
        until(streaming(board, old), board)
        until(lambda: not board.sh(f"ls {ROOT}/.trial 2>/dev/null", good=False), board)
        facts = facts_of(session)
        assert (facts.current, facts.serving) == (old.id, old.id)
        told = board.sh(f"cat {ROOT}/.reverted").split()
        assert told[:2] == [new.id, old.id]
        tried += 1
    figure(f"{board.system.name}: {tried} of {tried} starts went back by themselves, 0 steps by hand")

    deploy(session, new)
    until(streaming(board, new), board)
    assert not board.sh(f"ls {ROOT}/.trial {ROOT}/.reverted 2>/dev/null", good=False)
    for end in ("power cut", "reboot")[: rounds(1, 2)]:
        ENDS[end](board)
        until(streaming(board, new), board)
        assert facts_of(session).current == new.id

"""P-03: a release that ends, hangs or sends nothing is taken back, and the old one streams again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any

import pytest

from deploy.atboot.put_in import put_in
from deploy.boards.inventory import SimState, host_target
from deploy.boards.session import connect
from deploy.bundle.load import Bundle
from deploy.control.services import services_if_any
from deploy.release import run
from deploy.release.deployment import Wishes, deploy_to, verify_host
from deploy.services.systems import Phase
from deploy.upkeep.uninstall import uninstall
from deploy.verify.verdict import Verdict
from recipes.engine.docker import Engine
from recipes.errors import RolledBackError
from tests.support.counting import counting_streamer
from tests.support.fakestream import stream
from tests.support.simboard import streaming_bundle
from tests.support.simrelease import FLASH, shell

pytestmark = [pytest.mark.engine, pytest.mark.sim]
ROOT = PurePosixPath(FLASH)
BAD = {
    "ends at once": b"#!/bin/sh\necho no camera is there >&2\nexit 3\n",
    "ends again and again": b"#!/bin/sh\nsleep 2\nexit 3\n",
    "lives and sends nothing": b"#!/bin/sh\nexec sleep 1000\n",
}


@pytest.fixture
def board(tiny: SimState) -> Iterator[str]:
    def clean() -> None:
        with connect(host_target(tiny.name)) as session:
            if session.run(f"test -d {FLASH}/applied").code == 0:
                put_in(session, FLASH, "", "a test")
            session.run(f"rm -rf {FLASH} /flash/log")

    clean()
    yield tiny.name
    clean()


@pytest.fixture
def good(board: str, tiny_bundle: Bundle, engine: Engine) -> Bundle:
    """Deploy a release that streams."""
    program = {"bin/boardstream": (counting_streamer("x86_64", engine), 0o755)}
    made = streaming_bundle(tiny_bundle, ROOT, {"front": stream(3)}, program)
    assert deploy_to(board, made).verdict is not None
    return made


def frames(board: str) -> int:
    """Return the pictures that the program that runs has counted: the file is of the one before it until then."""
    script = "pid=$(sed -n 's/^pid=//p' /var/run/boardcast-front/state); cat /var/run/boardcast-front/stream.json"
    with connect(host_target(board)) as session:
        said = session.run(f"{script}; echo; echo $pid").out.split()
    told = json.loads(said[0]) if len(said) == 2 else {}
    return int(told.get("frames", 0)) if str(told.get("pid")) == said[-1] else 0


@pytest.mark.parametrize(
    "how", [pytest.param(how, marks=[] if how == "ends at once" else [pytest.mark.slow]) for how in BAD]
)
def test_a_release_that_does_not_stream_is_taken_back(
    board: str,
    good: Bundle,
    tiny_bundle: Bundle,
    how: str,
    figure: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bad = streaming_bundle(tiny_bundle, ROOT, {"front": stream(4)}, {"bin/boardstream": (BAD[how], 0o755)})
    judged: list[float] = []
    told: list[Verdict] = []
    go_back = run._go_back

    def timed(*words: Any) -> str:
        judged.append(time.monotonic())
        return go_back(*words)

    monkeypatch.setattr(run, "_go_back", timed)
    with pytest.raises(RolledBackError) as caught:
        deploy_to(board, bad, told=told.append)
    until = time.monotonic() + 60
    while not frames(board) and time.monotonic() < until:
        time.sleep(0.2)
    took = time.monotonic() - judged[0]
    assert took < 60
    assert caught.value.code == 6
    assert "front: " in caught.value.why
    assert [verdict.green for verdict in told] == [False]
    (front,) = services_if_any(board)
    assert front.state.phase is Phase.RUNNING
    assert good.id in shell(board, f"readlink {FLASH}/current; cat {FLASH}/.serving")
    assert verify_host(board).green, "checked again: it streams"
    figure(f"{how}: exit 6, and the old release streams {took:.1f} s after the verdict: {caught.value.why[:90]}")


@pytest.mark.slow
def test_one_service_that_the_release_does_not_change_streams_on(
    board: str, good: Bundle, tiny_bundle: Bundle, engine: Engine, figure: Callable[[str], None]
) -> None:
    program = {"bin/boardstream": (counting_streamer("x86_64", engine), 0o755)}
    (before,) = services_if_any(board)
    more = streaming_bundle(tiny_bundle, ROOT, {"front": stream(3), "side": stream(5)}, program)
    done = deploy_to(board, more)
    assert done.release.services.kept == ("front",)
    front, _ = services_if_any(board)
    assert (front.state.pid, front.state.restarts) == (before.state.pid, before.state.restarts)
    # What a service still runs from is not taken away by later releases.
    for number in range(6, 10):
        deploy_to(
            board,
            streaming_bundle(tiny_bundle, ROOT, {"front": stream(3), "side": stream(number)}, program),
            Wishes(fast=True),
        )
    assert good.id in shell(board, f"ls {FLASH}/releases")
    assert services_if_any(board)[0].state.pid == before.state.pid
    changed = streaming_bundle(tiny_bundle, ROOT, {"front": stream(8), "side": stream(9)}, program)
    moved = deploy_to(board, changed).release.services
    assert moved.kept == ("side",)
    figure(f"unchanged streams: 0 restarts over 5 releases; a changed one was down for {moved.down['front']:.2f} s")
    assert good.id not in shell(board, f"ls {FLASH}/releases")


_THEIRS = r"""
mkdir -p /etc/init.d /etc/systemd/system
for file in init.d/boardcast-theirs init.d/S95camera systemd/system/boardcast-theirs.service; do
    echo theirs > "/etc/$file"
done
ours=$(grep boardcast /etc/rc.local)
printf '#!/bin/sh\n/bin/theirs  # boardcast-theirs\n%s\nexit 0\n' "$ours" > /etc/rc.local
"""


@pytest.mark.slow
def test_a_service_that_is_not_ours_is_never_touched(
    board: str, good: Bundle, tiny_bundle: Bundle, engine: Engine
) -> None:
    """Of nearly our names, in the places where ours are: through a deploy, a red one and an uninstall."""
    shell(board, _THEIRS)
    look = "cat /etc/init.d/boardcast-theirs /etc/init.d/S95camera /etc/systemd/system/*; grep theirs /etc/rc.local"
    before = shell(board, look)
    program = {"bin/boardstream": (counting_streamer("x86_64", engine), 0o755)}
    deploy_to(board, streaming_bundle(tiny_bundle, ROOT, {"side": stream(3)}, program))
    bad = streaming_bundle(tiny_bundle, ROOT, {"side": stream(4)}, {"bin/boardstream": (BAD["ends at once"], 0o755)})
    with pytest.raises(RolledBackError):
        deploy_to(board, bad)
    with connect(host_target(board)) as session:
        uninstall(session, FLASH, "a test")
        assert session.run(look).out == before
        left = session.run(
            "cat /etc/rc.local; rm -f /etc/init.d/*theirs /etc/init.d/S95camera; rm -rf /etc/systemd"
        ).out
    assert left == "#!/bin/sh\n/bin/theirs  # boardcast-theirs\nexit 0\n"

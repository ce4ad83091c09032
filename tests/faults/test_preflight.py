"""What is refused before anything changes, on a board: exit 5, and the old release as it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from deploy.boards.inventory import SimState, host_target
from deploy.boards.session import connect
from deploy.bundle.assemble import pack_bundle
from deploy.bundle.load import Bundle
from deploy.release.deployment import Wishes, deploy_to, plan_deploy
from deploy.sim.boards import bring_up, take_down
from deploy.transfer.receive import RECEIVE
from recipes import paths
from recipes.engine.docker import Engine
from recipes.engine.services import Services
from recipes.errors import PreflightError
from tests.support.fakestream import stream
from tests.support.simboard import rounds, streaming_bundle
from tests.support.simrelease import FLASH, shell, variant

pytestmark = [pytest.mark.engine, pytest.mark.sim]
HOST = "sim-tiny"
MOUNTS = {
    "/read-only": "ro,size=8m,mode=0755",
    "/no-exec": "noexec,size=8m,mode=0755",
    "/few": "nr_inodes=40,size=16m,mode=0755,exec",
}


@pytest.fixture(scope="module")
def odd_work(engine: Engine, tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Bring up a board that has file systems of all kinds; give the work folder that it is of."""
    start, folder = Services.start, tmp_path_factory.mktemp("odd")
    assert tiny_bundle.id

    def more(self: Services, *words: Any, tmpfs: Mapping[str, str] | None = None, **options: Any) -> str:
        return start(self, *words, tmpfs={**(tmpfs or {}), **MOUNTS}, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Services, "start", more)
        patch.setenv("BOARDCAST_WORK", str(folder))
        bring_up(HOST, engine)
    yield folder
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BOARDCAST_WORK", str(folder))
        take_down(HOST, engine)


@pytest.fixture
def odd(odd_work: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give that board's host."""
    monkeypatch.setenv("BOARDCAST_WORK", str(odd_work))
    return HOST


def at(bundle: Bundle, root: str) -> Bundle:
    """Return the bundle for another root."""
    kept = bundle.blobs()
    contents = {file.path: (kept[file.blob], file.mode) for file in bundle.manifest.files}
    return pack_bundle(bundle.manifest.model_copy(update={"root": root}), contents)


def traces(host: str) -> str:
    """Return all that a board has of ours, with when it was changed last."""
    places = " ".join([FLASH, *(f"{place}/boardcast" for place in MOUNTS)])
    return shell(host, f"ls -laR {places} 2>/dev/null | grep -v '^total'; true")


REFUSED = {"/read-only": "cannot be written to", "/no-exec": "no program can be started", "/few": "room for more files"}


@pytest.mark.parametrize("place", REFUSED)
def test_a_file_system_that_cannot_take_a_release_is_refused(odd: str, tiny_bundle: Bundle, place: str) -> None:
    before = traces(odd)
    with pytest.raises(PreflightError, match=REFUSED[place]) as caught:
        deploy_to(odd, at(tiny_bundle, f"{place}/boardcast"))
    assert caught.value.code == 5
    assert "nothing was changed" in caught.value.what
    assert traces(odd) == before


_OTHER_DATE = r"""
where=$(command -v date)
mv "$where" "$where.kept"
{
    echo '#!/bin/sh'
    echo '[ "$1" = +%s ] || exec '"$where"'.kept "$@"'
    echo "echo \$((\$($where.kept +%s) + $1))"
} > "$where"
chmod 755 "$where"
"""


@contextmanager
def clock_off(host: str, seconds: int) -> Iterator[None]:
    """Let the board's `date` say another time: containers have their host's clock, and BusyBox' shell its own date."""
    shell(host, _OTHER_DATE, str(seconds))
    try:
        yield
    finally:
        shell(host, 'where=$(command -v date); mv "$where.kept" "$where"')


@pytest.mark.slow
def test_a_clock_that_is_off_is_told_or_refused(
    arm: SimState, arm_bundle: Bundle, figure: Callable[[str], None]
) -> None:
    """P-26: told from 60 s on, refused from 240 s on; AWS refuses from 300 s on. The last one begins in 1970."""
    skews = (-86_400, -360, -242, -200, -62, 0, 50, 65, 230, 245, 360, 100 - int(time.time()))
    before = shell(arm.name, "find /opt")
    ends = []
    for off in skews:
        with clock_off(arm.name, off):
            if abs(off) >= 240:
                with pytest.raises(PreflightError, match=r"the board's clock is [+-]\d+ s off") as caught:
                    deploy_to(arm.name, arm_bundle)
                assert caught.value.code == 5
                ends.append("refused")
            else:
                told = plan_deploy(arm.name, arm_bundle).warnings
                assert bool(told) == (abs(off) >= 60), told
                ends.append("told" if told else "fine")
    assert shell(arm.name, "find /opt") == before
    figure("clock off by: " + ", ".join(f"{off:+,d} s {end}" for off, end in zip(skews, ends, strict=True)))


@pytest.mark.parametrize("mib", [64, 10_000_000])
def test_streams_that_would_keep_more_than_the_board_has(tiny: SimState, tiny_bundle: Bundle, mib: int) -> None:
    launch = f"#!/bin/sh\nexec bin/boardstream -- kvssink storage-size={mib}\n".encode()
    made = streaming_bundle(tiny_bundle, PurePosixPath(FLASH), {"front": stream(1)}, {"run/front": (launch, 0o755)})
    if mib == 64:
        assert plan_deploy(tiny.name, made).steps
        return
    before = traces(tiny.name)
    with pytest.raises(PreflightError, match="keep more in memory than the board has") as caught:
        deploy_to(tiny.name, made)
    assert "10,000,000 MiB" in caught.value.why
    assert traces(tiny.name) == before


def deploy_into(done: dict[str, Any], host: str, bundle: Bundle) -> None:
    """Deploy, and put down what became of it."""
    try:
        done[bundle.id] = deploy_to(host, bundle, Wishes(fast=True)).release
    except PreflightError as error:
        done[bundle.id] = error


def test_of_two_deploys_at_once_one_wins(tiny: SimState, tiny_bundle: Bundle, figure: Callable[[str], None]) -> None:
    shell(tiny.name, f"rm -rf {FLASH}")
    times, refusals = rounds(1, 10), 0
    for number in range(times):
        pair = [variant(tiny_bundle, f"{number} {side}") for side in ("left", "right")]
        done: dict[str, Any] = {}

        threads = [threading.Thread(target=deploy_into, args=(done, tiny.name, bundle)) for bundle in pair]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        errors = [end for end in done.values() if isinstance(end, PreflightError)]
        assert len(done) == 2
        assert len(errors) <= 1, errors
        assert all("another deploy is at work there" in error.what for error in errors), errors
        refusals += len(errors)
        current = shell(tiny.name, f"readlink {FLASH}/current").strip().rpartition("/")[2]
        assert not isinstance(done[current], PreflightError)
    figure(f"{times} times two deploys at once: {refusals} refused with who is at work there, one won each time")


HOLD = """
import os, signal, sys
from deploy.boards.inventory import host_target
from deploy.boards.session import connect
from deploy.transfer.receive import RECEIVE
with connect(host_target(sys.argv[1])) as session:
    assert session.run(RECEIVE, [sys.argv[2], "nothing", "none", "alice@laptop since ten"]).code == 0
    session.run("sleep 6")
    print("held", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
"""


@pytest.mark.slow
def test_the_lock_of_a_workstation_that_is_gone_is_taken_over(
    tiny: SimState, tiny_bundle: Bundle, figure: Callable[[str], None]
) -> None:
    """Its connection still stands, for nothing told the board: a laptop without power, a cable that was pulled."""
    shell(tiny.name, f"rm -rf {FLASH}")
    argv = [sys.executable, "-c", HOLD, tiny.name, FLASH]
    environment = {**os.environ, "PYTHONPATH": str(paths.CHECKOUT)}
    with subprocess.Popen(argv, cwd=paths.CHECKOUT, env=environment, stdout=subprocess.PIPE, text=True) as gone:
        try:
            assert gone.stdout is not None
            assert gone.stdout.readline() == "held\n"
            begun = time.monotonic()
            assert deploy_to(tiny.name, tiny_bundle, Wishes(fast=True)).release.changed
            took = time.monotonic() - begun
        finally:
            gone.send_signal(signal.SIGKILL)
    figure(f"the lock of a workstation that is gone: taken over, and all deployed, after {took:.0f} s")


@pytest.mark.slow
def test_a_workstation_that_lives_keeps_its_lock(tiny: SimState, tiny_bundle: Bundle) -> None:
    shell(tiny.name, f"rm -rf {FLASH}")
    with connect(host_target(tiny.name)) as session:
        assert session.run(RECEIVE, [FLASH, "nothing", "none", "alice@laptop since ten"]).code == 0
        session.run("sleep 6")
        with pytest.raises(PreflightError, match="another deploy is at work there") as caught:
            deploy_to(tiny.name, tiny_bundle)
        assert "alice@laptop" in caught.value.why
        assert session.run("echo on").out == "on\n"

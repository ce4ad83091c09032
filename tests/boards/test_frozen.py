"""A board that freezes within a deploy: `docker pause`, with a share of the limits; in the slow form, all of them."""

from __future__ import annotations

import secrets
import threading
import time
from pathlib import Path
from typing import Any

import paramiko
import pytest
from paramiko.common import MSG_CHANNEL_EOF

from deploy.boards.inventory import SimState, host_target
from deploy.boards.probe import probe_host
from deploy.boards.session import SshSession, connect
from deploy.bundle.assemble import pack_bundle
from deploy.bundle.load import Bundle
from deploy.release import run as release
from deploy.release.carried import paper_sizes
from deploy.release.plan import plan_release
from deploy.release.recheck import watched_paths
from deploy.release.run import install_release
from deploy.ssh import channel
from deploy.verify import run
from deploy.verify.verdict import require_green
from recipes import process
from recipes.engine.docker import Engine
from recipes.errors import PreflightError, RolledBackError
from tests.support.simboard import lose

pytestmark = [pytest.mark.engine, pytest.mark.sim, pytest.mark.process]
ROOT = "/flash/boardcast"
DEADLINE = 12
SHARES = pytest.mark.parametrize("share", [5, pytest.param(1, marks=pytest.mark.slow)])
"""What the limits of silence are divided by: the waits are long, and what happens in them is the same."""


@pytest.fixture
def limit(share: int, monkeypatch: pytest.MonkeyPatch) -> float:
    """Return the seconds within which a silent board is given up, all told."""
    monkeypatch.setattr(channel, "SILENT_SECONDS", channel.SILENT_SECONDS / share)
    monkeypatch.setattr(channel, "BEAT_SECONDS", channel.BEAT_SECONDS / share)
    return 45 / share


def large(bundle: Bundle) -> Bundle:
    """Return a release whose transfer takes a moment."""
    contents = bundle.blobs()
    blobs = {file.path: (contents[file.blob], 0o755) for file in bundle.manifest.files}
    return pack_bundle(bundle.manifest, blobs | {"share/extra": (secrets.token_bytes(9 << 20), 0o644)})


def pause_once_it_moves(session: SshSession, container: str, before: int) -> threading.Thread:
    def work() -> None:
        while session.traffic.sent - before < 1 << 20:
            time.sleep(0.001)
        process.run(["docker", "pause", container])

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


@SHARES
def test_a_board_that_freezes_in_a_deploy_is_given_up_in_time(
    tiny: SimState, tiny_bundle: Bundle, limit: float
) -> None:
    bundle = large(tiny_bundle)
    with connect(host_target(tiny.name)) as session:
        session.run(f"rm -rf {ROOT}")
        facts = probe_host(session, ROOT, watched_paths(bundle.manifest))
        planned = plan_release(bundle.id, bundle.manifest, facts, papers=paper_sizes(bundle))
        pausing = pause_once_it_moves(session, tiny.container, session.traffic.sent)
        begun = time.monotonic()
        try:
            with pytest.raises(PreflightError, match="sim-tiny stopped answering") as caught:
                install_release(session, bundle, planned, facts.tools)
        finally:
            pausing.join(30)
            process.run(["docker", "unpause", tiny.container], check=False)
        assert time.monotonic() - begun <= limit
        assert "the same command again" in caught.value.next_step
    with connect(host_target(tiny.name)) as session:
        assert session.run(f"ls {ROOT}/current 2>/dev/null; true").out == ""
        facts = probe_host(session, ROOT, watched_paths(bundle.manifest))
        install_release(
            session, bundle, plan_release(bundle.id, bundle.manifest, facts, papers=paper_sizes(bundle)), facts.tools
        )
        assert bundle.id in session.run(f"readlink {ROOT}/current; rm -rf {ROOT}").out


@pytest.mark.parametrize("server", ["tiny", "arm"])
def test_a_command_that_ended_is_sent_nothing_more(
    server: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that gets something for a command that is over ends the connection; here it would come late for sure."""
    state: SimState = request.getfixturevalue(server)
    send = paramiko.Transport._send_user_message

    def late(self: Any, message: Any) -> None:
        if message.asbytes()[:1] == bytes([MSG_CHANNEL_EOF]) and threading.current_thread() is threading.main_thread():
            time.sleep(2)
        send(self, message)

    monkeypatch.setattr(paramiko.Transport, "_send_user_message", late)
    with connect(host_target(state.name)) as session:
        for _ in range(2):
            assert session.run("echo on").out == "on\n"
        assert session._reopened == 0


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["its command hangs", "its server stands still", "what it sends is dropped"])
def test_the_gate_of_a_real_board_ends_by_its_deadline(
    tiny: SimState, tiny_bundle: Bundle, engine: Engine, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P-20: 5 s beyond the deadline at most, wherever the board is lost; what hangs alone is taken back."""
    monkeypatch.setattr(run, "TIMEOUT_SECONDS", DEADLINE)
    monkeypatch.setattr(release, "BACK_SECONDS", 5)
    (tmp_path / "test_hangs.py").write_text("def test_it_hangs(host):\n    host.run('sleep 600')\n")
    seconds: list[float] = []

    def check() -> None:
        begun = time.monotonic()
        timer = threading.Timer(DEADLINE / 2, lose, (tiny, engine, fault, True))
        timer.start()
        try:
            require_green(run.run_checks(session, tiny.name, made.id, made.manifest, own=[tmp_path], fast=True))
        finally:
            seconds.append(time.monotonic() - begun)
            timer.join()

    made = large(tiny_bundle)
    with connect(host_target(tiny.name)) as session:
        session.run(f"rm -rf {ROOT}")
        facts = probe_host(session, ROOT, watched_paths(made.manifest))
        planned = plan_release(made.id, made.manifest, facts, papers=paper_sizes(made))
        ends = RolledBackError if fault == "its command hangs" else PreflightError
        try:
            with pytest.raises(ends, match=r"did not hold|neither confirmed nor taken back"):
                release.deploy_release(session, tiny.name, made, check, planned=planned, tools=facts.tools)
        finally:
            lose(tiny, engine, fault, lost=False)
    assert seconds[0] < DEADLINE + 5
    with connect(host_target(tiny.name)) as session:
        there = session.run(f"readlink {ROOT}/current; rm -rf {ROOT}; pkill sleep; true").out
    assert bool(there) == (fault != "its command hangs")


@SHARES
def test_dropbear_answers_while_its_command_is_busy(tiny: SimState, limit: float) -> None:
    assert limit < 46
    with connect(host_target(tiny.name)) as session:
        assert session.run(f"sleep {channel.SILENT_SECONDS + 10 * limit / 45:g}; echo on").out == "on\n"

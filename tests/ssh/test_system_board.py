"""The system's ssh against real boards: dropbear with BusyBox, and OpenSSH under emulation, take a release by it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from hashlib import sha256

import pytest

from deploy.boards.inventory import SimState, host_target
from deploy.boards.probe import probe_host
from deploy.boards.session import SystemSession, connect
from deploy.bundle.load import Bundle
from deploy.release.carried import paper_sizes
from deploy.release.plan import plan_release
from deploy.release.recheck import watched_paths
from deploy.release.run import install_release

ROOT = "/flash/boardcast"
pytestmark = [
    pytest.mark.engine,
    pytest.mark.sim,
    pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh here"),
]


def test_a_release_goes_to_a_board_by_the_systems_ssh(tiny: SimState, tiny_bundle: Bundle) -> None:
    with connect(replace(host_target(tiny.name), openssh=True)) as session:
        assert isinstance(session, SystemSession)
        session.run(f"rm -rf {ROOT}")
        facts = probe_host(session, ROOT, watched_paths(tiny_bundle.manifest))
        planned = plan_release(tiny_bundle.id, tiny_bundle.manifest, facts, papers=paper_sizes(tiny_bundle))
        install_release(session, tiny_bundle, planned, facts.tools)
        assert tiny_bundle.id in session.run(f"readlink {ROOT}/current; rm -rf {ROOT}").out
        assert session.traffic.sent > 1000


def test_an_emulated_board_gets_what_is_sent(arm: SimState) -> None:
    data = bytes(range(32, 127)) * 9000
    with connect(replace(host_target(arm.name), openssh=True)) as session:
        reply = session.run("head -c 5; exit 3", stdin=(data for _ in range(16)))
        assert (len(reply.out), reply.code) == (5, 3), "it ended before its input"
        assert session.fetch("sha256sum", stdin=[data], most=200).split()[0] == sha256(data).hexdigest().encode()

"""A board that freezes within a deploy: `docker pause`, with the limits as they are."""

from __future__ import annotations

import secrets
import threading
import time

import pytest

from deploy.boards.inventory import SimState, host_target
from deploy.boards.probe import probe_host
from deploy.boards.session import SshSession, connect
from deploy.bundle.assemble import pack_bundle
from deploy.bundle.load import Bundle
from deploy.release.carried import paper_sizes
from deploy.release.plan import plan_release
from deploy.release.recheck import watched_paths
from deploy.release.run import install_release
from recipes import process
from recipes.errors import PreflightError

pytestmark = [pytest.mark.engine, pytest.mark.sim, pytest.mark.process]
ROOT = "/flash/boardcast"


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


def test_a_board_that_freezes_in_a_deploy_is_given_up_within_45_seconds(tiny: SimState, tiny_bundle: Bundle) -> None:
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
        assert time.monotonic() - begun <= 45
        assert "the same command again" in caught.value.next_step
    with connect(host_target(tiny.name)) as session:
        assert session.run(f"ls {ROOT}/current 2>/dev/null; true").out == ""
        facts = probe_host(session, ROOT, watched_paths(bundle.manifest))
        install_release(
            session, bundle, plan_release(bundle.id, bundle.manifest, facts, papers=paper_sizes(bundle)), facts.tools
        )
        assert bundle.id in session.run(f"readlink {ROOT}/current; rm -rf {ROOT}").out


def test_dropbear_answers_while_its_command_is_busy(tiny: SimState) -> None:
    with connect(host_target(tiny.name)) as session:
        assert session.run("sleep 40; echo on").out == "on\n"

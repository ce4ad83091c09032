"""P-24: a disk that fills up at any write of a deploy leaves the old release running, and nothing of the new one."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from deploy.boards.inventory import SimState, host_target
from deploy.boards.probe import probe_host
from deploy.boards.session import SshSession, connect
from deploy.bundle.assemble import pack_bundle
from deploy.bundle.load import Bundle
from deploy.release import run
from deploy.release.carried import older_contents, paper_sizes
from deploy.release.plan import plan_release
from deploy.release.recheck import watched_paths
from deploy.release.run import deploy_release
from deploy.transfer.cargo import EDIT_LEAST
from recipes.errors import PreflightError
from tests.support.simboard import rounds
from tests.support.simrelease import FLASH

pytestmark = [pytest.mark.engine, pytest.mark.sim]
PAGE_KIB = 4


@pytest.fixture
def session(tiny: SimState) -> Iterator[SshSession]:
    clean = f"rm -rf {FLASH} /flash/fill"
    with connect(host_target(tiny.name)) as opened:
        opened.run(clean)
        yield opened
        opened.run(clean)


def small(bundle: Bundle, tag: str, extra: int = 0) -> Bundle:
    """Return a release of a few small files: each of its writes is a page or a few."""
    contents = {f"run/{name}": (f"#!/bin/sh\necho {tag} {name}\n".encode(), 0o755) for name in ("a", "b", "c")}
    contents |= {"share/extra": (secrets.token_bytes(extra), 0o644)} if extra else {}
    nothing: dict[str, Any] = dict.fromkeys(("entries", "decisions", "proofs", "refused"), ())
    return pack_bundle(bundle.manifest.model_copy(update={**nothing, "build_ids": {}, "providers": {}}), contents)


def deploy(session: SshSession, bundle: Bundle) -> None:
    facts = replace(probe_host(session, FLASH, watched_paths(bundle.manifest)), free_kib=10**6)
    planned = plan_release(bundle.id, bundle.manifest, facts, papers=paper_sizes(bundle))
    bases = older_contents(bundle, facts.current, [blob for step in planned.steps for blob in step.blobs], facts.blobs)
    deploy_release(session, "tiny", bundle, lambda: None, planned=planned, tools=facts.tools, bases=bases)


def free_kib(session: SshSession) -> int:
    return int(session.run("stat -f -c '%a %S' /flash | { read -r a s; echo $((a * (s / 1024))); }").out)


@pytest.mark.parametrize("rows", [EDIT_LEAST, 0], ids=["made anew", "made of the one before"])
def test_a_disk_that_fills_up_at_any_write(
    session: SshSession, tiny_bundle: Bundle, figure: Callable[[str], None], rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "EDIT_LEAST", rows)
    old = small(tiny_bundle, "old")
    deploy(session, old)
    before = free_kib(session)
    new = small(tiny_bundle, "new", 100_000)
    deploy(session, new)
    needed = before - free_kib(session) + 64
    session.run(f"rm -rf {FLASH}")
    deploy(session, old)
    listed = session.run(f"cd {FLASH} && find . | sort").out
    pages = range(0, needed // PAGE_KIB, rounds(4, 1))
    full = kept = 0
    for page in pages:
        room = page * PAGE_KIB
        fill = free_kib(session) - room
        session.run(f"dd if=/dev/zero of=/flash/fill bs=1024 count={fill} 2>/dev/null")
        try:
            deploy(session, new)
        except PreflightError as error:
            full += 1
            current = session.run(f"readlink {FLASH}/current").out.strip().rpartition("/")[2]
            if current != old.id:
                assert current == new.id, f"{room} KiB free: {error}"
                kept += 1
            else:
                left = session.run(f"cd {FLASH} && find . | sort").out
                assert left == listed, f"{room} KiB free: {error}: {sorted(set(left.split()) ^ set(listed.split()))}"
            program = session.run(f"{FLASH}/current/run/a").out
            assert program == f"{'new' if current == new.id else 'old'} a\n"
        session.run("rm -f /flash/fill")
        deploy(session, new)
        assert session.run(f"{FLASH}/current/run/a").out == "new a\n"
        session.run(f"rm -rf {FLASH}")
        deploy(session, old)
    figure(
        f"{len(pages)} sizes of what is free, {PAGE_KIB * rounds(4, 1)} KiB apart: full in {full} deploys, "
        f"a whole release each time, nothing left of the new one, {len(pages)} of {len(pages)} went through with room"
    )
    assert full >= len(pages) // 3
    assert kept <= 2

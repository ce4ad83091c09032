"""Releases of two small files, deployed by the real scripts to a folder of this machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from deploy.boards.probe import HostFacts, probe_host
from deploy.boards.session import BoardSession
from deploy.bundle.assemble import pack_bundle
from deploy.bundle.load import Bundle
from deploy.release.carried import paper_sizes
from deploy.release.plan import plan_release
from deploy.release.run import ReleaseResult, deploy_release
from tests.support import bundles
from tests.support.localboard import ARCH, LocalSession


def bundle_of(root: Path, tag: str) -> Bundle:
    root.parent.mkdir(exist_ok=True)
    contents = {"run/app": (f"#!/bin/sh\necho {tag}\n".encode(), 0o755), "share/app.conf": (b"level = info\n", 0o644)}
    nothing: dict[str, Any] = {"entries": (), "decisions": (), "proofs": (), "refused": (), "providers": {}}
    plain = bundles.manifest(arch=ARCH.name, machines=ARCH.machine, root=str(root), build_ids={}, **nothing)
    return pack_bundle(plain, contents)


def probe(session: BoardSession, bundle: Bundle) -> HostFacts:
    return probe_host(session, bundle.manifest.root, [])


def deploy(
    bundle: Bundle,
    check: Callable[[], object] = lambda: None,
    session: BoardSession | None = None,
    without: frozenset[str] = frozenset(),
    who: str = "",
    *,
    again: bool = False,
    downgrade: bool = False,
) -> ReleaseResult:
    session = session or LocalSession()
    facts = probe(session, bundle)
    facts = replace(facts, tools=facts.tools - without)
    facts = replace(facts, files={"/etc/ld.so.cache": "absent"})
    papers = paper_sizes(bundle)
    planned = plan_release(bundle.id, bundle.manifest, facts, papers=papers, again=again, downgrade=downgrade)
    return deploy_release(session, "cam", bundle, check, planned=planned, tools=facts.tools, who=who)


def running(root: Path) -> str:
    """Return the id that `current` names, after a look at each of its files."""
    if not (root / "current").exists():
        return ""
    for line in (root / "current" / ".list").read_text().splitlines():
        blob, _, path = line.partition(" ")
        assert (root / "current" / path).read_bytes() == (root / "store" / blob).read_bytes()
        assert os.access(root / "current" / path, os.X_OK) == blob.endswith(".x")
    return (root / "current").readlink().name

"""Deploys to a board with a real init system: the scripts run there through the container engine."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from deploy.boards.probe import HostFacts, probe_host
from deploy.boards.session import TEXT_BYTES, BoardSession, Reply, Traffic
from deploy.bundle.assemble import pack_bundle
from deploy.bundle.load import Bundle
from deploy.bundle.streams import service_rows
from deploy.release.carried import paper_sizes
from deploy.release.plan import plan_release
from deploy.release.run import ReleaseResult, deploy_release
from recipes.arch import Arch
from tests.support import bundles
from tests.support.fakestream import STREAMER, board_of, contents_of
from tests.support.initboard import InitBoard
from tests.support.localboard import ARCH

ROOT = PurePosixPath("/opt/boardcast")


class InitSession(BoardSession):
    """A session whose commands are carried out in the container of a board."""

    def __init__(self, board: InitBoard) -> None:
        self.board = board
        self.traffic = Traffic()
        self.deadline = math.inf

    def run(
        self, script: str, arguments: Sequence[str] = (), stdin: Iterable[bytes] = (), *, most: int = TEXT_BYTES
    ) -> Reply:
        code, out, err = self._run(script, arguments, stdin)
        return Reply(code=code, out=out.decode("utf-8", "replace"), err=err.decode("utf-8", "replace"))

    def fetch(self, script: str, arguments: Sequence[str] = (), stdin: Iterable[bytes] = (), *, most: int) -> bytes:
        code, out, err = self._run(script, arguments, stdin)
        assert code == 0, err
        assert len(out) <= most
        return out

    def _run(self, script: str, arguments: Sequence[str], stdin: Iterable[bytes]) -> tuple[int, bytes, bytes]:
        data = b"".join(stdin)
        self.traffic.round_trips += 1
        self.traffic.sent += len(data)
        self.board.put({"/tmp/asked": (data, 0o600), "/tmp/script": (script.encode(), 0o600)})
        words = " ".join(shlex.quote(word) for word in arguments)
        argv = ["/bin/sh", "-c", f'sh -c "$(cat /tmp/script)" boardcast {words} < /tmp/asked']
        code, (out, err) = self.board._container().exec_run(argv, demux=True)
        return int(code), out or b"", err or b""


def bundle_of(
    init_name: str, streams: Mapping[str, Any], tag: str = "", streamer: bytes = STREAMER, arch: Arch = ARCH
) -> Bundle:
    """Return a signed bundle of these streams for a board of this init system."""
    init = {"init": init_name, "service": {"log_folder": "/var/log/boardcast", "groups": []}}
    made = board_of(ROOT, dict(streams), **init)
    nothing: dict[str, Any] = {"entries": (), "decisions": (), "proofs": (), "refused": (), "providers": {}}
    plain = bundles.manifest(arch=arch.name, machines=arch.machine, root=str(ROOT), build_ids={}, **nothing)
    contents = contents_of(made, streamer) | {"run/note": (tag.encode(), 0o644)}
    return pack_bundle(plain.model_copy(update={"services": service_rows(made)}), contents)


def facts_of(session: BoardSession) -> HostFacts:
    return replace(probe_host(session, str(ROOT), []), files={"/etc/ld.so.cache": "absent"})


def deploy(session: BoardSession, bundle: Bundle, check: Any = lambda: None) -> ReleaseResult:
    facts = facts_of(session)
    planned = plan_release(bundle.id, bundle.manifest, facts, papers=paper_sizes(bundle))
    return deploy_release(session, "cam", bundle, check, planned=planned, tools=facts.tools, who="a test")

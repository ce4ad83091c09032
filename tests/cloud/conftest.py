"""A local service with a stream, and what a board's file promises of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.causes.boardside import BoardView
from deploy.cloud.collect import Look, observe
from deploy.cloud.evidence import Evidence
from deploy.cloud.judge import judge
from deploy.cloud.promise import StreamPromise
from deploy.cloud.reasons import Finding
from deploy.cloud.session import Calls, Service
from tests.support.livecamera import service_of
from tests.support.localservice import LocalService, local_service

PROMISE = StreamPromise(
    stream="front", name="cam01", region="ap-northeast-1", width=160, height=120, rate=10.0, bitrate_kbps=500,
    codec="h264", audio=True, retention_hours=24,
)  # fmt: skip


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalService]:
    with local_service(tmp_path / "kvs") as made:
        made.client("kinesisvideo").create_stream(StreamName="cam01", DataRetentionInHours=24)
        yield made


class Verifier:
    """Looks at cam01 as verify does, with a short patience."""

    def __init__(self, local: LocalService) -> None:
        self.local = local
        self.evidence: Evidence

    def __call__(
        self,
        *,
        patience: float = 2.5,
        board: BoardView | None = None,
        service: Service | None = None,
        watch: float = 0.0,
        **changed: Any,
    ) -> dict[str, Finding]:
        """Return the findings by their checks."""
        calls = Calls(service or service_of(self.local), patient=True)
        look = Look(patience=patience, watch=watch, known=frozenset({"cam01"}))
        try:
            self.evidence = asyncio.run(observe(calls, replace(PROMISE, **changed), look))
        finally:
            calls.close()
        return {finding.check: finding for finding in judge(self.evidence, board)}


@pytest.fixture
def verify(local: LocalService) -> Verifier:
    return Verifier(local)


def reasons(found: dict[str, Finding]) -> list[str]:
    """Return why checks are red, the first cause first."""
    return [finding.reason for finding in found.values() if finding.state == "failed"]


Verify = Callable[..., dict[str, Finding]]

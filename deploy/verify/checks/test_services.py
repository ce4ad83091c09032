"""What streams, without waiting for pictures: each service runs, or is about to."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from deploy.causes.boardside import StreamSeen
from deploy.services.systems import Phase, parse_status
from deploy.verify.facts import Facts, StreamFact, since
from deploy.verify.script import LOOK

_AGAIN_SECONDS = 2
"""A service that was started this moment may not say so yet."""


def test_service_is_up(
    host: Any, release: dict[str, Any], facts: Facts, stream: StreamFact, record_property: Callable[[str, object], None]
) -> None:
    state = stream.state
    if state.phase in (Phase.STOPPED, Phase.FAILED):
        time.sleep(_AGAIN_SECONDS)
        state = parse_status(host.run(LOOK, release["root"], stdin=f"{stream.name} -\n").stdout)
    starts = f", restarted {state.restarts} times" if state.restarts else ""
    record_property("evidence", f"{state.phase}{since(state, facts.skew)}, process {state.pid}{starts}")
    down = {Phase.STOPPED: StreamSeen.STOPPED, Phase.FAILED: StreamSeen.DOWN}
    seen = down.get(state.phase, StreamSeen.RUNNING)
    record_property("streams", json.dumps({stream.stream: seen}))
    assert state.phase not in (Phase.STOPPED, Phase.FAILED), f"{state.phase}: {state.reason or 'no reason is known'}"

"""What streams: each service runs, and the pictures go on. A process that lives is no proof of either."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from deploy.services.systems import Phase, ServiceState, parse_status
from deploy.verify.facts import Facts, read_report, since
from deploy.verify.script import LOOK

_PAUSE_SECONDS = 3
_STEADY_SECONDS = 5
"""A program of the SDK says nothing of pictures: it has to live for so long at least."""


def _looks(host: Any, release: dict[str, Any]) -> dict[str, tuple[ServiceState, dict[str, Any]]]:
    """Return each service's state, and what its program wrote of itself."""
    names = "".join(f"{row['name']} {row['status'] or '-'}\n" for row in release["services"])
    answer = host.run(LOOK, release["root"], stdin=names).stdout
    parts = re.split(r"^service=(.*)$", answer, flags=re.MULTILINE)
    return {name: (parse_status(text), read_report(text)) for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def _number(report: dict[str, Any], key: str) -> int:
    value = report.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _against(
    row: dict[str, Any], first: tuple[ServiceState, dict[str, Any]], now: tuple[ServiceState, dict[str, Any]]
) -> str:
    """Return what speaks against a service by two looks at it; empty where it streams."""
    (before, old), (state, new) = first, now
    if state.phase is not Phase.RUNNING:
        return f"{state.phase}: {state.reason or 'no reason is known'}"
    if before.phase is not Phase.RUNNING or before.pid != state.pid:
        return f"it was started again: {state.reason}" if state.reason else "it is starting"
    if not row["status"]:
        return ""
    frames, fragments = _number(new, "frames"), _number(new, "fragments")
    if new.get("pid") != old.get("pid") or frames <= _number(old, "frames"):
        return f"no picture since the last look, {frames} in all"
    if row["confirmed"] and fragments == 0:
        return f"{frames} pictures, and no fragment is confirmed yet"
    return ""


_OFTEN = 3
"""Ends of a program, one after the other, after which nobody waits for the next."""


def _hopeless(before: ServiceState, state: ServiceState) -> bool:
    return state.phase in (Phase.FAILED, Phase.STOPPED) or state.restarts - before.restarts >= _OFTEN


def _process(look: tuple[ServiceState, dict[str, Any]]) -> tuple[int, object]:
    """Return whose numbers a look has: those of two processes are not compared."""
    return look[0].pid, look[1].get("pid")


def _evidence(row: dict[str, Any], report: dict[str, Any], state: ServiceState, clock: int | None) -> str:
    restarts = f", {state.restarts} restart{'s' * (state.restarts > 1)}" if state.restarts else ""
    runs = f"process {state.pid} runs{since(state, clock)}{restarts}"
    if not row["status"]:
        return f"{row['name']}: its {runs}; it does not say what it sends"
    confirmed = f", {_number(report, 'fragments')} fragments confirmed" if row["confirmed"] else ""
    rate = report.get("fps")
    speed = f", {rate} a second" if isinstance(rate, int | float) else ""
    return f"{row['name']}: {_number(report, 'frames')} pictures{speed}{confirmed}; {runs}"


def test_every_stream_goes_on(
    host: Any, release: dict[str, Any], facts: Facts, record_property: Callable[[str, object], None]
) -> None:
    """Two looks at the same process have to show more pictures in the later one."""
    rows = release["services"]
    begun, first = time.monotonic(), _looks(host, release)
    last, since = first, time.monotonic()
    while True:
        time.sleep(_PAUSE_SECONDS)
        now = _looks(host, release)
        absent = [row["name"] for row in rows if row["name"] not in now or row["name"] not in first]
        assert not absent, f"not put in: {', '.join(absent)}"
        wrong = {row["name"]: _against(row, last[row["name"]], now[row["name"]]) for row in rows}
        wrong = {name: why for name, why in wrong.items() if why}
        if not wrong and time.monotonic() - since >= _STEADY_SECONDS:
            break
        failed = {name: why for name, why in wrong.items() if _hopeless(first[name][0], now[name][0])}
        told = "; ".join(f"{name}: {why}" for name, why in (failed or wrong).items())
        assert not failed, told
        assert time.monotonic() - begun < release["patience"], told or "it was started again and again"
        if any(_process(now[name]) != _process(last[name]) for name in now):
            last, since = now, time.monotonic()
    said = [_evidence(row, now[row["name"]][1], now[row["name"]][0], facts.clock) for row in rows]
    record_property("evidence", "; ".join(said))

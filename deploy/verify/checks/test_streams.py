"""What streams: each service runs, and the pictures go on and are confirmed. A process that lives is no proof of it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from deploy.causes.boardside import CAUSES, StreamSeen, refusal_in
from deploy.services.systems import Phase, ServiceState, parse_status
from deploy.verify.facts import Facts, read_report, since
from deploy.verify.script import LAST_REFUSAL, LOOK
from recipes.text import one_line

_PAUSE_SECONDS = 3
_STEADY_SECONDS = 5
"""A program of the SDK says nothing of pictures: it has to live for so long at least."""
_CONFIRM_SECONDS = (20.0, 60.0)
"""Least and most that a fragment may take to be confirmed; by the stream's own so far, where there are any."""


class _Look(NamedTuple):
    """One look at a service: its state, and what its program wrote of itself."""

    state: ServiceState
    report: dict[str, Any]


class _Fault(NamedTuple):
    """What speaks against a service by two looks at it."""

    kind: StreamSeen
    why: str


_Looks = dict[str, _Look]


def _looks(host: Any, release: dict[str, Any]) -> _Looks:
    """Look at every service once."""
    names = "".join(f"{row['name']} {row['status'] or '-'}\n" for row in release["services"])
    answer = host.run(LOOK, release["root"], stdin=names).stdout
    parts = re.split(r"^service=(.*)$", answer, flags=re.MULTILINE)
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    return {name: _Look(parse_status(text), read_report(text)) for name, text in pairs}


def _number(report: dict[str, Any], key: str) -> int:
    value = report.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _against(row: dict[str, Any], first: _Look, now: _Look) -> _Fault | None:
    """Return what speaks against a service by two looks at it; None where it streams."""
    (before, old), (state, new) = first, now
    if state.phase is not Phase.RUNNING:
        own = new.get("reason") if new.get("state") == "ended" else ""
        why = one_line(own) if isinstance(own, str) and own else state.reason
        kind = StreamSeen.STOPPED if state.phase is Phase.STOPPED else StreamSeen.DOWN
        return _Fault(kind, f"{state.phase}: {why or 'no reason is known'}")
    if before.phase is not Phase.RUNNING or before.pid != state.pid:
        return _Fault(
            StreamSeen.STARTING, f"it was started again: {state.reason}" if state.reason else "it is starting"
        )
    if not row["status"]:
        return None
    frames, fragments = _number(new, "frames"), _number(new, "fragments")
    if new.get("pid") != old.get("pid") or frames <= _number(old, "frames"):
        kind = StreamSeen.SILENT if frames else StreamSeen.STARTING
        return _Fault(kind, f"no picture since the last look, {frames} in all")
    if row["confirmed"] and fragments <= _number(old, "fragments"):
        age = new.get("ack_age")
        since = f"since {age} s" if isinstance(age, int) and fragments else "yet"
        return _Fault(StreamSeen.UNCONFIRMED, f"{frames} pictures, and no fragment is confirmed {since}")
    return None


_OFTEN = 3
"""Ends of a program, one after the other, after which nobody waits for the next."""


def _patience(fault: _Fault, report: dict[str, Any], release: dict[str, Any]) -> float:
    """Return how many seconds of one process a fault may last: what streamed once and does not is waited for less."""
    if fault.kind is StreamSeen.UNCONFIRMED and (fragments := _number(report, "fragments")):
        least, most = _CONFIRM_SECONDS
        usual = 3 * _number(report, "uptime") / fragments
        return max(min(max(least, usual), most), float(release["stall"]))
    return float(release["stall"] if fault.kind is StreamSeen.SILENT else release["patience"])


def _lasted(fault: _Fault, report: dict[str, Any], waited: float) -> float:
    """Return for how many seconds a fault is known to last: by its own word longer than somebody looked."""
    return max(waited, _number(report, "ack_age")) if fault.kind is StreamSeen.UNCONFIRMED else waited


def _hopeless(before: ServiceState, state: ServiceState) -> bool:
    return state.phase in (Phase.FAILED, Phase.STOPPED) or state.restarts - before.restarts >= _OFTEN


def _process(look: _Look) -> tuple[int, object]:
    """Return whose numbers a look has: those of two processes are not compared."""
    return look.state.pid, look.report.get("pid")


def _evidence(row: dict[str, Any], look: _Look, skew: int | None) -> str:
    state, report = look
    restarts = f", {state.restarts} restart{'s' * (state.restarts > 1)}" if state.restarts else ""
    runs = f"process {state.pid} runs{since(state, skew)}{restarts}"
    if not row["status"]:
        return f"{row['name']}: its {runs}; it does not say what it sends"
    confirmed = f", {_number(report, 'fragments')} fragments confirmed" if row["confirmed"] else ""
    rate = report.get("fps")
    speed = f", {rate} a second" if isinstance(rate, int | float) else ""
    return f"{row['name']}: {_number(report, 'frames')} pictures{speed}{confirmed}; {runs}"


def _told(host: Any, rows: list[dict[str, Any]], faults: dict[str, _Fault]) -> dict[str, _Fault]:
    """Return the faults with what the service refused last, by the log of those that do not run."""
    told = {}
    for row in rows:
        if (fault := faults.get(row["name"])) is None:
            continue
        if fault.kind in (StreamSeen.DOWN, StreamSeen.UNCONFIRMED):
            lines = host.run(LAST_REFUSAL, row["log"]).stdout.splitlines()
            kind = refusal_in("\n".join([*lines, fault.why]))
            # The line that says most is not the last one: a program ends with less than the service said.
            said = one_line(next((line for line in lines if refusal_in(line) is kind), ""), most=240)
            fault = _Fault(kind or fault.kind, f"{fault.why}; its log: {said}" if said else fault.why)
        told[row["name"]] = fault
    return told


def _fail(
    host: Any, rows: list[dict[str, Any]], faults: dict[str, _Fault], record_property: Callable[[str, object], None]
) -> None:
    faults = _told(host, rows, faults)
    kinds = {row["stream"]: faults[row["name"]].kind for row in rows if row["name"] in faults}
    record_property("streams", json.dumps(kinds))
    record_property("cause", next((cause for kind in kinds.values() if (cause := CAUSES.get(kind))), ""))
    raise AssertionError("; ".join(f"{name}: {fault.why}" for name, fault in faults.items()))


def test_every_stream_goes_on(
    host: Any, release: dict[str, Any], facts: Facts, record_property: Callable[[str, object], None]
) -> None:
    """Two looks at the same process have to show more pictures in the later one, and more confirmed fragments."""
    rows = release["services"]
    begun, first = time.monotonic(), _looks(host, release)
    last, started = first, time.monotonic()
    while True:
        time.sleep(_PAUSE_SECONDS)
        now = _looks(host, release)
        absent = [row["name"] for row in rows if row["name"] not in now or row["name"] not in first]
        assert not absent, f"not put in: {', '.join(absent)}"
        found = {row["name"]: _against(row, last[row["name"]], now[row["name"]]) for row in rows}
        wrong = {name: fault for name, fault in found.items() if fault}
        waited = time.monotonic() - started
        if not wrong and waited >= _STEADY_SECONDS:
            break
        failed = {name: fault for name, fault in wrong.items() if _hopeless(first[name].state, now[name].state)}
        given = {name: _patience(fault, now[name].report, release) for name, fault in wrong.items()}
        failed |= {
            name: fault for name, fault in wrong.items() if _lasted(fault, now[name].report, waited) >= given[name]
        }
        if failed:
            _fail(host, rows, failed, record_property)
        if time.monotonic() - begun >= max([release["patience"], *given.values()]):
            again = {row["name"]: _Fault(StreamSeen.DOWN, "it was started again and again") for row in rows}
            _fail(host, rows, wrong or again, record_property)
        if any(_process(now[name]) != _process(last[name]) for name in now):
            last, started = now, time.monotonic()
    seen = {row["stream"]: StreamSeen.CONFIRMED if row["confirmed"] else StreamSeen.RUNNING for row in rows}
    record_property("streams", json.dumps(seen))
    record_property("evidence", "; ".join(_evidence(row, now[row["name"]], facts.skew) for row in rows))

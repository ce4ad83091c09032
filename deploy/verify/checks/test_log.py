"""What the log of each stream says, since its program was started last, by the table of what is known."""

from __future__ import annotations

from collections.abc import Callable

from deploy.launch.statuscodes import Symptom, symptom_of_line
from deploy.services.systems import Phase
from deploy.verify.facts import StreamFact

_MOST = 4


def _streams_now(stream: StreamFact) -> bool:
    """Tell whether it streams by what its program says; of a program of the SDK only that it runs is known."""
    if stream.state.phase is not Phase.RUNNING:
        return False
    return not stream.report or stream.report.get("state") == "streaming"


def test_log_says_nothing_bad(stream: StreamFact, record_property: Callable[[str, object], None]) -> None:
    """Lines are not shown, since secrets may be in them. What a stream that streams now said earlier is over."""
    found: dict[str, tuple[Symptom, int]] = {}
    for symptom in filter(None, map(symptom_of_line, stream.log_end)):
        found[symptom.name] = (symptom, found[symptom.name][1] + 1 if symptom.name in found else 1)
    bad = [symptom for symptom, _ in found.values() if symptom.level == "error"]
    # Where a restart does not help the program may run on and send nothing: without its own word nobody knows.
    over = _streams_now(stream) and (bool(stream.report) or all(symptom.restart for symptom in bad))
    told = [f"{symptom.title}{f' ({times} times)' if times > 1 else ''}" for symptom, times in found.values()]
    count = len(stream.log_end)
    lines = f"{count} line{'s' * (count != 1)} since its last start"
    earlier = "earlier, it streams now: " if bad and over else ""
    record_property("evidence", f"{lines}: {earlier}{'; '.join(told[:_MOST]) or 'none of them is known to be bad'}")
    if bad and not over:
        record_property("cause", bad[0].name)
        record_property("cure", f"{bad[0].cure}: {bad[0].next_step}" if bad[0].next_step != "none" else bad[0].cure)
    assert not bad or over, "; ".join(f"{symptom.title}: {symptom.meaning}" for symptom in bad[:_MOST])

"""Soak and drills in a verdict: their checks are in JUnit, JSON and page; a leak is drawn in red with its slope."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from deploy.boards.board import Board
from deploy.cloud.reasons import REASONS, ok, red
from deploy.release.deployment import HostVerdict
from deploy.verdicts.cloudside import Beyond, with_beyond
from deploy.verdicts.flow import finish
from deploy.verdicts.further import draw_series
from deploy.verdicts.publish import publish
from deploy.verdicts.record import (
    DrillRecord,
    SeriesRecord,
    SoakRecord,
    changes,
    read_record,
    verdict_schema,
)
from deploy.verify.verdict import Check, Verdict
from recipes.errors import PreflightError
from tests.verdicts.test_flow import board
from tests.verdicts.test_papers import EVIL, Reader

__all__ = ["board"]
COUNT = 40
GOOD = Check(name="files are intact", state="passed", evidence="41 files", seconds=0.1)


def series(name: str = "memory", *, leaks: bool = True, subject: str = "front") -> SeriesRecord:
    return SeriesRecord(
        subject=subject,
        name=name,
        unit="KiB",
        times=tuple(10.0 * at for at in range(COUNT)),
        values=tuple(20_000 + (100.0 * at if leaks else at % 2) for at in range(COUNT)),
        warm_up=100.0,
        slope=36_000.0 if leaks else 0.0,
        red=leaks,
    )


def beyond(subject: str = "front") -> Beyond:
    soak = SoakRecord(
        asked=400, seconds=400, interval=10, samples=COUNT, ended="hand",
        series=(series(subject=subject), series("threads", leaks=False, subject=subject)),
    )  # fmt: skip
    drill = DrillRecord(kind="network", done=f"cut {subject}", seconds=60, within=60, back={"cam01": 4.2})
    leak = red("leak-memory", subject, "memory does not grow", "+36,000 KiB/h, without coming down")
    back = ok("cam01", "comes back after network", "cut for 60 s; a new fragment 4.2 s after it, of 60 s", seconds=4.2)
    return Beyond(soaked=(leak,), drilled=(back,), soak=soak, drills=(drill,), notes=("ended by hand",))


def verdict(folder: Path) -> Verdict:
    return Verdict(host="h1", release="ab" * 32, checks=(GOOD,), junit=folder / "h1.xml")


def test_a_verdict_has_them_in_all_of_its_papers(tmp_path: Path) -> None:
    whole = with_beyond(verdict(tmp_path), beyond())
    assert not whole.green
    assert [check.name for check in whole.checks] == [
        "files are intact",
        "cam01: comes back after network",
        "front: memory does not grow",
    ]
    assert whole.notes == ("ended by hand",)
    suites = {suite.get("name"): suite for suite in ET.parse(whole.junit).getroot().iter("testsuite")}
    assert suites["soak"].find(".//failure") is not None
    assert suites["drill"].find(".//failure") is None
    papers = publish(whole, None, None, beyond())
    jsonschema.Draft202012Validator(verdict_schema()).validate(json.loads(papers.json.read_text()))
    assert read_record(papers.json) == papers.record
    parts = {check.name: (check.part, check.reason) for check in papers.record.checks}
    assert parts == {
        "files are intact": ("", ""),
        "comes back after network": ("drill", ""),
        "memory does not grow": ("soak", "leak-memory"),
    }
    page = papers.page.read_text()
    assert "Watched for 400 s" in page
    assert "ended by hand" in page
    assert "Drill: network" in page
    assert "cam01 after 4.2 s" in page
    assert "invoke restart --host h1 --stream front" in page
    read = Reader()
    read.feed(page)
    assert read.tags.count("svg") == 2
    assert read.asked == []
    assert "script" not in read.tags


def test_a_verdict_without_them_is_as_it_was(tmp_path: Path) -> None:
    plain = verdict(tmp_path)
    assert with_beyond(plain, Beyond()) == plain
    record = publish(plain, None).record
    assert (record.soak, record.drills) == (None, ())


def test_what_was_soaked_once_is_not_missed_the_next_time(tmp_path: Path) -> None:
    with_soak = publish(with_beyond(verdict(tmp_path), beyond()), None, None, beyond()).record
    plain = publish(verdict(tmp_path), None).record
    assert changes(with_soak, plain) == ()


def test_nothing_hostile_acts_on_the_page(tmp_path: Path) -> None:
    page = publish(with_beyond(verdict(tmp_path), beyond(EVIL)), None, None, beyond(EVIL)).page.read_text()
    read = Reader()
    read.feed(page)
    assert "script" not in read.tags
    assert "\x1b" not in page
    assert "\u202e" not in page


def test_a_leak_is_drawn_in_red_with_its_slope() -> None:
    drawn = draw_series(series(), 400)
    points = re.search(r'<polyline points="([^"]+)" fill="none" stroke="#c0392b"', drawn)
    assert points is not None
    places = [tuple(map(float, point.split(","))) for point in points[1].split()]
    assert len(places) == COUNT
    assert all(later[0] > earlier[0] and later[1] < earlier[1] for earlier, later in itertools.pairwise(places))
    assert drawn.count("stroke-dasharray") == 1
    assert "+36,000 KiB/h" in drawn
    calm = draw_series(series(leaks=False), 400)
    assert "#c0392b" not in calm
    heights = {point.split(",")[1] for point in re.findall(r'points="([^"]+)"', calm)[0].split()}
    tall = max(map(float, heights)) - min(map(float, heights))
    assert tall < 3, "noise is drawn like mountains"


def test_a_long_soak_is_drawn_with_few_points() -> None:
    many = SeriesRecord(name="memory", times=tuple(map(float, range(5000))), values=(1.0,) * 5000)
    assert len(draw_series(many, 5000)) < 30_000


def test_every_reason_says_what_comes_next() -> None:
    wanted = {"leak-memory", "leak-descriptors", "leak-threads", "restarts", "slows-down", "hot", "rebooted"}
    wanted |= {"board-gone", "drill-not-back", "drill-service", "drill-boot", "drill-no-fault"}
    assert wanted <= REASONS.keys()
    assert all(REASONS[name].cause and REASONS[name].next_step for name in wanted)


def test_a_board_that_cannot_have_a_drill_keeps_its_verdict(
    board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: HostVerdict) -> Beyond:
        raise PreflightError("h1 cannot have a power drill")

    seen: list[HostVerdict] = []

    def further(outcome: HostVerdict) -> Beyond:
        seen.append(outcome)
        return beyond()

    outcome = HostVerdict(host="h1", verdict=verdict(tmp_path))
    refused, papers = finish(outcome, None, refuse)
    assert refused.verdict == verdict(tmp_path)
    assert isinstance(refused.error, PreflightError)
    assert papers is not None
    assert papers.record.drills == ()
    done, papers = finish(outcome, None, further)
    assert seen == [outcome]
    assert done.error is None
    assert done.verdict is not None
    assert not done.verdict.green
    assert papers is not None
    assert papers.record.drills

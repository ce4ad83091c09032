"""A soak: what leaks is red with its figure, what does not is green; a board that goes, and Ctrl-C, end it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deploy.boards.session import BoardSession
from deploy.cloud.evidence import Seen
from deploy.cloud.reasons import Finding
from deploy.services.systems import Phase, ServiceState
from deploy.soak.judge import judge_gaps, judge_soak, lives
from deploy.soak.run import soak_record
from deploy.soak.sampler import ProcessFact, Sample, ServiceSample, Zone
from deploy.soak.series import longest_life
from deploy.soak.watch import Plan, Watched, watch_board
from recipes.errors import PreflightError
from tests.support.leaking import HEALTHY, LEAKING, Steps, row, service
from tests.support.localboard import LocalSession


def by_check(findings: Sequence[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings}


@contextmanager
def here() -> Iterator[BoardSession]:
    yield LocalSession()


@pytest.mark.process
@pytest.mark.parametrize(("program", "red"), [(LEAKING, True), (HEALTHY, False)])
def test_a_service_that_leaks_is_red_and_a_healthy_one_green(tmp_path: Path, program: str, red: bool) -> None:
    with service(tmp_path, program):
        seen = watch_board("h1", here, str(tmp_path), [row()], Steps().plan(20, 1))
    found = by_check(judge_soak(seen, ["front"]))
    assert found["the board stays"].state == "passed"
    assert found["no restart"].state == "passed"
    assert found["threads do not grow"].state == "passed"
    state, memory, files = (
        "failed" if red else "passed",
        "leak-memory" if red else "",
        "leak-descriptors" if red else "",
    )
    grows = found["memory does not grow"]
    assert (grows.state, grows.reason) == (state, memory)
    assert "KiB/h" in grows.evidence
    assert (grows.figures["per_hour"] > 10_000) is red
    opens = found["descriptors do not grow"]
    assert (opens.state, opens.reason) == (state, files)
    record = soak_record(seen, ["front"])
    assert {one.name for one in record.series if one.red} == ({"memory", "descriptors"} if red else set())
    assert (record.ended, record.samples) == ("time", len(seen.samples))


class Board(LocalSession):
    """Answers as often as it is told to, and then is lost."""

    def __init__(self, answers: int, end: BaseException) -> None:
        super().__init__()
        self.answers, self.end = answers, end

    def _run(self, script: str, arguments: Sequence[str], stdin: object) -> tuple[int, bytes, bytes]:
        if self.answers <= 0:
            raise self.end
        self.answers -= 1
        mark = arguments[0]
        return 0, f"\n@{mark} board\nuptime=5\n@{mark} end\n".encode(), b""


LOST = PreflightError("h1 stopped answering", why="not a byte")


@pytest.mark.process
def test_a_board_that_goes_ends_it_with_a_reason(tmp_path: Path) -> None:
    clock, board = Steps(0.0), Board(3, LOST)

    @contextmanager
    def connect() -> Iterator[BoardSession]:
        yield board

    seen = watch_board("h1", connect, "/x", [], clock.plan(1000, 10))
    assert (seen.ended, len(seen.samples), seen.breaks) == ("board", 3, 1)
    stays = by_check(judge_soak(seen, []))["the board stays"]
    assert (stays.state, stays.reason) == ("failed", "board-gone")
    assert "not a byte" in stays.evidence


@pytest.mark.process
def test_a_board_that_comes_back_in_time_is_watched_on() -> None:
    clock = Steps(0.0)
    boards = [Board(2, LOST), Board(0, LOST), Board(99, LOST)]

    @contextmanager
    def connect() -> Iterator[BoardSession]:
        yield boards.pop(0) if len(boards) > 1 else boards[0]

    seen = watch_board("h1", connect, "/x", [], clock.plan(100, 10))
    assert (seen.ended, seen.breaks) == ("time", 1)
    stays = by_check(judge_soak(seen, []))["the board stays"]
    assert stays.state == "passed"
    assert "went 1 time" in stays.evidence


@pytest.mark.process
def test_a_board_that_is_gone_at_the_end_is_red_however_short_that_was() -> None:
    clock = Steps(0.0)
    boards = [Board(9, LOST), Board(0, LOST)]

    @contextmanager
    def connect() -> Iterator[BoardSession]:
        yield boards.pop(0) if len(boards) > 1 else boards[0]

    seen = watch_board("h1", connect, "/x", [], clock.plan(100, 10))
    assert by_check(judge_soak(seen, []))["the board stays"].reason == "board-gone"


@pytest.mark.process
def test_ctrl_c_ends_it_with_the_verdict_so_far() -> None:
    clock = Steps(0.0)

    @contextmanager
    def connect() -> Iterator[BoardSession]:
        yield Board(4, KeyboardInterrupt())

    seen = watch_board("h1", connect, "/x", [], clock.plan(1000, 10))
    assert (seen.ended, len(seen.samples)) == ("hand", 4)
    stays = by_check(judge_soak(seen, []))["the board stays"]
    assert stays.state == "passed"
    assert "ended by hand" in stays.evidence


def process(pid: int, rss: int | None = 9000, ticks: int = 0, born: int = 50) -> ProcessFact:
    return ProcessFact(pid=pid, name="p", born=born, ticks=ticks, rss=rss, threads=3, descriptors=9)


def state(pid: int, restarts: int = 0, reason: str = "") -> ServiceState:
    return ServiceState(
        phase=Phase.RUNNING, installed=True, enabled=True, pid=pid, since=1, restarts=restarts, last_exit=None,
        reason=reason,
    )  # fmt: skip


def sample(
    at: float, pid: int = 7, *, uptime: float | None = None, zones: tuple[Zone, ...] = (), **given: Any
) -> Sample:
    report = {"frames": given.pop("frames", None), "updated": int(at)}
    restarts, reason = given.pop("restarts", 0), given.pop("reason", "")
    one = ServiceSample(
        state=state(pid, restarts, reason), report=report, processes=(process(pid, **given),), loop=process(6, 800)
    )
    up = 1000 + at if uptime is None else uptime
    return Sample(at=at, uptime=up, memory_free=5000, zones=zones, services={"front": one})


def watched(samples: list[Sample]) -> Watched:
    seconds = samples[-1].at + 10
    return Watched(plan=Plan(seconds=seconds, interval=10), began=0.0, seconds=seconds, samples=samples)


def judged(samples: list[Sample]) -> dict[str, Finding]:
    return by_check(judge_soak(watched(samples), ["front"]))


def test_a_program_that_was_started_again_is_red_by_its_count_and_by_its_process() -> None:
    counted = judged([sample(10.0 * at, 7, restarts=at // 5, reason="killed by signal 9") for at in range(12)])
    assert (counted["no restart"].reason, counted["no restart"].figures["count"]) == ("restarts", 2)
    assert "killed by signal 9" in counted["no restart"].evidence
    by_process = judged([sample(10.0 * at, 7 + at // 6) for at in range(12)])
    assert by_process["no restart"].reason == "restarts"


def test_figures_are_of_one_process() -> None:
    # Each process begins small: put together, it would look like a leak that is given back.
    samples = [sample(10.0 * at, 7 if at < 4 else 8, rss=20_000 + 500 * at) for at in range(30)]
    life = longest_life(samples, "front")
    assert {one.processes[0].pid for _, one in life} == {8}
    assert judged(samples)["memory does not grow"].reason == "leak-memory"
    assert lives(samples, ["front"]) == {"front": 250.0}


def test_a_board_that_restarted_is_red() -> None:
    samples = [sample(10.0 * at, uptime=5000 + 10 * at if at < 6 else 10.0 * at) for at in range(12)]
    assert judged(samples)["the board stays"].reason == "rebooted"


@pytest.mark.parametrize(("limit", "reason"), [(80.0, "hot"), (90.0, ""), (None, "")])
def test_heat_is_judged_by_the_boards_own_limit(limit: float | None, reason: str) -> None:
    zone = Zone(name="cpu", heat=85.0, limit=limit)
    found = judged([sample(10.0 * at, zones=(zone,)) for at in range(12)])["not too hot"]
    assert found.reason == reason
    assert "85.0 °C" in found.evidence


@pytest.mark.parametrize(("late", "reason"), [(10, ""), (5, "slows-down"), (0, "stopped")])
def test_pictures_that_become_fewer_are_red(late: int, reason: str) -> None:
    frames = [100 * min(at, 15) + late * 10 * max(0, at - 15) for at in range(40)]
    found = judged([sample(10.0 * at, frames=frames[at]) for at in range(40)])["pictures keep their rate"]
    assert found.reason == reason


def test_processor_time_is_a_share_of_one_processor() -> None:
    found = judged([sample(10.0 * at, ticks=500 * at) for at in range(12)])["processor time"]
    assert found.figures["median"] == 50


def test_what_the_board_does_not_say_is_no_evidence() -> None:
    found = judged([sample(10.0 * at, rss=None) for at in range(12)])
    assert found["memory does not grow"].state == "skipped"
    assert found["pictures keep their rate"].state == "skipped"
    short = judged([sample(float(at)) for at in range(3)])
    assert short["memory does not grow"].state == "skipped"


def fragments(missing: int = -1) -> list[Seen]:
    return [
        Seen(number=str(at), server=at + 1.2, producer=float(at), length=1.0)
        for at in range(20)
        if abs(at - missing) > 1
    ]


def test_gaps_are_told_with_their_seconds() -> None:
    found = {one.subject: one for one in judge_gaps(
        {"whole": fragments(), "holes": fragments(9), "none": [], "unread": "no key", "file": fragments(9)},
        {"file": False},
    )}  # fmt: skip
    assert {name: (one.state, one.reason) for name, one in found.items()} == {
        "whole": ("passed", ""),
        "holes": ("failed", "gaps"),
        "none": ("failed", "stopped"),
        "unread": ("skipped", ""),
        "file": ("skipped", ""),
    }
    assert found["holes"].figures["seconds"] == 3.0


def test_an_interval_follows_from_the_time() -> None:
    assert [Plan(seconds=seconds).every for seconds in (60, 1800, 86_400)] == [1.0, 7.5, 60.0]
    assert Plan(seconds=60, interval=5).every == 5

"""Logs of a board, by the real scripts: the end of both generations, what comes after, and no secret in either."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.bundle.manifest import ServiceRow
from deploy.control.logs import follow_logs, log_end
from tests.support.localboard import LocalSession

pytestmark = pytest.mark.process


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "front.log"


def row(log: Path, name: str = "front") -> ServiceRow:
    return ServiceRow(name=name, stream=name, log=str(log))


def test_the_end_of_both_generations(log: Path) -> None:
    assert log_end(LocalSession(), row(log), 5) == []
    log.with_name("front.log.1").write_text("one\ntwo\nthree\n")
    log.write_text("four\nfive\n")
    assert log_end(LocalSession(), row(log), 3) == ["three", "four", "five"]
    assert log_end(LocalSession(), row(log), 100) == ["one", "two", "three", "four", "five"]


def test_a_secret_and_an_escape_are_not_shown(log: Path) -> None:
    log.write_bytes(
        b"AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY00\nrtsp://u:hunter22@cam/\n\x1b[2Jgone\n"
    )
    text = "\n".join(log_end(LocalSession(), row(log), 10))
    assert "wJalr" not in text
    assert "hunter22" not in text
    assert "\x1b" not in text


class Turns:
    """Does something between one look and the next."""

    def __init__(self, *steps: object) -> None:
        self._steps = iter(steps)

    def __call__(self) -> bool:
        step = next(self._steps, None)
        if callable(step):
            step()
        return step is not None


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.control.logs._PAUSE_SECONDS", 0)


def followed(log: Path, *steps: object) -> list[str]:
    return [line for _, line in follow_logs(LocalSession(), [row(log)], goes_on=Turns(*steps, lambda: None))]


def add(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)


def test_what_is_new_is_given_once_across_generations(log: Path) -> None:
    log.write_text("before\n")

    def turn_over() -> None:
        add(log, "three\nfo")
        log.rename(log.with_name("front.log.1"))
        add(log, "ur\nfive\n")

    steps = (lambda: add(log, "one\n"), lambda: add(log, "two\n"), turn_over, lambda: None, lambda: add(log, "six\n"))
    assert followed(log, *steps) == ["one", "two", "three", "four", "five", "six"]


def test_a_log_that_comes_later_is_given_from_its_start(log: Path) -> None:
    assert followed(log, lambda: None, lambda: add(log, "first\n")) == ["first"]


def test_more_than_is_asked_for_at_once_comes_whole(log: Path) -> None:
    log.write_text("")
    lines = [f"line {number} " + "x" * 200 for number in range(6_000)]
    steps = [lambda: add(log, "".join(f"{line}\n" for line in lines)), *[lambda: None] * 4]
    assert followed(log, *steps) == lines


def test_several_logs_are_told_apart(log: Path, tmp_path: Path) -> None:
    other = tmp_path / "back.log"
    for path in (log, other):
        path.write_text("")

    def both() -> None:
        add(log, "a\n")
        add(other, "b\n")

    turns = Turns(both, lambda: None)
    found = list(follow_logs(LocalSession(), [row(log), row(other, "back")], goes_on=turns))
    assert found == [("front", "a"), ("back", "b")]

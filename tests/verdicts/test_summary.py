"""A verdict on the page of a workflow's run: red first, as text whatever a board wrote, and within GitHub's limit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deploy.verdicts.record import CheckRecord, FragmentRecord, StreamRecord, VerdictRecord
from deploy.verdicts.summary import VARIABLE, summary, tell_github

GREEN = CheckRecord(name="files are intact", state="passed", evidence="41 files")
EVIL = "a | b <script>alert(1)</script> [x](https://example.com) `c` @someone ![p](q) **d**"
RED = CheckRecord(
    name="pictures move", subject="cam01", state="failed", evidence=EVIL, next_step="invoke logs --host cam01"
)


def record(*checks: CheckRecord, streams: tuple[StreamRecord, ...] = ()) -> VerdictRecord:
    green = all(check.state != "failed" for check in checks)
    made = "2026-11-27T08:00:00+00:00"
    return VerdictRecord(
        host="cam01", release="ab" * 32, green=green, made=made, checks=checks, streams=streams, notes=()
    )


def rows(text: str, head: str) -> list[list[str]]:
    """Return the cells of the table with this first head."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {head} |"))
    body = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        body.append([cell.strip() for cell in line.strip("|").split("|")])
    return body


def test_red_comes_first_with_what_to_do() -> None:
    text = summary(record(GREEN, RED))
    assert text.startswith("### cam01: red\n")
    [row] = rows(text, "red")
    assert len(row) == 3
    assert "pictures move" in row[0]
    assert "invoke logs" in row[2]
    assert text.index("| red |") < text.index("<details>")
    assert len(rows(text, "check")) == 2


def test_green_has_no_table_of_red_and_says_what_was_seen_of_streams() -> None:
    fragments = tuple(
        FragmentRecord(number=str(number), server=1.0, producer=1.0, length=2.0, size=1, new=number > 0)
        for number in range(3)
    )
    stream = StreamRecord(
        name="cam", region="eu-west-1", promised="640 x 480", began=1.0, ended=2.0, source="ListFragments",
        retention_hours=24, workstation_ahead=0.0, fragments=fragments, width=640, height=480, rate=15.0, kbps=400.5,
    )  # fmt: skip
    text = summary(record(GREEN, streams=(stream,)))
    assert text.startswith("### cam01: green\n")
    assert "| red |" not in text
    assert "**cam**: 2 new fragments; 640 x 480, 15 frames a second, 400.5 kbit/s" in text


def test_what_a_board_wrote_stays_text() -> None:
    text = summary(record(RED))
    assert "<script" not in text
    for row in (*rows(text, "red"), *rows(text, "check")):
        assert len(row) == 3, "a bar of the board's makes no cell"
        assert not re.search(r"[<>\[\]`*@!]", "".join(row))


def test_it_is_appended_where_github_says_and_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    tell_github(record(GREEN))
    page = tmp_path / "page"
    page.write_text("before\n")
    monkeypatch.setenv(VARIABLE, str(page))
    tell_github(record(GREEN))
    assert page.read_text() == "before\n" + summary(record(GREEN))


def test_a_page_that_is_full_or_cannot_be_written_is_said_and_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page"
    page.write_bytes(b"x" * ((1 << 20) - 10))
    monkeypatch.setenv(VARIABLE, str(page))
    tell_github(record(GREEN))
    assert page.stat().st_size == (1 << 20) - 10
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none" / "page"))
    tell_github(record(GREEN))
    said = capsys.readouterr().err
    assert "no room is left" in said
    assert "No such file" in said

"""The summary of a step in CI and the page of all hosts: bounded, and nothing hostile in them acts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.verdicts.index import index_page
from deploy.verdicts.record import CheckRecord, VerdictRecord
from deploy.verdicts.summary import VARIABLE, summarize, summary
from recipes import paths
from tests.verdicts.test_papers import EVIL, Reader, record, stream

RED = CheckRecord(
    name="clock is right", state="failed", evidence="+400 s", reason="board-clock", next_step="set it: date -s",
    seconds=0.1,
)  # fmt: skip
GREEN = CheckRecord(name="files are intact", state="passed", evidence="41 files")
MARKS = re.compile(r"&#[0-9]+;")


def rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("| ")]


def test_the_red_ones_are_first_with_cause_and_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "summary.md"
    file.write_text("# before\n")
    monkeypatch.setenv(VARIABLE, str(file))
    summarize(record(GREEN, RED, green=False, changes=("clock is right: green",)))
    text = file.read_text()
    assert text.startswith("# before\n\n### cam01: ✗ red, release abababababab\n")
    assert "1 green, 1 red, 0 not made" in text
    first, second = rows(text)[2:]
    assert first.startswith("| ✗ **red** | clock is right | &#43;400 s | ")
    assert "docs&#47;troubleshooting&#46;md&#35;board&#45;clock<br>set it&#58; date &#45;s" in first
    assert second == "| ✓ green | files are intact | 41 files |  |"
    assert "- clock is right&#58; green" in text


def test_a_green_verdict_folds_its_checks() -> None:
    text = summary(record(GREEN), 50_000)
    assert "<details><summary>1 checks</summary>\n\n| |" in text
    assert text.endswith("\n</details>\n")


def test_without_a_runner_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    summarize(record(RED, green=False))
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_no_reason_to_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "no" / "such.md"))
    summarize(record(RED, green=False))
    assert "the summary of this step could not be written" in capsys.readouterr().err


def test_the_cause_is_a_link_where_the_runner_has_this_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, link = (
        tmp_path / "summary.md",
        "https://example.com/a/b/blob/" + "ab" * 20 + "/docs/troubleshooting.md#board-clock",
    )
    known = {"SERVER_URL": "https://example.com", "REPOSITORY": "a/b", "SHA": "ab" * 20}
    monkeypatch.setenv(VARIABLE, str(file))
    for name, value in (known | {"WORKSPACE": str(paths.CHECKOUT)}).items():
        monkeypatch.setenv(f"GITHUB_{name}", value)
    summarize(record(RED, green=False))
    assert f"[board&#45;clock]({link})" in file.read_text()
    for name, value in {"SERVER_URL": "javascript:x", "REPOSITORY": "a)b/c", "SHA": "main", "WORKSPACE": "/"}.items():
        file.unlink()
        with monkeypatch.context() as odd:
            odd.setenv(f"GITHUB_{name}", value)
            summarize(record(RED, green=False))
        assert "](" not in file.read_text(), name


ODD = (EVIL, "| a | b |", "[x](http://evil.example)", "www.evil.example", "<!--", "```", "@all", "&lt;b&gt;", "](x:1)")
PRINTABLE = st.text(max_size=80).map(lambda text: "".join(letter for letter in text if letter.isprintable()))
TEXTS = PRINTABLE | st.sampled_from(ODD)


@given(TEXTS, TEXTS, TEXTS)
def test_nothing_hostile_in_a_summary_acts(name: str, evidence: str, step: str) -> None:
    check = CheckRecord(name=name, subject=name, state="failed", evidence=evidence, reason="clock", next_step=step)
    made = VerdictRecord(
        host="h", release="", green=False, made="now", service=name, checks=(check,), changes=(evidence,)
    )
    text = summary(made, 100_000)
    (row,) = rows(text)[2:]
    assert row.count("|") == 5
    words = MARKS.sub("", row.removeprefix("| ✗ **red** | ").replace("<br>", ""))
    assert not re.search(r"[<>\[\]()`*_!&@#\\.:/]", words), words


def test_a_summary_has_a_bound_and_says_what_it_left_out() -> None:
    many = tuple(CheckRecord(name=f"check {number}", state="failed", evidence="é!" * 200) for number in range(5000))
    text = summary(record(*many, green=False), 1 << 20)
    assert 900_000 < len(text.encode()) <= 1 << 20
    assert re.search(r"\| and [0-9]+ more, in the report \|", text)
    assert summary(record(RED, green=False), 1000) == ""


def test_a_summary_that_is_full_gets_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "summary.md"
    file.write_bytes(b"x" * ((1 << 20) - 5000))
    monkeypatch.setenv(VARIABLE, str(file))
    summarize(record(RED, green=False))
    assert file.stat().st_size == (1 << 20) - 5000


def test_the_page_of_all_hosts(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text(record(GREEN, host="b", streams=(stream(picture="b.jpg"),)).text())
    (tmp_path / "b.jpg").write_bytes(b"\xff\xd8\xffpicture")
    (tmp_path / "a.json").write_text(record(GREEN, host="a").text())
    (tmp_path / "c.json").write_text(record(RED, host="c", green=False).text())
    (tmp_path / "odd.json").write_text("{}")
    page = index_page(tmp_path)
    read = Reader()
    read.feed(page)
    assert [one for one in read.asked if not one.startswith("data:")] == ["c.html", "a.html", "b.html"]
    assert "data:image/jpeg;base64,/9j/cGljdHVyZQ==" in read.asked
    assert "3 hosts, 1 red" in page
    assert "<li>clock is right</li>" in page


def test_nothing_hostile_in_a_verdict_acts_on_the_page_of_all_hosts(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "sub").mkdir()
    evil = record(
        CheckRecord(name=EVIL, state="failed", evidence=EVIL), host=EVIL, release=EVIL, made=EVIL, green=False,
        streams=(stream(EVIL, picture="../secret.jpg"), stream(picture="secret.txt")),
    )  # fmt: skip
    (tmp_path / '"><script>.json').write_text(evil.text())
    page = index_page(tmp_path)
    read = Reader()
    read.feed(page)
    assert "script" not in read.tags
    assert read.asked == ["%22%3E%3Cscript%3E.html"]
    assert "secret" not in page.replace("../secret", "")
    assert "0 hosts" in index_page(tmp_path / "sub")

"""Tables where no terminal is: all columns, no line off the screen, every word of a long cell."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable

import pytest

from recipes import console, paths
from recipes.console import table
from recipes.errors import UserError

LONG = "63 symbols that ours need are there, at the version nodes that they were linked to; " * 4


def test_a_plain_table_has_all_columns_and_rows_of_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    table("Title", ["name", "bytes", "more"], [["a", "1", "x"], ["bb", "22", ""]], right=["bytes"], roomy=["more"])
    assert capsys.readouterr().out == "Title\n  name  bytes  more\n  a         1  x\n  bb       22\n"


def test_a_long_cell_goes_over_lines_below_its_column_and_loses_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    path = "/usr/lib/arm-linux-gnueabihf/deep/libcrypto.so.3"
    rows = [["libcrypto.so.3", "use-board", LONG, path, "4.4 MiB"], ["libz.so.1", "keep", "none", "-", "-"]]
    table("Bundle", ["library", "action", "because", "provider", "bytes"], rows, right=["bytes"], roomy=["provider"])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 130
    assert lines[1].split() == ["library", "action", "because", "provider", "bytes"]
    at, end = lines[1].index("because"), lines[1].index("provider")
    body = [line for line in lines[2:] if not line.startswith("  libz")]
    assert " ".join(line[at:end].strip() for line in body).split() == LONG.split()
    assert body[0].split()[-3:-1] == [path, "4.4"]
    assert body[0].endswith("4.4 MiB")
    assert all(line.startswith("   ") for line in body[1:])
    assert lines[-1].split() == ["libz.so.1", "keep", "none", "-", "-"]


@pytest.mark.parametrize("word", ["/usr/lib/arm-linux-gnueabihf/" + "deep-er/" * 14 + "libcrypto.so.3", "ab01" * 16])
def test_a_path_or_an_id_is_never_broken(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    table("Title", ["path", "because", "id"], [[word, LONG, "x"], ["-", f"{LONG} see {word}", word], ["-", "-", "-"]])
    lines = capsys.readouterr().out.splitlines()
    assert [word for line in lines for word in line.split() if "01" in word or "/" in word] == [word] * 3
    assert " ".join(lines).split().count("63") == 8
    at = lines[1].index("because")
    assert all(line[at - 1 : at] in ("", " ") and line[at : at + 1] != " " for line in lines[1:]), (
        "columns stay aligned"
    )


def test_a_table_without_rows_is_its_head(capsys: pytest.CaptureFixture[str]) -> None:
    table("Title", ["name", "state"], [])
    assert capsys.readouterr().out == "Title\n  name  state\n"


EVIL = "\x1b[2J\x1b[H\x9b2J\u202egreen\u2066\x07\rdeploy: green"
HARMLESS = r"\x1b[2J\x1b[H\x9b2J\u202egreen\u2066\x07\x0ddeploy: green"
PRINTERS: dict[str, Callable[[str], None]] = {
    "say": console.say,
    "out": console.out,
    "note": console.note,
    "a table's cell": lambda text: table("Title", ["a", "b"], [[text, "x"]]),
    "a table's title": lambda text: table(text, ["a"], [["x"]]),
    "fields": lambda text: console.fields("Title", {"name": text}),
    "the title of fields": lambda text: console.fields(text, {"name": "x"}),
}


LIVE = """
import sys, time
from recipes import console
calls = []
def draw(lines):
    calls.append(lines)
    rows = [["host", sys.argv[1]], *(["more", "row"] for _ in range(200))][:lines]
    return f"title {len(calls)}", rows
with console.live_table(["a", "b"], draw):
    console.say("said once")
    while len(calls) < 5:
        time.sleep(0.05)
console.out("the result")
"""


def acting(text: str) -> set[str]:
    return {letter for letter in text if unicodedata.category(letter)[0] == "C"} - {"\n"}


@pytest.mark.hostile(kind="board")
@pytest.mark.parametrize("printer", PRINTERS)
def test_nothing_that_is_printed_can_act_or_forge_a_line(capsys: pytest.CaptureFixture[str], printer: str) -> None:
    PRINTERS[printer](f"before {EVIL}\nerror: forged\n[   1.0s] forged")
    printed = "".join(capsys.readouterr())
    assert not acting(printed)
    assert HARMLESS in printed
    assert not [line for line in printed.splitlines() if line.startswith(("error:", "[   1.0s] forged"))]


@pytest.mark.hostile(kind="board")
@pytest.mark.parametrize("text", [EVIL, "[link=http://x]y[/link] [red]z[/red] :warning:"])
def test_a_ruled_table_shows_words_as_they_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("TERM", "dumb")  # rich colours nothing itself then
    table(f"about {text}", ["name"], [[text]])
    printed = capsys.readouterr().out
    wanted = HARMLESS if text == EVIL else text
    assert "".join(printed.split()).count("".join(wanted.split())) == 2  # a title goes over lines
    assert not acting(printed)


@pytest.mark.hostile(kind="board")
@pytest.mark.parametrize("part", ["what", "where", "why", "next_step"])
def test_an_error_shows_what_it_was_told_and_nothing_in_it_looks_like_ours(part: str) -> None:
    parts = {"what": "it failed"} | {part: f"it failed {EVIL}\nerror: none\n  next: rm -rf /"}
    error = UserError(parts.pop("what"), **parts)
    assert not acting(str(error))
    assert HARMLESS in str(error)
    lines = str(error).splitlines()
    assert len([line for line in lines if line.startswith("error:")]) == 1
    assert "  next: rm -rf /" not in lines


@pytest.mark.process
@pytest.mark.hostile(kind="board")
def test_a_table_that_changes_shows_words_as_they_are_and_lines_above_it() -> None:
    """On a terminal of its own; what a board says in a cell or a line neither acts nor ends the table."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", LIVE, EVIL], cwd=paths.CHECKOUT, stdin=theirs, stdout=theirs, stderr=theirs
    ) as child:
        os.close(theirs)
        printed = b""
        try:
            while part := os.read(ours, 4096):
                printed += part
        except OSError:
            pass  # how a terminal says that nobody is at its other end
        assert child.wait(20) == 0
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", printed.decode()).replace("\r", "\n")
    assert not acting(text)
    assert "title 3" in text
    assert re.search(r"\[ *[\d.]+s\] said once", text), "a line is printed above the table"
    assert text.count("said once") == 1
    assert HARMLESS[:12] in text
    assert text.rstrip().endswith("the result")


@pytest.mark.hostile(kind="board")
def test_each_of_several_results_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(2):
        console.emit_line({"a": f"{EVIL}\n\x7f", "b": number})
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line) for line in lines] == [{"a": f"{EVIL}\n\x7f", "b": number} for number in range(2)]
    assert not acting("".join(lines))


@pytest.mark.hostile(kind="board")
def test_json_is_ascii_and_reads_back_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    console.emit({"a": f"{EVIL}\x7f"})
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert not acting(printed)
    assert json.loads(printed) == {"a": f"{EVIL}\x7f"}

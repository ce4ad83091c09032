"""Tables where no terminal is: all columns, no line off the screen, every word of a long cell."""

from __future__ import annotations

import pytest

from recipes.console import table

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

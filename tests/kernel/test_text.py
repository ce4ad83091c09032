"""What is shown of a text from elsewhere: all that can be read, and nothing that acts."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipes.text import one_line, shown


@pytest.mark.hostile(kind="board")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain, größer, 字", "plain, größer, 字"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b[2J\x1b[Hdeploy: green", "\\x1b[2J\\x1b[Hdeploy: green"),
        ("100 %\rdeploy: green", "100 %\\x0ddeploy: green"),
        ("\x9b2J", "\\x9b2J"),
        ("a\u202eb\u2066c", "a\\u202eb\\u2066c"),
        ("a\u200bb\ufeff", "a\\u200bb\\ufeff"),
        ("a\u2028b", "a\\u2028b"),
        ("\x00\x07\x7f", "\\x00\\x07\\x7f"),
        ("caf\udce9", "caf\\xe9"),
        ("tag \U000e0041", "tag \\U000e0041"),
    ],
)
def test_what_acts_is_shown_as_what_it_is(text: str, expected: str) -> None:
    assert shown(text) == expected


@pytest.mark.hostile(kind="board")
def test_bytes_that_are_no_text_are_shown() -> None:
    assert shown(b"caf\xe9 \x1b") == "caf\\xe9 \\x1b"


def test_a_long_text_is_cut_and_says_so() -> None:
    assert shown("x" * 5000, most=10) == "x" * 10 + "… (4,990 more characters)"


def test_one_line_is_one_line() -> None:
    assert one_line("a\n  b\r\n\tc \x1b") == "a b c \\x1b"
    assert shown("a\nb", lines=False) == "a\\x0ab"


@pytest.mark.hostile(kind="board")
@given(st.text())
def test_nothing_that_is_shown_can_act(text: str) -> None:
    kept = {letter for letter in shown(text) if unicodedata.category(letter)[0] == "C"}
    assert kept <= {"\n", "\t"}
    assert len(one_line(text).splitlines()) <= 1

"""The page of a board, as a person reads it."""

from __future__ import annotations

from deploy.probe.findings import findings
from deploy.probe.page import COLUMNS, facts_page
from tests.probe.answers import CAMERA_BOARD, facts, sample


def page(changed: dict[str, str] | None = None) -> str:
    board = facts(CAMERA_BOARD | (changed or {}))
    return facts_page(board, findings(board))


def test_the_page_as_a_person_sees_it() -> None:
    assert page() == sample("page")


def test_the_page_fits_whatever_the_names() -> None:
    wide = "\u6444\u50cf\u5934" * 40
    text = page({"hostname": wide, "v4l2 /dev/video0": CAMERA_BOARD["v4l2 /dev/video0"].replace("w300: w300", wide)})
    widths = [sum(2 if ord(letter) > 0x2E80 else 1 for letter in line) for line in text.splitlines()]
    assert max(widths) <= COLUMNS


def test_what_was_not_understood_is_on_the_page() -> None:
    text = page({"df /opt/boardcast": "df: /opt: can't find mount point\n"})
    assert "Not understood" in text
    assert "df -Pk /opt: not a line of df" in text
    assert "/opt/boardcast: unknown free of unknown" in text

"""A verdict as JSON and as a page: the schema is the published one, nothing hostile acts, and what changed is told."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from deploy.verdicts.page import verdict_page
from deploy.verdicts.record import (
    ChannelRecord,
    CheckRecord,
    FragmentRecord,
    StreamRecord,
    VerdictRecord,
    changes,
    read_record,
    verdict_schema,
)
from deploy.verdicts.timeline import draw_timeline

ROOT = Path(__file__).parent.parent.parent
EVIL = '"><script>alert(1)</script>'
"""Control characters and the like do not get so far: the record's own forms refuse them."""


def stream(name: str = "cam01", **changed: Any) -> StreamRecord:
    begin = 1_795_000_000.0
    fragments = tuple(
        FragmentRecord(
            number=str(place), server=begin + 2 * place + 2.2, producer=begin + 2 * place, length=2.0, size=100_000,
            new=place > 3,
        )
        for place in (0, 1, 2, 3, 6, 7)
    )  # fmt: skip
    values: dict[str, Any] = {
        "name": name, "region": "eu-west-1", "promised": "640 x 480", "began": begin + 9, "ended": begin + 17,
        "source": "ListFragments", "retention_hours": 24, "workstation_ahead": 0.0, "fragments": fragments,
        "codec": "avc1.42c01f", "width": 640, "height": 480, "rate": 15.0, "kbps": 400.0, "picture": "one.jpg",
    }  # fmt: skip
    return StreamRecord(**values | changed)


def record(*checks: CheckRecord, **changed: Any) -> VerdictRecord:
    rows = checks or (CheckRecord(name="files are intact", state="passed", evidence="41 files"),)
    values: dict[str, Any] = {"host": "cam01", "release": "ab" * 32, "green": True, "made": "2026-11-27T08:00:00+00:00"}
    return VerdictRecord(checks=rows, **values | changed)


class Reader(HTMLParser):
    """Collects tags, and what they refer to."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.asked: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.asked += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]
        assert not [name for name, _ in attrs if name.startswith("on")]


def test_the_schema_is_the_published_one() -> None:
    published = (ROOT / "docs" / "verdict.schema.json").read_text()
    assert published == json.dumps(verdict_schema(), indent=1, ensure_ascii=False) + "\n", (
        "python -m deploy.verdicts.record > docs/verdict.schema.json"
    )


def test_a_record_is_as_the_schema_says_and_is_read_again(tmp_path: Path) -> None:
    import jsonschema

    whole = record(streams=(stream(),), channels=(ChannelRecord(name="door", first=0.4, frames=10),), sizes={"lib": 9})
    jsonschema.Draft202012Validator(verdict_schema()).validate(json.loads(whole.text()))
    file = tmp_path / "cam01.json"
    file.write_text(whole.text())
    assert read_record(file) == whole
    for text in ("{}", "[", '{"schema": 99}', "null"):
        file.write_text(text)
        assert read_record(file) is None


def test_what_changed_is_told_the_worst_first() -> None:
    before = record(
        CheckRecord(name="clock", subject="cam01", state="passed", evidence=""),
        CheckRecord(name="sound", subject="cam01", state="failed", evidence=""),
        sizes={"lib": 1000},
    )
    now = record(
        CheckRecord(name="sound", subject="cam01", state="passed", evidence=""),
        CheckRecord(name="clock", subject="cam01", state="failed", evidence=""),
        release="cd" * 32,
        sizes={"lib": 900},
    )
    assert changes(before, now) == (
        "cam01: clock: green → red",
        "another release: cdcdcdcdcdcd, before abababababab",
        "cam01: sound: red → green",
        "the release has -100 bytes",
    )
    assert changes(None, now) == changes(now, now) == ()


def test_nothing_hostile_in_a_verdict_acts_on_the_page() -> None:
    evil = CheckRecord(name=EVIL, subject=EVIL, state="failed", evidence=EVIL, next_step=EVIL)
    page = verdict_page(
        record(
            evil, host=EVIL, release=EVIL, service=EVIL, notes=(EVIL,), changes=(EVIL,), sizes={EVIL: 1},
            streams=(stream(EVIL, promised=EVIL, codec=EVIL, source=EVIL, region=EVIL),),
            channels=(ChannelRecord(name=EVIL, way=EVIL),),
        ),
        {"one.jpg": b"\xff\xd8\xff"},
    )  # fmt: skip
    read = Reader()
    read.feed(page)
    assert "script" not in read.tags
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert all(one.startswith("data:image/jpeg;base64,") for one in read.asked)
    assert "default-src 'none'" in page


def test_the_page_has_its_picture_and_asks_nothing_of_the_network() -> None:
    page = verdict_page(record(streams=(stream(),)), {"one.jpg": b"\xff\xd8\xffpicture"})
    read = Reader()
    read.feed(page)
    assert read.asked == ["data:image/jpeg;base64,/9j/cGljdHVyZQ=="]
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page)


def test_a_stream_that_was_not_looked_at_is_told_too_and_a_red_check_says_where_more_is() -> None:
    rows = (
        CheckRecord(name="fragments arrive", subject="yard", state="skipped", evidence="in a file on the board"),
        CheckRecord(name="clock", subject="cam01", state="failed", evidence="6 min ahead", reason="clock"),
        CheckRecord(name="log says nothing bad", state="failed", evidence="", reason="clock-signature"),
    )
    page = verdict_page(record(*rows, green=False, streams=(stream(),)), {})
    assert "yard: fragments arrive" in page
    assert page.count("6 min ahead") == 2, "above all, and with its stream"
    assert "more: <code>docs/troubleshooting.md#clock</code>" in page
    assert "more: <code>docs/status-codes.md#clock-signature</code>" in page


def test_the_timeline_draws_every_fragment_and_what_is_missing() -> None:
    drawn = draw_timeline(stream())
    bars = re.findall(r'<rect [^>]*fill="(#9db4c8|#2f6f8f)"', drawn)
    assert bars == ["#9db4c8"] * 4 + ["#2f6f8f"] * 2
    assert drawn.count("4.0 s are missing") == 1
    assert "the look began" in drawn
    assert draw_timeline(stream(fragments=())) == ""


@pytest.mark.parametrize("length", [0.0, 1e-9, 1e12])
def test_a_timeline_of_odd_fragments_is_still_one(length: float) -> None:
    odd = FragmentRecord(number="1", server=1e12, producer=-1e12, length=length, size=0, new=True)
    drawn = draw_timeline(stream(fragments=(odd,)))
    assert drawn.endswith("</svg>")
    assert len(drawn) < 20_000
    assert "nan" not in drawn


@pytest.mark.process
@pytest.mark.loopback
def test_a_browser_shows_the_page_without_a_word_of_complaint(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    evil = CheckRecord(name=EVIL, subject="cam01", state="failed", evidence=EVIL, reason="clock", side="board")
    file = tmp_path / "page.html"
    file.write_text(verdict_page(record(evil, green=False, streams=(stream(),)), {}))
    said: list[str] = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        try:
            page = browser.new_page(viewport={"width": 390, "height": 800})
            page.on("console", lambda message: said.append(message.text))
            page.on("dialog", lambda dialog: said.append(dialog.message))
            page.on("request", lambda asked: said.append(asked.url) if not asked.url.startswith("file:") else None)
            page.goto(f"file://{file}")
            assert page.title() == "cam01: red"
            assert page.locator("svg rect").count() == 7
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, "a telephone shows it whole"
        finally:
            browser.close()
    assert not said

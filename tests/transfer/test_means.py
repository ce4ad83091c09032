"""Facts of a board in, way and packing out; and rates as people write them."""

from __future__ import annotations

import pytest

from deploy.transfer.cargo import RESUME, Part, find_missing, fits
from deploy.transfer.means import Way, by_rsync, choose_means, known_way
from deploy.transfer.pace import paced, parse_rate
from deploy.transfer.packing import Packing
from recipes.errors import ConfigError, PreflightError

FULL = ("tar", "gzip", "xz", "zstd", "sftp", "rsync")


@pytest.mark.parametrize(
    ("tools", "latency", "rate", "words"),
    [
        (FULL, 0.001, 0, "tar, zstd"),
        (("tar", "gzip", "xz"), 0.001, 0, "tar, gzip"),
        (("tar", "gzip", "xz"), 0.05, 0, "tar, xz"),
        (("tar", "gzip", "xz"), 0.001, 200 << 10, "tar, xz"),
        (("tar", "xz"), 0.0, 0, "tar, xz"),
        (("tar",), 0.001, 0, "tar"),
        (("sftp", "gzip"), 0.001, 0, "sftp, gzip"),
        (("gzip",), 0.001, 0, "cat, gzip"),
        ((), 0.001, 0, "cat"),
    ],
)
def test_the_probe_chooses(tools: tuple[str, ...], latency: float, rate: int, words: str) -> None:
    assert choose_means(tools, latency=latency, rate=rate).words() == words


@pytest.mark.parametrize("way", [Way.TAR, Way.SFTP, Way.RSYNC])
def test_a_way_that_is_not_there_is_refused(way: Way) -> None:
    with pytest.raises(PreflightError, match="nothing was changed") as caught:
        choose_means(["gzip"], forced=way.value)
    assert caught.value.code == 5
    assert choose_means(FULL, forced=way.value).way is way


@pytest.mark.parametrize(
    ("known", "files", "size", "tools", "way"),
    [
        (False, 3, 300_000, FULL, Way.RSYNC),
        (True, 3, 300_000, FULL, Way.TAR),
        (False, 300, 300_000, FULL, Way.TAR),
        (False, 3, 100_000, FULL, Way.TAR),
        (False, 3, 300_000, ("tar", "gzip"), Way.TAR),
        (False, 3, 300_000, ("sftp", "rsync"), Way.SFTP),
    ],
)
def test_rsync_is_taken_where_it_wins(known: bool, files: int, size: int, tools: tuple[str, ...], way: Way) -> None:
    means = by_rsync(choose_means(tools), tools, known=known, files=files, size=size)
    assert means.way is way
    assert means.words().split(",")[0] == way.value
    assert not (means.patch and way is Way.RSYNC)


def test_an_unknown_way_names_those_that_there_are() -> None:
    assert known_way("sftp") == "sftp"
    with pytest.raises(ConfigError) as caught:
        known_way("pigeon")
    assert caught.value.next_step == "one of tar, sftp, rsync, cat"


@pytest.mark.parametrize(
    ("text", "rate"),
    [("", 0), ("200KiB", 204_800), ("1.5MB/s", 1_500_000), ("50000", 50_000), ("2 M", 2_000_000), ("1kib", 1024)],
)
def test_rates(text: str, rate: int) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["fast", "0", "100", "-1", "1GiB", "1e9", "\u0661000KiB", "200KiB; reboot", "9" * 40])
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(ConfigError, match="no rate, or less than 1 KiB"):
        parse_rate(text)


def test_a_limit_is_kept_and_no_second_is_saved_up() -> None:
    now = [0.0]

    def wait(seconds: float) -> None:
        now[0] += seconds

    sent: list[tuple[float, int]] = []
    for piece in paced([bytes(5000)] * 4, 10_000, clock=lambda: now[0], wait=wait):
        sent.append((now[0], len(piece)))
        if len(sent) == 3:
            now[0] += 5  # the board was busy
    assert sum(size for _, size in sent) == 20_000
    for begin in range(12):
        within = sum(size for at, size in sent if begin <= at < begin + 1)
        assert within <= 10_000 + 1000, "more than a tick's worth over the limit"
    assert sent[-1][0] == pytest.approx(6.6, abs=0.6)
    assert list(paced([b"ab"], 0)) == [b"ab"]


SIZES = {"a" * 64: 100_000, "b" * 64 + ".x": 50_000, "c" * 64: 10, "d" * 64: 0}


def test_what_came_before_is_not_sent_again() -> None:
    whole, part, small, empty = SIZES
    found = find_missing(SIZES, [small], {whole: 100_000, part: 20_000, f"{part}@20000": 5000, "e" * 64: 7})
    assert found.arrived == (whole,)
    assert found.blobs == (part, empty)
    assert found.offsets == {part: 25_000}


@pytest.mark.parametrize(
    ("incoming", "offset"),
    [
        ({"b" * 64 + ".x": RESUME - 1}, 0),
        ({"b" * 64 + ".x": 49_999}, 49_999),
        ({"b" * 64 + ".x": 60_000}, 0),
        # What follows other bytes than those that are there does not count.
        ({"b" * 64 + ".x": 20_000, "b" * 64 + ".x@10000": 9000}, 20_000),
        ({"b" * 64 + ".x@0": 20_000}, 0),
    ],
)
def test_where_a_cut_content_is_gone_on_with(incoming: dict[str, int], offset: int) -> None:
    blob = "b" * 64 + ".x"
    found = find_missing({blob: 50_000}, [], incoming)
    assert found.blobs == (blob,)
    assert found.offsets.get(blob, 0) == offset


def test_a_content_that_ended_with_its_rest_has_arrived() -> None:
    blob = "b" * 64
    found = find_missing({blob: 30}, [], {blob: 20, f"{blob}@20": 10})
    assert (found.blobs, found.arrived) == ((), (blob,))


def test_a_part_travels_by_its_name_and_offset() -> None:
    whole, rest = Part(blob="a.x", content=b"abcdef"), Part(blob="a", content=b"abcdef", offset=4)
    assert (whole.name, whole.data, whole.mode) == ("a.x", b"abcdef", 0o755)
    assert (rest.name, rest.data, rest.mode) == ("a@4", b"ef", 0o644)


def test_what_has_no_room_in_a_header() -> None:
    assert fits(f"{'d' * 155}/{'f' * 100}")
    assert not fits("f" * 101)
    assert not fits(f"{'d' * 156}/f")
    assert not fits(f"d/{'é' * 51}")


def test_packings_are_programs() -> None:
    assert [packing.value for packing in Packing] == ["zstd", "xz", "gzip", "none"]

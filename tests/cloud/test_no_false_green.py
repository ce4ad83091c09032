"""Whatever a stream does wrong is red with its own reason, and green once it is cured, against the local service."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from deploy.causes.boardside import BoardView, StreamSeen
from deploy.cloud.reasons import REASONS, Side
from tests.cloud.conftest import Verifier, reasons
from tests.support.livecamera import LiveCamera, service_of
from tests.support.localservice import LocalService

pytestmark = pytest.mark.loopback
MOST_SECONDS = 60
"""For a red verdict (issue: within a minute); these tests have a patience of 2.5 s, verify one of 30."""


@contextlib.contextmanager
def red_within(seconds: float = MOST_SECONDS) -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < seconds


def cured(verify: Verifier) -> None:
    """Demand green: every check passes, none is left out."""
    found = verify()
    assert {finding.state for finding in found.values()} == {"passed"}, {
        finding.check: (finding.state, finding.evidence) for finding in found.values() if finding.state != "passed"
    }


def test_a_healthy_stream_is_green_in_every_check(local: LocalService, verify: Verifier) -> None:
    with LiveCamera(local, "cam01"):
        cured(verify)
    assert verify.evidence.shots[-1].image.startswith(b"\xff\xd8\xff"), "the picture is there to be saved"


def test_a_stream_that_starts_now_is_green_after_its_first_fragment(local: LocalService, verify: Verifier) -> None:
    begun = time.monotonic()
    with LiveCamera(local, "cam01", seconds=2):
        cured(lambda: verify(patience=20))  # type: ignore[arg-type]
    assert time.monotonic() - begun < 2 + 5


def test_a_producer_that_stands_still_is_red(local: LocalService, verify: Verifier) -> None:
    """Its process is there, its connection is open, and the last fragment is seconds old."""
    with LiveCamera(local, "cam01") as camera:
        cured(verify)
        camera.pause.set()
        time.sleep(0.6)
        with red_within():
            found = verify()
        assert reasons(found) == ["stopped"]
        assert "this workstation reads cam01" in found["fragments arrive"].evidence
        assert found["the picture moves"].state == "skipped", "what was not looked at is not green"
        camera.pause.clear()
        cured(verify)


def test_a_producer_that_stops_while_it_is_watched_is_red(local: LocalService, verify: Verifier) -> None:
    with LiveCamera(local, "cam01") as camera:
        import threading

        threading.Timer(1.5, camera.pause.set).start()
        found = verify(watch=12)
    assert reasons(found) == ["stopped"]
    assert verify.evidence.new, "it did send at first"


def test_what_goes_to_another_stream_is_named(local: LocalService, verify: Verifier) -> None:
    local.client("kinesisvideo").create_stream(StreamName="cam-old", DataRetentionInHours=24)
    with LiveCamera(local, "cam-old"), red_within():
        time.sleep(0.8)
        found = verify()
    assert reasons(found) == ["elsewhere"]
    assert "cam-old" in found["fragments arrive"].evidence
    with LiveCamera(local, "cam01"):
        cured(verify)


def test_old_fragments_alone_are_red(local: LocalService, verify: Verifier) -> None:
    local.clock.ahead = -200
    with LiveCamera(local, "cam01", ahead=-200) as camera:
        while camera.sent < 2:
            time.sleep(0.05)
        time.sleep(0.2)
    local.clock.ahead = 0
    with red_within():
        found = verify()
    assert reasons(found) == ["old"]
    assert "3 min ago" in found["fragments arrive"].evidence
    with LiveCamera(local, "cam01"):
        cured(verify)


def test_a_stream_that_never_had_a_fragment_is_red(verify: Verifier) -> None:
    found = verify()
    assert reasons(found) == ["never"]


def test_a_stream_that_is_not_there_is_red(verify: Verifier) -> None:
    found = verify(name="cam09")
    assert reasons(found) == ["no-stream"]
    assert "create-stream --stream-name cam09" in found["fragments arrive"].next_step


def test_two_boards_on_one_stream_are_red(local: LocalService, verify: Verifier) -> None:
    """Both are healthy by themselves; each connection takes the stream from the other."""
    with LiveCamera(local, "cam01"):
        time.sleep(0.25)
        with LiveCamera(local, "cam01"), red_within():
            time.sleep(1)
            found = verify(patience=6)
        assert reasons(found)[0] == "two-producers", found
        time.sleep(0.6)
        wait_for_quiet(local)
        cured(verify)


def test_another_encoder_on_the_stream_is_red(local: LocalService, verify: Verifier) -> None:
    """A second board with other settings: the codec data change to and fro."""
    with LiveCamera(local, "cam01"):
        time.sleep(0.25)
        with LiveCamera(local, "cam01", kind={"size": (320, 240)}), red_within():
            time.sleep(1)
            found = verify(patience=6)
    assert reasons(found)[0] == "two-producers"


def wait_for_quiet(local: LocalService) -> None:
    """Let the fragments of before be older than what counts as now."""
    stream = local.service.store.streams.find(name="cam01", region="ap-northeast-1")
    database = local.service.store.database
    local.call(lambda: database.write("UPDATE fragments SET server_ms = server_ms - 60000 WHERE stream = ?", stream.id))


@pytest.mark.parametrize(
    ("picture", "reason"), [("black", "black"), ("green", "green"), ("frozen", "frozen")], ids=lambda word: word
)
def test_pictures_that_show_nothing_are_red(picture: str, reason: str, local: LocalService, verify: Verifier) -> None:
    with LiveCamera(local, "cam01", kind={"picture": picture}), red_within():
        found = verify()
    assert reasons(found) == [reason]
    assert found["fragments arrive"].state == "passed", "fragments are no proof of pictures"
    wait_for_quiet(local)
    with LiveCamera(local, "cam01"):
        cured(verify)


SHOWN = "the clock in the picture"


@pytest.mark.parametrize(
    ("picture", "says"),
    [("stopped", "the upper left of 2 pictures within 1.5 s stands still"), ("no clock", "no white letters are in")],
)
def test_a_clock_that_is_promised_and_does_not_move_is_red(
    picture: str, says: str, local: LocalService, verify: Verifier
) -> None:
    """The rest of the picture moves on: only where the clock belongs does it stand still."""
    size = (320, 240)
    with LiveCamera(local, "cam01", kind={"picture": picture, "size": size}), red_within():
        found = verify(clock=True, width=320, height=240, bitrate_kbps=0, watch=2.5)
    assert reasons(found) == ["clock-missing"]
    assert says in found[SHOWN].evidence
    assert found["the picture moves"].state == "passed"
    wait_for_quiet(local)
    with LiveCamera(local, "cam01", kind={"picture": "clock", "size": size}):
        found = verify(clock=True, width=320, height=240, bitrate_kbps=0, watch=2.5)
    assert not reasons(found)
    assert found[SHOWN].state == "passed"


def test_a_clock_that_nobody_promised_is_not_asked_for(local: LocalService, verify: Verifier) -> None:
    with LiveCamera(local, "cam01"):
        assert SHOWN not in verify()


def test_missing_sound_is_red(local: LocalService, verify: Verifier) -> None:
    with LiveCamera(local, "cam01", kind={"audio": False}), red_within():
        found = verify()
    assert reasons(found) == ["no-sound"]
    wait_for_quiet(local)
    with LiveCamera(local, "cam01"):
        cured(verify)


def test_half_of_the_frame_rate_is_red(local: LocalService, verify: Verifier) -> None:
    with LiveCamera(local, "cam01", seconds=1, kind={"fps": 5}), red_within():
        found = verify()
    assert reasons(found) == ["frame-rate"]
    assert "5.0 a second" in found["frame rate"].evidence
    wait_for_quiet(local)
    with LiveCamera(local, "cam01"):
        cured(verify)


def test_another_size_is_red(local: LocalService, verify: Verifier) -> None:
    with LiveCamera(local, "cam01", kind={"size": (320, 240)}):
        assert reasons(verify()) == ["size"]


def test_another_codec_is_red(local: LocalService, verify: Verifier) -> None:
    with LiveCamera(local, "cam01"):
        assert reasons(verify(codec="h265")) == ["codec"]


def test_a_stream_that_keeps_nothing_is_red_and_still_looked_at(local: LocalService, verify: Verifier) -> None:
    client = local.client("kinesisvideo")
    client.create_stream(StreamName="cam02", DataRetentionInHours=0)
    with LiveCamera(local, "cam02"), red_within():
        found = verify(name="cam02", patience=5)
        assert reasons(found) == ["retention"]
        assert "GetMedia" in found["pictures are kept"].evidence
        assert found["the picture moves"].state == "passed", "it was looked at while it passed"
        meant = verify(name="cam02", patience=5, retention_hours=0)
        assert not reasons(meant), "a board's file may want it so"
        stream = client.describe_stream(StreamName="cam02")["StreamInfo"]
        client.update_data_retention(
            StreamName="cam02", CurrentVersion=stream["Version"], Operation="INCREASE_DATA_RETENTION",
            DataRetentionChangeInHours=24,
        )  # fmt: skip
        assert not reasons(verify(name="cam02"))


@pytest.mark.parametrize("picture", ["black", "frozen"])
def test_a_stream_that_keeps_nothing_hides_no_bad_picture(picture: str, local: LocalService, verify: Verifier) -> None:
    local.client("kinesisvideo").create_stream(StreamName="cam02", DataRetentionInHours=0)
    with LiveCamera(local, "cam02", kind={"picture": picture}):
        assert reasons(verify(name="cam02", patience=5, retention_hours=0)) == [picture]


def test_a_stream_that_keeps_nothing_and_gets_nothing_is_red(local: LocalService, verify: Verifier) -> None:
    local.client("kinesisvideo").create_stream(StreamName="cam02", DataRetentionInHours=0)
    with LiveCamera(local, "cam02") as camera:
        time.sleep(1.2)
        camera.pause.set()
        time.sleep(0.6)
        begun = time.monotonic()
        assert reasons(verify(name="cam02", retention_hours=0)) == ["stopped"]
        assert time.monotonic() - begun < 10, "the reader ends when its time is over"


@pytest.mark.parametrize("ahead", [-360, 360], ids=["behind", "ahead"])
def test_a_clock_that_is_six_minutes_off_is_red(ahead: int, local: LocalService, verify: Verifier) -> None:
    with LiveCamera(local, "cam01", ahead=ahead), red_within():
        found = verify()
    assert reasons(found) == ["clock"]
    assert f"6 min {'ahead of' if ahead > 0 else 'behind'} the service's" in found["clock"].evidence
    wait_for_quiet(local)
    with LiveCamera(local, "cam01"):
        cured(verify)


def test_a_workstation_whose_clock_is_off_is_no_fault_of_the_board(local: LocalService, verify: Verifier) -> None:
    local.clock.ahead = 100
    with LiveCamera(local, "cam01", ahead=100):
        found = verify()
    assert not reasons(found)
    assert re.search("this workstation's clock is (99|100) s behind the service's", found["clock"].evidence)


def test_a_token_of_the_board_that_is_over_is_red(local: LocalService, verify: Verifier) -> None:
    """The board's PutMedia is refused from its next connection on; only the board's log can say why."""
    key = local.service.store.keys.lend("thing", now=time.time(), seconds=-1)
    board = BoardView(seen=StreamSeen.EXPIRED, words="ExpiredTokenException (0x52000051)")
    with LiveCamera(local, "cam01", key=key), red_within():
        found = verify(board=board)
    assert reasons(found) == ["board-expired"]
    assert "ExpiredTokenException" in found["fragments arrive"].evidence
    with LiveCamera(local, "cam01", key=local.service.store.keys.lend("thing", now=time.time(), seconds=900)):
        cured(verify)


def test_a_token_of_this_workstation_that_is_over_is_its_own_reason(local: LocalService, verify: Verifier) -> None:
    keys = local.service.store.keys
    with LiveCamera(local, "cam01"), red_within():
        found = verify(service=service_of(local, keys.lend("me", now=time.time(), seconds=-1)))
        assert reasons(found) == ["expired"]
        assert found["fragments arrive"].side == Side.WORKSTATION
        assert not reasons(verify(service=service_of(local, keys.lend("me", now=time.time(), seconds=900))))


@pytest.mark.parametrize(
    ("board", "reason", "side"),
    [
        (BoardView(seen=StreamSeen.CONFIRMED, words="12 fragments confirmed"), "workstation-blocked", Side.WORKSTATION),
        (BoardView(seen=StreamSeen.UNREACHED, words="no route to host"), "nobody", Side.NOBODY),
        (BoardView(), "workstation-unsure", Side.WORKSTATION),
    ],
    ids=["board reaches it", "board neither", "board not asked"],
)
def test_an_endpoint_that_is_blocked_from_here_says_who_does_reach_it(
    board: BoardView, reason: str, side: Side, local: LocalService, verify: Verifier
) -> None:
    blocked = replace(service_of(local), endpoint_url="https://localhost:1")
    with LiveCamera(local, "cam01"), red_within():
        found = verify(service=blocked, board=board)
        assert reasons(found) == [reason]
        assert found["fragments arrive"].side == side
        assert board.words in found["fragments arrive"].evidence
        cured(verify)


def test_an_endpoint_that_is_blocked_from_the_board_alone(local: LocalService, verify: Verifier) -> None:
    found = verify(board=BoardView(seen=StreamSeen.UNREACHED, words="curl 7: connection refused"))
    assert reasons(found) == ["board-blocked"]
    assert "this workstation reads cam01" in found["fragments arrive"].evidence


def test_a_service_that_refuses_is_told_in_its_words(local: LocalService, verify: Verifier) -> None:
    from deploy.kvsstore.faults import Fault

    local.call(lambda: local.service.store.faults.ask(Fault("denied", "cam01", times=0)))
    with LiveCamera(local, "cam01"):
        assert reasons(verify()) == ["denied"]
    local.call(local.service.store.faults.clear)
    with LiveCamera(local, "cam01"):
        cured(verify)


def test_a_service_that_is_busy_for_a_moment_is_asked_again(local: LocalService, verify: Verifier) -> None:
    """Others of the account ask too: that is no fault of the stream. One that stays busy is told to be."""
    from deploy.kvsstore.faults import Fault

    with LiveCamera(local, "cam01") as camera:
        while camera.sent < 2:
            time.sleep(0.05)
        local.call(lambda: local.service.store.faults.ask(Fault("throttled", "cam01", times=3)))
        cured(lambda: verify(patience=20))  # type: ignore[arg-type]
        local.call(lambda: local.service.store.faults.ask(Fault("throttled", "cam01", times=0)))
        assert reasons(verify()) == ["throttled"]


def test_every_reason_names_a_side_and_what_comes_next() -> None:
    for name, reason in REASONS.items():
        assert reason.cause, name
        assert reason.next_step, name

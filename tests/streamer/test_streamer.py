"""boardstream: it closes what is open, ends what does not move, and its exit code says whether a restart helps."""

from __future__ import annotations

import itertools
import json
import re
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from deploy.pipelines.argv import pipeline_command
from deploy.pipelines.pipeline import compose
from deploy.streams.model import PipelineStream
from tests.support.boardstream import CAMERA, Boardstream, pipeline
from tests.support.rtspcamera import RtspCamera

pytestmark = pytest.mark.process
DONE, USAGE, UNCLOSED, RESTART, GIVE_UP = 0, 64, 74, 75, 78


def index(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]


def fault(text: str) -> dict[str, str]:
    return {"FAKEKVSSINK_FAULT": text}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_closes_the_open_fragment_and_waits_for_its_ack(
    made: Boardstream, tmp_path: Path, number: signal.Signals
) -> None:
    with made.started(pipeline(), environment={"FAKEKVSSINK_DUMP": str(tmp_path)}) as stream:
        stream.wait_for(r"^boardstream: cam: streaming: the first buffer within \d+ ms$")
        time.sleep(2.5)
        code, seconds = stream.stop(number)
        assert (code, seconds < 2) == (DONE, True), stream.said
        assert f"boardstream: cam: stop: {number.name}: closing the stream" in stream.said
        status = stream.status()
    rows = index(tmp_path)
    frames = [row for row in rows if "pts" in row]
    assert rows[-1] == {"end": True, "frames": len(frames)}
    assert len(frames) > 40
    assert (tmp_path / "frames.bin").stat().st_size == sum(row["size"] for row in frames)
    assert all(later["pts"] > row["pts"] for row, later in itertools.pairwise(frames))
    keys = [row for row in frames if row["key"]]
    assert [row["fragment"] for row in keys] == list(range(1, len(keys) + 1)), "a fragment begins at each key frame"
    assert [row for row in rows if row.get("ack") == "PERSISTED"][-1]["fragment"] == len(keys), "the last one too"
    caps = next(row for row in rows if "caps" in row)
    assert caps["codec_data"].startswith("01"), "avcC"
    assert (status["state"], status["exit"], status["fragments"]) == ("ended", DONE, len(keys))
    assert status["frames"] == len(frames)


def test_a_second_signal_ends_it_at_once(made: Boardstream) -> None:
    with made.started(pipeline(), environment=fault("mute@1")) as stream:
        stream.wait_for("streaming:")
        stream.process.send_signal(signal.SIGTERM)
        stream.wait_for("closing the stream")
        code, seconds = stream.stop(signal.SIGTERM)
        assert (code, seconds < 1) == (128 + signal.SIGTERM, True), stream.said


def test_a_service_that_does_not_confirm_the_end_is_not_waited_for_for_ever(made: Boardstream) -> None:
    with made.started(pipeline(), ["--stop-seconds", "2"], fault("mute@1")) as stream:
        stream.wait_for("streaming:")
        code, seconds = stream.stop()
        assert (code, seconds < 5) == (UNCLOSED, True), stream.said
        assert "stop: the last fragment was not confirmed within 2 s: it may be lost" in stream.said


def test_a_sink_that_hangs_does_not_keep_it_from_stopping(made: Boardstream) -> None:
    with made.started(pipeline(), ["--stop-seconds", "1", "--stall", "0"], fault("hang@20")) as stream:
        stream.wait_for("streaming:")
        time.sleep(1)
        code, seconds = stream.stop()
        assert (code, seconds < 5) == (UNCLOSED, True), stream.said


@pytest.mark.parametrize("kind", ["stall", "hang"])
def test_frames_that_do_not_advance_end_it_with_the_reason(made: Boardstream, kind: str) -> None:
    with made.started(pipeline(), ["--stall", "2"], fault(f"{kind}@30")) as stream:
        stream.wait_for("streaming:")
        time.sleep(1.3)  # frame 31, the first one that is not taken
        began = time.monotonic()
        assert stream.end() == RESTART
        assert time.monotonic() - began < 4, "the limit and two seconds"
        assert "boardstream: cam: restart: no buffer at sink.video_0 for 2 s, after 31\n" in stream.said
        status = stream.status()
    assert (status["exit"], status["reason"]) == (RESTART, "no buffer at sink.video_0 for 2 s, after 31")


def test_fragments_that_are_not_confirmed_end_it_while_frames_still_come(made: Boardstream) -> None:
    with made.started(pipeline(), ["--ack-stall", "2", "--stall", "2"], fault("mute@60")) as stream:
        assert stream.end() == RESTART
        assert re.search(
            r"restart: no fragment of sink was confirmed for 2 s, after 2; buffers still come", stream.said
        )
        status = stream.status()
    assert status["fragments"] == 2
    assert status["frames"] > 80


def test_a_status_code_that_the_sink_told_is_the_better_reason(made: Boardstream) -> None:
    code, said = made.ran(pipeline(), ["--ack-stall", "2"], fault("tell=0x52000010@20"))
    assert code == GIVE_UP
    assert "the sink told 0x52000010: access denied: the credentials, the policy, or a clock" in said
    code, said = made.ran(pipeline(), ["--ack-stall", "2"], fault("tell=0x5200005c@20"))
    assert code == RESTART, said
    assert "the sink told 0x5200005c" in said


@pytest.mark.parametrize(
    ("told", "code", "meaning"),
    [
        ("error=0x5200007c@30", GIVE_UP, "give-up: sink: stream type mismatch: the tracks that are sent"),
        ("error=0x52000010@0", GIVE_UP, "give-up: sink: access denied: the credentials, the policy, or a clock"),
        ("error=0x52000051@30", RESTART, "restart: sink: an answer was not the service's own"),
        ("error=0x52000099@0", RESTART, "restart: sink: Could not initialize supporting library"),
    ],
)
def test_a_status_code_decides_whether_a_restart_helps(made: Boardstream, told: str, code: int, meaning: str) -> None:
    ended, said = made.ran(pipeline(), environment=fault(told))
    assert ended == code, said
    assert meaning in said
    assert re.search(rf"^boardstream: cam: error: sink: .* {told[6:].partition('@')[0]}\)$", said, re.MULTILINE), said


def test_a_crash_is_seen_by_the_next_one(made: Boardstream, tmp_path: Path) -> None:
    status = tmp_path / "status.json"
    for restarts in range(2):
        with made.started(pipeline(), environment=fault("crash@10"), status=status) as stream:
            assert stream.end() == -signal.SIGSEGV
            assert stream.status()["restarts"] == restarts
    with made.started(pipeline(), ["--stall", "1"], fault("stall@10"), status) as stream:
        assert stream.end() == RESTART
        assert stream.status()["last_reason"] == "it ended without a word: it crashed or was killed"
    with made.started(pipeline(), status=status) as stream:
        stream.wait_for("streaming:")
        read = stream.status()
        assert (read["restarts"], read["last_reason"]) == (3, "no buffer at sink.video_0 for 1 s, after 11")
        assert stream.stop()[0] == DONE
    with made.started(pipeline(), status=status) as stream:
        stream.wait_for("streaming:")
        assert stream.status()["restarts"] == 0, "somebody had stopped it"


def test_a_leak_is_ended_at_the_limit(made: Boardstream) -> None:
    code, said = made.ran(pipeline(), ["--memory", "150"], fault("leak=4096@10"))
    assert code == RESTART
    assert re.search(r"restart: \d+ MB of memory, the limit is 150", said), said


def test_a_slow_sink_is_none_that_stalls(made: Boardstream) -> None:
    with made.started(pipeline(), ["--stall", "2"], fault("slow=300@5")) as stream:
        stream.wait_for("streaming:")
        time.sleep(4)
        assert stream.process.poll() is None, stream.said
        assert stream.stop()[0] == DONE, stream.said


def test_a_source_that_ends_is_to_be_started_again_unless_once_was_enough(made: Boardstream) -> None:
    words = pipeline(CAMERA.replace("is-live=true", "is-live=true num-buffers=20"))
    code, said = made.ran(words)
    assert (code, "boardstream: cam: restart: the source ended" in said) == (RESTART, True), said
    code, said = made.ran(words, ["--once"])
    assert (code, "the source is at its end" in said) == (DONE, True), said


def test_a_camera_that_is_not_there_is_waited_for_by_starting_again(made: Boardstream) -> None:
    code, said = made.ran(["v4l2src", "device=/dev/video-none", "!", "videoconvert", "!", "fakesink"])
    assert code == RESTART
    assert re.search(r"restart: v4l2src0: .*/dev/video-none", said), said


def test_an_rtsp_camera_that_reboots(made: Boardstream, units: list[bytes], tmp_path: Path) -> None:
    with RtspCamera(units=units, pictures=60) as camera:
        words = pipeline(
            f"rtspsrc name=src location=rtsp://127.0.0.1:{camera.port}/ protocols=tcp ! rtph264depay ! h264parse"
        )
        code, said = made.ran(words, environment={"FAKEKVSSINK_DUMP": str(tmp_path)})
    assert code == RESTART, said
    assert re.search(r"^boardstream: cam: restart: ", said, re.MULTILINE), said
    rows = index(tmp_path)
    assert rows[-1].get("end"), "what had come was closed"
    assert rows[-1]["frames"] > 40
    code, said = made.ran(words)
    assert code == RESTART, said
    assert "restart: src: Could not open resource" in said


def test_no_first_buffer_in_time(made: Boardstream, tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"], stdout=subprocess.PIPE) as silent:
        assert silent.stdout
        words = f"filesrc location=/proc/{silent.pid}/fd/1 ! fakesink name=f".split()
        code, said = made.ran(words, ["--start", "2", "--stop-seconds", "1"])
        silent.kill()
    assert code == RESTART
    assert "restart: no buffer at f.sink within 2 s of the start" in said


def test_a_pipeline_that_is_wrong_is_not_started_again(made: Boardstream) -> None:
    for words, reason in {
        "nosuchelement ! fakesink": 'no element "nosuchelement"',
        "videotestsrc nosuch=1 ! fakesink": 'no property "nosuch"',
        "videotestsrc ! audioconvert ! fakesink": "could not link",
    }.items():
        code, said = made.ran(words.split())
        assert code == GIVE_UP, said
        assert f"give-up: the pipeline is wrong: {reason}" in said
    code, said = made.ran(["filesrc", "location=/etc/passwd", "!", "decodebin", "!", "fakesink"])
    assert code == GIVE_UP, said
    assert re.search(r"give-up: \w+: formats do not fit", said), said


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["--stall", "x", "--", "fakesrc"],
        ["--stall", "-1", "--", "fakesrc"],
        ["--nosuch", "1", "--", "fakesrc"],
        ["--name", "a b", "--", "fakesrc"],
        ["--property-file", "src=x", "--", "fakesrc"],
        ["--file", "x", "--", "fakesrc"],
        ["--status"],
    ],
)
def test_a_command_line_that_is_wrong(made: Boardstream, argv: list[str]) -> None:
    done = subprocess.run([made.program, *argv], capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == USAGE
    assert re.fullmatch(r"boardstream: \S+: usage: .+\n", done.stderr)


def test_it_takes_what_a_board_file_renders(made: Boardstream, tmp_path: Path, units: list[bytes]) -> None:
    password = tmp_path / "password"
    password.write_text("swordfish\n")
    password.chmod(0o600)
    with RtspCamera(units=units, password="swordfish") as camera:
        stream = PipelineStream.model_validate(
            {
                "source": {
                    "rtsp": f"rtsp://127.0.0.1:{camera.port}/",
                    "protocols": "tcp",
                    "user": "admin",
                    "password_file": str(password),
                },
                "sink": {"kvs": "s"},
            }
        )
        composed = compose(stream)
        assert composed
        rendered = pipeline_command(composed).argv[1:]
        assert rendered[0] == "--property-file"
        with made.started(rendered[2:], rendered[:2]) as process:
            process.wait_for("streaming:")
            assert process.stop()[0] == DONE
    assert camera.allowed >= 3, "DESCRIBE, SETUP, PLAY"


def test_the_status_is_whole_whenever_it_is_read(made: Boardstream) -> None:
    with made.started(pipeline()) as stream:
        stream.wait_for("streaming:")
        read = []
        for _ in range(200):
            stream.process.send_signal(signal.SIGUSR1)
            read.append(stream.status())
            time.sleep(0.005)
        assert stream.stop()[0] == DONE
        lines = Counter(line.split(": ")[2] for line in stream.said.splitlines())
    assert lines["status"] > 20
    assert len({row["frames"] for row in read}) > 10, "it was written in between"
    assert read[-1]["state"] == "streaming"
    assert 15 < read[-1]["fps"] < 35
    assert read[-1]["pads"][0]["pad"] == "sink.video_0"
    assert {row["pid"] for row in read} == {stream.process.pid}


def test_a_warning_of_every_frame_does_not_fill_the_log(made: Boardstream) -> None:
    words = pipeline(CAMERA.replace("is-live=true", "num-buffers=200"))
    code, said = made.ran(words, ["--once"], fault("warn@0"))
    assert code == DONE, said
    assert said.count("warning: sink: ") == 10, said
    assert "put frame error occurred. Status: 0x5200002e" in said


def test_threads_are_gstreamers_alone(made: Boardstream) -> None:
    """GStreamer takes its threads from a pool of GLib's, which keeps idle ones."""
    with made.started(["videotestsrc", "is-live=true", "!", "fakesink"]) as stream:
        stream.wait_for("streaming:")
        names = sorted(path.read_text().strip() for path in Path(f"/proc/{stream.process.pid}/task").glob("*/comm"))
        assert stream.stop()[0] == DONE
    assert [name for name in names if not name.startswith("pool-")] == ["boardstream", "videotestsrc0:s"]

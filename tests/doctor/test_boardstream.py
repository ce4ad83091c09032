"""What the real boardstream says of its faults, and the real GStreamer, is told as what it is."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from deploy.doctor.diagnose import diagnose
from deploy.doctor.diagnosis import StreamEvidence
from tests.support.boardstream import CAMERA, Boardstream, compiled, pipeline

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Boardstream:
    return compiled(tmp_path_factory.mktemp("boardstream"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A service whose program has ended."""

    last_exit: int | None
    phase: str = "restarting"
    installed: bool = True
    restarts: int = 1
    reason: str = ""


LACKING = ["videotestsrc", "num-buffers=5", "!", "nosuchelement", "!", "fakesink"]


@pytest.mark.parametrize(
    ("words", "options", "fault", "expected"),
    [
        (pipeline(), [], "error=0x5200007c@30", "stream-type-mismatch"),
        (pipeline(), ["--ack-stall", "2"], "tell=0x52000010@20", "access-denied"),
        (pipeline(), ["--ack-stall", "2"], "tell=0x5200005c@20", "service-error"),
        (pipeline(), ["--ack-stall", "2", "--stall", "2"], "mute@60", "no-acks"),
        (pipeline(), ["--stall", "1"], "stall@10", "no-frames"),
        (pipeline(), [], "crash@10", "crashed"),
        (pipeline(CAMERA.replace("is-live=true", "is-live=true num-buffers=20")), [], "", "source-ended"),
        (["v4l2src", "device=/dev/video-none", "!", "videoconvert", "!", "fakesink"], [], "", "camera-missing"),
        (LACKING, [], "", "element-missing"),
        (pipeline(sink="kvssink name=sink sceret-key=a"), [], "", "pipeline-wrong"),
        (pipeline(), ["--property-file", "sink.secret-key=/nowhere/key"], "", "secret-file"),
        (pipeline(), ["--stal", "2"], "", "pipeline-wrong"),
    ],
)
def test_a_fault_of_a_stream(
    made: Boardstream, words: Sequence[str], options: Sequence[str], fault: str, expected: str
) -> None:
    with made.started(words, options, {"FAKEKVSSINK_FAULT": fault} if fault else {}) as process:
        code = process.end()
        said = process.said
        status = process.status_file.read_bytes() if process.status_file.exists() else b""
    service = Ended(last_exit=code if code >= 0 else 128 - code)
    told = diagnose((), [StreamEvidence(name="cam", service=service, log=said.encode(), status=status)])
    assert told, said
    assert told[0].check == expected, (said, [one.check for one in told])
    assert told[0].evidence[0].line


def test_a_stream_that_runs_well_has_nothing(made: Boardstream) -> None:
    with made.started(pipeline()) as process:
        process.wait_for("streaming:")
        said, status = process.said.encode(), process.status_file.read_bytes()
        service = Ended(last_exit=None, phase="running", restarts=0)
        assert diagnose((), [StreamEvidence(name="cam", service=service, log=said, status=status)]) == ()
        assert process.stop()[0] == 0
        ended = StreamEvidence(name="cam", log=process.said.encode(), status=process.status_file.read_bytes())
        assert diagnose((), [ended]) == ()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (LACKING, "element-missing"),
        (["videotestsrc", "nosuchproperty=1", "!", "fakesink"], "pipeline-wrong"),
        (["videotestsrc", "!", "audioconvert", "!", "fakesink"], "not-negotiated"),
        (["v4l2src", "device=/dev/video-none", "!", "fakesink"], "camera-missing"),
        (["filesrc", "location=/nowhere.mp4", "!", "fakesink"], "source-missing"),
        (["videotestsrc", "num-buffers=1", "!", "fakesink"], ""),
    ],
)
def test_gst_launch_itself(made: Boardstream, words: Sequence[str], expected: str) -> None:
    done = subprocess.run(
        ["gst-launch-1.0", *words], env=dict(made.environment), capture_output=True, text=True, check=False
    )
    log = (done.stdout + done.stderr).encode()
    told = diagnose((), [StreamEvidence(name="cam", service=Ended(last_exit=done.returncode), log=log)])
    assert (told[0].check if told else "") == expected, (done.stdout + done.stderr, [one.check for one in told])

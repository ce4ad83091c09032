"""Whether the parts of a stream fit each other, the service and the board; and what is said where they do not."""

from __future__ import annotations

from fractions import Fraction

import pytest

from deploy.pipelines.checks import check_stream
from deploy.pipelines.facts import BoardFacts, CameraMode, Fault, Severity
from deploy.pipelines.room import storage_needed
from tests.pipelines.lines import BOARD_2_3_5_A, stream

# The camera of the listing of gst-device-monitor-1.0, a part of it.
W300 = (
    *(
        CameraMode(format="YUY2", width=width, height=height, framerates=(Fraction(rate),))
        for width, height, rate in ((864, 480, 10), (640, 480, 30), (640, 360, 30), (320, 240, 30))
    ),
    *(
        CameraMode(format="image/jpeg", width=width, height=height, framerates=(Fraction(30),))
        for width, height in ((1920, 1080), (1280, 720), (640, 480))
    ),
)


def errors(text: str, facts: BoardFacts | None = None) -> list[Fault]:
    return [fault for fault in check_stream(stream(text), facts) if fault.severity is Severity.ERROR]


def kvs(video: str = "", sink: str = "", source: str = 'v4l2 = "/dev/video0"', more: str = "") -> str:
    encoder = 'encoder = "x264enc", framerate = 30, key_frame_interval = 60, bitrate = 500'
    return f"""
[s]
source = {{ {source} }}
video = {{ {video or encoder} }}
sink = {{ kvs = "x"{sink} }}
{more}
"""


def test_a_good_stream_has_no_fault() -> None:
    assert check_stream(stream(kvs())) == []


@pytest.mark.parametrize(
    ("text", "where", "cure"),
    [
        (kvs('codec = "h264"'), "video.encoder", 'encoder = "x264enc"'),
        (kvs('codec = "h265"', source='v4l2 = "/dev/video0", gives = "h264"'), "video.codec", 'codec = "h264"'),
        (kvs('codec = "h264"', source='file = "/a/b.avi"'), "source.file", ".mkv"),
        (kvs('encoder = "acmeenc", bitrate = 500'), "video.bitrate", "bitrate_property"),
        (
            kvs('encoder = "x264enc", framerate = 30, key_frame_interval = 301'),
            "video.key_frame_interval",
            "key_frame_interval = 60",
        ),
        (
            kvs('encoder = "x264enc", framerate = 30, key_frame_interval = 15'),
            "video.key_frame_interval",
            "fragment every 2 s",
        ),
        (
            kvs('encoder = "x264enc", framerate = 30, key_frame_interval = 60, b_frames = 2'),
            "video.b_frames",
            "b_frames = 0",
        ),
        (
            kvs('encoder = "x264enc", framerate = 30, key_frame_interval = 60, properties = { bframes = 1 }'),
            "video.b_frames",
            "b_frames = 0",
        ),
        (
            kvs(
                'encoder = "x264enc", framerate = 10, key_frame_interval = 100, bitrate = 50000',
                ", storage_size = 4096",
            ),
            "video.bitrate",
            "key frames more often",
        ),
        (kvs('codec = "h264"', source='rtsp = "rtsp://h/live?user=joe&password=x"'), "source.rtsp", "rtsp_file"),
        (kvs(more='audio = { track = "aac" }'), "audio.track", "alsa"),
        (kvs('codec = "h264"', source='rtsp = "rtsp://h/"', more='audio = { track = "mp3" }'), "audio.track", "decode"),
        (kvs(sink=", storage_size = 8"), "sink.storage_size", "storage_size = 9"),
        (
            '[s]\nsource={v4l2="/dev/video0"}\nvideo={encoder="x264enc"}\nsinks=[{fake=true},{webrtc="c"}]',
            "sinks[1]",
            "RTSP source",
        ),
        (
            '[s]\nsource={rtsp="rtsp://h/", user="u", password_file="/p"}\nsink={webrtc="c"}',
            "sink",
            "asks for no password",
        ),
        ('[s]\nsource={file="/a.mp4"}\nsink={webrtc="c"}', "sink", "RTSP source"),
        (
            '[s]\nsource={test="ball"}\nsink={webrtc="c", program="kvsWebrtcClientMaster"}',
            "sink",
            "leave the source out",
        ),
        ('[s]\nsample="kvs_gstreamer_file_uploader_sample"\nstream="x"\nfile="/a/b c.mp4"', "file", "without spaces"),
        ('[s]\nsample="kvs_gstreamer_file_uploader_sample"\nstream="x"\nfile="/a/b.MP4"', "file", ".mkv"),
    ],
)
def test_what_the_service_does_not_take(text: str, where: str, cure: str) -> None:
    told = errors(text)
    assert [fault.where for fault in told] == [where]
    assert cure in told[0].cure


def test_the_camera_of_four_lines_is_advised_a_key_frame_interval() -> None:
    told = check_stream(stream(BOARD_2_3_5_A))
    assert [(fault.where, fault.severity) for fault in told] == [("video.key_frame_interval", Severity.ADVICE)]
    assert "every 10 s" in told[0].what
    assert "key_frame_interval = 60" in told[0].cure


@pytest.mark.parametrize("frames", range(1, 700, 7))
def test_fragments_are_one_to_ten_seconds(frames: int) -> None:
    text = kvs(f'encoder = "x264enc", framerate = "30/1", key_frame_interval = {frames}')
    assert bool(errors(text)) == (not 30 <= frames <= 300)


# --- what the board has ---


def test_storage_is_what_the_maintainers_count() -> None:
    # 512 kbit/s are 64 kB a second: 120 s and the fifth on top are 9.216 MB a stream.
    assert [storage_needed(512, 120), storage_needed(512, 120, streams=4), storage_needed(512, 10)] == [10, 37, 1]


def test_storage_is_checked_against_memory() -> None:
    facts = BoardFacts(ram_mb=256)
    assert not errors(kvs(), facts)
    (fault,) = errors(kvs(sink=", storage_size = 200"), facts)
    assert (fault.where, "storage_size = 64" in fault.cure) == ("sink.storage_size", True)


@pytest.mark.parametrize(
    ("uplink", "audio", "cure"), [(560, "", ""), (540, "", "bitrate = 490"), (600, "a", "bitrate = 417")]
)
def test_bitrate_is_checked_against_the_uplink(uplink: int, audio: str, cure: str) -> None:
    told = errors(kvs(more='audio = { alsa = "hw:0,0" }' if audio else ""), BoardFacts(uplink_kbps=uplink))
    assert [cure in fault.cure for fault in told] == ([True] if cure else [])
    if told:  # and the cure cures
        rate = int(told[0].cure.rpartition(" ")[2])
        text = kvs(f'encoder = "x264enc", framerate = 30, key_frame_interval = 60, bitrate = {rate}')
        text += 'audio = { alsa = "hw:0,0" }' if audio else ""
        assert not errors(text, BoardFacts(uplink_kbps=uplink))


def test_elements_that_the_board_lacks_come_with_their_package() -> None:
    has = frozenset({"v4l2src", "queue", "videoconvert", "h264parse"})
    told = errors(BOARD_2_3_5_A, BoardFacts(elements=has))
    assert {fault.where: fault.cure for fault in told} == {
        "clockoverlay": "install gstreamer1.0-x on it",
        "x264enc": "install gstreamer1.0-plugins-ugly on it",
    }
    acme = kvs('encoder = "acmeenc", package = "acme-gst", framerate = 30, key_frame_interval = 60')
    assert errors(acme, BoardFacts(elements=has))[0].cure == "install acme-gst on it"
    assert "vendor" in errors(acme.replace('package = "acme-gst", ', ""), BoardFacts(elements=has))[0].cure


@pytest.mark.parametrize(
    ("source", "size", "cure"),
    [
        ("", (640, 480, 30), None),
        ("", (1280, 720, 30), 'gives = "jpeg"'),
        (', gives = "jpeg"', (1280, 720, 30), None),
        ("", (800, 448, 10), "nearest are 864x480 YUY2 at 10"),
        ("", (640, 480, 25), "nearest are 640x480 YUY2 at 30"),
    ],
)
def test_sizes_that_the_camera_offers(source: str, size: tuple[int, int, int], cure: str | None) -> None:
    text = BOARD_2_3_5_A.replace('video0"', f'video0"{source}')
    text = text.replace(
        "width = 640, height = 480, framerate = 30", "width = {}, height = {}, framerate = {}".format(*size)
    )
    told = errors(text, BoardFacts(cameras={"/dev/video0": W300}))
    assert [cure in fault.cure for fault in told if cure] == ([True] if cure else [])
    assert bool(told) == bool(cure)


def test_a_camera_or_microphone_that_is_not_there() -> None:
    (camera,) = errors(BOARD_2_3_5_A, BoardFacts(cameras={"/dev/video2": W300}))
    assert "/dev/video2" in camera.cure
    facts = BoardFacts(microphones={"hw:1,0": (48000, 16000)})
    (microphone,) = errors(kvs(more='audio = { alsa = "hw:0,0" }'), facts)
    assert "hw:1,0" in microphone.cure
    (rate,) = errors(kvs(more='audio = { alsa = "hw:1,0", rate = 24000 }'), facts)
    assert rate.cure == "write resample = true, or rate = 16000"
    assert not errors(kvs(more='audio = { alsa = "hw:1,0", rate = 24000, resample = true }'), facts)
    assert not errors(kvs(more='audio = { alsa = "plughw:1,0", rate = 24000 }'), facts)


def test_samples_are_checked_against_the_board_too() -> None:
    sample = '[s]\nsample="kvs_gstreamer_sample"\nstream="x"\nwidth=1280\nheight=720\nframerate=30'
    (fault,) = errors(sample, BoardFacts(cameras={"/dev/video0": W300}))
    assert "640x480" in fault.cure
    audio = '[s]\nsample="kvs_gstreamer_audio_video_sample"\nstream="x"\naudio_device="hw:0,0"'
    told = errors(audio, BoardFacts(elements=frozenset({"v4l2src", "alsasrc", "x264enc", "h264parse", "aacparse"})))
    assert [fault.cure for fault in told] == ["install gstreamer1.0-libav on it"]


# --- ranges ---


MIC = 'audio = {{ alsa = "{device}", rate = {rate} }}'
RANGED = BoardFacts(microphones={"hw:1,0": ((8000, 48000), 96000), "hw:0,0": (44100,)}, cards={"C920": 1, "PCH": 0})


@pytest.mark.parametrize(
    ("device", "rate", "cure"),
    [
        ("hw:1,0", 16000, None),
        ("hw:1,0", 8000, None),
        ("hw:1,0", 48000, None),
        ("hw:1,0", 96000, None),
        ("hw:1,0", 64000, "write resample = true, or rate = 48000"),
        ("hw:CARD=C920,DEV=0", 16000, None),
        ("hw:C920", 64000, "write resample = true, or rate = 48000"),
        ("hw:CARD=PCH", 48000, "write resample = true, or rate = 44100"),
        ("plughw:1,0", 64000, None),
        ("hw:CARD=C922,DEV=0", 48000, "seen were hw:1,0, hw:0,0"),
        ("plughw:2,0", 48000, "seen were hw:1,0, hw:0,0"),
        ("default", 64000, None),
        ("hw:1,2", 48000, "seen were hw:1,0, hw:0,0"),
    ],
)
def test_a_microphone_of_a_range_takes_every_rate_within(device: str, rate: int, cure: str | None) -> None:
    found = errors(kvs(more=MIC.format(device=device, rate=rate)), RANGED)
    assert [fault.cure for fault in found] == ([cure] if cure else [])


STEPPED = (
    CameraMode(
        format="YUYV", width=32, height=32, to_width=2592, to_height=1944, framerates=(),
        rate_ranges=((Fraction(1), Fraction(90)),),
    ),
    CameraMode(format="YUYV", width=4056, height=3040, framerates=(Fraction(10),)),
)  # fmt: skip


@pytest.mark.parametrize(
    ("size", "rate", "fits"),
    [
        ((1280, 720), "30", True),
        ((1280, 720), '"30000/1001"', True),
        ((32, 32), "1", True),
        ((2592, 1944), "90", True),
        ((1280, 720), "120", False),
        ((3000, 2000), "30", False),
        ((4056, 3040), "10", True),
        ((4056, 3040), "30", False),
    ],
)
def test_a_camera_of_ranges_gives_every_size_and_rate_within(size: tuple[int, int], rate: str, fits: bool) -> None:
    video = f'encoder = "x264enc", width = {size[0]}, height = {size[1]}, framerate = {rate}, key_frame_interval = 2'
    found = [
        fault for fault in errors(kvs(video), BoardFacts(cameras={"/dev/video0": STEPPED})) if fault.where == "video"
    ]
    assert not found if fits else "1 to 90" in found[0].cure


def test_a_name_that_udev_gives_a_camera_is_not_refused() -> None:
    source = 'v4l2 = "/dev/v4l/by-id/usb-046d_HD_Pro-video-index0"'
    assert errors(kvs(source=source), BoardFacts(cameras={"/dev/video0": STEPPED})) == []

"""Cameras, sound and GStreamer as their tools print them, of several versions; the seed's listings among them."""

from __future__ import annotations

import dataclasses

import pytest

from deploy.boardfiles.live import stream_facts
from deploy.probe import devices_alsa, devices_gst, devices_v4l2
from deploy.probe.facts import BoardFacts, FrameSize, GstDevice, Kvssink
from tests.probe.answers import LINK, answer, sample


def test_the_seeds_list_of_cameras() -> None:
    assert devices_v4l2.read_device_list(sample("v4l2-list-seed")) == {
        "/dev/video0": ("w300: w300", "usb-0000:00:0b.0-1"),
        "/dev/video1": ("w300: w300", "usb-0000:00:0b.0-1"),
    }


@pytest.mark.parametrize(
    ("version", "nodes"),
    [
        ("1.12", {"/dev/video0": ("mmal service 16.1", "platform:bcm2835-v4l2")}),
        (
            "1.22",
            {
                "/dev/video10": ("bcm2835-codec-decode", "platform:bcm2835-codec"),
                "/dev/video11": ("bcm2835-codec-decode", "platform:bcm2835-codec"),
                "/dev/video0": ("HD Webcam (v2)", "usb-3f980000.usb-1.2"),
                "/dev/video1": ("HD Webcam (v2)", "usb-3f980000.usb-1.2"),
            },
        ),
        (
            "1.24",
            {
                "/dev/video17": ("rkisp-statistics", "platform: rkisp"),
                "/dev/video18": ("rkisp-statistics", "platform: rkisp"),
            },
        ),
    ],
)
def test_lists_of_cameras(version: str, nodes: dict[str, tuple[str, str]]) -> None:
    assert devices_v4l2.read_device_list(sample(f"v4l2-list-{version}")) == nodes


def test_a_camera_of_1_12() -> None:
    node = devices_v4l2.read_node("/dev/video0", sample("v4l2-node-1.12"))
    assert (node.name, node.driver, node.bus) == ("mmal service 16.1", "bm2835 mmal", "platform:bcm2835-v4l2")
    assert node.camera
    assert [(pixels.fourcc, pixels.description, pixels.compressed) for pixels in node.formats] == [
        ("YU12", "Planar YUV 4:2:0", False),
        ("H264", "H.264", True),
        ("MJPG", "Motion-JPEG", True),
    ]
    assert node.formats[0].sizes == (FrameSize(width=32, height=32, to_width=2592, to_height=1944),)
    assert node.formats[2].sizes[0].rate_ranges == ((1.0, 90.0),)
    assert node.formats[2].sizes[0].rates == ()


def test_a_camera_of_1_18() -> None:
    node = devices_v4l2.read_node("/dev/video0", sample("v4l2-node-1.18"))
    assert (node.driver, node.camera) == ("uvcvideo", True)
    assert node.capabilities == {"Video Capture", "Streaming", "Extended Pix Format"}
    motion, raw = node.formats
    assert (motion.fourcc, motion.description, motion.compressed) == ("MJPG", "Motion-JPEG", True)
    assert motion.sizes == (
        FrameSize(width=1920, height=1080, rates=(30.0,)),
        FrameSize(width=1280, height=720, rates=(15.0, 30.0)),
    )
    assert (raw.fourcc, raw.description, raw.compressed) == ("YUYV", "YUYV 4:2:2", False)
    assert raw.sizes[1] == FrameSize(width=864, height=480, rates=(10.0,))


def test_a_camera_of_1_24_with_planes() -> None:
    node = devices_v4l2.read_node("/dev/video0", sample("v4l2-node-1.24"))
    assert node.camera
    assert node.driver == "rkisp_v5"
    size = FrameSize(width=32, height=32, to_width=2688, to_height=1520, rate_ranges=((10.0, 30.0),))
    assert node.formats[0].sizes == (size,)
    assert node.formats[1].description == "8-bit Bayer BGBG/GRGR"


@pytest.mark.parametrize("name", ["v4l2-meta-1.18", "v4l2-codec-1.22"])
def test_metadata_and_codecs_are_no_cameras(name: str) -> None:
    node = devices_v4l2.read_node("/dev/video1", sample(name))
    assert node.driver
    assert not node.camera


def test_a_busy_camera_keeps_what_the_tool_said() -> None:
    node = devices_v4l2.read_node("/dev/video0", sample("v4l2-busy-1.12"))
    assert node.trouble == "Failed to open /dev/video0: Device or resource busy"
    assert not node.camera


def test_a_board_without_v4l2_ctl_has_names() -> None:
    names = devices_v4l2.read_sys_names("/dev/video10 codec\n/dev/video2 cam: cam\n/dev/../x evil\n")
    nodes = devices_v4l2.merge_nodes({}, names, {})
    assert [(node.path, node.name) for node in nodes] == [("/dev/video2", "cam: cam"), ("/dev/video10", "codec")]


def test_the_seeds_microphones_and_speakers() -> None:
    microphones = devices_alsa.read_hardware_list(sample("arecord-seed"), capture=True)
    assert [(device.hw, device.card_id, device.card_name, device.name) for device in microphones] == [
        ("hw:0,0", "I82801AAICH", "Intel 82801AA-ICH", "Intel ICH"),
        ("hw:0,1", "I82801AAICH", "Intel 82801AA-ICH", "Intel ICH - MIC ADC"),
        ("hw:1,0", "w300", "w300", "USB Audio"),
    ]
    assert {(device.free, device.total, device.capture) for device in microphones} == {(1, 1, True)}
    speakers = devices_alsa.read_hardware_list(sample("aplay-seed"), capture=False)
    assert [(device.hw, device.capture) for device in speakers] == [("hw:0,0", False)]


def test_older_and_newer_lists_of_sound() -> None:
    (busy,) = devices_alsa.read_hardware_list(sample("arecord-1.1"), capture=True)
    assert (busy.hw, busy.free, busy.total) == ("hw:1,0", 0, 1)
    assert devices_alsa.read_hardware_list(sample("arecord-none-1.2"), capture=True) == ()
    headphones, dac = devices_alsa.read_hardware_list(sample("aplay-1.2"), capture=False)
    assert (headphones.free, headphones.total, dac.hw) == (8, 8, "hw:2,0")
    assert dac.name == "HifiBerry DAC HiFi pcm5102a-hifi-0"


def test_the_kernels_own_words_give_the_same_devices() -> None:
    tools = [
        *devices_alsa.read_hardware_list(sample("arecord-seed"), capture=True),
        *devices_alsa.read_hardware_list(sample("aplay-seed"), capture=False),
    ]
    kernel = devices_alsa.read_pcm(sample("asound-pcm"), devices_alsa.read_cards(sample("asound-cards")))
    assert {(device.hw, device.capture, device.card_id, device.card_name, device.name) for device in kernel} == {
        (device.hw, device.capture, device.card_id, device.card_name, device.name) for device in tools
    }


def test_rates_of_a_usb_microphone() -> None:
    streams = devices_alsa.read_stream("/proc/asound/card1/stream0", sample("asound-stream"))
    listed = devices_alsa.read_hardware_list(sample("arecord-seed"), capture=True)
    usb = devices_alsa.merge_sound(listed, (), streams)[-1]
    assert (usb.hw, usb.rates, usb.formats, usb.channels) == ("hw:1,0", (8000, 16000, 48000), ("S16_LE",), (1, 2))


def test_a_usb_microphone_may_offer_a_range() -> None:
    text = sample("asound-stream").replace("Rates: 16000, 48000", "Rates: 8000 - 48000 (continuous)")
    streams = devices_alsa.read_stream("/proc/asound/card1/stream0", text)
    listed = devices_alsa.read_hardware_list(sample("arecord-seed"), capture=True)
    usb = devices_alsa.merge_sound(listed, (), streams)[-1]
    assert (usb.rates, usb.rate_ranges) == ((8000, 16000), ((8000, 48000),))
    board = stream_facts(BoardFacts(host="x", sound=(usb,)))
    assert board.microphones == {"hw:1,0": (8000, 16000, (8000, 48000))}
    # boardprobe asks for the usual rates one by one: the range counts all the same.
    asked = dataclasses.replace(listed[-1], rates=(16000, 44100))
    (told,) = devices_alsa.merge_sound([asked], (), streams)
    assert (told.rates, told.rate_ranges) == ((16000, 44100), ((8000, 48000),))
    for odd in ("48000 - 8000", "8000 - 99999999999", "0 - 0", "8000 -"):
        read = devices_alsa.read_stream("/proc/asound/card1/stream0", text.replace("8000 - 48000", odd))
        assert read[1, 0, True].rate_ranges == ()


def test_a_monitors_camera_may_offer_ranges() -> None:
    caps = "video/x-raw, format=(string)YUY2, width=(int)[ 16, 1920, 2 ], height=(int)[ 16, 1080 ], "
    device = GstDevice(
        name="c", kind="Video/Source", properties={"device.path": "/dev/video0"},
        caps=(f"{caps}framerate=(fraction)[ 5/1, 60/1 ]", "image/jpeg, width=640, height=480, framerate=30/1"),
    )  # fmt: skip
    node = devices_gst.video_node(device)
    assert node
    ranged, single = (pixels.sizes[0] for pixels in node.formats)
    assert ranged == FrameSize(width=16, height=16, to_width=1920, to_height=1080, rate_ranges=((5.0, 60.0),))
    assert single == FrameSize(width=640, height=480, rates=(30.0,))


def test_the_seeds_monitor() -> None:
    microphone, camera = devices_gst.read_monitor(sample("gst-device-monitor-seed"))
    assert (microphone.name, microphone.kind) == ("w300 Analog Stereo", "Audio/Source")
    assert len(microphone.caps) == 3
    assert microphone.properties["alsa.name"] == "USB Audio"
    assert microphone.properties["device.vendor.name"] == "HP, Inc"
    assert microphone.launch.startswith("gst-launch-1.0 pulsesrc device=alsa_input.usb-Sonix")
    assert (camera.name, camera.kind, len(camera.caps)) == ("w300: w300", "Video/Source", 20)
    assert camera.properties["device.path"] == "/dev/video0"


def test_the_seeds_monitor_gives_a_camera() -> None:
    node = devices_gst.video_node(devices_gst.read_monitor(sample("gst-device-monitor-seed"))[1])
    assert node is not None
    assert (node.path, node.name, node.driver, node.bus) == (
        "/dev/video0", "w300: w300", "uvcvideo", "usb-0000:00:0c.0-2",
    )  # fmt: skip
    assert node.camera
    raw, motion = node.formats
    assert (raw.fourcc, len(raw.sizes), motion.fourcc, len(motion.sizes)) == ("YUYV", 7, "MJPG", 13)
    assert raw.sizes[3] == FrameSize(width=640, height=480, rates=(30.0,))
    assert raw.sizes[0].rates == (10.0,)


def test_a_monitor_of_1_14_with_types_and_lists() -> None:
    (device,) = devices_gst.read_monitor(sample("gst-device-monitor-1.14"))
    node = devices_gst.video_node(device)
    assert node is not None
    assert (node.name, device.properties["v4l2.device.version"]) == ("Camera 1", "265826")
    assert node.formats[0].sizes == (FrameSize(width=640, height=480, rates=(15.0, 30.0)),)
    assert node.formats[1].sizes == (FrameSize(width=1280, height=720, rates=(30.0,)),)


def test_a_monitor_of_1_18_with_a_speaker_only() -> None:
    (device,) = devices_gst.read_monitor(sample("gst-device-monitor-1.18"))
    assert (device.kind, devices_gst.video_node(device)) == ("Audio/Sink", None)


@pytest.mark.parametrize(
    ("version", "elements"),
    [
        ("1.14", {"v4l2src", "h264parse", "queue"}),
        ("1.22", {"alsasrc", "queue", "kvssink", "v4l2h264enc", "v4l2src", "h264parse", "x264enc"}),
    ],
)
def test_elements(version: str, elements: set[str]) -> None:
    assert set(devices_gst.read_elements(sample(f"gst-inspect-{version}"))) == elements
    assert devices_gst.read_gstreamer(answer({"gst-list": sample(f"gst-inspect-{version}")})).whole


@pytest.mark.parametrize(
    ("frames", "verdict", "why"),
    [
        ({"gst-kvssink": sample("gst-kvssink")}, Kvssink.LOADS, ""),
        ({"gst-list": sample("gst-inspect-1.22")}, Kvssink.LOADS, ""),
        ({"gst-list": sample("gst-inspect-1.14")}, Kvssink.MISSING, ""),
        ({"gst-kvssink": "No such element or plugin 'kvssink'\n"}, Kvssink.MISSING, ""),
        ({"gst-list": "coreelements:  queue: Queue\n"}, Kvssink.UNKNOWN, ""),
        ({}, Kvssink.UNKNOWN, ""),
        (
            {"gst-kvssink": sample("gst-kvssink-fails")},
            Kvssink.FAILS,
            "libcproducer.so: cannot open shared object file: No such file or directory",
        ),
        (
            {
                "gst-kvssink": "No such element or plugin 'kvssink'\n",
                "gst-blacklist": "Blacklisted files:\n  libgstkvssink.so\n\nTotal count: 1 blacklisted file\n",
            },
            Kvssink.FAILS,
            "",
        ),
    ],
)
def test_what_became_of_kvssink(frames: dict[str, str], verdict: Kvssink, why: str) -> None:
    gst = devices_gst.read_gstreamer(answer(frames))
    assert (gst.kvssink, gst.why) == (verdict, why)


@pytest.mark.parametrize(
    ("frames", "version"),
    [
        ({"gst-version": "gst-inspect-1.0 version 1.22.0\nGStreamer 1.22.0\nhttps://x\n"}, "1.22.0"),
        ({"links": LINK + "/usr/lib/libgstreamer-1.0.so.0 -> libgstreamer-1.0.so.0.1404.0\n"}, "1.14.4"),
        ({"links": LINK + "/usr/lib/libgstreamer-1.0.so.0 -> libgstreamer-1.0.so.0.2203.0\n"}, "1.22.3"),
        ({"links": LINK + "/usr/lib/libgstreamer-1.0.so.0 -> nonsense\n"}, ""),
    ],
)
def test_the_version_with_and_without_tools(frames: dict[str, str], version: str) -> None:
    assert devices_gst.read_gstreamer(answer(frames)).version == version

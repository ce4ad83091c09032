"""The known lines of the seed, each with the stream of a board file that is to come out equal to it."""

from __future__ import annotations

import tomllib
from typing import Any

from pydantic import TypeAdapter

from deploy.pipelines.pipeline import Pipeline, compose
from deploy.streams.model import Streams

STREAMS: TypeAdapter[Streams] = TypeAdapter(Streams)


def stream(text: str) -> Any:
    return next(iter(STREAMS.validate_python(tomllib.loads(text)).values()))


def composed(text: str) -> Pipeline:
    made = compose(stream(text))
    assert made is not None
    return made


SEED_2_3_5_A = r"""gst-launch-1.0 -v \
 v4l2src device=/dev/video0 \
 ! queue \
 ! videoconvert \
 ! video/x-raw,width=640,height=480,framerate=30/1,format=I420 \
 ! clockoverlay time-format=\"%D %H:%M:%S\" \
 ! x264enc bitrate=500 \
 ! h264parse \
 ! video/x-h264,stream-format=avc,alignment=au \
 ! kvssink stream-name=\"HelloLankaKVS\" storage-size=512 name=sink
"""
BOARD_2_3_5_A = """
[front]
source = { v4l2 = "/dev/video0" }
video = { encoder = "x264enc", width = 640, height = 480, framerate = 30, bitrate = 500, clock = "%D %H:%M:%S" }
sink = { kvs = "HelloLankaKVS", storage_size = 512 }
"""
SEED_2_3_5_B = r"""gst-launch-1.0 -v \
 v4l2src device=/dev/video0 \
 ! queue \
 ! videoconvert \
 ! video/x-raw,width=640,height=480,framerate=30/1,format=I420 \
 ! queue \
 ! x264enc bframes=0 speed-preset=veryfast key-int-max=60 bitrate=512 byte-stream=TRUE tune=zerolatency \
 ! video/x-h264,stream-format=byte-stream,alignment=au,profile=baseline \
 ! h264parse \
 ! kvssink stream-name="HelloLankaKVS" storage-size=128 name=sink \
 alsasrc device="hw:0,0" \
 ! queue \
 ! audioconvert \
 ! audio/x-raw,rate=24000 \
 ! voaacenc \
 ! audio/mpeg,stream-format=raw \
 ! queue \
 ! sink.
"""
BOARD_2_3_5_B = """
[front.source]
v4l2 = "/dev/video0"
[front.video]
encoder = "x264enc"
width = 640
height = 480
framerate = 30
bitrate = 512
key_frame_interval = 60
b_frames = 0
profile = "baseline"
speed = "veryfast"
tune = "zerolatency"
parsed_caps = false
[front.audio]
alsa = "hw:0,0"
rate = 24000
[front.sink]
kvs = "HelloLankaKVS"
storage_size = 128
"""
# The address has a user and a password in it here; ours has neither, see the test.
SEED_2_3_5_C = r"""gst-launch-1.0 rtspsrc \
 location=${RTSP_SRC} protocols=tcp name=src \
 src. ! queue ! rtph264depay ! h264parse ! kvssink stream-name="HelloLankaRTSP" storage-size=512 name=sink \
 src. ! queue ! decodebin ! audioconvert ! voaacenc ! audio/mpeg,stream-format=raw ! sink.
"""
BOARD_2_3_5_C = """
[door]
source = { rtsp = "rtsp://zephyr.rtsp.stream/movie", user = "USER", password_file = "/etc/door", protocols = "tcp" }
video = { parsed_caps = false }
audio = { track = "decode" }
sink = { kvs = "HelloLankaRTSP", storage_size = 512 }
"""
# 2.3.1: the legs that take the place of the uploader's own, as its source has them.
SEED_2_3_1_A2 = (
    "demuxer. ! queue ! mpegaudioparse ! mpg123audiodec ! audioconvert ! voaacenc ! audio/mpeg,stream-format=raw"
    " ! sink."
)
SEED_2_3_1_B1 = 'alsasrc device="hw:0,0" ! audioconvert ! voaacenc ! audio/mpeg,stream-format=raw ! sink.'
BOARD_2_3_1 = """
[upload]
source = {{ file = "/home/me/lanka520-h264andmp3.mp4" }}
audio = {{ {audio} }}
sink = {{ kvs = "HelloLankaKVS", streaming_type = "offline", file_start_time = 0 }}
"""

"""Whether a board has what a stream uses: its camera and what that offers, its microphone, the elements."""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Iterable, Iterator
from fractions import Fraction

from deploy.pipelines.facts import BoardFacts, CameraMode, Fault, Severity, has_pipeline
from deploy.pipelines.pipeline import compose
from deploy.streams.devices import Device
from deploy.streams.elements import BUNDLED, PACKAGES
from deploy.streams.model import PipelineStream
from deploy.streams.samples import AudioVideoSample, CameraSample, Sample, UploaderSample


def camera_faults(stream: PipelineStream, facts: BoardFacts) -> Iterator[Fault]:
    source, video = stream.source, stream.video
    if source is None or source.kind not in {"v4l2", "libcamera"} or not has_pipeline(stream) or not facts.cameras:
        return
    if source.kind == "libcamera" and source.address not in facts.cameras:
        return  # libcamera has names of its own for them
    wanted = (video.width, video.height, video.rate)
    yield from _camera(f"source.{source.kind}", str(source.address), source.delivers, wanted, facts)


Wanted = tuple[int | None, int | None, Fraction | None]


def _camera(where: str, device: str, gives: str, wanted: Wanted, facts: BoardFacts) -> Iterator[Fault]:
    if device not in facts.cameras:
        yield from _no_camera(where, device, facts)
        return
    modes = facts.cameras[device]
    if not modes or any(mode.gives == gives and _offers(mode, wanted) for mode in modes):
        return
    shown = f"{wanted[0]}x{wanted[1]}" if wanted[0] else "any size"
    what = f"{device} offers no {gives} pictures of {shown}" + (f" at {wanted[2]} a second" if wanted[2] else "")
    otherwise = sorted({mode.gives for mode in modes if mode.gives != gives and _offers(mode, wanted)})
    nearest = sorted((mode for mode in modes if mode.gives == gives), key=lambda mode: _distance(mode, wanted))[:3]
    cures = [f'write gives = "{kind}" in the source' for kind in otherwise]
    cures += [f"the nearest are {'; '.join(map(str, nearest))}"] if nearest else []
    yield Fault(where="video", what=what, cure=", or ".join(cures) or "take another camera")


def _no_camera(where: str, device: str, facts: BoardFacts) -> Iterator[Fault]:
    # A link such as /dev/v4l/by-id/… is a name that udev gives; a probe names nodes only.
    if re.fullmatch(r"/dev/video[0-9]+", device):
        yield Fault(where=where, what=f"there is no camera {device}", cure=f"seen were {', '.join(facts.cameras)}")


def _offers(mode: CameraMode, wanted: Wanted) -> bool:
    width, height, rate = wanted
    known = mode.framerates or mode.rate_ranges
    if rate is not None and known and not _offers_rate(mode, rate):
        return False
    if width is None or height is None:
        return True
    most = (max(mode.width, mode.to_width), max(mode.height, mode.to_height))
    return mode.width <= width <= most[0] and mode.height <= height <= most[1]


_ROUNDED = Fraction(1, 100)
"""v4l2-ctl prints three decimals of a rate, and an interval in milliseconds: 1/30 s is `0.033s`."""


def _offers_rate(mode: CameraMode, rate: Fraction) -> bool:
    return rate in mode.framerates or any(
        slow * (1 - _ROUNDED) <= rate <= fast * (1 + _ROUNDED) for slow, fast in mode.rate_ranges
    )


def _distance(mode: CameraMode, wanted: Wanted) -> tuple[float, float]:
    width, height, rate = wanted
    wide = min(max(width or 0, mode.width), mode.to_width or mode.width)
    high = min(max(height or 0, mode.height), mode.to_height or mode.height)
    area = abs(math.log(wide * high / (width * height))) if width and height else 0.0
    ends = [*mode.framerates, *(min(max(rate, slow), fast) for slow, fast in mode.rate_ranges)] if rate else []
    return area, min((abs(float(offered - rate)) for offered in ends), default=0.0) if rate else 0.0


def microphone_faults(stream: PipelineStream, facts: BoardFacts) -> Iterator[Fault]:
    audio = stream.audio
    if audio is None or audio.kind != "alsa" or not facts.microphones or not has_pipeline(stream):
        return
    faults = list(_no_sound("audio.alsa", "microphone", audio.address, facts.microphones, facts))
    yield from faults
    # plughw and the other names of ALSA's library convert.
    if faults or not audio.address.startswith("hw:"):
        return
    offered = facts.microphones.get(_alsa_device(audio.address, facts) or "", ())
    if audio.rate and not audio.resample and offered and not any(_takes(rates, audio.rate) for rates in offered):
        nearest = min(
            (_clamped(rates, audio.rate) for rates in offered), key=lambda rate: abs(rate - (audio.rate or 0))
        )
        shown = ", ".join(f"{rates[0]} to {rates[1]}" if isinstance(rates, tuple) else str(rates) for rates in offered)
        yield Fault(
            where="audio.rate",
            what=f"{audio.address} offers {shown} samples a second, not {audio.rate}",
            cure=f"write resample = true, or rate = {nearest}",
        )


def _takes(rates: int | tuple[int, int], rate: int) -> bool:
    return rates[0] <= rate <= rates[1] if isinstance(rates, tuple) else rate == rates


def _clamped(rates: int | tuple[int, int], rate: int) -> int:
    return min(max(rate, rates[0]), rates[1]) if isinstance(rates, tuple) else rates


def _no_sound(where: str, what: str, address: str, seen: Iterable[str], facts: BoardFacts) -> Iterator[Fault]:
    device = _alsa_device(address, facts)
    if device is not None and device not in seen:
        yield Fault(where=where, what=f"there is no {what} {address}", cure=f"seen were {', '.join(seen) or 'none'}")


# hw:1,0 · hw:1 · hw:CARD=1,DEV=0 · hw:C920,0 · plughw:CARD=C920: https://www.alsa-project.org/alsa-doc/alsa-lib/pcm.html
_ALSA = re.compile(r"(?:plug)?hw:(?:CARD=)?([A-Za-z0-9_-]+)(?:,(?:DEV=)?([0-9]{1,3}))?(?:,(?:SUBDEV=)?[0-9]{1,3})?")


def _alsa_device(address: str, facts: BoardFacts) -> str | None:
    """Return a device of a card as `hw:1,0`; None for a name that is none of a card, or of one that is not known."""
    match = _ALSA.fullmatch(address)
    if match is None or not (match[1].isdecimal() or facts.cards):
        return None
    card = int(match[1]) if match[1].isdecimal() else facts.cards.get(match[1])
    return f"hw:{match[1] if card is None else card},{int(match[2] or 0)}"


def device_faults(device: Device, facts: BoardFacts) -> Iterator[Fault]:
    """Yield what the board lacks of a named device; its place is the device's word."""
    where = device.kind
    if device.kind == "camera" and facts.cameras and device.address not in facts.cameras:
        yield from _no_camera(where, device.address, facts)
    elif device.kind == "microphone" and facts.microphones:
        yield from _no_sound(where, "microphone", device.address, facts.microphones, facts)
    elif device.kind == "speaker" and facts.speakers is not None:
        yield from _no_sound(where, "speaker", device.address, sorted(facts.speakers), facts)


def element_faults(stream: PipelineStream, facts: BoardFacts) -> Iterator[Fault]:
    pipeline = compose(stream)
    if facts.elements is None or pipeline is None:
        return
    named = {
        stream.source.element if stream.source else "": stream.source and stream.source.package,
        stream.video.encoder or "": stream.video.package,
    }
    for factory in dict.fromkeys(element.factory for element in pipeline.elements()):
        if factory not in facts.elements | BUNDLED:
            yield missing_element(factory, named.get(factory) or PACKAGES.get(factory))


def missing_element(element: str, package: str | None) -> Fault:
    cure = f"install {package} on it" if package else "it comes with the vendor's own GStreamer plugins"
    return Fault(where=element, what=f"the board has no element {element}", cure=cure)


_SAMPLE_ELEMENTS = {
    "kvs_gstreamer_sample": ("v4l2src", "videoconvert", "h264parse"),
    "kvssink_gstreamer_sample": ("v4l2src", "videoconvert", "h264parse"),
    "kvs_gstreamer_audio_video_sample": ("v4l2src", "alsasrc", "x264enc", "h264parse", "avenc_aac", "aacparse"),
    "kvs_gstreamer_file_uploader_sample": ("filesrc", "h264parse"),
    "kvs_gstreamer_multistream_sample": ("rtspsrc", "rtph264depay", "h264parse"),
}


def stream_elements(stream: PipelineStream | Sample) -> tuple[str, ...]:
    """Return the elements that a stream's program asks GStreamer for, by their factories; kvssink is ours."""
    if not isinstance(stream, PipelineStream):
        return _SAMPLE_ELEMENTS[stream.sample]
    pipeline = compose(stream)
    named = (element.factory for element in pipeline.elements()) if pipeline is not None else ()
    return tuple(name for name in dict.fromkeys(named) if name not in BUNDLED)


def sample_faults(sample: Sample, facts: BoardFacts) -> Iterator[Fault]:
    if facts.elements is not None:
        for element in _SAMPLE_ELEMENTS[sample.sample]:
            if element not in facts.elements:
                yield missing_element(element, PACKAGES.get(element))
    if isinstance(sample, UploaderSample):
        yield from _uploader(sample)
    elif isinstance(sample, CameraSample) and not sample.rtsp and not sample.files and facts.cameras:
        rate = Fraction(sample.framerate) if sample.framerate else None
        wanted = (sample.width, sample.height, rate)
        yield from _camera("sample", "/dev/video0", "raw", wanted, facts)
    elif isinstance(sample, AudioVideoSample) and sample.video_device and facts.cameras:
        yield from _camera("video_device", sample.video_device, "raw", (None, None, None), facts)


def _uploader(sample: UploaderSample) -> Iterator[Fault]:
    if posixpath.splitext(sample.file)[1] not in {".mp4", ".mkv", ".ts"}:
        yield Fault(where="file", what="the uploader knows files by their suffix", cure="name it .mp4, .mkv or .ts")
    if not re.fullmatch(r"[A-Za-z0-9._/+-]+", sample.file):
        yield Fault(
            where="file",
            what="the uploader puts the name into its pipeline without quotes",
            cure='take a name without spaces and marks, or a stream with source = { file = "…" }',
        )
    if sample.content == "audio-video":
        yield Fault(
            where="content",
            what="the uploader's own pipeline takes AAC sound only",
            cure='for a file with mp3, write a stream with source = { file = "…" } and audio = { track = "mp3" }',
            severity=Severity.ADVICE,
        )

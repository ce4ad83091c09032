"""What a probe saw, as the facts that streams are checked against; what was not told is not claimed."""

from __future__ import annotations

import math
from fractions import Fraction

from deploy.boards.board import BoardFile
from deploy.pipelines.facts import BoardFacts, CameraMode
from deploy.probe.facts import BoardFacts as ProbedFacts
from deploy.probe.facts import PixelFormat, VideoNode
from deploy.probe.findings import STORAGE_MIB, Finding, findings
from deploy.streams.model import PipelineStream
from deploy.streams.sinks import KvsSink


def stream_facts(probed: ProbedFacts, uplink_kbps: int | None = None) -> BoardFacts:
    """Return what a probe saw as facts for `check_stream`.

    Parameters
    ----------
    uplink_kbps:
        What the board's line takes, from its file: no probe measures it.
    """
    elements = frozenset(probed.gstreamer.elements) if probed.gstreamer.whole else None
    if probed.whole and not probed.gstreamer.version and not probed.gstreamer.tools:
        elements = frozenset()
    total = probed.memory.total_kib
    return BoardFacts(
        elements=elements,
        cameras={node.path: _modes(node) for node in probed.video if node.camera or _untold(node)},
        microphones={device.hw: (*device.rates, *device.rate_ranges) for device in probed.microphones},
        speakers=frozenset(device.hw for device in probed.speakers) if probed.sound else None,
        cards={device.card_id: device.card for device in probed.sound if device.card_id},
        ram_mb=total // 1024 if total else None,
        uplink_kbps=uplink_kbps,
    )


def wanted_findings(probed: ProbedFacts, file: BoardFile | None) -> tuple[Finding, ...]:
    """Return what the facts mean for the streams of a board; for any camera's where it has no file, or no streams."""
    if file is None or not file.streams:
        return findings(probed)
    pipelines = [stream for stream in file.streams.values() if isinstance(stream, PipelineStream)]
    stores = [sink.storage_size or STORAGE_MIB for stream in pipelines for sink in stream.outputs
              if isinstance(sink, KvsSink)]  # fmt: skip
    sources = [stream.source.kind for stream in pipelines if stream.source]
    camera = len(pipelines) < len(file.streams) or bool({"v4l2", "libcamera", "element"} & set(sources))
    return findings(probed, storage_mib=sum(stores), camera_wanted=camera)


def _untold(node: VideoNode) -> bool:
    """Tell whether a node may be a camera all the same: nobody could say what it is, or it is busy."""
    return bool(node.trouble) or not node.capabilities


def _modes(node: VideoNode) -> tuple[CameraMode, ...]:
    """Return what a camera offers; nothing where a format has no sizes, since what it takes is unknown then."""
    if not all(pixels.sizes for pixels in node.formats):
        return ()
    return tuple(mode for pixels in node.formats for mode in _sizes(pixels))


def _sizes(pixels: PixelFormat) -> list[CameraMode]:
    return [
        CameraMode(
            format=pixels.fourcc,
            width=size.width,
            height=size.height,
            to_width=size.to_width,
            to_height=size.to_height,
            framerates=tuple(exact_rate(rate) for rate in size.rates),
            rate_ranges=tuple((exact_rate(slow), exact_rate(fast)) for slow, fast in size.rate_ranges),
        )
        for size in pixels.sizes
    ]


def exact_rate(rate: float) -> Fraction:
    """Return the frames a second that a tool's rounded figure stands for: 29.97 is 30000/1001."""
    whole = math.ceil(rate)
    if rate != whole and abs(rate - whole * 1000 / 1001) < 0.005:
        return Fraction(whole * 1000, 1001)
    return Fraction(rate).limit_denominator(1001)

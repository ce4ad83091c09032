"""Still pictures of a fragment, and whether they show anything: PyAV decodes, `boardcast[local]` brings it.

Measures are taken of the decoded picture, before JPEG changes it: full range, so that black is 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, cast

from deploy.media.clip import clip_mp4
from deploy.media.codecs import AVC, HEVC, SIDE_LIMIT, Codec
from deploy.media.model import Frame, MediaError, Track

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame

__all__ = ["Corner", "Picture", "clip_mp4", "corner", "is_black", "is_green", "look", "same", "snapshot", "still"]

PIXEL_LIMIT = 1 << 24
"""Pixels of a picture that is decoded; a decoder may keep 17 of them."""

GRID = 32
"""Cells a side of the small picture that is compared: a digit of a clock is larger than one."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A still picture.

    Attributes
    ----------
    jpeg:
        The encoded picture; a PNG where that was asked for.
    mean, spread:
        Brightness (luma) from 0 to 255, and its standard deviation.
    colour:
        Mean red, green and blue, 0 to 255.
    grid:
        The brightness of 32 x 32 cells, row by row.
    hash:
        64 bits in hexadecimal: which of neighbouring cells is brighter, on a grid of 9 x 8.
    """

    jpeg: bytes
    width: int
    height: int
    mean: float
    spread: float
    hash: str
    colour: tuple[float, float, float]
    grid: bytes


@dataclass(frozen=True, slots=True)
class Corner:
    """The upper left of a picture: half of its width, a fifth of its height.

    Attributes
    ----------
    cells:
        The brightness of its cells, of those of `Picture.grid`.
    light:
        The brightest pixel, 0 to 255.
    width:
        Pixels of the whole picture.
    """

    cells: bytes
    light: int
    width: int


def still(
    track: Track,
    codec: Codec,
    frames: Sequence[Frame],
    *,
    at: int = 0,
    width: int = 0,
    height: int = 0,
    format: Literal["JPEG", "PNG"] = "JPEG",  # noqa: A002 - the service's own word
    quality: int = 80,
) -> Picture:
    """Decode one frame of a track.

    Parameters
    ----------
    frames:
        Of this track, in decoding order, from a key frame on.
    at:
        Which of them; from the end where it is negative.
    width, height:
        Pixels; where one is 0 the shape is kept, where both are the size.
    quality:
        Of JPEG, from 1 to 100.

    Raises
    ------
    MediaError
        No key frame stands at or before the place, or the frame cannot be decoded.
    """
    shown = _frame_of(track, codec, frames, at)
    wide, high = _target(shown.width, shown.height, width, height)
    return _picture(shown, wide, high, format, quality)


def corner(track: Track, codec: Codec, frames: Sequence[Frame], *, at: int = 0) -> Corner:
    """Look at the upper left of one frame, where a clock is drawn: at its cells, and for white letters.

    Raises
    ------
    MediaError
        As `still` does.
    """
    import av

    shown = _frame_of(track, codec, frames, at)
    try:
        grid, plain = _bytes(shown, GRID, GRID, "gray"), shown.reformat(format="gray")
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(f"the picture cannot be measured: {_words(error)}") from None
    plane: Any = plain.planes[0]
    line, wide, high = plane.line_size, shown.width // 2, max(1, shown.height // 5)
    data = bytes(plane)
    cells = b"".join(grid[row : row + GRID // 2] for row in range(0, GRID * GRID // 5, GRID))
    return Corner(cells, max(max(data[row : row + wide]) for row in range(0, line * high, line)), shown.width)


def _frame_of(track: Track, codec: Codec, frames: Sequence[Frame], at: int) -> VideoFrame:
    names = {AVC: "h264", HEVC: "hevc"}
    if track.codec not in names:
        raise MediaError(f"no picture can be made of {track.codec}")
    place = at + len(frames) if at < 0 else at
    keys = [number for number, frame in enumerate(frames[: place + 1]) if frame.key]
    if not keys or not 0 <= place < len(frames):
        raise MediaError("there is no key frame at or before the wanted picture")
    if codec.width * codec.height > PIXEL_LIMIT:
        raise MediaError(f"a picture of {codec.width} x {codec.height} is too large to be decoded here")
    return _decoded(names[track.codec], track.private, frames[keys[-1] : place + 1])


def look(data: bytes) -> Picture:
    """Measure a picture that is encoded already, a JPEG or PNG, such as the service makes; its bytes stay as they are.

    Raises
    ------
    MediaError
        It is neither, larger than 16 million pixels, or cannot be decoded.
    """
    import av

    kinds = {b"\xff\xd8\xff": "mjpeg", b"\x89PNG": "png"}
    kind = next((name for mark, name in kinds.items() if data.startswith(mark)), "")
    if not kind:
        raise MediaError("the picture is neither JPEG nor PNG")
    context = cast("VideoCodecContext", av.CodecContext.create(kind, "r"))
    context.options = {"max_pixels": str(PIXEL_LIMIT), "threads": "1"}
    try:
        decoded = [*context.decode(av.Packet(data)), *context.decode(None)]
    except (av.FFmpegError, ValueError, EOFError) as error:
        raise MediaError(f"the picture cannot be decoded: {_words(error)}") from None
    if not decoded:
        raise MediaError("the decoder made no picture of the image")
    return _measured(decoded[0], data, decoded[0].width, decoded[0].height)


def snapshot(frame: VideoFrame) -> Picture:
    """Return a decoded frame as a picture, in its own size; raises MediaError for one too large."""
    return _picture(frame, *_target(frame.width, frame.height, 0, 0), "JPEG", 80)


def _decoded(name: str, private: bytes, frames: Sequence[Frame]) -> VideoFrame:
    """Decode from a key frame to the last of the frames; return that one, or the nearest before it."""
    import av

    context = cast("VideoCodecContext", av.CodecContext.create(name, "r"))
    context.options = {"max_pixels": str(PIXEL_LIMIT), "threads": "1"}
    context.extradata = private
    found: VideoFrame | None = None
    try:
        for number, frame in enumerate(frames):
            packet = av.Packet(frame.data)
            packet.pts = packet.dts = number
            found = _nearest(context.decode(packet), found, len(frames) - 1)
        found = _nearest(context.decode(None), found, len(frames) - 1)
    except (av.FFmpegError, ValueError, EOFError) as error:
        raise MediaError(f"the picture cannot be decoded: {_words(error)}") from None
    if found is None:
        raise MediaError("the decoder made no picture of the frame")
    return found


def _nearest(decoded: Sequence[VideoFrame], found: VideoFrame | None, wanted: int) -> VideoFrame | None:
    return next((one for one in decoded if one.pts == wanted), None) or (decoded[-1] if decoded else found)


def _words(error: Exception) -> str:
    """Return what a library says, on one line and printable."""
    said = str(error).splitlines() or [type(error).__name__]
    return "".join(letter for letter in said[0] if letter.isprintable())[:200]


def _target(wide: int, high: int, width: int, height: int) -> tuple[int, int]:
    if width and height:
        target = width, height
    elif width or height:
        target = width or round(wide * height / high), height or round(high * width / wide)
    else:
        target = wide, high
    if not all(1 <= side <= SIDE_LIMIT for side in target) or math.prod(target) > PIXEL_LIMIT:
        raise MediaError(f"no picture of {target[0]} x {target[1]} is made here")
    return target


def _picture(shown: VideoFrame, width: int, height: int, name: str, quality: int) -> Picture:
    import av

    scale = round(31 - 29 * min(100, max(1, quality)) / 100)
    encoder, pixels = ("mjpeg", "yuvj420p") if name == "JPEG" else ("png", "rgb24")
    context = cast("VideoCodecContext", av.CodecContext.create(encoder, "w"))
    context.width, context.height, context.pix_fmt = width, height, pixels
    context.time_base = Fraction(1, 25)
    context.options = {"qmin": str(scale), "qmax": str(scale), "threads": "1"}
    try:
        drawn = shown.reformat(width, height, pixels)
        drawn.pts, drawn.time_base = 0, context.time_base
        encoded = b"".join(bytes(packet) for packet in [*context.encode(drawn), *context.encode(None)])
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(f"the picture cannot be encoded: {_words(error)}") from None
    return _measured(shown, encoded, width, height)


def _measured(shown: VideoFrame, encoded: bytes, width: int, height: int) -> Picture:
    import av

    try:
        grid, rough = _bytes(shown, GRID, GRID, "gray"), _bytes(shown, 9, 8, "gray")
        colours = _bytes(shown, GRID, GRID, "rgb24")
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(f"the picture cannot be measured: {_words(error)}") from None
    mean = sum(grid) / len(grid)
    spread = math.sqrt(sum((cell - mean) ** 2 for cell in grid) / len(grid))
    bits = "".join(str(int(rough[at] > rough[at + 1])) for row in range(8) for at in range(row * 9, row * 9 + 8))
    red, green, blue = (sum(colours[part::3]) / len(grid) for part in range(3))
    return Picture(encoded, width, height, mean, spread, f"{int(bits, 2):016x}", (red, green, blue), grid)


def _bytes(shown: VideoFrame, width: int, height: int, pixels: str) -> bytes:
    """Return a small version of a picture, without the padding of its lines."""
    small: Any = shown.reformat(width, height, pixels, interpolation="AREA")
    plane = small.planes[0]
    line, row = plane.line_size, width * (3 if pixels == "rgb24" else 1)
    data = bytes(plane)
    return b"".join(data[at : at + row] for at in range(0, line * height, line))


def is_black(picture: Picture) -> bool:
    """Say whether nothing is to be seen, as with a covered lens or a sensor that is off."""
    return max(picture.colour) < 16 and picture.spread < 8


def is_green(picture: Picture) -> bool:
    """Say whether it is the even green that a decoder shows which was given zeros."""
    red, green, blue = picture.colour
    return picture.spread < 8 and green > 60 and max(red, blue) < green / 2


def same(one: Picture, other: Picture) -> bool:
    """Say whether two pictures show the same, but for what an encoder changes: a camera's own noise differs by more.

    Of a picture that stands still on purpose this says so too: a moving clock or a hand before the lens tells them
    apart.
    """
    return max(abs(left - right) for left, right in zip(one.grid, other.grid, strict=True)) <= 2

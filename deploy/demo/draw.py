"""A picture, drawn small with the characters of a terminal."""

from __future__ import annotations

WIDEST = 64
"""Columns; two pixels stand above each other in a character."""


def drawn(picture: bytes, columns: int) -> list[str]:
    """Return a JPEG or PNG as lines for a terminal with 24-bit colour.

    Each character is the upper half of a block: its own colour above, the background's below.

    Parameters
    ----------
    columns:
        Of the terminal; no more than 64 are used.
    """
    import io

    import av
    from av.video.frame import VideoFrame

    with av.open(io.BytesIO(picture), "r") as opened:
        frame = next(opened.decode(video=0))
    assert isinstance(frame, VideoFrame)  # noqa: S101  # of a video stream
    width = max(min(columns, WIDEST), 8)
    height = max(round(width * frame.height / frame.width / 2) * 2, 2)
    small = frame.reformat(width=width, height=height, format="rgb24")
    plane = small.planes[0]
    rows = [bytes(plane)[at * plane.line_size : at * plane.line_size + width * 3] for at in range(height)]
    return [_line(above, below) for above, below in zip(rows[::2], rows[1::2], strict=True)]


def _line(above: bytes, below: bytes) -> str:
    cells = [
        "\x1b[38;2;{};{};{};48;2;{};{};{}m\u2580".format(*above[at : at + 3], *below[at : at + 3])
        for at in range(0, len(above), 3)
    ]
    return f"{''.join(cells)}\x1b[0m"

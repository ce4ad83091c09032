"""Many producers in a process of their own: each sends pictures as a camera takes them, over TLS, and times the acks.

Reads one line of JSON (the fields of `Wanted`) on stdin, sends until stdin ends, and prints a line of JSON (`Told`).
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from deploy.kvs.keys import Key
from deploy.media.matroska import parse_cluster, parse_header, write_cluster
from deploy.media.model import Frame, TrackKind
from tests.support.media import end_of_fragment, make_fragments, make_header
from tests.support.producer import chunk, put_media_head

FPS, SIZE, KINDS = 25, (320, 240), 4
"""Of the pictures; so many different fragments are made, and sent in turns."""
_MS = 1_000_000
Moment = tuple[float, float]
Media = tuple[bytes, list[list[Frame]]]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What to send, and to whom."""

    port: int
    ca: str
    access: str
    secret: str
    streams: list[str]
    bits: int
    """A second, of each stream."""


@dataclass
class Told:
    """What became of it.

    Attributes
    ----------
    sent, persisted:
        Timecodes (ms since 1970) of the fragments that were sent whole, and that were acknowledged, by stream.
    bytes:
        Of media, of all streams.
    received, persisted_after, late:
        Moment (monotonic seconds), and milliseconds: from a fragment's end, which is when the next one begins, to its
        acks; and how late this process itself was with each second, which a loaded machine adds to all the others.
    """

    sent: dict[str, list[int]] = field(default_factory=dict)
    persisted: dict[str, list[int]] = field(default_factory=dict)
    bytes: int = 0
    received: list[Moment] = field(default_factory=list)
    persisted_after: list[Moment] = field(default_factory=list)
    late: list[Moment] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def filled(bits: int) -> Media:
    """Return a header and the frames of some fragments, whose rate is made up with filler data (NAL unit type 12).

    ITU-T H.264, 7.3.2.7: decoders drop it; encoders of a constant rate send it.
    """
    header = make_header(fps=FPS, size=SIZE)
    parsed = parse_header(header)
    video = parsed.track(TrackKind.VIDEO)
    assert video is not None
    made = []
    for number, data in enumerate(make_fragments(KINDS, fps=FPS, size=SIZE, start_ms=0)):
        frames = parse_cluster(data, parsed).frames
        missing = max(bits // 8 - len(data), 0) // FPS
        filler = b"\x0c" + b"\xff" * max(missing - 6, 1) + b"\x80"
        unit = len(filler).to_bytes(4, "big") + filler
        made.append(
            [
                replace(
                    one,
                    pts=one.pts - number * 1000 * _MS,
                    data=one.data + unit if one.track == video.number else one.data,
                )
                for one in frames
            ]
        )
    return header, made


def cluster(frames: list[Frame], at_ms: int) -> bytes:
    """Return a fragment that begins at a time."""
    return write_cluster(at_ms, [replace(one, pts=one.pts + at_ms * _MS) for one in frames])


def pieces(data: bytes) -> list[bytes]:
    """Cut a fragment into as many parts as it has pictures."""
    step = -(-len(data) // FPS)
    return [data[at : at + step] for at in range(0, len(data), step)]


class Sender:
    """One camera."""

    def __init__(self, name: str, told: Told) -> None:
        self.name, self.told = name, told
        self.ended: dict[int, float] = {}
        self.sent = told.sent.setdefault(name, [])
        self.persisted = told.persisted.setdefault(name, [])

    async def send(
        self, wanted: Wanted, media: tuple[bytes, list[list[Frame]]], begin: float, over: asyncio.Event
    ) -> None:
        """Send a fragment a second from a time on (seconds since 1970), until it is over."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", wanted.port, ssl=ssl.create_default_context(cafile=wanted.ca), server_hostname="localhost"
        )
        hears = asyncio.create_task(self._hear(reader))
        writer.write(put_media_head(self.name, Key(wanted.access, wanted.secret)))
        writer.write(chunk(media[0]))
        number, last = 0, 0
        while not over.is_set():
            at = begin + number
            timecode = round(at * 1000)
            for place, part in enumerate(pieces(cluster(media[1][number % KINDS], timecode))):
                # A picture is sent when it was taken.
                await asyncio.sleep(max(at + place / FPS - time.time(), 0))
                if place == 0:
                    self.told.late.append((time.monotonic(), (time.time() - at) * 1000))
                    self._ended(last)
                writer.write(chunk(part))
                self.told.bytes += len(part)
                await writer.drain()
            number, last = number + 1, timecode
        self._ended(last)
        writer.write(chunk(end_of_fragment()) + chunk(b""))
        await writer.drain()
        await asyncio.wait_for(hears, 20)
        writer.close()

    def _ended(self, timecode: int) -> None:
        if timecode:
            self.ended[timecode] = time.monotonic()
            self.sent.append(timecode)

    async def _hear(self, reader: asyncio.StreamReader) -> None:
        """Read acks until the service ends its answer."""
        while (line := await reader.readline()) and line != b"0\r\n":
            if not line.startswith(b"{"):
                continue
            now, ack = time.monotonic(), json.loads(line)
            kind = ack["EventType"]
            passed = (now - self.ended.get(ack.get("FragmentTimecode", 0), now)) * 1000
            if kind == "PERSISTED":
                self.told.persisted_after.append((now, passed))
                self.persisted.append(ack["FragmentTimecode"])
            elif kind == "RECEIVED":
                self.told.received.append((now, passed))
            elif kind == "ERROR":
                self.told.errors.append(f"{self.name}: {line.decode().strip()}")


async def main(wanted: Wanted) -> Told:
    told, media, over = Told(), filled(wanted.bits), asyncio.Event()
    print("ready", flush=True)
    begin = time.time() + 0.5
    # No two cameras begin at the same moment.
    tasks = [
        asyncio.create_task(Sender(name, told).send(wanted, media, begin + at / len(wanted.streams), over))
        for at, name in enumerate(wanted.streams)
    ]
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    over.set()
    for done in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(done, BaseException):
            told.errors.append(f"{type(done).__name__}: {done}")
    return told


if __name__ == "__main__":
    given: dict[str, Any] = json.loads(sys.stdin.readline())
    print(json.dumps(asdict(asyncio.run(main(Wanted(**given))))))

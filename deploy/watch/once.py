"""One picture of a camera, saved, and what was seen in it: for scripts, and for who has no browser at hand."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from deploy.cloud.session import ServiceRefusalError
from deploy.watch.cameras import Camera, Last
from deploy.watch.feed import Feed
from recipes.errors import ConfigError, VerifyError

KINDS: dict[str, Literal["JPEG", "PNG"]] = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}
_EVERY = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a picture shows.

    Attributes
    ----------
    codec:
        Of the stream's video, as RFC 6381 writes it.
    behind:
        Seconds between the end of the fragment and now.
    brightness, contrast:
        Mean and spread of the picture's luma, 0 to 255.
    moving:
        Whether the fragment's first and last pictures differ; None where it has one picture only.
    """

    camera: str
    picture: bytes
    width: int
    height: int
    codec: str
    behind: float
    brightness: float
    contrast: float
    blank: str
    moving: bool | None

    def as_dict(self) -> dict[str, object]:
        facts: dict[str, object] = {
            name: getattr(self, name)
            for name in ("camera", "width", "height", "codec", "behind", "brightness", "contrast", "moving")
        }
        return facts | {"blank": self.blank or None}


def picture_kind(path: Path) -> Literal["JPEG", "PNG"]:
    """Return the kind of picture that a file's name asks for; raises ConfigError for another one."""
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        raise ConfigError(f"--once {path}: the name is to end in {', '.join(KINDS)}")
    return kind


async def choose(feed: Feed, *, wait: float) -> Camera:
    """Return the camera to take a picture of: the only one with a stream, else the only one that is live.

    Parameters
    ----------
    wait:
        Seconds in which a stream may still be made: a producer makes its own.

    Raises
    ------
    ConfigError
        There is none, or more than one.
    """
    deadline = time.monotonic() + wait
    while not (there := [camera for camera in await feed.cameras() if camera.stream is not None]):
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(_EVERY)
    rows = {row["id"]: row["state"] for row in await feed.overview()} if len(there) > 1 else {}
    live = [camera for camera in there if rows.get(camera.id) == "live"]
    for some in (there, live):
        if len(some) == 1:
            return some[0]
    if not there:
        raise ConfigError(
            "there is no stream to take a picture of",
            why="the service has none of that name" if not feed.everything else "the service has no stream yet",
            next_step="invoke kvs status says what the local service has; a signaling channel keeps no pictures",
        )
    names = ", ".join(camera.name for camera in there[:8])
    raise ConfigError(f"{len(there)} streams: of which one?", why=names, next_step="add --stream NAME")


async def take(feed: Feed, camera: Camera, kind: Literal["JPEG", "PNG"], *, wait: float) -> Seen:
    """Take the newest picture of a camera.

    Parameters
    ----------
    wait:
        Seconds in which a first fragment may still come.

    Raises
    ------
    VerifyError
        Nothing arrived in that time.
    ServiceRefusalError
        The service does not give the fragment.
    """
    deadline, note = time.monotonic() + wait, ""
    while True:
        last, note = await feed.latest(camera)
        if last is not None and last.number:
            break
        if time.monotonic() > deadline:
            raise VerifyError(
                f"{camera.name}: no picture arrived in {wait:g} s",
                why=note,
                next_step="invoke doctor --host HOST says what is wrong with the board's streams",
            )
        await asyncio.sleep(_EVERY)
    data = await feed.fragment(camera, last.number)
    return await asyncio.to_thread(_seen, camera, last, data, kind)


def _seen(camera: Camera, last: Last, data: bytes, kind: Literal["JPEG", "PNG"]) -> Seen:
    from deploy.media.codecs import describe
    from deploy.media.matroska import FragmentEnded, Splitter, parse_cluster
    from deploy.media.model import MediaError, TrackKind
    from deploy.media.pictures import is_black, is_green, same, still

    splitter = Splitter()
    try:
        ended = [one for one in (*splitter.feed(data), *splitter.end()) if isinstance(one, FragmentEnded)]
        if splitter.header is None or not ended:
            raise ServiceRefusalError(502, "NoFragment", "what the service sent is no fragment")
        track = next((one for one in splitter.header.tracks if one.kind is TrackKind.VIDEO), None)
        if track is None:
            raise ServiceRefusalError(404, "NoVideo", "the stream has no video")
        cluster = parse_cluster(ended[0].data, splitter.header)
        frames = [frame for frame in cluster.frames if frame.track == track.number]
        codec = describe(track)
        shown = still(track, codec, frames, at=-1, format=kind)
        first = still(track, codec, frames, at=0) if len(frames) > 1 else None
    except MediaError as error:
        raise ServiceRefusalError(502, "Media", f"the fragment cannot be decoded: {error}") from error
    return Seen(
        camera=camera.name,
        picture=shown.jpeg,
        width=shown.width,
        height=shown.height,
        codec=codec.rfc6381,
        behind=round(max(0.0, time.time() - last.end), 1),
        brightness=round(shown.mean, 1),
        contrast=round(shown.spread, 1),
        blank="black" if is_black(shown) else "green" if is_green(shown) else "",
        moving=None if first is None else not same(first, shown),
    )

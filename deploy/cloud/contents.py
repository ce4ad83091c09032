"""What is in a fragment and in a picture: codec, frames, sound; black, green, or something to see. Nothing is asked."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from deploy.cloud.evidence import Change, DrawnClock, Media, Shot
from deploy.media.codecs import describe
from deploy.media.matroska import FragmentEnded, parse_cluster
from deploy.media.model import Cluster, Header, MediaError, Track, TrackKind
from recipes.text import one_line

if TYPE_CHECKING:
    from deploy.media.pictures import Corner

_TICK = 1.05
"""Seconds after which a clock shows another second, by a camera whose own clock is a little off too."""
_NO_DECODER = "PyAV is missing: pip install 'boardcast[local]'"


def media_of(ended: FragmentEnded) -> Media:
    """Say what is in a fragment; what cannot be read is said too."""
    try:
        cluster = parse_cluster(ended.data, ended.header)
    except MediaError as error:
        return Media(fault=str(error))
    video, sound = ended.header.track(TrackKind.VIDEO), ended.header.track(TrackKind.AUDIO)
    heard = None if sound is None else len(cluster.of(sound.number))
    facts: dict[str, Any] = {"sound": heard, "sound_codec": "" if sound is None else one_line(sound.codec, most=40)}
    if video is None:
        return Media(fault="it has no pictures", **facts)
    return _pictures_of(ended.header, video, cluster, facts)


def _pictures_of(header: Header, video: Track, cluster: Cluster, facts: dict[str, Any]) -> Media:
    frames = cluster.of(video.number)
    times = sorted(frame.pts for frame in frames)
    span = (times[-1] - times[0]) / 1e9 if len(times) > 1 else 0.0
    facts |= {
        "codec_data": hashlib.sha256(video.private).hexdigest()[:16],
        "frames": len(frames),
        "keys": sum(frame.key for frame in frames),
        "rate": (len(times) - 1) / span if span else 0.0,
        "seconds": span * len(times) / (len(times) - 1) if span else 0.0,
        "size": sum(len(frame.data) for frame in frames),
        "writer": one_line(header.writing_app, most=80),
    }
    try:
        codec = describe(video)
    except MediaError as error:
        return Media(fault=str(error), width=video.width, height=video.height, **facts)
    return Media(codec=codec.rfc6381, profile=codec.profile, width=codec.width, height=codec.height, **facts)


def shot_of(at: float, image: bytes) -> Shot:
    """Measure a picture; without PyAV it is kept, and not looked at."""
    try:
        from deploy.media.pictures import is_black, is_green, look

        seen = look(image)
    except ImportError:
        return Shot(at=at, image=image, fault=_NO_DECODER)
    except MediaError as error:
        return Shot(at=at, image=b"", fault=str(error))
    blank = "black" if is_black(seen) else "green" if is_green(seen) else ""
    return Shot(
        at=at, image=image, width=seen.width, height=seen.height, mean=seen.mean, spread=seen.spread, blank=blank,
    )  # fmt: skip


def decoded(raw: Sequence[FragmentEnded]) -> list[Shot]:
    """Decode the first picture of the first fragment, and the last of the last."""
    shots = list[Shot]()
    for ended, at in ((raw[0], 0), (raw[-1], -1)) if raw else ():
        when = ended.timecode / 1e9
        try:
            from deploy.media.pictures import still

            video = ended.header.track(TrackKind.VIDEO)
            if video is None:
                raise MediaError("it has no pictures")  # noqa: TRY301 - told like what cannot be decoded
            frames = parse_cluster(ended.data, ended.header).of(video.number)
            shots.append(shot_of(when, still(video, describe(video), frames, at=at).jpeg))
        except ImportError:
            shots.append(Shot(at=when, image=b"", fault=_NO_DECODER))
        except MediaError as error:
            shots.append(Shot(at=when, image=b"", fault=str(error)))
    return shots


def change_of(raw: Sequence[FragmentEnded]) -> Change | None:
    """Compare pictures of the fragments, before anybody makes a JPEG of them; None where that cannot be done.

    Of several fragments the first pictures are compared: an encoder codes those alike, and the others not.
    """
    places = [(ended, 0) for ended in raw] if len(raw) > 1 else [(ended, at) for ended in raw for at in (0, -1)]
    seen = list[tuple[float, bytes]]()
    try:
        from deploy.media.pictures import still

        for ended, at in places:
            video = ended.header.track(TrackKind.VIDEO)
            frames = parse_cluster(ended.data, ended.header).of(video.number) if video else ()
            if video and frames:
                seen.append((frames[at].pts / 1e9, still(video, describe(video), frames, at=at).grid))
    except (ImportError, MediaError):
        return None
    if len(seen) < 2 or seen[0][0] == seen[-1][0]:
        return None
    most = max(
        max(abs(left - right) for left, right in zip(one[1], other[1], strict=True))
        for one, other in itertools.combinations(seen, 2)
    )
    return Change(most=most, pictures=len(seen), seconds=abs(seen[-1][0] - seen[0][0]))


def drawn_clock(raw: Sequence[FragmentEnded]) -> DrawnClock | None:
    """Look where a clock is drawn, at the first pictures of fragments that are a second apart or more; None for one."""
    seen: list[tuple[float, Corner]] = []
    try:
        from deploy.media.pictures import corner

        for ended in raw:
            video = ended.header.track(TrackKind.VIDEO)
            frames = parse_cluster(ended.data, ended.header).of(video.number) if video else ()
            if video and frames and (not seen or frames[0].pts / 1e9 >= seen[-1][0] + _TICK):
                seen.append((frames[0].pts / 1e9, corner(video, describe(video), frames)))
    except (ImportError, MediaError):
        return None
    if len(seen) < 2:
        return None
    return DrawnClock(
        least=min(
            max(abs(left - right) for left, right in zip(one.cells, other.cells, strict=True))
            for (_, one), (_, other) in itertools.pairwise(seen)
        ),
        pictures=len(seen),
        seconds=seen[-1][0] - seen[0][0],
        light=min(one.light for _, one in seen),
        width=seen[-1][1].width,
    )

"""What the evidence of a stream means, check by check. Pure: the same evidence gives the same verdict at any time.

Bounds are wide where cameras differ and narrow where nothing healthy comes near them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator

from deploy.causes.boardside import BoardView
from deploy.cloud.evidence import SAME, Evidence, Media, ahead, alternates, drift, gaps, overlaps, rate_of
from deploy.cloud.reasons import Finding, ok, reason_of, red, skipped, unreached

GRACE = 8.0
"""Seconds beyond two fragments that the newest one may be old: encoder, upload, and the service's own delay."""
CLOCK = 60.0
"""Seconds that the board's clock may be off; uplinks are late by less, and AWS refuses 300."""
SLOW, FAST = 0.8, 1.25
"""Bounds of the frame rate, in parts of the promised one; drivers round, and half of it is far outside."""
WHITE, WIDE = 160, 320
"""Brightness that letters of a drawn clock have, where the picture is not too narrow for them to be drawn in full."""
HEAVY = 2.0
"""Times the promised bitrate; encoders go above it for a few seconds."""

ARRIVES, KEPT, ONE, WHOLE, TIME = "fragments arrive", "pictures are kept", "one producer", "no gaps", "clock"
CODEC, SIZE, RATE, WEIGHT = "codec", "size", "frame rate", "bitrate"
SOUND, SHOWS, MOVES = "sound", "the picture shows something", "the picture moves"
DRAWN = "the clock in the picture"
CHECKS = (ARRIVES, KEPT, ONE, WHOLE, TIME, CODEC, SIZE, RATE, WEIGHT, SOUND, SHOWS, MOVES, DRAWN)
"""The last is made of streams that the board's file gives a clock."""


def judge(seen: Evidence, board: BoardView | None = None) -> list[Finding]:
    """Return every check of a stream, in the order in which one explains the next."""
    board = board or BoardView()
    name = seen.promise.name
    if seen.trouble is not None:
        reason = reason_of(seen.trouble.code, board)
        what = f"this workstation asked the service, and {seen.trouble.words} ({seen.trouble.code})"
        # Who else reaches the service is of interest where this workstation does not.
        other = board if unreached(seen.trouble.code) else None
        return [red(reason, name, ARRIVES, what, board=other), *_left(seen, CHECKS[1:], "the service was not read")]
    arrives = _arrives(seen, board)
    if arrives.state != "passed" or not seen.new:
        return [arrives, _kept(seen), *_left(seen, CHECKS[2:], "nothing arrived that could be looked at")]
    return [arrives, *(check(seen) for check in _CHECKS), *_looks(seen), *_drawn(seen)]


def _left(seen: Evidence, checks: tuple[str, ...], why: str) -> Iterator[Finding]:
    made = (check for check in checks if check != DRAWN or seen.promise.clock)
    return (skipped(seen.promise.name, check, why) for check in made)


def _arrives(seen: Evidence, board: BoardView) -> Finding:
    name = seen.promise.name
    if seen.new and seen.age <= 2 * seen.usual_length + GRACE:
        many = len(seen.new)
        said = f"the service has {many} new fragment{'s' * (many > 1)} of {seen.usual_length:.1f} s, by {seen.source}"
        return ok(name, ARRIVES, f"{said}; the last came {seen.age:.1f} s ago", count=many, age=seen.age)
    if seen.metrics is not None and seen.metrics.frames and not seen.new:
        return _by_metrics(seen)
    waited = seen.ended - seen.began
    if seen.promise.hand and not seen.fragments:
        return skipped(name, ARRIVES, "a person starts this stream, and it does not run now")
    if seen.elsewhere and not board.stands:
        names = ", ".join(seen.elsewhere[:4])
        what = f"this workstation reads {name}: nothing came in {waited:.0f} s, while {names} gets fragments that no "
        return red("elsewhere", name, ARRIVES, f"{what}board's file asks for", board=board)
    last = seen.fragments[-1].server if seen.fragments else seen.last_ever
    if not last:
        reason = board.cause or "never"
        what = f"this workstation reads {name}, and the service has not one fragment of it, in {waited:.0f} s neither"
        return red(reason, name, ARRIVES, what, board=board)
    reason = board.cause or ("stopped" if seen.fragments else "old")
    ago = seen.ended - last
    what = f"this workstation reads {name}: the last fragment is of {_utc(last)}, {_span(ago)} ago"
    return red(reason, name, ARRIVES, what, board=board, age=ago)


def _by_metrics(seen: Evidence) -> Finding:
    """Judge by CloudWatch alone: minutes are all that it knows."""
    metrics = seen.metrics
    assert metrics is not None  # noqa: S101
    name, old = seen.promise.name, seen.ended - metrics.newest
    what = f"CloudWatch counts {metrics.frames:.0f} frames in {metrics.minutes} min, the newest minute {old:.0f} s ago"
    if old > 180:
        return red("stopped", name, ARRIVES, what, age=old)
    return ok(name, ARRIVES, f"{what}; the stream keeps nothing to be looked at", age=old)


def _kept(seen: Evidence) -> Finding:
    name, wanted = seen.promise.name, seen.promise.retention_hours
    if seen.retention_hours:
        return ok(name, KEPT, f"the service keeps them for {seen.retention_hours} h", hours=seen.retention_hours)
    way = "CloudWatch and GetMedia" if seen.metrics and seen.source == "GetMedia" else seen.source
    if wanted:
        what = f"its retention is 0 h and the board's file has {wanted} h; looked at by {way} instead"
        return red("retention", name, KEPT, what, hours=0)
    return ok(name, KEPT, f"nothing is kept (0 h), as the board's file says; looked at by {way} instead", hours=0)


def _one(seen: Evidence) -> Finding:
    name = seen.promise.name
    crossing = overlaps(seen.fragments)
    fresh = {one.number for one in seen.new}
    data = [one.codec_data for one in seen.media if one.codec_data]
    if alternates(data):
        kinds = len(set(data))
        what = f"the codec data of the last {len(data)} fragments change to and fro between {kinds} encoders"
        return red("two-producers", name, ONE, what, encoders=kinds)
    if len(crossing) >= 2 and fresh.intersection(crossing):
        what = f"{len(crossing)} of {len(seen.fragments)} fragments begin before the one before them has ended"
        return red("two-producers", name, ONE, what, overlaps=len(crossing))
    writer = next((one.writer for one in seen.media if one.writer), "")
    changed = "; the encoder was started anew meanwhile" if len(set(data)) > 1 else ""
    return ok(name, ONE, f"fragments follow one another{f', written by {writer}' if writer else ''}{changed}")


def _whole(seen: Evidence) -> Finding:
    name = seen.promise.name
    watched = (*seen.before[-1:], *seen.new)
    lost = gaps(watched) if seen.promise.live else []
    if lost:
        total = sum(gap.seconds for gap in lost)
        what = f"{total:.1f} s of pictures are missing in {len(lost)} places between {len(watched)} fragments"
        return red("gaps", name, WHOLE, what, count=len(lost), seconds=total)
    return ok(name, WHOLE, f"{len(watched)} fragment{'s' * (len(watched) > 1)} without a gap", count=0)


def _clock(seen: Evidence) -> Finding:
    name = seen.promise.name
    by = ahead(seen.new)
    if by is None or not seen.promise.live:
        return skipped(name, TIME, "the pictures are a file's, and have its times")
    gains = drift(seen.fragments)
    grows = "" if gains is None else f", drift {gains:+.0f} ms a minute"
    here = f"; this workstation's clock is {_off(seen.skew)} the service's" if seen.skew else ""
    if abs(by) <= CLOCK:
        late = f"whole at the service {max(0.0, -by):.1f} s after its last picture" if by <= 0 else f"{by:.1f} s ahead"
        return ok(
            name,
            TIME,
            f"by the board's clock a fragment is {late}{grows}{here}",
            ahead=by,
            drift_ms_per_minute=gains or 0.0,
        )
    what = f"the board's clock is {_off(by)} the service's, by {len(seen.new)} fragments{grows}{here}"
    return red("late" if -240 < by < 0 else "clock", name, TIME, what, ahead=by, drift_ms_per_minute=gains or 0.0)


def _codec(seen: Evidence) -> Finding:
    name, wanted = seen.promise.name, seen.promise.codec
    broken = next((one.fault for one in seen.media if one.fault), "")
    if broken or not seen.media:
        if not seen.media:
            return skipped(name, CODEC, "no fragment could be read")
        return red("unreadable", name, CODEC, f"of {len(seen.media)} fragments one cannot be read: {broken}")
    newest = seen.media[-1]
    kind = "h265" if newest.codec.startswith(("hvc1", "hev1")) else "h264"
    if wanted and kind != wanted:
        return red("codec", name, CODEC, f"{newest.codec} arrives, and the board's file has {wanted}")
    return ok(name, CODEC, f"{newest.codec}, {newest.profile}" if newest.profile else newest.codec)


def _size(seen: Evidence) -> Finding:
    promise, newest = seen.promise, _newest(seen)
    if newest is None:
        return skipped(promise.name, SIZE, "no fragment could be read")
    has = f"{newest.width} x {newest.height}"
    if promise.width and (newest.width, newest.height) != (promise.width, promise.height):
        what = f"{has} pixels arrive, and the board's file has {promise.width} x {promise.height}"
        return red("size", promise.name, SIZE, what, width=newest.width, height=newest.height)
    return ok(promise.name, SIZE, f"{has}{_unsaid(promise.width)}", width=newest.width, height=newest.height)


def _rate(seen: Evidence) -> Finding:
    promise, rate = seen.promise, rate_of(seen.media)
    if not rate:
        return skipped(promise.name, RATE, "no fragment has two pictures, so no rate can be told")
    frames = sum(one.frames for one in seen.media)
    said = f"{rate:.1f} a second, from {frames} frames in {len(seen.media)} fragments"
    if promise.rate and promise.live and not SLOW <= rate / promise.rate <= FAST:
        what = f"{said}; the board's file has {promise.rate:g}"
        return red("frame-rate", promise.name, RATE, what, rate=rate, promised=promise.rate)
    return ok(promise.name, RATE, f"{said}{_unsaid(promise.rate)}", rate=rate, promised=promise.rate)


def _weight(seen: Evidence) -> Finding:
    promise = seen.promise
    seconds = sum(one.seconds for one in seen.media)
    kbps = sum(one.size for one in seen.media) * 8 / 1000 / seconds if seconds else 0.0
    if not kbps:
        return skipped(promise.name, WEIGHT, "no fragment is long enough to tell")
    if promise.bitrate_kbps and kbps > HEAVY * promise.bitrate_kbps:
        what = f"{kbps:.0f} kbit/s arrive, and the board's file has {promise.bitrate_kbps}"
        return red("bitrate", promise.name, WEIGHT, what, kbps=kbps, promised=promise.bitrate_kbps)
    of = f" of {promise.bitrate_kbps}" if promise.bitrate_kbps else ""
    return ok(promise.name, WEIGHT, f"{kbps:.0f}{of} kbit/s", kbps=kbps, promised=promise.bitrate_kbps)


def _sound(seen: Evidence) -> Finding:
    promise, newest = seen.promise, seen.media[-1] if seen.media else None
    if newest is None:
        return skipped(promise.name, SOUND, "no fragment could be read")
    heard = [one.sound or 0 for one in seen.media]
    if promise.audio and not all(heard):
        track = "there is no track for it" if newest.sound is None else "its track is empty"
        return red("no-sound", promise.name, SOUND, f"pictures arrive without sound: {track}", frames=sum(heard))
    if newest.sound is None:
        return ok(promise.name, SOUND, "none, as promised" if promise.audio is False else "none")
    return ok(promise.name, SOUND, f"{newest.sound_codec}, {sum(heard)} frames", frames=sum(heard))


def _looks(seen: Evidence) -> Iterator[Finding]:
    """Judge the pictures: something to see, and not always the same."""
    name = seen.promise.name
    good = [shot for shot in seen.shots if shot.width]
    faults = [shot.fault for shot in seen.shots if shot.fault]
    if not good:
        if any("PyAV" in fault for fault in faults) or not faults:
            why = faults[0] if faults else f"there is no picture, by {seen.shots_from}"
            yield from _left(seen, (SHOWS, MOVES), why)
            return
        yield red("unreadable", name, SHOWS, f"no picture can be made of what arrives: {faults[0]}")
        yield skipped(name, MOVES, "there is no picture")
        return
    last = good[-1]
    light = f"{last.width} x {last.height}, brightness {last.mean:.0f} of 255, contrast {last.spread:.0f}"
    if all(shot.blank for shot in good):
        yield red(
            last.blank, name, SHOWS, f"{len(good)} pictures by {seen.shots_from} are {last.blank}", mean=last.mean
        )
        yield skipped(name, MOVES, f"an even {last.blank} has nothing that could move")
        return
    yield ok(name, SHOWS, f"{light}, by {seen.shots_from}", mean=last.mean, spread=last.spread)
    if seen.change is None:
        yield skipped(name, MOVES, "there is one picture only")
        return
    apart = f"{seen.change.pictures} pictures within {seen.change.seconds:.1f} s"
    if seen.change.none:
        yield red("frozen", name, MOVES, f"{apart} are the same", change=seen.change.most)
        return
    yield ok(name, MOVES, f"{apart} differ by up to {seen.change.most} of 255", change=seen.change.most)


def _drawn(seen: Evidence) -> Iterator[Finding]:
    """Judge the clock that the board's file draws into the picture: white letters, others in each second."""
    name, drawn = seen.promise.name, seen.drawn
    if not seen.promise.clock:
        return
    if drawn is None:
        yield skipped(name, DRAWN, "there are no two pictures that are a second apart, or none can be decoded here")
        return
    apart = f"{drawn.pictures} pictures within {drawn.seconds:.1f} s"
    if drawn.width >= WIDE and drawn.light < WHITE:
        what = f"no white letters are in the upper left of {apart}: the brightest there is {drawn.light} of 255"
        yield red("clock-missing", name, DRAWN, what, light=drawn.light)
    elif drawn.least <= SAME:
        yield red("clock-missing", name, DRAWN, f"the upper left of {apart} stands still", change=drawn.least)
    else:
        said = f"the upper left of {apart} is another each time, by {drawn.least} of 255 at least"
        yield ok(name, DRAWN, said, change=drawn.least, light=drawn.light)


_CHECKS: tuple[Callable[[Evidence], Finding], ...] = (
    *(_kept, _one, _whole, _clock),
    *(_codec, _size, _rate, _weight, _sound),
)


def _newest(seen: Evidence) -> Media | None:
    return next((one for one in reversed(seen.media) if one.width), None)


def _unsaid(promised: float) -> str:
    return "" if promised else "; the board's file does not say"


def _off(seconds: float | None) -> str:
    by = seconds or 0.0
    return f"{_span(abs(by))} {'ahead of' if by > 0 else 'behind'}"


def _span(seconds: float) -> str:
    """Return a time as people say it: 34 s, 6 min, 3 h, 2 days."""
    for size, word in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {word}"
    return f"{seconds:.0f} s"


def _utc(when: float) -> str:
    return f"{dt.datetime.fromtimestamp(min(max(when, 0.0), 253_402_300_799.0), dt.UTC):%Y-%m-%d %H:%M:%S} UTC"

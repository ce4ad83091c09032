"""A stream that keeps nothing: what passes is read while it passes, by GetMedia; CloudWatch's sums come a minute later.

https://docs.aws.amazon.com/kinesisvideostreams/latest/dg/monitoring-cloudwatch.html
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from deploy.cloud.evidence import Metrics, Seen
from deploy.cloud.session import Calls, ServiceRefusalError, seconds_of, told
from deploy.media.elements import header_tags
from deploy.media.matroska import FragmentEnded, Splitter
from deploy.media.model import MediaError

_PART = 1 << 16
_MOST_BYTES = 64 << 20
_MINUTES = 5
_ENOUGH = 2
_TAG = "AWS_KINESISVIDEO_"


@dataclass(slots=True, kw_only=True)
class Passed:
    """What passed while somebody listened: what had arrived before, and what arrived then."""

    before: list[tuple[Seen, FragmentEnded]] = field(default_factory=list)
    new: list[tuple[Seen, FragmentEnded]] = field(default_factory=list)
    size: int = 0


async def read_live(calls: Calls, arn: str, *, seconds: float, now: Callable[[], float], whole: bool) -> Passed:
    """Listen to a stream, until two fragments arrived or the time is over.

    Parameters
    ----------
    now:
        The service's time, in seconds since 1970.
    whole:
        Listen for all of the time.

    Raises
    ------
    ServiceRefusalError
        The service does not give the stream's media.
    """
    began, passed = now(), Passed()
    endpoint = await calls.data_endpoint(arn, "GET_MEDIA")
    answer = await calls.ask(
        "kinesis-video-media", "get_media", endpoint, StreamARN=arn, StartSelector={"StartSelectorType": "NOW"}
    )
    reading = asyncio.ensure_future(_read(calls, answer["Payload"], passed, began, now, whole=whole))
    try:
        await asyncio.wait_for(asyncio.shield(reading), seconds)
    except TimeoutError:
        pass
    finally:
        # The read that is under way is in a thread; it ends when its connection does.
        with contextlib.suppress(OSError, ValueError, RuntimeError):
            answer["Payload"]._raw_stream.shutdown()  # noqa: SLF001
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        answer["Payload"].close()
    return passed


async def _read(
    calls: Calls, body: Any, passed: Passed, began: float, now: Callable[[], float], *, whole: bool
) -> None:
    splitter = Splitter()
    try:
        while part := await calls.in_thread(lambda: told(lambda: bytes(body._raw_stream.read1(_PART)))):  # noqa: SLF001
            passed.size += len(part)
            for event in splitter.feed(part):
                if isinstance(event, FragmentEnded):
                    seen = _seen(event, now())
                    (passed.new if seen.server > began else passed.before).append((seen, event))
            if passed.size > _MOST_BYTES or (len(passed.new) >= _ENOUGH and not whole):
                return
    except (MediaError, ServiceRefusalError, ValueError):
        return  # what came before it counts; ValueError is the read of a body that was closed


def _seen(ended: FragmentEnded, now: float) -> Seen:
    """Return a fragment by the service's tags before it; by the times in it where there are none."""
    try:
        tags = header_tags(ended.header)
    except MediaError:
        tags = {}

    def number(name: str, otherwise: float) -> float:
        try:
            return float(tags.get(_TAG + name, ""))
        except ValueError:
            return otherwise

    return Seen(
        number=tags.get(f"{_TAG}FRAGMENT_NUMBER", "")[:128],
        server=number("SERVER_TIMESTAMP", now),
        producer=number("PRODUCER_TIMESTAMP", ended.timecode / 1e9),
        length=_length(ended),
        size=len(ended.data),
    )


def _length(ended: FragmentEnded) -> float:
    from deploy.cloud.contents import media_of

    return media_of(ended).seconds


async def ask_metrics(calls: Calls, name: str, now: float) -> Metrics | None:
    """Return CloudWatch's sums of what arrived in the last minutes; None where these credentials may not ask."""
    dimensions = [{"Name": "StreamName", "Value": name}]
    queries = [
        {
            "Id": label,
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/KinesisVideo",
                    "MetricName": f"PutMedia.Incoming{metric}",
                    "Dimensions": dimensions,
                },
                "Period": 60,
                "Stat": "Sum",
            },
        }
        for label, metric in (("frames", "Frames"), ("bytes", "Bytes"))
    ]
    end = dt.datetime.fromtimestamp(now, dt.UTC)
    try:
        answer = await calls.ask(
            "cloudwatch",
            "get_metric_data",
            MetricDataQueries=queries,
            StartTime=end - dt.timedelta(minutes=_MINUTES),
            EndTime=end,
        )
    except ServiceRefusalError:
        return None
    rows = {str(row.get("Id")): row for row in answer.get("MetricDataResults", [])}
    sums = {label: float(sum(row.get("Values", []))) for label, row in rows.items()}
    times = [seconds_of(when) for row in rows.values() for when in row.get("Timestamps", [])]
    return Metrics(
        minutes=_MINUTES,
        frames=sums.get("frames", 0.0),
        bytes=sums.get("bytes", 0.0),
        newest=max(times, default=0.0),
    )

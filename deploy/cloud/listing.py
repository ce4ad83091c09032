"""What the service says of one stream: where it is, what it keeps, whose clock is ahead, and which fragments it has."""

from __future__ import annotations

import email.utils
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deploy.cloud.evidence import Seen
from deploy.cloud.session import Calls, seconds_of

PAGE = 1000
"""Fragments of one answer, at most."""


@dataclass(slots=True)
class StreamAt:
    """A stream of the service.

    Attributes
    ----------
    hours:
        That it keeps what arrives; 0: nothing is kept.
    skew:
        Seconds that this workstation's clock is ahead of the service's; None where the service did not say its time.
    """

    arn: str
    hours: int
    skew: float | None


async def describe(calls: Calls, name: str, clock: Callable[[], float]) -> StreamAt:
    """Ask for a stream; raises ServiceRefusalError where there is none, or the service does not answer."""
    answer = await calls.ask("kinesisvideo", "describe_stream", StreamName=name)
    info = answer.get("StreamInfo", {})
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    try:
        skew: float | None = clock() - email.utils.parsedate_to_datetime(str(headers.get("date"))).timestamp()
    except ValueError:
        skew = None
    # The service says whole seconds, and an answer is under way for a while: less than two is nothing.
    return StreamAt(
        arn=str(info.get("StreamARN", "")),
        hours=int(info.get("DataRetentionInHours") or 0),
        skew=None if skew is None else 0.0 if abs(skew) < 2 else skew,
    )


async def list_fragments(calls: Calls, arn: str, begin: float, end: float, most: int = PAGE) -> tuple[Seen, ...]:
    """Return the fragments whose server time is in a span, by arrival: at most so many, page by page.

    Raises
    ------
    ServiceRefusalError
        The service does not list them.
    """
    endpoint = await calls.data_endpoint(arn, "LIST_FRAGMENTS")
    span = {"StartTimestamp": begin, "EndTimestamp": end}
    selector = {"FragmentSelectorType": "SERVER_TIMESTAMP", "TimestampRange": span}
    found, more = list[Seen](), dict[str, Any]()
    while len(found) < most:
        answer = await calls.ask(
            "kinesis-video-archived-media",
            "list_fragments",
            endpoint,
            StreamARN=arn,
            MaxResults=min(PAGE, most - len(found)),
            FragmentSelector=selector,
            **more,
        )
        found += [_seen(row) for row in answer.get("Fragments", [])]
        if not (token := answer.get("NextToken")):
            break
        more = {"NextToken": token}
    return tuple(sorted(found, key=lambda one: (one.server, one.number)))


def _seen(row: dict[str, Any]) -> Seen:
    return Seen(
        number=str(row.get("FragmentNumber", "")),
        server=seconds_of(row.get("ServerTimestamp")),
        producer=seconds_of(row.get("ProducerTimestamp")),
        length=int(row.get("FragmentLengthInMilliseconds") or 0) / 1000,
        size=int(row.get("FragmentSizeInBytes") or 0),
    )

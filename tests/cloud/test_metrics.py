"""A stream of AWS that keeps nothing: CloudWatch's sums, from moto's CloudWatch, and what they are taken for."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from deploy.cloud.collect import Look, observe
from deploy.cloud.evidence import Evidence, Metrics
from deploy.cloud.judge import judge
from deploy.cloud.session import Calls, Keys, Service
from deploy.cloud.unkept import ask_metrics
from tests.cloud.conftest import PROMISE


@pytest.fixture
def calls() -> Iterator[Calls]:
    from moto import mock_aws

    keys = Keys(access_key="AKIAIOSFODNN7EXAMPLE", secret_key="x" * 40)
    with mock_aws():
        made = Calls(Service(region="eu-west-1", keys=keys))
        yield made
        made.close()


def test_sums_of_the_last_minutes_are_read(calls: Calls) -> None:
    now = time.time()
    for name, value in (("PutMedia.IncomingFrames", 600.0), ("PutMedia.IncomingBytes", 4e6)):
        datum = {
            "MetricName": name,
            "Dimensions": [{"Name": "StreamName", "Value": "cam01"}],
            "Timestamp": dt.datetime.fromtimestamp(now - 90, dt.UTC),
            "Value": value,
        }
        put = calls.ask("cloudwatch", "put_metric_data", Namespace="AWS/KinesisVideo", MetricData=[datum])
        asyncio.run(put)
    found = asyncio.run(ask_metrics(calls, "cam01", now))
    assert found is not None
    assert (found.frames, found.bytes) == (600.0, 4e6)
    assert 0 < now - found.newest < 180
    nothing = asyncio.run(ask_metrics(calls, "cam02", now))
    assert nothing == Metrics(minutes=5, frames=0.0, bytes=0.0, newest=0.0)


@pytest.mark.parametrize("frames", [600.0, 0.0])
def test_a_stream_of_aws_that_keeps_nothing_is_looked_at_by_cloudwatch(calls: Calls, frames: float) -> None:
    """The whole look, against moto: what it has no answer for, GetMedia, is refused; the sums are there, or are not."""
    asyncio.run(calls.ask("kinesisvideo", "create_stream", StreamName="cam01", DataRetentionInHours=0))
    put_frames(calls, "cam01", frames)
    promise = replace(PROMISE, region="eu-west-1", retention_hours=0)
    seen = asyncio.run(observe(calls, promise, Look(patience=1)))
    found = {one.check: one for one in judge(seen)}
    if not frames:
        assert found["fragments arrive"].state == "failed", "no sums are no evidence"
        return
    assert found["fragments arrive"].state == "passed"
    assert "CloudWatch counts 600 frames in 5 min" in found["fragments arrive"].evidence
    assert found["pictures are kept"].state == "passed", "the board's file asks for 0 h"
    assert "looked at by CloudWatch alone, since GetMedia was refused (" in found["pictures are kept"].evidence
    assert found["the picture moves"].state == "skipped"


def put_frames(calls: Calls, stream: str, value: float) -> None:
    datum = {
        "MetricName": "PutMedia.IncomingFrames",
        "Dimensions": [{"Name": "StreamName", "Value": stream}],
        "Timestamp": dt.datetime.fromtimestamp(time.time() - 60, dt.UTC),
        "Value": value,
    }
    asyncio.run(calls.ask("cloudwatch", "put_metric_data", Namespace="AWS/KinesisVideo", MetricData=[datum]))


@pytest.mark.parametrize(("age", "state", "reason"), [(90, "passed", ""), (250, "failed", "stopped")])
def test_what_cloudwatch_alone_says_is_green_only_while_it_is_fresh(age: float, state: str, reason: str) -> None:
    now = 1_795_000_000.0
    metrics = Metrics(minutes=5, frames=600, bytes=4e6, newest=now - age)
    found = judge(Evidence(promise=PROMISE, began=now - 30, ended=now, source="GetMedia", metrics=metrics))
    assert (found[0].state, found[0].reason) == (state, reason)
    assert "CloudWatch counts 600 frames" in found[0].evidence
    assert found[1].reason == "retention", "the board's file promises that pictures are kept"
    assert "CloudWatch" in found[1].evidence
    assert {one.state for one in found[2:]} == {"skipped"}, "numbers are no picture"

"""The local service in a thread of the test, its store within reach, and clients of boto3 that are sent there."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import boto3
from botocore.config import Config

from deploy.kvsstore.fragments import Fragment
from deploy.kvsstore.service import Service
from deploy.kvsstore.streams import Stream
from deploy.localkvs.fragment import checked_fragment
from deploy.media.matroska import parse_cluster, parse_header
from tests.support.localservice import REGION, LocalService, local_service

T = TypeVar("T")


@dataclass
class Served:
    """A service that answers.

    Attributes
    ----------
    url:
        Its scheme, address and port, without TLS: players of the tests know no authority of ours.
    """

    url: str
    local: LocalService
    _clients: dict[str, Any] = field(default_factory=dict)

    @property
    def service(self) -> Service:
        """What its handlers are given."""
        return self.local.service

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Let the service's own loop do something."""
        return asyncio.run_coroutine_threadsafe(work, self.local.loop).result(60)

    def client(self, name: str, *, validate: bool = True) -> Any:
        """Return a client of boto3, which signs with the service's own key.

        Parameters
        ----------
        validate:
            Whether boto3 refuses by itself what the service would.
        """
        if (known := f"{name} {validate}") not in self._clients:
            key = self.service.store.keys.own()
            self._clients[known] = boto3.client(
                name,
                region_name=REGION,
                endpoint_url=self.url,
                aws_access_key_id=key.access,
                aws_secret_access_key=key.secret,
                config=Config(retries={"max_attempts": 1}, inject_host_prefix=False, parameter_validation=validate),
            )
        return self._clients[known]

    def stream(self, name: str = "cam01", *, hours: int = 24) -> Stream:
        """Make a stream."""

        async def make() -> Stream:
            return self.service.store.streams.create(name, region=REGION, retention_hours=hours)

        return self.run(make())

    def put(self, stream: Stream, header: bytes, data: bytes, *, server_ms: int | None = None) -> Fragment:
        """Keep a fragment as ingest does, whose producer's clock is that of its timecode."""
        parsed = parse_header(header)
        at = int(self.service.clock() * 1000) if server_ms is None else server_ms
        kept = self.service.store.fragments

        async def add() -> Fragment:
            return await kept.add(
                stream,
                number=kept.next_number(at),
                producer_ms=parse_cluster(data, parsed).timecode // 1_000_000,
                server_ms=at,
                length_ms=checked_fragment(data, parsed, previous_ms=None),
                header=header,
                data=data,
            )

        return self.run(add())

    def get(self, url: str) -> bytes:
        """Return what is at a URL, or a path of the service."""
        where = url if "://" in url else self.url + url
        with urllib.request.urlopen(where, timeout=30) as answer:
            return bytes(answer.read())

    def refusal(self, url: str) -> tuple[int, str]:
        """Return the status and the type of the error at a URL, or a path of the service."""
        try:
            self.get(url)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers.get("x-amzn-ErrorType", "")
        raise AssertionError(f"{url} is not refused")


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """Serve on this machine until the block ends."""
    with local_service(folder) as local:
        yield Served(f"http://127.0.0.1:{local.port}", local)

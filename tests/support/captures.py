"""Recordings of the real clients. They are not in the repository: tests that replay them are skipped without them.

One JSON object a line: connection, seconds, who sent (client or server), base64 of the bytes inside TLS.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
from collections import defaultdict
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("BOARDCAST_CAPTURES") or Path(__file__).parents[3] / "shared" / "captures")
PRODUCER = ("kvssink-audio-video", "kvssink-connection-lost", "kvssink-error-ack", "kvssink-iot-new-stream")


def recorded(name: str) -> Path:
    """Return a recording's file; skip the test where there is none."""
    path = FOLDER / f"{name}.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"no recording {name} in shared/captures beside the checkout, nor in $BOARDCAST_CAPTURES")
    return path


def sent(name: str, sender: str = "client") -> dict[int, bytes]:
    """Return all that one side sent, by connection."""
    found = defaultdict[int, bytes](bytes)
    with gzip.open(recorded(name), "rt") as lines:
        for line in lines:
            record = json.loads(line)
            if record["from"] == sender:
                found[record["connection"]] += base64.b64decode(record["data"])
    return dict(found)


def put_media_bodies(name: str) -> list[bytes]:
    """Return the body of each PutMedia request, out of its chunks, as far as it was sent."""
    requests = [data for data in sent(name).values() if data.startswith(b"POST /putMedia")]
    return [body for body in map(_unchunked, requests) if body]


def _unchunked(request: bytes) -> bytes:
    rest, body = request.partition(b"\r\n\r\n")[2], b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return body

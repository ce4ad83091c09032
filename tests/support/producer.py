"""A producer for tests: PutMedia in Python, signed by botocore, acks read while it sends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from deploy.kvs.keys import Key
from tests.support.localservice import REGION, Wire


def put_media_head(
    stream: str, key: Key, *, kind: str = "ABSOLUTE", start: float = 0.0, more: Mapping[str, str] | None = None
) -> bytes:
    """Return the head of a signed PutMedia request."""
    headers = {
        "Host": f"s-local.kinesisvideo.{REGION}.amazonaws.com",
        "x-amzn-stream-name": stream,
        "x-amzn-fragment-timecode-type": kind,
        "x-amzn-producer-start-timestamp": f"{start:.3f}",
        "x-amzn-fragment-acknowledgment-required": "1",
    } | dict(more or {})
    request = AWSRequest("POST", f"https://{headers['Host']}/putMedia", headers=headers, data=b"")
    SigV4Auth(Credentials(key.access, key.secret, key.token or None), "kinesisvideo", REGION).add_auth(request)
    lines = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    return f"POST /putMedia HTTP/1.1\r\n{lines}Transfer-Encoding: chunked\r\n\r\n".encode()


def chunk(data: bytes) -> bytes:
    """Return data as one chunk; without any it is the last."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def send_media(
    port: int, stream: str, key: Key, parts: Iterable[bytes], *, secure: Path | None = None, **head: str
) -> Wire:
    """Send a whole body, and read until the service ends its answer."""
    wire = Wire(port, secure)
    wire.send(put_media_head(stream, key, **head))  # type: ignore[arg-type]
    try:
        for part in parts:
            wire.send(chunk(part))
        wire.send(chunk(b""))
    except ConnectionError:
        pass  # the service had enough
    # Behind the head, whose last header may end with a 0 too.
    wire.until(lambda received: received.partition(b"\r\n\r\n")[2].endswith(b"0\r\n\r\n"))
    return wire

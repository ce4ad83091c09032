"""A service for a PutMedia client: TLS, signatures checked, acks while the upload goes on, and faults on demand.

Small on purpose: it knows what the client under test has to be told, and keeps what it was sent. The local service of
the product is deploy/localkvs.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import hashlib
import hmac
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.ebml import Fragments

REGION = "ap-northeast-1"
SECRET = "secretexamplekey"  # made up, as in the recordings
KEY, SHORT_KEY, TOKEN = "AKIAEXAMPLE000000000", "ASIAEXAMPLE000000000", "tokenexample"
DATA_HOST = f"s-00001.kinesisvideo.{REGION}.amazonaws.com"
_HOSTS = (f"*.kinesisvideo.{REGION}.amazonaws.com", f"kinesisvideo.{REGION}.amazonaws.com")
IOT_HOST = f"c1.credentials.iot.{REGION}.amazonaws.com"
ERRORS = {
    4500: "KMS_KEY_ACCESS_DENIED",
    4004: "FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS",
    4010: "STREAM_DATA_TYPE_MISMATCH",
    5000: "INTERNAL_ERROR",
}

Plan = Callable[[int, int], str]
"""What happens as a fragment (from 1) of a connection (from 1) begins: "", drop, stall, error=ID, one of `words`."""


@dataclass
class Call:
    """One request as it came."""

    path: str
    headers: list[tuple[str, str]]
    body: bytes
    peer: bool
    """A client certificate was shown."""


@dataclass
class Upload:
    """One putMedia connection."""

    call: Call
    body: bytearray = field(default_factory=bytearray)
    fragments: Fragments = field(default_factory=Fragments)
    acks: list[dict[str, object]] = field(default_factory=list)
    open: int | None = None
    """The fragment that has begun and not ended."""
    begun: int = 0
    ended: bool = False
    """The chunked body came to its end."""


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signature(call: Call, payload: bytes) -> str:
    """Compute the signature again, from the request alone.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
    """
    headers = {name.lower(): value.strip() for name, value in call.headers}
    words = headers["authorization"].removeprefix("AWS4-HMAC-SHA256 ").split(", ")
    parts = dict(word.split("=", 1) for word in words)
    _, _, scope = parts["Credential"].partition("/")
    names = parts["SignedHeaders"].split(";")
    assert names == sorted(names)
    canonical = "".join(f"{name}:{headers[name]}\n" for name in names)
    request = f"POST\n{call.path}\n\n{canonical}\n{';'.join(names)}\n{hashlib.sha256(payload).hexdigest()}"
    text = f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{SECRET}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    return _hmac(key, text).hex()


def signed(call: Call, payload: bytes = b"") -> bool:
    """Tell whether a request is signed with the secret that the recordings have."""
    given = next((value for name, value in call.headers if name.lower() == "authorization"), "")
    return given.startswith("AWS4-HMAC-SHA256 ") and given.endswith(f"Signature={signature(call, payload)}")


@dataclass
class Service:
    """What is known to it, what it does wrong, and what it has seen."""

    streams: set[str] = field(default_factory=lambda: {"cam01", "HelloLankaKVS"})
    plan: Plan = lambda _connection, _fragment: ""
    credential_seconds: int = 3600
    refuse: dict[str, web.Response | Callable[[], web.Response]] = field(default_factory=dict)
    """Path → what is answered in place of the right thing."""
    words: dict[str, bytes] = field(default_factory=dict)
    """More faults of a plan: bytes that are no ack."""
    calls: list[Call] = field(default_factory=list)
    uploads: list[Upload] = field(default_factory=list)
    persisted: list[int] = field(default_factory=list)
    address: str = ""
    ca: Path = Path()
    certificate: Path = Path()
    key: Path = Path()

    @property
    def paths(self) -> list[str]:
        return [call.path for call in self.calls]

    def call(self, request: web.Request, body: bytes = b"") -> Call:
        assert request.transport is not None
        headers = [(name.decode(), value.decode()) for name, value in request.raw_headers]
        peer = bool(request.transport.get_extra_info("peercert"))
        self.calls.append(Call(request.path_qs, headers, body, peer))
        return self.calls[-1]

    async def control(self, request: web.Request) -> web.Response:
        call = self.call(request, await request.read())
        if other := self.refuse.get(call.path):
            return other() if callable(other) else other
        if call.path.startswith("/role-aliases/"):
            return self._credentials(call)
        if not signed(call, call.body):
            return web.json_response({"Message": "The request signature we calculated does not match"}, status=403)
        asked = json.loads(call.body)
        if call.path == "/createStream":
            self.streams.add(asked["StreamName"])
            return web.json_response({"StreamARN": "arn:aws:kinesisvideo:x"})
        if asked["StreamName"] not in self.streams:
            return web.json_response({"Message": "The requested stream is not found or not active."}, status=404)
        if call.path == "/describeStream":
            return web.json_response({"StreamInfo": {"StreamName": asked["StreamName"], "Status": "ACTIVE"}})
        return web.json_response({"DataEndpoint": f"https://{DATA_HOST}"})

    def _credentials(self, call: Call) -> web.Response:
        if not call.peer:
            return web.json_response({"message": "Missing certificate"}, status=403)
        ends = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=self.credential_seconds)
        keys = {"accessKeyId": SHORT_KEY, "secretAccessKey": SECRET, "sessionToken": TOKEN}
        return web.json_response({"credentials": {**keys, "expiration": f"{ends:%Y-%m-%dT%H:%M:%SZ}"}})

    async def expect(self, request: web.Request) -> web.StreamResponse | None:
        """Decide before a byte of the body is read, as KVS does."""
        if request.headers.get("Expect", "").lower() != "100-continue":
            return None
        call = self.call(request)
        if other := self.refuse.get(call.path):
            return other() if callable(other) else other
        if not signed(call):
            return web.json_response({"Message": "no"}, status=403)
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
        return None

    async def put_media(self, request: web.Request) -> web.StreamResponse:
        upload = Upload(self.calls[-1])
        self.uploads.append(upload)
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        answer.enable_chunked_encoding()
        await answer.prepare(request)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError, TimeoutError):
            while data := await asyncio.wait_for(request.content.readany(), 30):
                upload.body += data
                for event in upload.fragments.feed(data):
                    await self._event(request, answer, upload, event)
            upload.ended = True
            if upload.open is not None:
                await self._event(request, answer, upload, None)
            await answer.write_eof()
        return answer

    async def _event(
        self, request: web.Request, answer: web.StreamResponse, upload: Upload, timecode: int | None
    ) -> None:
        if upload.open is not None:
            await self._ack(answer, upload, "RECEIVED", upload.open)
            self.persisted.append(upload.open)
            await self._ack(answer, upload, "PERSISTED", upload.open)
        upload.open = timecode
        if timecode is None:
            return
        upload.begun += 1
        fault, _, value = self.plan(self.uploads.index(upload) + 1, upload.begun).partition("=")
        if fault == "error":
            error = {"ErrorId": int(value), "ErrorCode": ERRORS[int(value)]}
            await self._ack(answer, upload, "ERROR", timecode, **error)
        await self._ack(answer, upload, "BUFFERING", timecode)
        if fault == "drop" and request.transport:
            request.transport.abort()
        elif fault == "stall":
            await asyncio.sleep(3600)
        elif fault in self.words:
            await answer.write(self.words[fault])

    async def _ack(self, answer: web.StreamResponse, upload: Upload, event: str, timecode: int, **more: object) -> None:
        ack = {"EventType": event, "FragmentTimecode": timecode, "FragmentNumber": f"9134{timecode}", **more}
        upload.acks.append(ack)
        await answer.write(json.dumps(ack, separators=(",", ":")).encode() + b"\r\n")


def _certificate(
    subject: str, key: ec.EllipticCurvePrivateKey, issuer: str, signer: ec.EllipticCurvePrivateKey, *names: str
) -> bytes:
    def called(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder(called(issuer), called(subject), key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=subject == issuer, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(map(x509.DNSName, names)), critical=False)
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _certificates(service: Service, folder: Path) -> ssl.SSLContext:
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
    private = [
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        for key in keys
    ]
    service.ca, service.certificate, service.key = (folder / name for name in ("ca.pem", "thing.pem", "thing.key"))
    service.ca.write_bytes(_certificate("authority", keys[0], "authority", keys[0]))
    (folder / "server.pem").write_bytes(
        private[1] + _certificate("server", keys[1], "authority", keys[0], *_HOSTS, IOT_HOST)
    )
    service.certificate.write_bytes(_certificate("thing", keys[2], "authority", keys[0]))
    service.key.write_bytes(private[2])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    context.load_verify_locations(service.ca)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Service]:
    """Serve on a free port of 127.0.0.1 until the block ends."""
    service, loop, ready = Service(), asyncio.new_event_loop(), threading.Event()
    context = _certificates(service, folder)
    stopping = asyncio.Event()

    async def main() -> None:
        app = web.Application(client_max_size=1 << 20)
        app.router.add_route("POST", "/putMedia", service.put_media, expect_handler=service.expect)
        app.router.add_route("*", "/{path:.*}", service.control)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        service.address = f"127.0.0.1:{runner.addresses[0][1]}"
        ready.set()
        await stopping.wait()
        await runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    assert ready.wait(10)
    try:
        yield service
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(20)
        loop.close()

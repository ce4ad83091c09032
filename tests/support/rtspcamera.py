"""An RTSP camera of the tests' own: H.264 over TCP, with or without a password, that can go away."""

from __future__ import annotations

import base64
import re
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

_SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
    "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:video\r\n"
)
_RATE = 25
_SLICES = {1, 5}


def nal_units(stream: bytes) -> list[bytes]:
    """Return the NAL units of an H.264 byte stream."""
    return [unit for unit in re.split(rb"\x00\x00\x00?\x01", stream) if unit]


@dataclass(slots=True)
class RtspCamera:
    """Serves one client at a time, on 127.0.0.1 (RFC 2326; RTP in the same connection, RFC 6184 for its content).

    Parameters
    ----------
    units:
        What it sees; one slice a picture, 25 pictures a second.
    password:
        Asked for with the Basic scheme, as user `admin`.
    pictures:
        It hangs up after so many.
    """

    units: list[bytes]
    password: str = ""
    pictures: int = 1_000_000
    port: int = 0
    allowed: int = 0
    """Requests that came with the password."""
    _server: socket.socket = field(default_factory=socket.socket)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._server.bind(("127.0.0.1", 0))
        self._server.listen()
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        assert self._thread
        self._thread.join(timeout=10)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            with client:
                try:
                    self._answer(client)
                except OSError:
                    continue

    def _answer(self, client: socket.socket) -> None:
        text = b""
        while chunk := client.recv(4096):
            text += chunk
            while b"\r\n\r\n" in text:
                request, _, text = text.partition(b"\r\n\r\n")
                method = request.split(b" ", 1)[0].decode()
                client.sendall(self._reply(method, request.decode()).encode())
                if method == "PLAY":
                    self._play(client)
                    return

    def _reply(self, method: str, request: str) -> str:
        sequence = re.search(r"CSeq: *(\d+)", request, re.IGNORECASE)
        head = f"CSeq: {sequence[1] if sequence else 0}\r\n"
        word = base64.b64encode(f"admin:{self.password}".encode()).decode()
        if self.password and method != "OPTIONS":
            if f"Basic {word}" not in request:
                return f'RTSP/1.0 401 Unauthorized\r\n{head}WWW-Authenticate: Basic realm="camera"\r\n\r\n'
            self.allowed += 1
        if method == "DESCRIBE":
            return (
                f"RTSP/1.0 200 OK\r\n{head}Content-Type: application/sdp\r\nContent-Length: {len(_SDP)}\r\n\r\n{_SDP}"
            )
        more = {
            "OPTIONS": "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n",
            "SETUP": "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n",
        }
        return f"RTSP/1.0 200 OK\r\n{head}{more.get(method, 'Session: 1' + chr(13) + chr(10))}\r\n"

    def _play(self, client: socket.socket) -> None:
        number = picture = 0
        began = time.monotonic()
        while picture < self.pictures:
            for unit in self.units:
                last = unit[0] & 31 in _SLICES
                rtp = struct.pack("!BBHII", 0x80, 96 | (last << 7), number & 0xFFFF, picture * 90000 // _RATE, 1) + unit
                client.sendall(struct.pack("!cBH", b"$", 0, len(rtp)) + rtp)
                number += 1
                if last:
                    picture += 1
                    time.sleep(max(0, began + picture / _RATE - time.monotonic()))
                if picture == self.pictures:
                    return

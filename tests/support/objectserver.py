"""A server that keeps objects by path over HTTP: plain PUT and GET, and the same as S3's path-style REST calls."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Handler(http.server.BaseHTTPRequestHandler):
    """GET, PUT and nothing else; what is asked for and is not there is answered as S3 does."""

    kept: dict[str, bytes]
    read_only = False
    encoding = ""
    """What answers say that their content is encoded with."""
    signed: list[str]
    protocol_version = "HTTP/1.1"

    def _answer(self, code: int, body: bytes = b"") -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        if self.encoding:
            self.send_header("Content-Encoding", self.encoding)
        self.end_headers()
        self.wfile.write(body)

    def _path(self) -> str:
        self.signed.append(self.headers.get("Authorization", ""))
        return self.path.partition("?")[0]

    def do_GET(self) -> None:
        name = self._path()
        if name in self.kept:
            return self._answer(200, self.kept[name])
        return self._answer(404, b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>")

    def do_PUT(self) -> None:
        name = self._path()
        if self.read_only:
            return self._answer(405)
        if self.headers.get("Expect") == "100-continue":
            pass  # answered by the base class
        if "aws-chunked" in self.headers.get("Content-Encoding", ""):
            data = self._aws_chunks()
        else:
            data = self.rfile.read(int(self.headers["Content-Length"]))
        self.kept[name] = data
        return self._answer(200)

    def _aws_chunks(self) -> bytes:
        """Read S3's own framing: hexadecimal length, data, an empty line, and trailers after the last."""
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(parts)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(*, read_only: bool = False) -> Iterator[tuple[str, type[Handler]]]:
    """Serve on a free port of loopback; yields the address and the handler with what it keeps."""
    kind = type("OneHandler", (Handler,), {"kept": {}, "signed": [], "read_only": read_only})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", kind
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""The ladder of sources: every byte is checked, and nothing wrong is ever promoted from its `.part`."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from recipes.errors import BuildError, ConfigError
from recipes.sources import fetch
from recipes.sources.fetch import fetch_archive, mirror_folders
from recipes.sources.lock import Archive

GOOD = b"the source, all of it" * 100


def archive(url: str = "http://127.0.0.1:9/none", data: bytes = GOOD) -> Archive:
    return Archive(name="demo", version="1", file="demo-1.tar.gz", sha256=hashlib.sha256(data).hexdigest(), url=url)


def mirror(tmp_path: Path, data: bytes, name: str = "mirror") -> Path:
    folder = tmp_path / name
    (folder / "archives").mkdir(parents=True)
    (folder / "archives" / "demo-1.tar.gz").write_bytes(data)
    return folder


def left(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.rglob("*") if path.is_file())


def test_a_mirror_fills_the_cache_and_the_cache_answers_next(cache: Path, tmp_path: Path) -> None:
    folder = mirror(tmp_path, GOOD)
    assert fetch_archive(archive(), [folder]).rung == f"mirror {folder}"
    again = fetch_archive(archive(), [], offline=True)
    assert again.rung == "cache"
    assert again.path.read_bytes() == GOOD


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (GOOD[:-1], "sha256 is"),
        (b"", "sha256 is"),
        (b"<!DOCTYPE html><html>moved</html>", "web page"),
        (b"<html><body>301</body></html>", "web page"),
        (GOOD + b"x", "sha256 is"),
    ],
)
def test_a_wrong_file_is_refused_named_and_not_kept(cache: Path, tmp_path: Path, data: bytes, says: str) -> None:
    with pytest.raises(BuildError, match="is unavailable") as caught:
        fetch_archive(archive(), [mirror(tmp_path, data)], offline=True)
    assert says in caught.value.why
    assert left(cache) == []


def test_a_wrong_mirror_does_not_hide_a_right_one(cache: Path, tmp_path: Path) -> None:
    wrong, right = mirror(tmp_path, b"no", "wrong"), mirror(tmp_path, GOOD, "right")
    assert fetch_archive(archive(), [wrong, right]).rung == f"mirror {right}"


def test_a_damaged_cache_is_found_and_replaced(cache: Path, tmp_path: Path) -> None:
    folder = mirror(tmp_path, GOOD)
    path = fetch_archive(archive(), [folder]).path
    path.write_bytes(GOOD.replace(b"all", b"ALL", 1))
    assert fetch_archive(archive(), [folder]).rung == f"mirror {folder}"
    assert path.read_bytes() == GOOD


def test_no_network_and_an_empty_cache_says_what_from_where_and_how_to_mirror(cache: Path) -> None:
    with pytest.raises(BuildError) as caught:
        fetch_archive(archive(), [], offline=True)
    text = str(caught.value)
    assert "demo 1" in text
    assert "--mirror DIR" in text
    assert caught.value.code == 3


def test_a_mirror_that_is_no_folder_is_an_error(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a directory"):
        mirror_folders([str(tmp_path / "nowhere")])


def test_the_environment_names_mirrors_too(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = mirror(tmp_path, GOOD, "one"), mirror(tmp_path, GOOD, "two")
    monkeypatch.setenv("BOARDCAST_MIRROR", str(two))
    assert mirror_folders([str(one)]) == (one, two)


class Server(http.server.BaseHTTPRequestHandler):
    """Answers /good with the file, /page with a page, /short with a broken promise, /endless for ever, and else 404."""

    def do_GET(self) -> None:
        if self.path == "/flaky" and not getattr(self.server, "asked", False):
            self.server.asked = True  # type: ignore[attr-defined]
            self.send_error(503)
            return
        if self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(bytes(1 << 20))
        bodies = {"/good": GOOD, "/flaky": GOOD, "/page": b"<html>sign in</html>", "/short": GOOD[:50]}
        if self.path not in bodies:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(GOOD) if self.path == "/short" else len(bodies[self.path])))
        self.end_headers()
        self.wfile.write(bodies[self.path])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def upstream() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.loopback
def test_upstream_is_used_after_the_mirrors(cache: Path, tmp_path: Path, upstream: str) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert fetch_archive(archive(f"{upstream}/good"), [empty]).rung == f"upstream {upstream}/good"


@pytest.mark.loopback
def test_a_passing_fault_of_upstream_is_tried_again(cache: Path, upstream: str) -> None:
    assert fetch_archive(archive(f"{upstream}/flaky")).path.read_bytes() == GOOD


@pytest.mark.loopback
@pytest.mark.parametrize(("path", "says"), [("page", "web page"), ("short", "no answer"), ("gone", "HTTP 404")])
def test_a_wrong_answer_of_upstream_is_refused(cache: Path, upstream: str, path: str, says: str) -> None:
    with pytest.raises(BuildError) as caught:
        fetch_archive(archive(f"{upstream}/{path}"))
    assert says in caught.value.why
    assert left(cache) == []


@pytest.mark.loopback
@pytest.mark.hostile(kind="build")
def test_an_upstream_without_end_is_left(
    cache: Path, tmp_path: Path, upstream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "LARGEST_SOURCE", 8 << 20)
    large = mirror(tmp_path, bytes((8 << 20) + 1))
    with pytest.raises(BuildError) as caught:
        fetch_archive(archive(f"{upstream}/endless"), [large])
    assert caught.value.why.count("has more than 8,388,608 bytes; refused") == 2
    assert left(cache) == []

"""An engine on another machine, by DOCKER_HOST or a docker context: sources are copied in, results come back."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path, PurePosixPath

import pytest

from recipes import paths
from recipes.arch import ARCHES
from recipes.builder.request import BuildRequest
from recipes.builder.run import build_stage, prepare_build
from recipes.engine.connection import engine_endpoint
from recipes.engine.container import Mount
from recipes.engine.docker import Engine
from recipes.errors import BuildError
from recipes.stage.manifest import Stage
from tests.support.standin import Standin

pytestmark = pytest.mark.engine
PRODUCER = BuildRequest(names=("producer",))


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _serve(client: socket.socket, there: str) -> None:
    """Carry one connection both ways, and close both of its ends when both are through."""
    with client, socket.socket(socket.AF_UNIX) as engine:
        engine.connect(there)
        back = threading.Thread(target=_pump, args=(engine, client), daemon=True)
        back.start()
        _pump(client, engine)
        back.join()


@pytest.fixture
def address() -> Iterator[str]:
    """Serve the local engine's socket over TCP on loopback: to a client it is a machine elsewhere."""
    listener = socket.create_server(("127.0.0.1", 0))
    there = engine_endpoint()[0].removeprefix("unix://")

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=_serve, args=(client, there), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()


def test_the_same_bytes_come_back_from_an_engine_that_sees_no_disk_of_ours(
    sdk: Callable[..., Stage], standin: Standin, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = sdk("armv7", PRODUCER)
    prepared = prepare_build(ARCHES["armv7"], PRODUCER)
    monkeypatch.setenv("DOCKER_HOST", address)
    monkeypatch.setenv("BOARDCAST_WORK", str(tmp_path / "work"))
    with closing(Engine.connect()) as engine:
        assert engine.remote
    jobs: list[tuple[Mount, ...]] = []
    real = Engine.session

    def session(self: Engine, job: object, **more: bool) -> object:
        jobs.append(job.mounts)  # type: ignore[attr-defined]
        assert self.remote
        return real(self, job, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Engine, "session", session)
    second = build_stage(prepared, mirror=[standin.mirror], force=True)
    assert jobs, "nothing was built"
    assert second.manifest.files == first.manifest.files
    assert not list((paths.work() / "scratch").iterdir())


def test_a_docker_context_names_the_engine(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib

    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    folder = tmp_path / "contexts" / "meta" / hashlib.sha256(b"farm").hexdigest()
    folder.mkdir(parents=True)
    meta = {"Name": "farm", "Metadata": {}, "Endpoints": {"docker": {"Host": address, "SkipTLSVerify": False}}}
    (folder / "meta.json").write_text(json.dumps(meta))
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "farm"}))
    with closing(Engine.connect()) as engine:
        assert engine.remote
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    assert engine_endpoint()[0].startswith("unix://"), "which this user may not be let use"


def test_a_shell_says_that_it_needs_an_engine_here(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from recipes.engine.container import Job

    monkeypatch.setenv("DOCKER_HOST", address)
    with closing(Engine.connect()) as engine, pytest.raises(BuildError, match="a shell needs an engine"):
        engine.interactive(Job(image="x", cwd=PurePosixPath("/bc/work")))


def test_an_engine_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    with pytest.raises(BuildError, match="no container engine answers") as caught:
        Engine.connect()
    assert "127.0.0.1:9" in caught.value.where

"""An engine that DOCKER_HOST names by ssh://: this machine's own ssh, to a server that runs docker's command line."""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from recipes.engine import connection
from recipes.engine.connection import _ssh_words, engine_endpoint
from recipes.engine.container import Job, Mount
from recipes.engine.docker import Engine
from recipes.engine.layout import OWN, WORK
from recipes.errors import BuildError, ConfigError
from recipes.tools.base import ensure_base_image
from tests.support.sshserver import Line, ssh_line

pytestmark = [
    pytest.mark.engine,
    pytest.mark.loopback,
    pytest.mark.skipif(not (shutil.which("ssh") and shutil.which("docker")), reason="without ssh and docker"),
]
_CONFIG = """Host farm
    HostName 127.0.0.1
    Port {port}
    User root
    IdentityFile {key}
    IdentitiesOnly yes
    UserKnownHostsFile {known}
"""


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """Serve, and let `ssh` take a configuration of this test's own in the place of ~/.ssh/config."""
    # The server runs what it is asked in the environment of these tests: its docker is not to go by ssh again.
    there = engine_endpoint()[0]
    programs = {
        "ssh": f'exec {shutil.which("ssh")} -F {tmp_path}/config "$@"',
        "docker": f'DOCKER_HOST={there} exec {shutil.which("docker")} "$@"',
    }
    (tmp_path / "bin").mkdir()
    for name, text in programs.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    with ssh_line(tmp_path) as served:
        monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
        monkeypatch.setenv("DOCKER_HOST", "ssh://farm")
        port, known = served.target.port, tmp_path / "known"
        known.write_text(f"[127.0.0.1]:{port} {served.target.host_key}\n")
        (tmp_path / "config").write_text(_CONFIG.format(port=port, key=served.target.key, known=known))
        try:
            yield served
        finally:
            for way in connection._WAYS.values():
                way.close()
            connection._WAYS.clear()


def test_a_session_there_has_copies_of_what_is_here(engine: Engine, line: Line, tmp_path: Path) -> None:
    image = ensure_base_image(engine)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "data").write_bytes(bytes(range(256)) * 4000)
    job = Job(image=image, cwd=WORK, mounts=(Mount(source=tmp_path / "own", target=OWN),))
    with closing(Engine.connect()) as there:
        assert there.remote
        for later in (False, True):
            with there.session(job, later=later) as session:
                said = io.BytesIO()
                assert session.run(["sh", "-c", "cksum < /bc/own/data; echo two >&2; exit 3"], log=said) == 3
                assert b"1024000" in said.getvalue()
                assert session.call(["sh", "-c", "echo one; echo two >&2"]) == (0, b"one\n", b"two\n")
                session.still()
                assert len(session.read(OWN / "data")) == 1_024_000
        there.close()
        assert there.sessions() == []
    [way] = connection._WAYS.values()
    assert len(line.links) < 4, "all connections share a log-in"
    way.close()
    assert not Path(way._folder.name).exists()
    connection._WAYS.clear()


def test_what_ssh_itself_says_is_told(line: Line, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    text = (tmp_path / "config").read_text()
    (tmp_path / "config").write_text(text.replace(f"Port {line.target.port}", f"Port {port}"))
    with pytest.raises(BuildError, match="no container engine answers") as caught:
        Engine.connect()
    assert caught.value.where == "ssh://farm"
    assert "Connection refused" in caught.value.why


def test_the_program_leaves_no_ssh_behind(engine: Engine, line: Line, tmp_path: Path) -> None:
    """Neither where it ends well nor where nobody closed anything."""
    assert ensure_base_image(engine)
    ends = "from recipes.engine.docker import Engine\nengine = Engine.connect()\nprint(engine.sessions())"
    done = subprocess.run(
        [sys.executable, "-c", ends],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
    assert not list(tmp_path.glob("boardcast-ssh-*"))
    with suppress(FileNotFoundError):  # another's program that ends meanwhile
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            words = process.read_bytes()
            assert not (b"dial-stdio" in words and bytes(tmp_path / "config") in words)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("ssh://farm", ["--", "farm"]),
        ("ssh://me@farm", ["-l", "me", "--", "farm"]),
        ("ssh://me@[::1]:2222/", ["-p", "2222", "-l", "me", "--", "::1"]),
        ("ssh://-oProxyCommand=x", ["--", "-oproxycommand=x"]),
    ],
)
def test_only_what_the_address_says_is_said(address: str, words: list[str]) -> None:
    """The rest is for ~/.ssh/config."""
    assert _ssh_words(address) == words


def test_a_port_that_is_none_is_told() -> None:
    with pytest.raises(ConfigError, match="no address of an engine"):
        _ssh_words("ssh://farm:x")

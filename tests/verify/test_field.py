"""What the field threw at verify: each of these took a healthy release back, or was found after the switch only."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from deploy.boards.probe import probe_host
from deploy.boards.session import connect
from deploy.release.plan import plan_release
from deploy.verify.verdict import Verdict
from recipes.errors import PreflightError
from tests.support import bundles
from tests.support.localboard import LocalSession
from tests.support.sshserver import Line, ssh_line
from tests.verify.test_checks import FILES, LOADER, look, program, put, states

pytestmark = [pytest.mark.loopback, pytest.mark.process, pytest.mark.usefixtures("home")]
DROPBEAR = 9000
"""Bytes of a command; a longer one is answered with "String too long"."""


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with ssh_line(tmp_path, longest=DROPBEAR) as made:
        yield made


def green(verdict: Verdict, files: int) -> bool:
    assert states(verdict)[FILES] == ("passed", f"{files} of {files} files intact")
    assert states(verdict)[LOADER] == ("passed", "1 library resolved as planned")
    return verdict.green


@pytest.mark.parametrize("files", [103, 1503])
def test_a_list_of_files_is_no_command(line: Line, tmp_path: Path, files: int) -> None:
    frames = {f"share/frames/frame-{number:05}.h264": b"%d" % number for number in range(files - 1)}
    _, manifest = put(tmp_path / "flash/boardcast", program() | frames)
    with connect(line.target) as session:
        assert green(look(manifest, session), files)
        assert session.traffic.round_trips == 1
    assert len(line.links) == 1


def test_a_long_folder_for_temporary_files_is_no_socket(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("t" * 70)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    _, manifest = put(tmp_path / "flash/boardcast", program())
    with connect(line.target) as session:
        assert green(look(manifest, session), 1)


RELAY = """
import os, socket, sys, threading
link = socket.create_connection((sys.argv[1], int(sys.argv[2])))
open(sys.argv[3], "a").write("once\\n")
def out():
    while data := link.recv(65536):
        os.write(1, data)
    os._exit(0)
threading.Thread(target=out).start()
while data := os.read(0, 65536):
    link.sendall(data)
link.shutdown(socket.SHUT_WR)
"""


def test_a_command_of_the_ssh_configuration_leads_the_checks_too(line: Line, tmp_path: Path) -> None:
    (tmp_path / "relay.py").write_text(RELAY)
    command = f"{sys.executable} {tmp_path}/relay.py %h %p {tmp_path}/passed"
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/config").write_text(f"Host board.example\n  HostName 127.0.0.1\n  ProxyCommand {command}\n")
    _, manifest = put(tmp_path / "flash/boardcast", program())
    with connect(replace(line.target, address="board.example")) as session:
        assert green(look(manifest, session), 1)
    assert (tmp_path / "passed").read_text() == "once\n", "one way for everything"


def test_a_jump_host_of_the_ssh_configuration_is_passed_once(line: Line, tmp_path: Path) -> None:
    (tmp_path / "jump").mkdir()
    with ssh_line(tmp_path / "jump") as jump:
        (tmp_path / ".ssh").mkdir()
        (tmp_path / ".ssh/known_hosts").write_text(f"[127.0.0.1]:{jump.target.port} {jump.target.host_key}\n")
        (tmp_path / ".ssh/config").write_text(
            f"Host board.example\n  HostName 127.0.0.1\n  ProxyJump root@jump.example:{jump.target.port}\n"
            f"Host jump.example\n  HostName 127.0.0.1\n  IdentityFile {jump.target.key}\n"
        )
        _, manifest = put(tmp_path / "flash/boardcast", program())
        with connect(replace(line.target, address="board.example")) as session:
            probe_host(session, manifest.root, [])
            assert green(look(manifest, session), 1)
        assert jump.forwarded == [line.target.port]


@pytest.mark.parametrize("root", ["/opt/boardcast/", "/opt//boardcast", "/opt/x/../boardcast", "//opt", "opt"])
def test_a_root_is_written_in_one_way(root: str) -> None:
    """What the board resolves besides, a link on the way, is looked at there."""
    with pytest.raises(ValidationError, match="an absolute path of the board"):
        bundles.manifest(root=root)


MUSL = """#!/bin/sh
[ "$1" = --list ] || { echo 'musl libc (armhf)' >&2; exit 1; }
printf '\\tlibc.so => %s (0xb6f00000)\\n' "$0"
"""


@pytest.mark.hostile(kind="board")
def test_the_loader_of_musl_lists_and_the_program_does_not_run(tmp_path: Path) -> None:
    """`tests/corpus/test_musl.py` asks musl's own."""
    loader = tmp_path / "ld-musl-armhf.so.1"
    loader.write_text(MUSL)
    loader.chmod(0o755)
    script = f"#!/bin/sh\ntouch {tmp_path}/ran\n".encode()
    providers = {"bin/program": {"libc.so": str(loader)}}
    root = tmp_path / "flash/boardcast"
    _, manifest = put(root, {"bin/program": script}, loader=str(loader), providers=providers)
    assert green(look(manifest), 1)
    assert not (tmp_path / "ran").exists()


@pytest.mark.hostile(kind="board")
def test_uclibcs_loader_is_asked_of_what_names_it_only(tmp_path: Path) -> None:
    """It lists by an environment variable: what another loader starts, or none, would run."""
    loader = tmp_path / "ld-uClibc.so.1"
    loader.write_bytes(b"\0LD_TRACE_LOADED_OBJECTS\0")
    script = f"#!/bin/sh\n# ELF ld-uClibc\ntouch {tmp_path}/ran\n".encode()
    providers = {"bin/program": {"libc.so.0": "/lib/libc.so.0"}}
    root = tmp_path / "flash/boardcast"
    verdict = look(put(root, {"bin/program": script}, loader=str(loader), providers=providers)[1])
    assert states(verdict)[LOADER] == ("failed", "the loader listed nothing (bin/program)")
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(os.getuid() != 0, reason="mounting takes root")
def test_a_folder_that_is_mounted_noexec_is_told_before_the_switch(tmp_path: Path) -> None:
    (tmp_path / "flash").mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", "noexec,mode=755", "tmpfs", str(tmp_path / "flash")]
    if subprocess.run(argv, check=False).returncode != 0:
        pytest.skip("this machine mounts nothing")
    try:
        manifest = bundles.manifest(machines=(os.uname().machine,), arch="unknown", root=f"{tmp_path}/flash/boardcast")
        facts = probe_host(LocalSession(), manifest.root, [])
        with pytest.raises(PreflightError, match=r"no program can be started below .*; nothing was changed") as caught:
            plan_release("one", manifest, facts)
        assert caught.value.code == 5
        assert list((tmp_path / "flash").iterdir()) == []
    finally:
        subprocess.run(["umount", str(tmp_path / "flash")], check=True)

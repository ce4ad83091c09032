"""A session against a real SSH server of this machine: limits, silence, and each way of not getting in."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest

from deploy.boards.session import connect
from deploy.sim.keys import ed25519_pair
from deploy.ssh import channel
from deploy.ssh.dial import Target
from deploy.ssh.scan import shown_host_key
from recipes.errors import ConfigError, PreflightError
from tests.support.sshserver import Line, ssh_line

pytestmark = [pytest.mark.loopback, pytest.mark.process]


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with ssh_line(tmp_path) as made:
        yield made


def test_input_and_output_move_side_by_side(line: Line) -> None:
    data = os.urandom(3 << 20)
    with connect(line.target) as session:
        # `cat` answers while it is still fed: whoever sends all first and reads then would wait for ever.
        parts = (data[at : at + 50_000] for at in range(0, len(data), 50_000))
        assert session.fetch("exec cat", stdin=parts, most=len(data)) == data
        assert session.traffic.sent == session.traffic.received == len(data)
        reply = session.run('echo "$1"; echo no >&2; exit 3', ["it's $HOME"])
        assert (reply.code, reply.out, reply.err) == (3, "it's $HOME\n", "no\n")


def test_a_script_that_ends_before_its_input_tells_its_code(line: Line) -> None:
    with connect(line.target) as session:
        reply = session.run("echo full >&2; exit 71", stdin=(b"x" * 65536 for _ in range(200)))
        assert (reply.code, reply.err) == (71, "full\n")


def test_a_command_without_input_reads_nothing_and_is_sent_nothing(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[object] = []
    monkeypatch.setattr(paramiko.Channel, "shutdown_write", sent.append)
    with connect(line.target) as session:
        assert session.run("cat; echo end").out == "end\n"
        assert session.run("cat; echo end", stdin=iter(())).out == "end\n"
        assert sent == []
        monkeypatch.undo()
        assert session.run("cat; echo end", stdin=[b""]).out == "end\n"


@pytest.mark.hostile(kind="board")
def test_an_answer_without_an_end_is_ended(line: Line) -> None:
    with connect(line.target) as session:
        begun = time.monotonic()
        with pytest.raises(PreflightError, match=r"answers with more than 4\.0 MiB"):
            session.run("printf '\\033[2J'; exec cat /dev/zero")
        with pytest.raises(PreflightError, match=r"more than 1\.0 KiB") as caught:
            session.fetch("exec cat /dev/zero >&2", most=1024)
        assert time.monotonic() - begun < 20
        assert caught.value.code == 5
        assert session.run("echo on").out == "on\n", "the session itself goes on"


@pytest.mark.hostile(kind="board")
def test_a_frozen_board_is_given_up_and_said(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "SILENT_SECONDS", 2.0)
    monkeypatch.setattr(channel, "BEAT_SECONDS", 0.3)

    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 65536

    with connect(line.target) as session:
        time.sleep(1)
        begun = time.monotonic()
        threading.Timer(1, line.frozen.set).start()
        with pytest.raises(PreflightError, match="cam01 stopped answering") as caught:
            session.run("exec cat >/dev/null", stdin=endless())
        assert 1 < time.monotonic() - begun < 10
        assert "the same command again" in caught.value.next_step
        with pytest.raises(PreflightError):
            session.run("echo more")


def test_a_command_that_is_busy_is_waited_for(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "SILENT_SECONDS", 1.0)
    monkeypatch.setattr(channel, "BEAT_SECONDS", 0.2)
    with connect(line.target) as session:
        assert session.run("sleep 4; echo done").out == "done\n"


def test_a_connection_that_goes_between_two_commands_is_opened_again(
    line: Line, capsys: pytest.CaptureFixture[str]
) -> None:
    with connect(line.target) as session:
        for number in range(2):
            assert session.run(f"echo {number}").out == f"{number}\n"
            line.cut()
            time.sleep(0.3)
        assert session.run("echo on").out == "on\n"
        told = capsys.readouterr().err
        assert told.count("cam01: the connection went (the other side closed it); it is opened again") == 2
        line.cut()
        time.sleep(0.3)
        with pytest.raises(PreflightError, match="the connection to cam01 was lost"):
            session.run("echo a line that goes again and again is told")


def test_a_command_whose_connection_goes_is_not_run_again(line: Line, tmp_path: Path) -> None:
    with connect(line.target) as session:
        threading.Timer(0.5, line.cut).start()
        with pytest.raises(PreflightError, match="the connection to cam01 was lost") as caught:
            session.run(f"echo ran >> {tmp_path}/count; exec sleep 5")
        assert (tmp_path / "count").read_text() == "ran\n"
        assert "the same command again" in caught.value.next_step


def test_a_board_behind_a_jump_host_is_reached_as_ssh_reaches_it(line: Line, tmp_path: Path) -> None:
    """By the user's ssh configuration, for the first look at its key as for every command."""
    (tmp_path / "jump").mkdir()
    with ssh_line(tmp_path / "jump") as jump:
        ssh = tmp_path / ".ssh"
        ssh.mkdir()
        config = [
            "Host board.example",
            "  HostName 127.0.0.1",
            f"  ProxyJump root@jump.example:{jump.target.port}",
            "Host jump.example",
            "  HostName 127.0.0.1",
            f"  IdentityFile {jump.target.key}",
        ]
        (ssh / "config").write_text("\n".join(config))
        behind = replace(line.target, address="board.example")
        stranger = refusal(behind)
        assert stranger.what == "the jump host 127.0.0.1 cannot be passed"
        assert "known_hosts" in stranger.why
        with pytest.raises(PreflightError, match="the jump host"):
            shown_host_key("board.example", line.target.port)

        (ssh / "known_hosts").write_text(f"[127.0.0.1]:{jump.target.port} {jump.target.host_key}\n")
        assert shown_host_key("board.example", line.target.port) == line.target.host_key
        with connect(behind) as session:
            assert session.run("echo in").out == "in\n"
        assert jump.forwarded == [line.target.port] * 2
        assert "is not the one that is known" in refusal(replace(behind, host_key=ed25519_pair()[1])).what
        (ssh / "config").write_text("\n".join(config).replace("root@jump", "camera@jump"))
        assert "on the way to 127.0.0.1" in refusal(behind).where


def test_the_key_that_a_server_shows_is_the_one_to_write_down(line: Line) -> None:
    assert shown_host_key("127.0.0.1", line.target.port) == line.target.host_key


def refusal(target: Target) -> PreflightError:
    with pytest.raises(PreflightError) as caught, connect(target):
        pass
    return caught.value


def test_a_host_key_is_taken_as_ssh_keyscan_prints_it(line: Line) -> None:
    with connect(replace(line.target, host_key=f"127.0.0.1 {line.target.host_key}")) as session:
        assert session.run("echo in").out == "in\n"
    assert "is not the one that is known" in refusal(replace(line.target, host_key=ed25519_pair()[1])).what
    assert "cannot be read" in refusal(replace(line.target, host_key="ssh-ed25519 AAAA")).what


def test_each_way_of_not_getting_in_has_its_own_words(line: Line, tmp_path: Path) -> None:
    assert "refuses the log-in" in refusal(replace(line.target, user="camera")).what
    nothing = refusal(replace(line.target, key=None))
    assert nothing.what == "there is no key to log in to cam01 with"
    assert "ssh-copy-id" in nothing.next_step
    with pytest.raises(ConfigError, match="private key is missing"), connect(replace(line.target, key=tmp_path / "no")):
        pass
    assert "nobody knows the address" in refusal(replace(line.target, address="no-such-name.invalid")).what
    with socket.create_server(("127.0.0.1", 0)) as silent:
        closed = silent.getsockname()[1]
    assert refusal(replace(line.target, port=closed)).what == "cam01 does not answer"


def test_a_key_with_a_passphrase_leads_to_the_agent(line: Line, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    (tmp_path / "locked").write_bytes(
        Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.BestAvailableEncryption(b"w")
        )
    )
    told = refusal(replace(line.target, key=tmp_path / "locked"))
    assert "has a passphrase" in told.what
    assert f"ssh-add {tmp_path}/locked" in told.next_step


def test_a_server_that_offers_ssh_rsa_alone_is_told_so(tmp_path: Path) -> None:
    with ssh_line(tmp_path, kinds=("ssh-rsa",)) as old:
        told = refusal(old.target)
    assert told.what == "cam01 speaks an SSH too old for this side"
    assert "ssh-rsa" in told.why
    assert "dropbearkey -t ed25519" in told.next_step

"""The system's ssh as the way to a board: the same answers, limits and refusals as our own, and nobody is asked."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.boards.session import SystemSession, connect, within
from deploy.sim.keys import ed25519_pair
from deploy.ssh import system
from recipes.errors import PreflightError, UserError
from tests.support.sshserver import Line, ssh_line

pytestmark = [
    pytest.mark.process,
    pytest.mark.loopback,
    pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh here"),
]


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with ssh_line(tmp_path) as made:
        made.target = replace(made.target, openssh=True)
        yield made


@pytest.fixture(autouse=True)
def own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let ssh read a configuration of the test's own: it finds the user's by the password file, not by HOME."""
    path = tmp_path / "config"
    path.write_text("")
    plain = system._options

    def options(*args: object, **words: object) -> list[str]:
        return ["-F", str(path), *plain(*args, **words)]  # type: ignore[arg-type]

    monkeypatch.setattr(system, "_options", options)
    return path


def test_commands_share_one_connection_and_say_what_they_did(line: Line) -> None:
    words = ["a b", "it's", "$(reboot)", "", "ü\n"]
    with connect(line.target) as session:
        assert isinstance(session, SystemSession)
        reply = session.run('for word do printf "<%s>" "$word"; done; echo no >&2; exit 3', words)
        assert (reply.out, reply.err, reply.code) == ("".join(f"<{word}>" for word in words), "no\n", 3)
        assert session.run("cat").out == "", "without input there is an end of it"
        assert session.run("exit 255").code == 255, "a script's own, for the connection is there"
        assert len(line.links) == 1
        assert session._line.control.exists()
    assert not session._line.control.parent.exists()


def test_large_streams_go_both_ways_within_their_limits(line: Line) -> None:
    chunk = os.urandom(1 << 20)
    with connect(line.target) as session:
        assert session.fetch("cat", stdin=(chunk for _ in range(8)), most=9 << 20) == chunk * 8
        assert session.traffic.sent == session.traffic.received == 8 << 20
        with pytest.raises(PreflightError, match=r"answers with more than 1\.0 KiB"):
            session.run("yes", most=1024)
        assert session.run("echo on").out == "on\n"
        with pytest.raises(PreflightError, match="could not send") as caught:
            session.fetch("echo why >&2; exit 4", most=9)
        assert caught.value.why == "why"


def test_a_deadline_ends_what_hangs(line: Line) -> None:
    with connect(line.target) as session:
        begun = time.monotonic()
        with within(session, 1.0), pytest.raises(PreflightError, match="did not do in time"):
            session.run("sleep 60")
        assert time.monotonic() - begun < 30
        assert session.run("echo on").out == "on\n"


def test_a_line_that_is_cut_is_said_and_opened_again_for_the_next_command(
    line: Line, capsys: pytest.CaptureFixture[str]
) -> None:
    with connect(line.target) as session:
        threading.Timer(0.5, line.cut).start()
        with pytest.raises(PreflightError, match="connection to cam01 was lost") as caught:
            session.run("sleep 60")
        assert "the same command again" in caught.value.next_step
        assert session.run("echo on").out == "on\n"
        assert "opened again" in capsys.readouterr().err


def test_a_command_that_its_master_does_not_take_is_no_answer_of_the_board(line: Line) -> None:
    with connect(line.target) as session:
        assert isinstance(session, SystemSession)
        session._line.control.unlink()
        with pytest.raises(PreflightError, match="connection to cam01 was lost") as caught:
            session.run("echo on")
        assert caught.value.why


def test_a_board_that_falls_silent_is_given_up(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "_BEAT", 1)
    monkeypatch.setattr(system, "_BEATS", 2)
    with connect(line.target) as session:
        threading.Timer(0.3, line.frozen.set).start()
        with pytest.raises(PreflightError, match=r"stopped answering|was lost"):
            session.run("sleep 60")


def test_another_host_key_is_refused_before_anything_is_sent(line: Line) -> None:
    with pytest.raises(PreflightError) as caught, connect(replace(line.target, host_key=ed25519_pair()[1])):
        pass
    assert "is not the one that is known" in caught.value.what
    assert "enroll" in caught.value.next_step


@pytest.mark.parametrize("key", ["", "ssh-ed25519 AAAA", "SHA256:abc"])
def test_a_host_key_that_is_none_is_said_before_anything_is_opened(line: Line, key: str) -> None:
    with pytest.raises(PreflightError, match="cannot be read"), connect(replace(line.target, host_key=key)):
        pass
    assert line.links == []


def test_who_is_not_let_in_hears_it_and_nobody_is_asked(line: Line, tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match="refuses the log-in"), connect(replace(line.target, user="nobody")):
        pass
    private = ed25519_pair()[0]
    (tmp_path / "other").write_bytes(private)
    (tmp_path / "other").chmod(0o644)
    with pytest.raises(UserError), connect(replace(line.target, key=tmp_path / "other", user="nobody")):
        pass


def test_what_does_not_answer_says_so(line: Line) -> None:
    with pytest.raises(PreflightError, match="does not answer"), connect(replace(line.target, port=1)):
        pass
    gone = replace(line.target, address="nowhere.invalid")
    with pytest.raises(PreflightError, match="nobody knows the address"), connect(gone):
        pass


@pytest.mark.parametrize(
    ("said", "what", "cure"),
    [
        (
            "Unable to negotiate with 192.0.2.7 port 22: no matching host key type found. Their offer: ssh-rsa",
            "no algorithm in common",
            "HostKeyAlgorithms",
        ),
        ("Host key verification failed.", "a jump host", "without a question"),
        ("No ED25519 host key is known for boardcast-cam01 and … failed. Host key verification failed.",
         "is not the one that is known", "enroll"),
        ("root@192.0.2.7: Permission denied (publickey).", "refuses the log-in", "ssh -i"),
        ("", "does not answer", "switched on"),
    ],
)  # fmt: skip
def test_what_ssh_says_gets_its_cure(line: Line, said: str, what: str, cure: str) -> None:
    error = system._not_opened(line.target, said, locked=False)
    assert what in error.what
    assert cure in error.next_step


def test_an_old_server_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    with ssh_line(tmp_path / "old", kinds=("ssh-rsa",)) as made:
        target = replace(made.target, openssh=True)
        with pytest.raises(PreflightError) as caught, connect(target):
            pass
        assert caught.value.why, "whoever of the two gives up first"


def test_a_jump_host_whose_key_is_unknown_is_refused_without_a_question(
    line: Line, tmp_path: Path, own_configuration: Path
) -> None:
    (tmp_path / "hop").mkdir()
    with ssh_line(tmp_path / "hop") as hop:
        port, known = hop.target.port, tmp_path / "known"
        known.write_text("")
        own_configuration.write_text(
            f"Host 127.0.0.1\nProxyJump hop\nHost hop\nHostName 127.0.0.1\nPort {port}\nUser root\n"
            f"ProxyJump none\nUserKnownHostsFile {known}\nIdentityFile {tmp_path}/hop/id\nStrictHostKeyChecking ask\n"
        )
        with pytest.raises(PreflightError), connect(line.target):
            pass
        assert hop.forwarded == []
        known.write_text(f"[127.0.0.1]:{port} {hop.target.host_key}\n")
        with connect(line.target) as session:
            assert session.run("echo by the hop").out == "by the hop\n"
        assert hop.forwarded == [line.target.port]


def test_a_long_tmpdir_leaves_room_for_the_socket(line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with connect(line.target) as session:
        assert session.run("echo on").out == "on\n"
    assert list(deep.iterdir()) == []


def test_without_ssh_it_says_so(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(PreflightError, match="there is none"), connect(line.target):
        pass

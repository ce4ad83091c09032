"""The way that the user's ssh configuration goes: several jump hosts in their order, none, aliases, agents."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.boards.session import connect
from deploy.ssh.dial import Target
from recipes.errors import ConfigError, PreflightError
from tests.support.sshserver import Line, ssh_line

pytestmark = pytest.mark.process


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / ".ssh").mkdir()
    return tmp_path


@pytest.fixture
def lines(home: Path) -> Iterator[dict[str, Line]]:
    """Give a board and two jump hosts, whose keys are known."""
    with ExitStack() as stack:
        made = {}
        for name in ("cam", "one", "two"):
            (home / name).mkdir()
            made[name] = stack.enter_context(ssh_line(home / name))
        known = [f"[127.0.0.1]:{made[name].target.port} {made[name].target.host_key}\n" for name in ("one", "two")]
        (home / ".ssh" / "known_hosts").write_text("".join(known))
        yield made


def configure(home: Path, lines: dict[str, Line], *of_cam: str, more: str = "") -> Target:
    """Write the user's configuration, and return the board behind it."""
    hosts = "".join(
        f"Host {name}\n HostName 127.0.0.1\n Port {lines[name].target.port}\n User root\n"
        f" IdentityFile {lines[name].target.key}\n"
        for name in ("one", "two")
    )
    board = "".join(f" {line}\n" for line in ("HostName 127.0.0.1", *of_cam))
    (home / ".ssh" / "config").write_text(f"Host cam.example\n{board}{hosts}{more}")
    return replace(lines["cam"].target, address="cam.example")


def says(target: Target) -> str:
    with connect(target) as session:
        return session.run("echo in").out


def test_the_first_that_is_named_is_the_first_on_the_way(home: Path, lines: dict[str, Line]) -> None:
    target = configure(home, lines, "ProxyJump one,two")
    assert says(target) == "in\n"
    assert lines["one"].forwarded == [lines["two"].target.port]
    assert lines["two"].forwarded == [lines["cam"].target.port]


def test_a_jump_host_that_has_one_itself_is_reached_by_that(home: Path, lines: dict[str, Line]) -> None:
    target = configure(home, lines, "ProxyJump two", more="Host two\n ProxyJump one\n")
    assert says(target) == "in\n"
    assert lines["one"].forwarded == [lines["two"].target.port]


@pytest.mark.parametrize("none", ["ProxyJump none", "ProxyCommand none"])
def test_none_is_no_name(home: Path, lines: dict[str, Line], none: str) -> None:
    target = configure(home, lines, none, more="Host *\n ProxyJump one\n" if "Jump" in none else "")
    assert says(target) == "in\n"
    assert lines["one"].links == []


def test_a_line_for_all_hosts_is_no_way_from_a_jump_host_to_itself(home: Path, lines: dict[str, Line]) -> None:
    assert says(configure(home, lines, more="Host *\n ProxyJump one\n")) == "in\n"
    assert lines["one"].forwarded == [lines["cam"].target.port]


def test_jump_hosts_that_lead_to_each_other_are_told(home: Path, lines: dict[str, Line]) -> None:
    target = configure(home, lines, "ProxyJump one", more="Host one\n ProxyJump two\nHost two\n ProxyJump one\n")
    with pytest.raises(ConfigError, match="lead to each other"), connect(target):
        pass


def test_an_alias_and_a_file_of_known_hosts_are_those_of_the_configuration(home: Path, lines: dict[str, Line]) -> None:
    key = lines["one"].target.host_key
    (home / ".ssh" / "known_hosts").unlink()
    more = f"Host one\n HostKeyAlias site\n UserKnownHostsFile {home}/elsewhere\n"
    target = configure(home, lines, "ProxyJump one", more=more)
    with pytest.raises(PreflightError, match="the jump host"), connect(target):
        pass
    assert lines["one"].logins == []
    (home / "elsewhere").write_text(f"site {key}\n")
    assert says(target) == "in\n"


@pytest.fixture
def agent(home: Path, lines: dict[str, Line]) -> Iterator[Path]:
    """Give an agent that has the board's key, and that no variable names."""
    place = home / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(place)], stdout=subprocess.DEVNULL) as process:
        give_up = time.monotonic() + 10
        while not place.exists() and time.monotonic() < give_up:
            time.sleep(0.05)
        argv = ["ssh-add", "-q", str(lines["cam"].target.key)]
        subprocess.run(argv, env={"SSH_AUTH_SOCK": str(place), "PATH": "/usr/bin:/bin"}, check=True)
        yield place
        process.terminate()


@pytest.mark.parametrize("named", ["the path", "a variable"])
def test_the_agent_that_is_named_has_the_key(
    home: Path, lines: dict[str, Line], agent: Path, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_AGENT", str(agent))
    place = agent if named == "the path" else "$MY_AGENT"
    for line, within in ((f"IdentityAgent {place}", True), ("IdentityAgent none", False), ("IdentityAgent /no", False)):
        target = replace(configure(home, lines, line), key=None)
        if within:
            assert says(target) == "in\n"
        else:
            with pytest.raises(PreflightError, match="there is no key to log in"), connect(target):
                pass

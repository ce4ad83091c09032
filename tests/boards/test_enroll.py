"""`enroll`: a board's host key gets into the inventory by a person's word alone, and nothing else changes there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from invoke import Context, Exit

from deploy.boards.inventory import host_target, with_host_key
from deploy.boards.session import connect
from deploy.commands.board import enroll
from deploy.sim.keys import ed25519_pair
from deploy.ssh.keys import fingerprint
from recipes import paths
from recipes.errors import ConfigError, PreflightError
from tests.support.sshserver import Line, ssh_line

pytestmark = [pytest.mark.loopback, pytest.mark.process]


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """Serve SSH, and give a folder of boards whose inventory knows the server by no key yet."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    board = tmp_path / "boards" / "cam" / "board.toml"
    board.parent.mkdir(parents=True)
    board.write_text('schema = 1\narch = "armv7"\nsysroot = "x"\nrecipes = ["boardprobe"]\n')
    monkeypatch.setattr(paths, "BOARDS", tmp_path / "boards")
    with ssh_line(tmp_path) as made:
        (tmp_path / "boards" / "hosts.toml").write_text(text(made, ""))
        yield made


def text(line: Line, host_key: str) -> str:
    key = f'host_key = "{host_key}"  # from its label\n' if host_key else ""
    return (
        "# ours\nschema = 1\n\n"
        f'[hosts.cam01]  # at the gate\nboard = "cam"\naddress = "127.0.0.1"\nport = {line.target.port}\n'
        f'key = "{line.target.key}"\n{key}\n'
        '[hosts.other]\nboard = "cam"\nsimulated = true # stays\n'
    )


def inventory() -> Path:
    return paths.BOARDS / "hosts.toml"


def asked(**options: Any) -> None:
    enroll.body(Context(), **{"host": "cam01", "json": False} | options)


def refused(**options: Any) -> Exit:
    with pytest.raises(Exit) as caught:
        asked(**options)
    return caught.value


def test_a_key_is_taken_by_a_persons_word_alone(line: Line, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="inventory") as lacking:
        host_target("cam01")
    assert "invoke enroll --host cam01" in lacking.value.why
    before, right = inventory().read_text(), fingerprint(line.target.host_key)
    nobody = refused()
    assert (nobody.code, right in str(nobody.message)) == (5, True)
    assert "shows another host key" in str(refused(fingerprint="SHA256:47DEQpj8HBSa").message)
    asked(dry_run=True)
    assert inventory().read_text() == before
    asked(fingerprint=right)
    assert right in capsys.readouterr().out
    added = [row for row in inventory().read_text().splitlines() if row not in before.splitlines()]
    assert added == [f'host_key = "{line.target.host_key}"']
    assert set(before.splitlines()) <= set(inventory().read_text().splitlines())
    with connect(host_target("cam01")) as session:
        assert session.run("echo in").out == "in\n"


def test_a_changed_key_stops_everything_until_it_is_enrolled(line: Line, capsys: pytest.CaptureFixture[str]) -> None:
    old = ed25519_pair()[1]
    old = " ".join(old.split()[:2])
    inventory().write_text(text(line, old))
    with pytest.raises(PreflightError, match="is not the one that is known") as stopped, connect(host_target("cam01")):
        pass
    assert "invoke enroll --host cam01" in stopped.value.next_step
    asked(fingerprint=fingerprint(line.target.host_key), json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["changed"], told["before"]) == (True, fingerprint(old))
    assert inventory().read_text() == text(line, line.target.host_key)
    asked()  # nobody is asked for what is known already
    assert "shows the key that is known" in capsys.readouterr().out


def test_a_host_that_has_no_key_to_be_asked_for_says_so(line: Line) -> None:
    del line
    assert "no host 'cam02'" in str(refused(host="cam02").message)
    assert "is simulated" in str(refused(host="other").message)


@pytest.mark.parametrize("form", ["schema = 1\n", "schema = 1\nhosts = 3\n", "no TOML", "schema = 1\n[hosts.x]\n"])
def test_an_inventory_of_an_odd_form_is_left_alone(form: str) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        with_host_key(form, "cam01", "ssh-ed25519 AAAA")

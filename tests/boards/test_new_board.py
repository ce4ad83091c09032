"""A board that nobody described, met over SSH: `board.init`, then a pull, with the functions that the tasks are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from invoke import Context, Exit

from deploy.boards.board import load_board
from deploy.boards.inventory import SimState, load_host, with_host
from deploy.commands.board import init
from deploy.commands.inputs import pull
from deploy.ssh.keys import fingerprint
from recipes import paths
from recipes.rootfs.capture import read_capture

pytestmark = [pytest.mark.engine, pytest.mark.sim]


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder of board files with an inventory of one comment."""
    (tmp_path / "hosts.toml").write_text("schema = 1\n# our cameras\n")
    monkeypatch.setattr(paths, "BOARDS", tmp_path)
    return tmp_path


def describe(board: SimState, **changes: Any) -> None:
    values = {"address": board.address, "key": board.key, "json": False} | changes
    init.body(Context(), host="cam01", **values)


def refused(board: SimState, **changes: Any) -> Exit:
    with pytest.raises(Exit) as caught:
        describe(board, **changes)
    return caught.value


def test_a_board_is_described_once_its_key_is_vouched_for(
    tiny: SimState, empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right = fingerprint(tiny.host_key)
    nobody = refused(tiny)
    assert nobody.code == 5
    assert right in str(nobody.message)
    assert "--fingerprint" in str(nobody.message)
    other = refused(tiny, fingerprint="SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU")
    assert "shows another host key; nothing was written" in str(other.message)
    assert [path.name for path in empty.iterdir()] == ["hosts.toml"]

    capsys.readouterr()
    describe(tiny, fingerprint=right.removeprefix("SHA256:"))
    said = capsys.readouterr().out
    assert said.startswith("Host cam01, board cam01\n")
    assert "invoke sysroot.pull --host cam01" in said
    assert (empty / "hosts.toml").read_text().startswith("schema = 1\n# our cameras\n\n[hosts.cam01]\n")
    assert load_host("cam01").host_key == tiny.host_key
    assert load_board("cam01").file.arch == "x86_64"
    assert "there is a host cam01 already" in str(refused(tiny, fingerprint=right).message)

    pull.body(Context(), host="cam01", json=True, dry_run=False)
    told = json.loads(capsys.readouterr().out)
    assert told["files"] > 0
    index = read_capture(empty / "cam01")
    assert index.of == "cam01"
    assert index.loader

    # The same board under a file that says another architecture: the good index stays as it was.
    file = empty / "cam01" / "board.toml"
    file.write_text(file.read_text().replace('"x86_64"', '"armv7"'))
    before = (empty / "cam01" / "index.json").read_bytes()
    with pytest.raises(Exit) as caught:
        pull.body(Context(), host="cam01", json=False, dry_run=False)
    assert "this is no cam01; nothing was written" in str(caught.value.message)
    assert (empty / "cam01" / "index.json").read_bytes() == before
    text = with_host("", "x", {"board": "cam01", "address": tiny.address, "host_key": tiny.host_key})
    assert "[hosts.x]" in text

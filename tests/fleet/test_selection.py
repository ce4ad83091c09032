"""Which hosts a command means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.fleet.selection import select_hosts, selection_of
from recipes.errors import ConfigError

_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJlq8GJkO7qfW0Ll7bG9nL3T3b0O0V1VQw7mF0V0eKxX"


def table(name: str, more: str) -> str:
    return f'[hosts.{name}]\nboard = "sim-tiny"\naddress = "192.0.2.1"\nhost_key = "{_KEY}"\n{more}\n'


@pytest.fixture
def inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> Callable[[str], Path]:
    """Return a function that writes an inventory beside that of the checkout."""
    folder = tmp_path / "mine"
    folder.mkdir()
    monkeypatch.setenv("BOARDCAST_BOARDS", str(folder))

    def write(text: str) -> Path:
        (folder / "hosts.toml").write_text("schema = 1\n" + text)
        return folder

    return write


@pytest.fixture
def five(inventory: Callable[[str], Path]) -> None:
    inventory(
        table("cam01", 'groups = ["cameras"]\nlabels = { site = "north" }')
        + table("cam02", 'groups = ["cameras", "canary"]\nlabels = { site = "south", floor = "2" }')
        + table("cam03", 'groups = ["cameras"]')
        + table("door", 'labels = { site = "north" }')
        + '[hosts.sim1]\nboard = "sim-tiny"\nsimulated = true\n'
    )


@pytest.mark.usefixtures("five")
@pytest.mark.parametrize(
    ("hosts", "groups", "labels", "meant"),
    [
        (["cam03"], [], [], ["cam03"]),
        (["door,cam03", "cam03"], [], [], ["door", "cam03"]),
        ([], ["cameras"], [], ["cam01", "cam02", "cam03"]),
        (["door"], ["canary"], [], ["door", "cam02"]),
        ([], [], ["site=north"], ["cam01", "door"]),
        ([], ["cameras"], ["site=north"], ["cam01"]),
        ([], [], ["site=south", "floor=2"], ["cam02"]),
        ([], ["all"], [], ["cam01", "cam02", "cam03", "door"]),
    ],
)
def test_hosts_by_name_group_and_label(
    hosts: list[str], groups: list[str], labels: list[str], meant: list[str]
) -> None:
    """`all` is every host that can be there: a simulated one that is not up is none."""
    assert list(select_hosts(selection_of(hosts, groups, labels))) == meant


@pytest.mark.usefixtures("five")
@pytest.mark.parametrize(
    ("hosts", "groups", "labels", "words"),
    [
        (["cam77"], [], [], "no host 'cam77'"),
        ([], ["camera"], [], "no group 'camera'"),
        ([], [], ["site=nord"], "no label 'site=nord'"),
        ([], [], ["site"], "a name and a value"),
        ([], [], ["=north"], "a name and a value"),
        ([], ["-oProxyCommand=x"], [], "cannot be the name of a group"),
        (["../x"], [], [], "cannot be the name of a host"),
        (["cam03"], [], ["site=north"], "no host is meant by --host cam03 --label site=north"),
    ],
)
def test_a_word_that_means_nobody_is_told(hosts: list[str], groups: list[str], labels: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        select_hosts(selection_of(hosts, groups, labels))


def test_the_nearest_group_is_told(five: None) -> None:
    with pytest.raises(ConfigError) as caught:
        select_hosts(selection_of([], ["camera"], []))
    assert "did you mean 'cameras'?" in caught.value.why


def test_a_key_is_the_same_for_the_same_selection_and_no_other() -> None:
    one = selection_of([], ["a", "b"], ["x=1"])
    assert one.key == selection_of([], ["b,a"], ["x=1"]).key
    assert len({one.key, selection_of([], ["a"], ["x=1"]).key, selection_of(["a"], [], []).key}) == 3
    assert one.many
    assert not selection_of(["a"], [], []).many
    assert one.words == "--group a --group b --label x=1"


@pytest.mark.parametrize("more", ['groups = ["a b"]', 'groups = "x"', 'labels = { "a/b" = "x" }', "labels = { a = 1 }"])
def test_what_is_no_name_is_a_fault_of_its_host_alone(inventory: Callable[[str], Path], more: str) -> None:
    inventory(table("good", 'groups = ["g"]') + table("bad", more))
    assert select_hosts(selection_of([], ["g"], [])) == ("good",)

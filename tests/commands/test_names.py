"""What a command knows of host, board and architecture is asked of nobody, and is in every next step."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.cli.command import _known, known_names
from deploy.commands.build import _arches, _asked
from recipes import paths
from recipes.arch import ARCHES
from recipes.builder.request import BuildRequest, SourcePolicy
from recipes.builder.run import prepare_build
from recipes.errors import ConfigError, UserError

BOARD = 'schema = 1\narch = "aarch64"\nsysroot = "yard"\nrecipes = ["boardprobe"]\n'


@pytest.fixture
def yard(home: Path) -> Path:
    """Make an inventory of one board with two hosts, and one with a single host; return the file of the first."""
    hosts = ["schema = 1"]
    for host, board in (("cam01", "yard"), ("cam02", "yard"), ("gate01", "gate")):
        (paths.BOARDS / board).mkdir(parents=True, exist_ok=True)
        (paths.BOARDS / board / "board.toml").write_text(BOARD)
        key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINi9fLmTi+rOPQV9hPw+HdW1dmTHAXn0Yp23dKX+Gs6J"
        hosts.append(f'[hosts.{host}]\nboard = "{board}"\naddress = "192.0.2.1"\nhost_key = "{key}"')
    (paths.BOARDS / "hosts.toml").write_text("\n".join(hosts))
    return paths.BOARDS / "yard" / "board.toml"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"host": "cam02"}, "invoke sysroot.pull --host cam02, invoke bundle --board yard, --arch aarch64"),
        ({"board": "gate"}, "invoke sysroot.pull --host gate01, invoke bundle --board gate, --arch aarch64"),
        ({"board": "yard"}, "invoke sysroot.pull --host HOST, invoke bundle --board yard, --arch aarch64"),
        ({"host": ["cam01"]}, "invoke sysroot.pull --host cam01, invoke bundle --board yard, --arch aarch64"),
        ({"host": ["cam01", "gate01"]}, "invoke sysroot.pull --host HOST, invoke bundle --board BOARD, --arch ARCH"),
        ({"arch": "armv7"}, "invoke sysroot.pull --host HOST, invoke bundle --board BOARD, --arch armv7"),
        ({"arch": "armv7,mipsel"}, "invoke sysroot.pull --host HOST, invoke bundle --board BOARD, --arch ARCH"),
        ({"host": "nowhere"}, "invoke sysroot.pull --host nowhere, invoke bundle --board BOARD, --arch ARCH"),
        ({}, "invoke sysroot.pull --host HOST, invoke bundle --board BOARD, --arch ARCH"),
    ],
)
def test_a_next_step_has_the_names_that_are_known(yard: Path, arguments: dict[str, object], says: str) -> None:
    error = UserError("no", next_step="invoke sysroot.pull --host HOST, invoke bundle --board BOARD, --arch ARCH")
    error.fill_in(known_names({"json": False, **arguments}))
    assert error.next_step == says


def test_only_whole_words_are_filled_in() -> None:
    error = UserError("no", next_step="unset DOCKER_HOST; a BOARDING pass; SYSROOT")
    error.fill_in({"HOST": "cam01", "BOARD": "yard", "SYSROOT": "root"})
    assert error.next_step == "unset DOCKER_HOST; a BOARDING pass; root"


def test_names_of_broken_files_are_simply_not_known(yard: Path) -> None:
    (paths.BOARDS / "hosts.toml").write_text("schema = \n")
    yard.write_text("arch = \n")
    assert known_names({"board": "yard"}) == {"HOST": "", "BOARD": "yard", "ARCH": ""}


def test_an_argument_that_was_left_out_is_told_though_the_inventory_is_broken(yard: Path) -> None:
    assert _known("host") == "; known: cam01, cam02, gate01"
    assert _known("board") == "; known: gate, yard"
    (paths.BOARDS / "hosts.toml").write_text("schema = \n")
    assert _known("host") == "; known: (not readable: not a TOML file)"
    assert _known("library") == ""


def test_a_sysroot_of_another_architecture_is_a_fault_of_what_was_asked() -> None:
    with pytest.raises(ConfigError, match="sysroot debian12-aarch64 is for aarch64, not for armv7") as caught:
        prepare_build(ARCHES["armv7"], BuildRequest(names=("boardprobe",), sysroot="debian12-aarch64"))
    assert caught.value.code == 2
    assert caught.value.next_step == "--arch aarch64; or a sysroot for armv7, such as debian12-armv7"


def test_the_board_says_which_architecture_it_is(yard: Path) -> None:
    assert [arch.name for arch in _arches("", "yard")] == ["aarch64"]
    assert [arch.name for arch in _arches("aarch64", "yard")] == ["aarch64"]
    assert [arch.name for arch in _arches("armv7,mipsel", "")] == ["armv7", "mipsel"]
    with pytest.raises(ConfigError, match="board yard is aarch64, not armv7") as caught:
        _arches("aarch64,armv7", "yard")
    assert caught.value.next_step == "--board yard without --arch"
    with pytest.raises(UserError, match="--arch is missing"):
        _arches("", "")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('opennssl = "source"', "opennssl: no recipe of this name; did you mean 'openssl'? known: curl,"),
        ('openssl = "sorce"', "openssl: no policy 'sorce'; did you mean 'source'? known: auto, board, source, 3.5.7, "),
        ('boardprobe = "board"', "boardprobe: always built, so no policy is for it"),
    ],
)
def test_a_policy_of_a_board_that_cannot_act_is_a_fault_of_its_file(yard: Path, line: str, says: str) -> None:
    yard.write_text(f"{BOARD}[policy]\n{line}\n")
    with pytest.raises(ConfigError, match="a policy that cannot act") as caught:
        _asked("yard", [])
    assert caught.value.where == str(yard)
    assert says in caught.value.why
    assert caught.value.code == 2


def test_all_policies_that_cannot_act_are_told_at_once(yard: Path) -> None:
    with pytest.raises(ConfigError, match="2 policies that cannot act") as caught:
        _asked("", [], ["crul=source", "openssl=9", "openssl=source", "log4cplus=board", "x=auto"])
    assert caught.value.where == "--policy"
    assert "did you mean 'curl'" in caught.value.why


def test_good_policies_are_taken_and_a_named_recipe_keeps_the_rest_of_the_stage(yard: Path) -> None:
    ask = _asked("yard", ["libwebsockets"], ["openssl=1.1.1t", "curl=board"])
    assert ask.policies == {"openssl": "1.1.1t", "curl": SourcePolicy.BOARD}
    assert (ask.names, ask.keep) == (("libwebsockets",), True)
    assert (_asked("yard", []).names, _asked("yard", []).keep) == (("boardprobe",), False)

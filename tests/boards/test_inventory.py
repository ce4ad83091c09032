"""hosts.toml as people write it: each mistake is told where it is, and spoils no other host."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.boards.introduce import read_self, refuse_other_board
from deploy.boards.inventory import check_new_host, host_target, load_host, load_hosts, with_host
from recipes import paths
from recipes.arch import ARCHES
from recipes.errors import ConfigError, PreflightError

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIkQvd3Ob2ZwZb4yAPkvXJIWYqzLKq1sHAt8QWm6mMPa"
GOOD = f'[hosts.good]\nboard = "cam"\naddress = "192.0.2.1"\nhost_key = "{KEY}"\n'


@pytest.fixture
def write(home: Path) -> Callable[[str], None]:
    """Return a function that writes an inventory beside one board."""
    board = paths.BOARDS / "cam" / "board.toml"
    board.parent.mkdir(parents=True)
    board.write_text('schema = 1\narch = "armv7"\nsysroot = "x"\nrecipes = ["boardprobe"]\n')

    def written(text: str) -> None:
        (paths.BOARDS / "hosts.toml").write_text(f"schema = 1\n{text}")

    return written


def test_whole_lines_of_ssh_keyscan_are_taken(write: Callable[[str], None]) -> None:
    scanned = "# 192.0.2.1:22 SSH-2.0-OpenSSH\\n192.0.2.1 ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAmFi"
    write(GOOD.replace(KEY, f"{scanned}\\n192.0.2.1 {KEY} root@cam"))
    assert host_target("good").host_key == KEY


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('address = "172.20.0.2:22"', 'has the port in it: write address = "172.20.0.2", port = 22'),
        ('address = "root@172.20.0.2"', 'has the user in it: write address = "172.20.0.2", user = "root"'),
        ('address = "root@[fe80::1]:2222"', 'write address = "fe80::1", user = "root", port = 2222'),
        ('address = "-oProxyCommand=x"', "the name or the IP address of the board"),
        ('address = "a b"', "the name or the IP address of the board"),
        ('address = "192.0.2.1"\nuser = "-l"', "the name of a user of the board"),
        ('address = "192.0.2.1"\nhostkey = "x"', "hosts.bad.hostkey: unknown key (did you mean 'host_key'?)"),
        ('address = "192.0.2.1"\nhost_key = "SHA256:abc"', "the fingerprint of a key, not the key"),
        ('address = "192.0.2.1"\nport = 70000', "hosts.bad.port: should be less than or equal to 65535"),
    ],
)
def test_a_wrong_value_says_what_it_should_be_and_where(write: Callable[[str], None], line: str, says: str) -> None:
    write(f'{GOOD}\n# address = "here"\n[hosts.bad]\nboard = "cam"\n{line}\n')
    with pytest.raises(ConfigError) as caught:
        load_host("bad")
    assert says in caught.value.why
    assert f"line {10 + line.count(chr(10))}: hosts.bad." in caught.value.why
    assert load_host("good").address == "192.0.2.1"
    assert set(load_hosts()) == {"good"}


@pytest.mark.parametrize(
    ("table", "at", "says"),
    [
        ('[hosts.bad]\nboard = "cma"\naddress = "a"\nhost_key = ""\n', 6, "no board 'cma'; did you mean 'cam'?"),
        ('[hosts.bad]\nboard = "cam"\naddress = "a"\n', 6, "host_key needed for a real board"),
        ('[hosts.bad]\nboard = "cam"\n', 6, "address and host_key needed"),
        ('[hosts.bad]\naddress = "a"\n', 6, 'hosts.bad.board: missing: write board = "mycam"'),
    ],
)
def test_one_bad_host_breaks_no_other(
    write: Callable[[str], None], table: str, at: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(f"{GOOD}{table}")
    assert load_host("good").board == "cam"
    with pytest.raises(ConfigError) as caught:
        load_host("bad")
    assert says in caught.value.why
    assert f"line {at}: hosts.bad" in caught.value.why
    assert set(load_hosts()) == {"good"}
    assert "host bad is left out" in capsys.readouterr().err


@pytest.mark.parametrize("name", ['"-oProxyCommand=x"', '"../../victim"', '"a b"', '"a\\nb"', '""'])
def test_a_name_that_would_be_a_path_or_an_option_is_none(write: Callable[[str], None], name: str) -> None:
    write(f"{GOOD}{GOOD.replace('hosts.good', f'hosts.{name}')}")
    with pytest.raises(ConfigError, match="cannot be the name of a host"):
        load_host(json.loads(name))
    assert set(load_hosts()) == {"good"}


def test_a_table_of_another_name_is_told_at_its_line(write: Callable[[str], None]) -> None:
    write("\n" * 17 + "[host.cam01]\n" + 'board = "cam"\n')
    with pytest.raises(ConfigError) as caught:
        load_host("cam01")
    assert "line 19: host: unknown key (did you mean 'hosts'?)" in caught.value.why


def test_an_inventory_that_changed_is_read_again(write: Callable[[str], None]) -> None:
    """It is read once while it is the same: a rollout asks for each of hundreds of hosts."""
    write(GOOD)
    first = load_host("good")
    assert load_host("good") is first
    for address in ("192.0.2.22", "192.0.2.133"):
        write(GOOD.replace("192.0.2.1", address))
        assert load_host("good").address == address
    (paths.BOARDS / "hosts.toml").unlink()
    with pytest.raises(ConfigError, match="missing"):
        load_host("good")


def test_a_new_host_is_added_and_all_else_stays_as_it_is(write: Callable[[str], None]) -> None:
    write(f"# mine\n{GOOD}# the last word\n")
    path = paths.BOARDS / "hosts.toml"
    before = path.read_text()
    values: dict[str, str | int] = {"board": "cam", "address": "192.0.2.9", "user": "root", "host_key": KEY}
    path.write_text(with_host(before, "cam-2", values))
    assert path.read_text().startswith(before.rstrip())
    assert path.read_text().count("# the last word") == 1
    assert load_host("cam-2").address == "192.0.2.9"
    assert load_host("good").address == "192.0.2.1"
    with pytest.raises(ConfigError, match="a host good already"):
        with_host(before, "good", values)
    assert with_host("", "first", values).startswith("schema = 1\n")


@pytest.mark.parametrize("text", ["", "schema = 1\n", "schema = 1\nhosts = {}\n", "schema = 1\n[hosts]\n"])
def test_an_inventory_of_any_form_takes_a_host_or_says_why(write: Callable[[str], None], text: str) -> None:
    values: dict[str, str | int] = {"board": "cam", "address": "192.0.2.9", "host_key": KEY}
    try:
        made = with_host(text, "cam01", values)
    except ConfigError as error:
        assert "does not fit" in error.what
    else:
        (paths.BOARDS / "hosts.toml").write_text(made)
        assert load_host("cam01").address == "192.0.2.9"


def test_a_new_host_is_checked_before_anybody_is_asked(write: Callable[[str], None]) -> None:
    write(GOOD)
    good: dict[str, str | int] = {"board": "new", "address": "192.0.2.9", "port": 22, "user": "root", "key": ""}
    assert check_new_host("cam01", "new", good).address == "192.0.2.9"
    for name, board, changes, says in (
        ("good", "new", {}, "a host good already"),
        ("../x", "new", {}, "no name of a host"),
        ("cam01", "a/b", {}, "no name of a board"),
        ("cam01", "new", {"address": "1.2.3.4:22"}, "the new host has faults"),
        ("cam01", "new", {"address": ""}, "--address is empty"),
    ):
        with pytest.raises(ConfigError, match=says):
            check_new_host(name, board, good | changes)


PI = (
    "machine=aarch64\n"
    f"shell={'7f454c46010101' + '00' * 9 + '0300280001000000' + '00' * 12 + '00040005' + '00' * 24}\n"
    "loader=/lib/ld-linux-armhf.so.3 \n"
    'release=PRETTY_NAME="Debian \x1b[31m12"\nrelease=ID=debian\nrelease=VERSION_CODENAME=bookworm\n'
)


def test_a_board_says_what_kind_of_machine_it_is() -> None:
    told = read_self(PI)
    assert told.loaders == ("/lib/ld-linux-armhf.so.3",)
    refuse_other_board(told, "pi", ARCHES["armv7"])
    with pytest.raises(PreflightError, match="this is no cam; nothing was written"):
        refuse_other_board(told, "cam", ARCHES["aarch64"])

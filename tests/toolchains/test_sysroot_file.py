"""Where the headers of a pulled board come from."""

from __future__ import annotations

import tomllib

import pytest

from recipes.arch import ARCHES
from recipes.toolchains.sysroot_file import plan_sysroot_file, read_os_release, sysroot_difference

DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_CODENAME=bookworm\n# a remark\nBROKEN="\n'


def test_os_release_is_read_as_a_shell_would() -> None:
    found = read_os_release(DEBIAN)
    assert found["PRETTY_NAME"] == "Debian GNU/Linux 12 (bookworm)"
    assert found["ID"] == "debian"
    assert "BROKEN" not in found


def test_a_debian_board_gets_headers_of_what_it_has_and_no_others() -> None:
    made = plan_sysroot_file(read_os_release(DEBIAN), ["libssl.so.3", "libz.so.1", "libfoo.so.1"], ARCHES["armv7"])
    packages = tomllib.loads(made.toml)["packages"]
    assert packages == ["libc6-dev", "libstdc++-12-dev", "linux-libc-dev", "zlib1g-dev", "libssl-dev"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ID=buildroot\nPRETTY_NAME='Buildroot 2023.02'\n", "Buildroot 2023.02; no distribution has packages"),
        ("ID=raspbian\nID_LIKE=debian\nVERSION_CODENAME=bookworm\n", "its packages are not Debian's own"),
        ("ID=debian\nVERSION_CODENAME=buster\n", "no distribution has packages"),
        ("", "no /etc/os-release"),
    ],
)
def test_any_other_board_is_told_what_is_missing(text: str, says: str) -> None:
    made = plan_sysroot_file(read_os_release(text), ["libssl.so.3"], ARCHES["armv7"])
    assert made.toml == ""
    assert says in made.because
    assert "libssl.so.3" in made.because
    assert "toolchains" in made.because


def test_a_file_that_is_there_is_compared_with_what_the_board_has_now() -> None:
    release = read_os_release(DEBIAN)
    made = plan_sysroot_file(release, ["libssl.so.3", "libz.so.1"], ARCHES["armv7"])
    assert f"{len(tomllib.loads(made.toml)['packages'])} packages of bookworm" in made.because
    assert sysroot_difference(made.toml, made) == ""
    older = plan_sysroot_file(release, ["libz.so.1", "libcurl.so.4"], ARCHES["armv7"])
    assert sysroot_difference(older.toml, made) == (
        "the board has libraries for: libssl-dev; the board lacks what it names: libcurl4-openssl-dev"
    )
    assert sysroot_difference("packages = 1", made) == "it cannot be read"
    assert sysroot_difference(made.toml, plan_sysroot_file({}, [], ARCHES["armv7"])) == ""

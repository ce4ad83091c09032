"""Sysroots of packages: a list that several extend is one file, and the cache does not see the difference."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from recipes import paths
from recipes.config import read_toml
from recipes.errors import ConfigError
from recipes.toolchains import sysroots
from recipes.toolchains.sysroots import SysrootSpec, _sysroot_folder, sysroot_names, sysroot_spec

SHIPPED = [path.stem for path in sorted((paths.BOARDS / "sysroots").glob("debian12-*.toml"))]
# The order counts too: it is part of the key.
PACKAGES = (
    *("libc6-dev", "libstdc++-12-dev", "linux-libc-dev", "zlib1g-dev", "libcap-dev", "libssl-dev"),
    *("libcurl4-openssl-dev", "liblog4cplus-dev", "libwebsockets-dev", "libsrtp2-dev", "libusrsctp-dev"),
    *("libgstreamer1.0-dev", "libgstreamer-plugins-base1.0-dev"),
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of sysroots of the test's own, with one list in it."""
    monkeypatch.setattr(paths, "BOARDS", tmp_path)
    (tmp_path / "sysroots" / "lists").mkdir(parents=True)
    (tmp_path / "sysroots" / "lists" / "base.toml").write_text('schema = 1\nsuite = "trixie"\npackages = ["a", "b"]\n')
    return tmp_path / "sysroots"


def write(folder: Path, lines: str) -> Path:
    path = folder / "cam.toml"
    path.write_text(f'schema = 1\narch = "armv7"\n{lines}\n')
    return path


def test_there_is_one_for_each_arch_of_the_table() -> None:
    assert len(SHIPPED) == 5


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_one_is_cached_under_the_name_that_a_plain_list_gives(name: str, folder: Path) -> None:
    arch = name.removeprefix("debian12-")
    quoted = ", ".join(f'"{package}"' for package in PACKAGES)
    (folder / f"{name}.toml").write_text(f'schema = 1\narch = "{arch}"\nsuite = "bookworm"\npackages = [{quoted}]\n')
    plain = _sysroot_folder(name, sysroot_spec(name))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "BOARDS", paths.CHECKOUT / "board-configs")
        shipped = _sysroot_folder(name, sysroot_spec(name))
        assert "extends" in (paths.BOARDS / "sysroots" / f"{name}.toml").read_text()
    assert shipped == plain
    assert plain.name.startswith(f"{name}-")


def test_packages_of_its_own_come_after_those_of_the_list(folder: Path) -> None:
    write(folder, 'extends = "base"\npackages = ["c"]')
    read = sysroot_spec("cam")
    assert (read.suite, read.packages) == ("trixie", ("a", "b", "c"))
    assert sysroot_names() == ["cam"], "a list is no sysroot"


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('extends = "base"\nsuite = "bookworm"', "line 4: suite: has no place beside extends"),
        (
            'from = "toolchain"\nextends = "base"',
            'line 4: extends: has no place beside from = "toolchain"',
        ),
        ('suite = "bookworm"', "packages: Field required"),
    ],
)
def test_what_does_not_go_together_is_told(folder: Path, lines: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_toml(write(folder, lines), SysrootSpec)
    assert says in caught.value.why


def test_a_list_that_nobody_wrote_is_told_with_the_known_ones(folder: Path) -> None:
    path = write(folder, 'extends = "bose"')
    with pytest.raises(ConfigError, match="no list of packages 'bose'") as caught:
        sysroot_spec("cam")
    assert "did you mean 'base'?" in caught.value.why
    assert caught.value.where == str(path)


def test_a_fault_of_the_list_is_told_with_its_own_file(folder: Path) -> None:
    (folder / "lists" / "base.toml").write_text('schema = 1\nsuite = "trixie"\npackages = []\n')
    write(folder, 'extends = "base"')
    with pytest.raises(ConfigError, match="1 fault") as caught:
        sysroot_spec("cam")
    assert caught.value.where == str(folder / "lists" / "base.toml")


def test_two_that_come_at_once_make_a_sysroot_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The second one put a twin in the place of what the first one's compilers had open."""
    monkeypatch.setenv("BOARDCAST_CACHE", str(tmp_path))
    made: list[str] = []

    def known(name: str) -> Any:
        return name if made else None

    def make(name: str, engine: Any) -> Any:
        time.sleep(0.2)
        made.append(name)
        return engine

    monkeypatch.setattr(sysroots, "known_sysroot", known)
    monkeypatch.setattr(sysroots, "_make_sysroot", make)
    engine: Any = "made"
    with ThreadPoolExecutor(2) as both:
        got = list(both.map(lambda _: sysroots.ensure_sysroot("debian12-armv7", engine), range(2)))
    assert made == ["debian12-armv7"]
    assert sorted(map(str, got)) == ["debian12-armv7", "made"]

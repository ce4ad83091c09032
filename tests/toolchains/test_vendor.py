"""Files of vendors' toolchains: strict, the line of each fault named; and what a toolchain must answer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pytest

from recipes.arch import ARCHES
from recipes.config import read_toml
from recipes.errors import BuildError, ConfigError
from recipes.sources.lock import load_lock
from recipes.toolchains.images import image_tag
from recipes.toolchains.sysroots import SysrootSpec, default_sysroot, sysroot_spec
from recipes.toolchains.vendor import (
    loader_fault,
    parse_arch,
    probe_toolchain,
    program_runner,
    tarball_source,
    verified_tarball,
)

LINES = {
    "schema": "1",
    "arch": '"armv7"',
    "triple": '"arm-acme-linux-gnueabihf"',
    "libc": '"glibc"',
    "archive": '"kit.tar.xz"',
    "sha256": f'"{"a" * 64}"',
}


def write(folder: Path, name: str = "acme", **changes: str) -> Path:
    path = folder / f"{name}.toml"
    path.write_text("".join(f"{key} = {value}\n" for key, value in {**LINES, **changes}.items()))
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BOARDCAST_TOOLCHAINS", str(tmp_path))
    return tmp_path


def test_a_file_is_an_arch_with_the_machine_of_the_table(folder: Path) -> None:
    path = write(folder, cflags='["-mcpu=cortex-a7", "-mfpu=neon-vfpv4"]', **{"gcc-ceiling": "9"})
    arch, base = parse_arch("acme"), ARCHES["armv7"]
    assert (arch.identity, arch.openssl, arch.machine) == (base.identity, base.openssl, base.machine)
    assert (arch.emulator, arch.cmake_processor, arch.base) == (base.emulator, base.cmake_processor, "armv7")
    assert (arch.name, arch.triple, arch.toolchain) == ("acme", "arm-acme-linux-gnueabihf", str(path))
    assert (arch.cflags, arch.gcc_ceiling) == (("-mcpu=cortex-a7", "-mfpu=neon-vfpv4"), 9)


def test_all_faults_are_named_with_their_lines(folder: Path) -> None:
    write(folder, arch='"armv9"', triple='"arm;reboot"', libc='"newlib"', sha256='"abc"', sysroot='"../lib"', strp="1")
    with pytest.raises(ConfigError) as caught:
        parse_arch("acme")
    assert caught.value.what == "6 faults in acme.toml"
    assert caught.value.where == str(folder / "acme.toml")
    for line in (
        "line 2: arch: 'armv9' is not of the table: armv7, aarch64",
        "line 3: triple:",
        "line 4: libc:",
        "line 6: sha256:",
        "line 7: sysroot: must be a path below its folder",
        "line 8: strp: unknown key (did you mean 'strip'?)",
    ):
        assert line in caught.value.why


@pytest.mark.parametrize("flag", ["-DX=$(id)", "-O2 -g", "-Wl,`id`", "main.c", "-", "-D'x'", "-O2\n"])
def test_a_flag_cannot_carry_what_a_shell_acts_on(folder: Path, flag: str) -> None:
    write(folder, cflags=f'["{flag}"]'.replace("\n", "\\n"))
    with pytest.raises(ConfigError, match="cflags"):
        parse_arch("acme")


@pytest.mark.parametrize(("key", "value"), [("triple", "arm-x\n"), ("triple", "-arm-x"), ("sysroot", "/usr")])
def test_nor_can_a_triple_or_a_path(folder: Path, key: str, value: str) -> None:
    write(folder, **{key: '"' + value.replace("\n", "\\n") + '"'})
    with pytest.raises(ConfigError, match=key):
        parse_arch("acme")


def test_an_unknown_arch_is_answered_with_vendors_names_too(folder: Path) -> None:
    write(folder, "acme-armv7")
    with pytest.raises(ConfigError) as caught:
        parse_arch("acme-armv8")
    assert "did you mean 'acme-armv7'?" in caught.value.why
    assert "aarch64, acme-armv7, armv5, armv7" in caught.value.why


@pytest.mark.parametrize("name", ["armv7", "Acme", "acme-", "a b"])
def test_a_name_that_is_taken_or_cannot_name_an_image_is_refused(folder: Path, name: str) -> None:
    write(folder, name)
    with pytest.raises(ConfigError, match=r"called|cannot be the name"):
        parse_arch("acme")


def test_one_name_in_two_folders_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        write(tmp_path / place)
    monkeypatch.setenv("BOARDCAST_TOOLCHAINS", f"{tmp_path / 'one'}:{tmp_path / 'two'}")
    with pytest.raises(ConfigError) as caught:
        parse_arch("acme")
    assert caught.value.where == str(tmp_path / "two" / "acme.toml")
    assert str(tmp_path / "one" / "acme.toml") in caught.value.why


def test_the_image_is_named_by_content_and_not_by_place(folder: Path) -> None:
    write(folder)
    first = image_tag(parse_arch("acme"))
    write(folder, archive='"elsewhere/kit.tar.xz"')
    assert image_tag(parse_arch("acme")) == first
    tags = {first}
    for changes in ({"sha256": f'"{"b" * 64}"'}, {"triple": '"arm-linux"'}, {"strip": "2"}, {"libc": '"musl"'}):
        write(folder, **changes)
        tags.add(image_tag(parse_arch("acme")))
    assert len(tags) == 5
    assert first.startswith("boardcast/toolchain-acme:")


def test_the_tarball_is_a_path_from_the_file_on_or_a_name_of_the_lock(folder: Path, tmp_path: Path) -> None:
    write(folder)
    with pytest.raises(ConfigError, match="is not there") as caught:
        tarball_source(parse_arch("acme"))
    assert caught.value.where == str(tmp_path / "kit.tar.xz")
    (tmp_path / "kit.tar.xz").write_bytes(b"kit")
    assert tarball_source(parse_arch("acme")) == tmp_path / "kit.tar.xz"
    pin = load_lock().get("curl")
    write(folder, archive='"curl"', sha256=f'"{pin.pinned}"')
    assert tarball_source(parse_arch("acme")) == pin
    write(folder, archive='"curl"')
    with pytest.raises(ConfigError, match="another one") as caught:
        tarball_source(parse_arch("acme"))
    assert pin.pinned in caught.value.why


def test_a_tarball_with_another_hash_is_refused_with_both(folder: Path) -> None:
    kit = folder / "kit.tar.xz"
    kit.write_bytes(b"kit")
    good = hashlib.sha256(b"kit").hexdigest()
    write(folder, sha256=f'"{good}"')
    arch = parse_arch("acme")
    assert verified_tarball(arch, kit) == b"kit"
    kit.write_bytes(b"kat")
    with pytest.raises(ConfigError, match="refused") as caught:
        verified_tarball(arch, kit)
    assert good in caught.value.why
    assert hashlib.sha256(b"kat").hexdigest() in caught.value.why


ROOT = "/opt/toolchain/arm/libc"


class Container:
    """Answers as a container with a toolchain in it would."""

    def __init__(self, **changes: str | None) -> None:
        self.said: dict[str, str | None] = {
            "-dumpversion": "12",
            "-print-prog-name=cc1": "/opt/toolchain/bin/../libexec/cc1",
            "-print-prog-name=ld": "/opt/toolchain/bin/../arm/bin/ld",
            "/opt/toolchain/bin/../arm/bin/ld": "GNU ld 2.40",
            "-print-sysroot": "/opt/toolchain/bin/../arm/libc",
            "realpath": ROOT,
            **changes,
        }

    def __call__(self, argv: Sequence[str]) -> tuple[int, str]:
        if argv[0] == "test":
            return int(any(argv[-1].endswith(word) for word, said in self.said.items() if said is None)), ""
        said = next((text for word, text in self.said.items() if word in argv), f"{argv[-1].rpartition('=')[2]}")
        return (1, "") if said is None else (0, said)


def test_a_toolchain_that_holds_its_word_gives_its_sysroot(folder: Path) -> None:
    write(folder)
    assert probe_toolchain(parse_arch("acme"), Container()) == PurePosixPath(ROOT)


@pytest.mark.parametrize(
    ("changes", "what", "told"),
    [
        ({"-g++": None, "find": "bin/arm-other-gcc"}, "has no bin/arm-acme-linux-gnueabihf-g++", "arm-other-gcc"),
        ({"-dumpversion": "ccache: error: no such file"}, "does not start", "no such file"),
        ({"-dumpversion": "14.2.0"}, "GCC 14.2.0 is newer than 13", "GCC 14"),
        ({"-print-prog-name=cc1": "cc1"}, "has no cc1 that works", "not relocatable"),
        ({"-print-prog-name=cc1": "/home/acme/cc1", "/home/acme/cc1": None}, "has no cc1 that works", "/home/acme/cc1"),
        ({"/opt/toolchain/bin/../arm/bin/ld": None}, "has no ld that works", "arm/bin/ld"),
        ({"-print-sysroot": ""}, "no sysroot of its own", "the compiler says ''"),
        ({"-print-sysroot": "/", "realpath": "/"}, "no sysroot of its own", "no folder below /opt/toolchain"),
        ({"realpath": None}, "no sysroot of its own", "no folder below /opt/toolchain"),
    ],
)
def test_what_is_wrong_with_a_toolchain_is_said(
    folder: Path, changes: dict[str, str | None], what: str, told: str
) -> None:
    path = write(folder)
    with pytest.raises(BuildError) as caught:
        probe_toolchain(parse_arch("acme"), Container(**changes))
    assert what in caught.value.what
    assert told in caught.value.why
    assert caught.value.where == str(path)
    assert caught.value.next_step


@pytest.mark.parametrize(
    ("libc", "good", "bad"),
    [
        (
            "glibc",
            ["/lib/ld-linux-armhf.so.3", "/lib64/ld-linux-x86-64.so.2", "/lib/ld.so.1"],
            "/lib/ld-musl-armhf.so.1",
        ),
        ("musl", ["/lib/ld-musl-armhf.so.1"], "/lib/ld-linux-armhf.so.3"),
        ("uclibc", ["/lib/ld-uClibc.so.0", "/lib/ld64-uClibc.so.1"], ""),
    ],
)
def test_the_loader_tells_the_c_library(folder: Path, libc: str, good: list[str], bad: str) -> None:
    write(folder, libc=f'"{libc}"')
    arch = parse_arch("acme")
    assert [loader_fault(arch, loader) for loader in good] == [""] * len(good)
    assert libc in loader_fault(arch, bad)


def test_the_loader_of_musl_is_found_below_the_sysroot(folder: Path) -> None:
    write(folder, libc='"musl"')
    ask = Container(
        readlink="/lib/libc.so", **{"-print-file-name=libstdc++.so.6": "/opt/toolchain/arm/lib/libstdc++.so.6"}
    )
    words = program_runner(parse_arch("acme"), PurePosixPath(ROOT), "/lib/ld-musl-armhf.so.1", ask)
    assert words == [f"{ROOT}/lib/libc.so", "--library-path", f"{ROOT}/lib:/opt/toolchain/arm/lib"]


def test_its_sysroot_needs_no_file(folder: Path) -> None:
    write(folder)
    arch = parse_arch("acme")
    assert default_sysroot(arch) == "toolchain-acme"
    read = sysroot_spec("toolchain-acme")
    assert (read.arch, read.from_, read.packages) == ("acme", "toolchain", ())
    with pytest.raises(ConfigError, match="no sysroot") as caught:
        sysroot_spec("toolchain-acne")
    assert "did you mean 'toolchain-acme'?" in caught.value.why


def test_a_sysroot_is_of_packages_or_of_a_toolchain(tmp_path: Path) -> None:
    path = tmp_path / "one.toml"
    path.write_text('schema = 1\narch = "acme"\nfrom = "toolchain"\nsuite = "bookworm"\n')
    with pytest.raises(ConfigError) as caught:
        read_toml(path, SysrootSpec)
    assert 'line 4: suite: has no place beside from = "toolchain"' in caught.value.why
    path.write_text('schema = 1\narch = "armv7"\nsuite = "bookworm"\n')
    with pytest.raises(ConfigError, match="1 fault") as caught:
        read_toml(path, SysrootSpec)
    assert "packages: " in caught.value.why

"""The ELF reader against second opinions on real trees, and against damaged and hostile files."""

from __future__ import annotations

import random
import struct
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes import elf
from recipes.arch import ARCHES, FloatAbi
from recipes.elf.image import DT_HASH, ElfImage
from recipes.rootfs.index import scan_root
from recipes.toolchains.sysroots import Sysroot

pytestmark = pytest.mark.engine
TRIES = 400
GNU_HASH = 0x6FFFFEF5


@pytest.fixture(scope="module")
def sample(arm_sysroot: Sysroot) -> list[Path]:
    """Sixty ELF files of the armhf sysroot, always the same ones, the C library among them."""
    index = arm_sysroot.index()
    names = sorted(index.files)
    chosen = random.Random(7).sample(names, 58)
    found = [index.find(name, ARCHES["armv7"].identity) for name in ("libc.so.6", "libssl.so.3")]
    chosen += [place for place, _ in filter(None, found)]
    return [arm_sysroot.tree / name.lstrip("/") for name in chosen]


def second_opinion(path: Path) -> dict[str, Any]:
    """Read the same facts with pyelftools."""
    from elftools.elf.dynamic import DynamicSection
    from elftools.elf.elffile import ELFFile
    from elftools.elf.gnuversions import GNUVerDefSection, GNUVerNeedSection
    from elftools.elf.sections import SymbolTableSection

    with path.open("rb") as stream:
        file = ELFFile(stream)
        facts: dict[str, Any] = {"soname": "", "needed": [], "runpath": [], "defs": [], "needs": [], "names": set()}
        facts |= {"unique": set(), "sysv": False}
        for section in file.iter_sections():
            if isinstance(section, DynamicSection):
                for tag in section.iter_tags():
                    if tag.entry.d_tag == "DT_NEEDED":
                        facts["needed"].append(tag.needed)
                    elif tag.entry.d_tag == "DT_SONAME":
                        facts["soname"] = tag.soname
                    elif tag.entry.d_tag == "DT_RUNPATH":
                        facts["runpath"] = tag.runpath.split(":")
                    facts["sysv"] |= tag.entry.d_tag == "DT_HASH"
            elif isinstance(section, GNUVerDefSection):
                for number, (definition, names) in enumerate(section.iter_versions()):
                    if not definition["vd_flags"] & 1 or number:
                        facts["defs"].append(next(names).name)
            elif isinstance(section, GNUVerNeedSection):
                for need, names in section.iter_versions():
                    facts["needs"] += [f"{need.name}:{node.name}" for node in names]
            elif isinstance(section, SymbolTableSection) and section.name == ".dynsym":
                facts["names"] = {
                    (symbol.name, symbol["st_shndx"] == "SHN_UNDEF")
                    for symbol in section.iter_symbols()
                    if symbol.name
                    and symbol["st_info"]["bind"] != "STB_LOCAL"
                    and symbol["st_other"]["visibility"] in ("STV_DEFAULT", "STV_PROTECTED")
                }
                facts["unique"] = {
                    symbol.name for symbol in section.iter_symbols() if symbol["st_info"]["bind"] == "STB_LOOS"
                }
        return facts


def test_pyelftools_reads_the_same_facts(sample: list[Path]) -> None:
    for path in sample:
        mine, other = elf.read(path), second_opinion(path)
        assert mine.soname == other["soname"], path
        assert list(mine.needed) == other["needed"], path
        assert list(mine.runpath) == other["runpath"], path
        assert list(mine.version_defs) == other["defs"], path
        assert [need.lstrip("?") for need in mine.version_needs] == other["needs"], path
        names = {(text.partition("@")[0], False) for text in mine.exports.split()}
        names |= {(text.lstrip("?").partition("@")[0], True) for text in mine.imports.split()}
        assert names == other["names"], path
        unique = {text.partition("@")[0] for text in mine.objects.split() if text.endswith(":u")}
        # One that no relocation names is told as such, which says more.
        assert unique <= other["unique"], path
        assert mine.sysv is other["sysv"], path


def test_lief_reads_the_same_facts(sample: list[Path]) -> None:
    import lief

    for path in sample:
        mine, other = elf.read(path), lief.ELF.parse(str(path))
        assert other is not None
        assert list(mine.needed) == list(other.libraries), path
        # lief's own `imported` leaves out weak symbols without a type and those of thread-local storage.
        undefined = {symbol.name for symbol in other.dynamic_symbols if symbol.shndx == 0 and symbol.name}
        assert {text.lstrip("?").partition("@")[0] for text in mine.imports.split()} == undefined, path


def test_every_file_of_the_sysroot_is_for_its_arch(arm_sysroot: Sysroot) -> None:
    index = arm_sysroot.index()
    assert len(index.files) > 500
    assert index.damaged == {}
    assert all(ARCHES["armv7"].matches(file.identity) for file in index.files.values())
    assert any(file.identity.float_abi is FloatAbi.HARD for file in index.files.values())


def test_no_link_of_the_sysroot_leads_out_of_it(arm_sysroot: Sysroot) -> None:
    links = [path for path in arm_sysroot.tree.rglob("*") if path.is_symlink()]
    assert links
    outside = [path for path in links if not path.resolve().is_relative_to(arm_sysroot.tree.resolve())]
    assert outside == []


def test_a_directory_and_a_tar_of_it_have_the_same_index(arm_sysroot: Sysroot, tmp_path: Path) -> None:
    import tarfile

    part = tmp_path / "part"
    for name in ("usr/lib/arm-linux-gnueabihf/libssl.so.3", "usr/lib/arm-linux-gnueabihf/libcrypto.so.3"):
        (part / name).parent.mkdir(parents=True, exist_ok=True)
        (part / name).write_bytes((arm_sysroot.tree / name).resolve().read_bytes())
    (part / "lib").symlink_to("usr/lib")
    with tarfile.open(tmp_path / "part.tar", "w") as archive:
        archive.add(part, arcname=".")
    one, two = scan_root(part), scan_root(tmp_path / "part.tar")
    assert one.files == two.files
    assert one.links == two.links
    assert one.fingerprint == two.fingerprint
    path = "/usr/lib/arm-linux-gnueabihf/libssl.so.3"
    assert one.digests([path]) == two.digests([path])


@pytest.mark.hostile(kind="board")
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_file_that_ends_before_its_segments_do_is_refused(sample: list[Path], data: st.DataObject) -> None:
    images = {path: ElfImage(path.read_bytes()).loads for path in smallest(sample)}
    path = data.draw(st.sampled_from([path for path, loads in images.items() if loads]))  # an object file has none
    content = path.read_bytes()
    mapped = max(end + delta for _, end, delta in images[path])
    with pytest.raises(elf.ElfError):
        elf.parse(content[: data.draw(st.integers(0, mapped - 1))])


def test_changed_files_are_refused_or_read_soon(sample: list[Path]) -> None:
    """Anything but ElfError fails here; and of a few changes some must be seen, and some cannot matter."""
    chance, refused, same = random.Random(11), 0, 0
    contents = [path.read_bytes() for path in smallest(sample)]
    for _ in range(TRIES):
        whole = chance.choice(contents)
        content = bytearray(whole)
        for _ in range(chance.randrange(1, 7)):
            # The header and the tables at the front decide most; change them more often.
            at = chance.randrange(min(len(content), chance.choice([64, 1024, len(content)])))
            content[at] = chance.choice([0, 1, 0x7F, 0x80, 0xFF])
        begun = time.monotonic()
        try:
            same += elf.parse(bytes(content)) == elf.parse(whole)
        except elf.ElfError as error:
            assert str(error)
            refused += 1
        assert time.monotonic() - begun < 5
    assert refused > TRIES / 10
    assert same > TRIES / 10


def smallest(sample: list[Path]) -> list[Path]:
    return sorted(sample, key=lambda path: path.stat().st_size)[:12]


@pytest.mark.hostile(kind="board")
@pytest.mark.parametrize("length", [0, 3, 4, 16, 51, 52, 63, 64])
def test_a_header_alone_is_not_a_usable_file(length: int, sample: list[Path]) -> None:
    head = sample[0].read_bytes()[:length]
    with pytest.raises(elf.ElfError):
        elf.parse(head)


@pytest.mark.hostile(kind="board")
def test_a_hostile_hash_table_allocates_nothing(sample: list[Path]) -> None:
    """A symbol count of four thousand million is refused before anything of that size is made."""
    path = next(path for path in sample if elf.read(path).exports)
    content = bytearray(path.read_bytes())
    image = ElfImage(bytes(content))
    offset, size = image.parts[2]
    for at in range(offset, offset + size, 8):
        tag, value = struct.unpack_from("<II", content, at)
        if tag in (GNU_HASH, DT_HASH):  # either becomes DT_HASH, whose second word is the count
            struct.pack_into("<I", content, at, DT_HASH)
            struct.pack_into("<I", content, image.offset(value) + 4, 0xFFFFFFFF)
    hostile = bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(elf.ElfError, match="4294967295 symbols"):
            elf.parse(hostile)
        assert tracemalloc.get_traced_memory()[1] < len(hostile) + (1 << 20)
    finally:
        tracemalloc.stop()

"""A vendor's toolchain, from its tarball to a built tree: an arch of its own, with its own C library as the floor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recipes import elf
from recipes.arch import ARCHES, Arch
from recipes.builder.recipe_build import shell_job
from recipes.builder.request import BuildRequest
from recipes.builder.run import build_stage, prepare_build
from recipes.engine.docker import Engine
from recipes.errors import BuildError, ConfigError
from recipes.files import file_sha256
from recipes.toolchains.images import asker_in, check_image, ensure_image, image_tag, known_image
from recipes.toolchains.sysroots import default_sysroot, ensure_sysroot, known_sysroot
from recipes.toolchains.vendor import parse_arch
from tests.support import toolchain

pytestmark = pytest.mark.engine
RECIPE = """schema = 1
name = "vendorprobe"
version = "1.0.0"
licence = "BSD-3-Clause"
summary = "A small program and a library of ours, in C and C++"
source = "path:src"
build = "cmake"

[[libraries]]
link = "vendorprobe"
soname = "libvendorprobe.so.1"

[[outputs]]
path = "bin/vendorprobe"
kind = "program"

[[outputs]]
path = "lib/libvendorprobe.so.1"
kind = "library"
"""
SOURCES = {
    "CMakeLists.txt": """cmake_minimum_required(VERSION 3.18)
project(vendorprobe C CXX)
add_library(vendorprobe SHARED half.c)
set_target_properties(vendorprobe PROPERTIES VERSION 1 SOVERSION 1)
add_executable(probe main.cc)
set_target_properties(probe PROPERTIES OUTPUT_NAME vendorprobe)
target_link_libraries(probe PRIVATE vendorprobe)
install(TARGETS probe vendorprobe RUNTIME DESTINATION bin LIBRARY DESTINATION lib)
""",
    "half.c": "#include <math.h>\ndouble half(double of) { return sqrt(of) / 2; }\n",
    "main.cc": """#include <iostream>
#include <string>
extern "C" double half(double of);
int main(int count, char **) { std::cout << "half " << std::to_string(half(count)) << std::endl; }
""",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Path]:
    """Return a folder with the tarball and a recipe: what is made of them stays in a cache of these tests' own."""
    made = tmp_path_factory.mktemp("vendor")
    toolchain.assemble(engine, made)
    source = made / "recipes" / "vendorprobe" / "src"
    source.mkdir(parents=True)
    (source.parent / "recipe.toml").write_text(RECIPE)
    for name, text in SOURCES.items():
        (source / name).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BOARDCAST_TOOLCHAINS", str(made))
        patch.setenv("BOARDCAST_RECIPES", str(made / "recipes"))
        patch.setenv("BOARDCAST_CACHE", str(made / "cache"))
        yield made


@pytest.fixture(scope="module")
def vendor(folder: Path) -> Callable[..., Arch]:
    """Return a function that writes a toolchain's file and gives its arch."""
    good = file_sha256(folder / toolchain.TARBALL)

    def make(name: str, **changes: str | int) -> Arch:
        told: dict[str, str | int] = {
            "arch": "armv7",
            "triple": toolchain.TRIPLE,
            "libc": "glibc",
            "archive": toolchain.TARBALL,
        }
        told |= {"sha256": good, **changes}
        lines = ["schema = 1", *(f"{key} = {value!r}" for key, value in told.items())]
        (folder / f"{name}.toml").write_text("\n".join(lines) + "\n")
        return parse_arch(name)

    return make


def test_its_image_compiles_and_runs_what_the_table_says(vendor: Callable[..., Arch], engine: Engine) -> None:
    arch = vendor("test-vendor")
    assert set(check_image(arch, engine).values()) == {ARCHES["armv7"].identity.describe()}
    assert known_image(arch) == ensure_image(arch, engine)


def test_a_recipe_is_built_with_it_and_passes_the_gate(vendor: Callable[..., Arch], engine: Engine) -> None:
    arch = vendor("test-vendor")
    prepared = prepare_build(arch, BuildRequest(names=("vendorprobe",)), engine=engine)
    staged = build_stage(prepared)
    facts = elf.read(staged.tree / "bin" / "vendorprobe")
    assert arch.matches(facts.identity)
    assert facts.runpath == ("$ORIGIN/../lib",)
    assert "libvendorprobe.so.1" in facts.needed
    assert (staged.manifest.arch, staged.manifest.sysroot) == ("test-vendor", "toolchain-test-vendor")

    # What it was compiled against, and checked against, is the toolchain's own; nothing in it leads out of it.
    root = prepared.sysroot
    assert root.packages == (f"{file_sha256(Path(arch.toolchain).parent / toolchain.TARBALL)}  toolchain test-vendor",)
    found = root.index().find("libc.so.6", arch.identity)
    assert found is not None
    assert {need.partition(":")[2] for need in facts.version_needs if need.startswith("libc.so.6:")} <= set(
        found[1].version_defs
    )
    assert (root.tree / "lib" / "ld-linux.so.3").readlink() == Path("ld-linux-armhf.so.3")

    with engine.session(shell_job(prepared)) as session:
        ask = asker_in(session)
        assert ask([f"{arch.triple}-gcc", "-dumpversion"]) == (0, "12")
        assert ask(["sh", "-c", f"command -v {arch.triple}-gcc"]) == (0, f"/usr/lib/ccache/{arch.triple}-gcc")
        ran = ask(
            [
                "env",
                "QEMU_LD_PREFIX=/bc/sysroot",
                "QEMU_SET_ENV=LD_LIBRARY_PATH=/opt/toolchain/arm-linux-gnueabihf/lib",
                "/bc/prefix/bin/vendorprobe",
                "x",
                "y",
                "z",
            ]
        )
    assert ran == (0, "half 1.000000")


def test_a_sysroots_file_can_name_it(
    vendor: Callable[..., Arch], engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arch = vendor("test-vendor")
    (folder / "sysroots").mkdir()
    (folder / "sysroots" / "own.toml").write_text('schema = 1\narch = "test-vendor"\nfrom = "toolchain"\n')
    (folder / "sysroots" / "bad.toml").write_text('schema = 1\narch = "armv7"\nfrom = "toolchain"\n')
    monkeypatch.setattr("recipes.paths.BOARDS", folder)
    assert default_sysroot(arch) == "own"
    made = ensure_sysroot("own", engine)
    assert made.fingerprint == ensure_sysroot("toolchain-test-vendor", engine).fingerprint
    assert made.index().find("libm.so.6", arch.identity) is not None
    with pytest.raises(ConfigError, match="cannot come out of a toolchain"):
        known_sysroot("bad")


def test_a_tarball_with_a_flipped_byte_is_refused(vendor: Callable[..., Arch], engine: Engine, folder: Path) -> None:
    data = bytearray((folder / toolchain.TARBALL).read_bytes())
    good = file_sha256(folder / toolchain.TARBALL)
    data[len(data) // 2] ^= 1
    (folder / "flipped.tar.zst").write_bytes(data)
    arch = vendor("test-vendor-flipped", archive="flipped.tar.zst")
    with pytest.raises(ConfigError, match="refused") as caught:
        ensure_image(arch, engine)
    assert good in caught.value.why
    assert file_sha256(folder / "flipped.tar.zst") in caught.value.why
    assert not engine.image_id(image_tag(arch))


@pytest.mark.parametrize(
    ("changes", "what", "why"),
    [
        (
            {"arch": "aarch64"},
            "gcc makes ELF32 little-endian ARM, hard float",
            "aarch64 is ELF64 little-endian AArch64",
        ),
        ({"arch": "armv5"}, "gcc makes ELF32 little-endian ARM, hard float", "armv5 is ELF32 little-endian ARM, soft"),
        ({"libc": "musl"}, "is for another C library", "ld-linux-armhf.so.3"),
        ({"triple": "arm-other-linux"}, "has no bin/arm-other-linux-gcc", f"bin/{toolchain.TRIPLE}-gcc"),
        ({"sysroot": "arm/libc"}, "has no sysroot of its own", "/opt/toolchain/arm/libc"),
        ({"gcc-ceiling": 11}, "GCC 12 is newer than 11", "GCC 14"),
    ],
    ids=["machine", "float", "libc", "triple", "sysroot", "ceiling"],
)
def test_a_toolchain_that_is_not_what_its_file_says_is_refused(
    vendor: Callable[..., Arch], engine: Engine, changes: dict[str, str | int], what: str, why: str
) -> None:
    arch = vendor("test-vendor-wrong", **changes)
    with pytest.raises(BuildError) as caught:
        check_image(arch, engine)
    assert what in caught.value.what
    assert why in caught.value.why
    # Nor does a build take it, although the image is there by now.
    with pytest.raises(BuildError):
        ensure_image(arch, engine)
    assert known_image(arch) is None
    engine._client.images.remove(image_tag(arch))

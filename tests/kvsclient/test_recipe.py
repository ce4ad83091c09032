"""The recipe: built for boards' architectures, with no library of its own, and without a warning."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable

import pytest

from recipes import elf, paths
from recipes.arch import ARCHES
from recipes.engine.docker import Engine
from recipes.sources.recipe import load_catalogue
from recipes.stage.manifest import Stage
from recipes.toolchains.sysroots import ensure_sysroot
from tests.support.kvsclient import Client

SOURCES = paths.CATALOG / "kvsclient" / "src"


def test_it_is_for_those_who_ask_for_it() -> None:
    catalogue = load_catalogue()
    assert not catalogue["kvsclient"].default
    assert not [name for name, recipe in catalogue.items() if "kvsclient" in {need.name for need in recipe.depends}]


def test_cmake_builds_each_source() -> None:
    text = (SOURCES / "CMakeLists.txt").read_text()
    listed = re.findall(r"[a-z0-9/]+\.c\b", text)
    assert sorted(listed) == sorted(path.relative_to(SOURCES).as_posix() for path in SOURCES.rglob("*.c"))


@pytest.mark.engine
@pytest.mark.parametrize("name", ["armv7", "x86_64"])
def test_it_is_built_and_brings_no_library_of_its_own(built: Callable[..., Stage], name: str) -> None:
    staged = built(name, "", "kvsclient")
    facts = elf.read(staged.tree / "bin" / "kvsclient")
    assert ARCHES[name].matches(facts.identity)
    assert {"libcurl.so.4", "libcrypto.so.3", "libgstapp-1.0.so.0", "libgstreamer-1.0.so.0"} <= set(facts.needed)
    plugin = elf.read(staged.tree / "gstreamer-1.0" / "libgstkvsclient.so")
    assert ARCHES[name].matches(plugin.identity)
    assert "libgstapp-1.0.so.0" not in plugin.needed
    assert not list((staged.tree / "lib").glob("*.so*"))


@pytest.mark.process
@pytest.mark.engine
def test_the_compiler_has_nothing_to_say(engine: Engine) -> None:
    if not shutil.which("gcc") or not shutil.which("pkg-config"):
        pytest.skip("no gcc or no pkg-config here")
    tree = ensure_sysroot("debian12-x86_64", engine).tree
    places = f"{tree}/usr/lib/x86_64-linux-gnu/pkgconfig:{tree}/usr/share/pkgconfig"
    asked = subprocess.run(
        ["pkg-config", "--cflags", "gstreamer-app-1.0", "libcurl", "libcrypto"],
        env={"PKG_CONFIG_SYSROOT_DIR": str(tree), "PKG_CONFIG_LIBDIR": places, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    strict = ["gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-Wformat=2", "-Wshadow", '-DVERSION="1"']
    sources = [str(path) for path in sorted(SOURCES.rglob("*.c"))]
    said = subprocess.run(
        [*strict, "-fsyntax-only", *asked.stdout.split(), *sources], capture_output=True, text=True, check=False
    )
    assert (said.returncode, said.stderr) == (0, "")


@pytest.mark.process
@pytest.mark.engine
@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ([], "one of --test, --replay FILE and a pipeline"),
        (["--test", "--replay", "x"], "one of --test"),
        (["--test"], "--stream and --region"),
        (["--test", "--stream", "a b", "--region", "r"], "--stream takes letters"),
        (["--test", "--stream", 'a"', "--region", "r"], "--stream takes letters"),
        (["--test", "--stream", "a", "--region", "r/../x"], "--region takes letters"),
        (["--test", "--stream", "a", "--region", "r", "--endpoint", "http://x"], "https://"),
        (["--test", "--stream", "a", "--region", "r", "--iot-endpoint", "x"], "--iot-endpoint needs"),
        (["--test", "--stream", "a", "--region", "r", "--fps", "0"], "--fps takes a number"),
        (["--test", "--stream", "a", "--region", "r", "--size", "1x1"], "--size takes"),
        (["--secret", "x"], "--secret is no option"),
    ],
)
def test_a_command_line_that_is_wrong_is_told_what_is(client: Client, words: list[str], wrong: str) -> None:
    ran = subprocess.run([client.program, *words], capture_output=True, text=True, check=False, env={})
    assert ran.returncode == 64
    assert wrong in ran.stderr
    assert len(ran.stderr.splitlines()) == 1

"""What is linked for a uClibc board, held by that loader: with our flags it finds its libraries, without them not."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import pytest

from deploy.dedupe.closure import close_loop
from deploy.verify.checks.test_loader import test_every_library_comes_from_its_named_provider as check
from recipes import elf
from recipes.arch import ARCHES, Arch
from recipes.engine.confinement import Rights
from recipes.engine.container import Job
from recipes.engine.docker import Engine
from recipes.errors import ProofError
from recipes.rootfs.index import Index, scan_root
from recipes.sources.recipe import Output
from recipes.stage.gate import gate_faults
from recipes.toolchains.environment import build_environment
from recipes.toolchains.vendor import parse_arch
from tests.corpus import targets
from tests.corpus.targets import HERE, Target
from tests.support.containerboard import facts_of
from tests.support.gatefaults import RECIPE

pytestmark = pytest.mark.engine
TARGET = next(target for target in targets.UCLIBC if target.arch.name == "armv7")
FILES = ("bin/program", "lib/libdeep.so.1", "lib/libnear.so.1")
SOURCES = {
    "deep.c": "int deep(void) { return 20; }",
    "near.c": "int deep(void); int near(void) { return deep() + 1; }",
    "program.c": "int near(void); int main(void) { return near(); }",
}
# As a build does it: the libraries lie beside each other, and nothing names a search path but the environment.
_BUILD = """set -eu
mkdir -p tree/bin tree/lib root/app root/lib
"$@" -shared -fPIC -Wl,-soname,libdeep.so.1 $LDFLAGS -o tree/lib/libdeep.so.1 deep.c
"$@" -shared -fPIC -Wl,-soname,libnear.so.1 $LDFLAGS -o tree/lib/libnear.so.1 near.c tree/lib/libdeep.so.1
"$@" $LDFLAGS -Wl,-rpath-link,tree/lib -o tree/bin/program program.c tree/lib/libnear.so.1
cp -R tree/bin tree/lib root/app/
cp -RP /opt/uclibc/lib/. root/lib/
set +e
chroot root /app/bin/program
echo "ended with $?"
"""


@pytest.fixture
def vendors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Arch:
    """Return the arch of a vendor's toolchain for uClibc."""
    lines = {"schema": 1, "arch": "armv7", "triple": "arm-acme-linux-uclibc", "libc": "uclibc"}
    lines |= {"archive": "kit.tar.xz", "sha256": "a" * 64}
    (tmp_path / "acme.toml").write_text("".join(f"{key} = {value!r}\n" for key, value in lines.items()))
    monkeypatch.setenv("BOARDCAST_TOOLCHAINS", str(tmp_path))
    return parse_arch("acme")


def build(target: Target, engine: Engine, environment: Mapping[str, str], into: Path) -> str:
    """Build and start the program with the flags of an environment; the trees come back. Returns what was said."""
    words = [word for word in environment["LDFLAGS"].split() if not word.startswith("--sysroot")]
    given = {"LD_RUN_PATH": environment["LD_RUN_PATH"], "LDFLAGS": " ".join(words), "LC_ALL": "C"}
    log = io.BytesIO()
    with engine.session(
        Job(image=target.image(engine), environment=given, rights=Rights.PACKAGES, cwd=HERE)
    ) as session:
        session.put(HERE, {name: (text.encode(), 0o644) for name, text in SOURCES.items()})
        session.run(["sh", "-c", _BUILD, "build", *target.compiler], log=log)
        for tree in ("tree", "root"):
            (into / tree).mkdir(parents=True)
            session.take(HERE / tree, into / tree)
    return log.getvalue().decode("utf-8", "replace")


def faults(tree: Path, floor: Index) -> list[str]:
    libraries = tuple(Output(path=f"lib/{name}", kind="library") for name in ("libdeep.so.1", "libnear.so.1"))
    outputs = (Output(path="bin/program", kind="program"), *libraries)
    recipe = RECIPE.model_copy(update={"outputs": outputs, "libraries": ()})
    found = gate_faults(recipe, ARCHES["armv7"], tree, floor)
    return [fault for fault in found if "uClibc" in fault]


def test_a_bundle_finds_its_own_libraries(vendors: Arch, engine: Engine, tmp_path: Path) -> None:
    said = build(TARGET, engine, build_environment(vendors), tmp_path)
    assert "ended with 21" in said, said
    bundle = {path: elf.read(tmp_path / "tree" / path) for path in FILES}
    root = scan_root(tmp_path / "root")
    assert root.libc == "uclibc"
    assert close_loop(bundle, root, ARCHES["armv7"])["bin/program"] | {"libc.so.0": ""} == {
        "libnear.so.1": "bundle:lib/libnear.so.1",
        "libdeep.so.1": "bundle:lib/libdeep.so.1",
        "libc.so.0": "",
        "ld-uClibc.so.1": root.resolve("/lib/ld-uClibc.so.1"),
    }
    assert faults(tmp_path / "tree", root) == []


def test_without_our_flags_it_would_not_and_that_is_told_before(engine: Engine, tmp_path: Path) -> None:
    """The flags of any other board: a RUNPATH, and GNU's table of symbols alone."""
    environment = dict(build_environment(ARCHES["armv7"]))
    environment["LDFLAGS"] += " -Wl,--enable-new-dtags -Wl,--hash-style=gnu"
    said = build(TARGET, engine, environment, tmp_path)
    assert "can't load library 'libnear.so.1'" in said
    assert "ended with 16" in said
    root = scan_root(tmp_path / "root")
    bundle = {path: elf.read(tmp_path / "tree" / path) for path in FILES}
    with pytest.raises(ProofError, match=r"libnear.so.1 would not be found on the board"):
        close_loop(bundle, root, ARCHES["armv7"])
    found = faults(tmp_path / "tree", root)
    table = "has no table of symbols but GNU's, which uClibc's loader may not read"
    search = "its search path is a RUNPATH, uClibc's loader knows $ORIGIN in an RPATH only"
    assert sorted(found) == [f"{path}: {what}" for path in FILES for what in (table, search)]


@pytest.mark.parametrize("lost", [False, True])
def test_the_board_is_asked_about_plugins_too(vendors: Arch, engine: Engine, *, lost: bool) -> None:
    """UClibc's loader cannot be called by name; asked so it says nothing, which must not count as good."""
    environment = build_environment(vendors)
    words = [word for word in environment["LDFLAGS"].split() if not word.startswith("--sysroot")]
    given = {"LD_RUN_PATH": environment["LD_RUN_PATH"], "LDFLAGS": " ".join(words), "LC_ALL": "C"}
    release = {
        "folder": "/releases/one",
        "loader": "/lib/ld-uClibc.so.1",
        "named": [],
        "providers": {
            "gstreamer-1.0/libnear.so.1": {"libdeep.so.1": "bundle:lib/libdeep.so.1", "libc.so.0": "/lib/libc.so.0"},
            "bin/program": {"libnear.so.1": "bundle:lib/libnear.so.1", "libc.so.0": "/lib/libc.so.0"},
        },
    }
    move = "mkdir /releases; mv root/app /releases/one; cp -RP /opt/uclibc/lib/. /lib/"
    move += "; cd /releases/one; cp -R lib gstreamer-1.0"
    if lost:
        move += "; rm lib/libdeep.so.1 gstreamer-1.0/libdeep.so.1"
    log = io.BytesIO()
    with engine.session(
        Job(image=TARGET.image(engine), environment=given, rights=Rights.PACKAGES, cwd=HERE)
    ) as session:
        session.put(HERE, {name: (text.encode(), 0o644) for name, text in SOURCES.items()})
        session.run(["sh", "-c", f"{_BUILD}\n{move}", "build", *TARGET.compiler], log=log)
        said: dict[str, object] = {}
        if lost:
            with pytest.raises(AssertionError, match=r"libdeep.so.1 not found \(gstreamer-1.0/libnear.so.1"):
                check(facts_of(session, release), release, said.__setitem__)
        else:
            check(facts_of(session, release), release, said.__setitem__)
            assert said == {"evidence": "4 libraries resolved as planned"}
        mute = release | {"loader": "/lib/called-otherwise.so.1"}
        with pytest.raises(
            AssertionError, match=r"the loader listed nothing.* \(gstreamer-1.0/libnear.so.1, bin/program"
        ):
            check(facts_of(session, mute), mute, said.__setitem__)

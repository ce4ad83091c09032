"""An arm64 workstation (a Mac, a Pi, a cloud's machine), as far as user emulation shows it: its images and its builds.

The base image is one of arm64's packages, so all programs in the images that are made from it are arm64's. The engine
says that its machine is one; the machine that is underneath runs everything some twenty times as slowly.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from recipes import elf, paths
from recipes.arch import ARCHES, Arch
from recipes.builder.request import BuildRequest
from recipes.builder.run import build_stage, prepare_build
from recipes.engine.container import Job
from recipes.engine.docker import Engine
from recipes.engine.layout import WORK
from recipes.stage.manifest import Stage
from recipes.toolchains import images
from recipes.toolchains.debian_root import ensure_board_root
from recipes.tools import image as tools
from recipes.tools.base import ensure_base_image

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(7200)]
PACKAGES = ("ca-certificates", "debian-archive-keyring")
PROBE = BuildRequest(names=("boardprobe",), variants=("https-only",))
_BASE = """FROM {root}
RUN printf '%s' '{sources}' > /etc/apt/sources.list
"""


@pytest.fixture(scope="module")
def base(engine: Engine) -> str:
    """Return a base image of arm64's packages, which takes them from where this machine's own does."""
    with engine.session(Job(image=ensure_base_image(engine), cwd=WORK)) as session:
        sources = session.call(["sh", "-c", "cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2> /dev/null"])[1]
    # The main suite alone, which the root is made of: nothing is put in anew.
    lines = [line for line in sources.decode().splitlines() if line.startswith("deb ") and " bookworm " in line]
    root = ensure_board_root("arm64", ARCHES["aarch64"], "bookworm", "configure", PACKAGES, (), engine)
    text = _BASE.format(root=root.image, sources="\\n".join([*lines, ""])).replace("'%s'", "'%b'")
    name = f"boardcast/test-arm64-base:{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    if not engine.image_id(name):
        engine.build({"Dockerfile": (text.encode(), 0o644)}, name, {})
    return name


@pytest.fixture
def arm_host(base: str, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setattr(Engine, "processor", "arm64")
    monkeypatch.setattr(images, "ensure_build_base", lambda _: base)
    monkeypatch.setattr(tools, "ensure_build_base", lambda _: base)
    own = tools.tools_tag().replace("tools", "test-arm64-tools")
    monkeypatch.setattr(tools, "tools_tag", lambda: own)
    return engine


def asked(engine: Engine, image: str, script: str) -> str:
    log = io.BytesIO()
    with engine.session(Job(image=image, cwd=WORK)) as session:
        assert session.run(["sh", "-c", script], log=log) == 0, log.getvalue()
    return log.getvalue().decode()


def test_the_tools_image_is_made_there_too(arm_host: Engine) -> None:
    image = tools.ensure_tools_image(arm_host)
    told = asked(
        arm_host,
        image,
        "uname -m; git --version; abidiff --version; mksquashfs -version | head -n 1; apt-get --version",
    )
    for word in ("aarch64", "git version", "abidiff", "mksquashfs version", "(arm64)"):
        assert word in told


@pytest.mark.parametrize("arch", ["armv7", "x86_64", "aarch64"])
def test_each_compiler_is_of_the_machine_or_a_cross_one(arm_host: Engine, arch: str) -> None:
    checked = images.check_image(ARCHES[arch], arm_host)
    assert set(checked) == {"gcc", "g++"}
    image = images.ensure_image(ARCHES[arch], arm_host)
    compiler = ARCHES[arch].triple + "-gcc"
    packages = asked(
        arm_host, image.tag, f"uname -m; dpkg -l | grep -c '^ii  gcc-.*-x86-64' || true; {compiler} --version"
    )
    assert packages.startswith("aarch64")
    assert (packages.split()[1] != "0") == (arch == "x86_64")


@pytest.mark.parametrize("arch", ["armv7", "x86_64"])
def test_a_build_there_is_the_same_bytes(
    arm_host: Engine, arch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = built(ARCHES[arch], arm_host, tmp_path / "there", monkeypatch)
    assert there.manifest.image == images.ensure_image(ARCHES[arch], arm_host).id
    probe = elf.parse((there.tree / "bin" / "boardprobe").read_bytes())
    assert ARCHES[arch].matches(probe.identity)
    monkeypatch.undo()
    here = built(ARCHES[arch], arm_host, tmp_path / "here", monkeypatch)
    assert here.manifest.image != there.manifest.image
    assert here.manifest.files == there.manifest.files


def built(arch: Arch, engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Build the probe in a cache that has the sources and sysroots of this machine, and no build."""
    (folder / "cache").mkdir(parents=True)
    cached: Callable[[str], Path] = paths.cache().joinpath
    for name in ("archives", "sysroots", "index"):
        if cached(name).exists():
            (folder / "cache" / name).symlink_to(cached(name))
    monkeypatch.setenv("BOARDCAST_WORK", str(folder / "work"))
    monkeypatch.setenv("BOARDCAST_CACHE", str(folder / "cache"))
    return build_stage(prepare_build(arch, PROBE, engine=engine))

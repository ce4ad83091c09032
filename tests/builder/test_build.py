"""Real images, real compilers, real third-party sources."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from recipes import elf, paths, progress
from recipes.arch import ARCHES
from recipes.builder import recipe_build
from recipes.builder.commands import Command
from recipes.builder.plan import BuildPlan
from recipes.builder.recipe_build import shell_job
from recipes.builder.request import BuildRequest
from recipes.builder.run import build_stage, explain_rebuilds, prepare_build
from recipes.engine.container import Job
from recipes.engine.docker import OWNER_LABEL, Engine
from recipes.errors import BuildError
from recipes.stage.manifest import STAGE_MANIFEST, Stage, is_intact
from recipes.toolchains.images import check_image, image_tag
from recipes.toolchains.sysroots import ensure_sysroot
from recipes.toolchains.vendor import parse_arch

pytestmark = pytest.mark.engine
PROBE = BuildRequest(names=("boardprobe",))
CI_ARCHES = ["armv7", "aarch64", "x86_64"]


@pytest.mark.parametrize("name", CI_ARCHES)
def test_an_image_compiles_and_runs_what_the_table_says(engine: Engine, arm_root: object, name: str) -> None:
    found = check_image(parse_arch(name), engine)
    assert set(found.values()) == {ARCHES[name].identity.describe()}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["armv5", "mipsel"])
def test_an_image_of_a_rarer_arch_too(engine: Engine, name: str) -> None:
    assert set(check_image(parse_arch(name), engine).values()) == {ARCHES[name].identity.describe()}


@pytest.mark.parametrize("name", CI_ARCHES)
def test_boardprobe_and_libwebsockets_are_built(built: Callable[..., Stage], name: str) -> None:
    staged = built(name)
    for path in ("bin/boardprobe", "lib/libwebsockets.so.19"):
        facts = elf.read(staged.tree / path)
        assert ARCHES[name].matches(facts.identity)
        assert facts.runpath == ("$ORIGIN/../lib",)
    assert {recipe.name for recipe in staged.manifest.recipes} == {"libwebsockets", "boardprobe"}
    patched = next(recipe.distribution for recipe in staged.manifest.recipes if recipe.name == "libwebsockets")
    assert patched is not None
    assert (patched.package, patched.suite, patched.version) == ("libwebsockets", "trixie", "4.3.5-1+deb13u3")
    assert "CVE-2025-11677" in {cve for patch in patched.patches for cve in patch.cves}
    reasons = {row["name"]: row for row in staged.manifest.resolution}
    assert reasons["openssl"]["origin"] == "board"
    assert "lws_http_date_parse_unix" in reasons["libwebsockets"]["because"]


def test_what_was_applied_is_told_by_the_build_itself(
    built: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Stage is put together of what is built, wherever that came from: the sources may be gone by then."""
    before = built("armv7")
    shutil.rmtree(before.folder)

    def gone(*_: object) -> None:
        raise AssertionError("the patches were read again")

    monkeypatch.setattr(recipe_build, "read_patches", gone)
    assert built("armv7").manifest == before.manifest


def test_a_build_has_no_network(engine: Engine, built: Callable[..., Stage]) -> None:
    built("armv7")
    prepared = prepare_build(ARCHES["armv7"], PROBE)
    job = shell_job(prepared)
    assert job.network == "none"
    with engine.session(job) as session, Path(os.devnull).open("wb") as log:
        code = session.run(["sh", "-c", "cat /sys/class/net/*/address | grep -v 00:00:00:00:00:00"], log=log)
    assert code != 0, "a build container has an interface beside loopback"


def test_nothing_changed_starts_no_container(built: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch) -> None:
    built("armv7")

    def refuse() -> Engine:
        raise AssertionError("the engine was asked")

    monkeypatch.setattr(Engine, "connect", staticmethod(refuse))
    staged = build_stage(prepare_build(ARCHES["armv7"], PROBE))
    assert staged.manifest.arch == "armv7"


def test_a_changed_cache_entry_is_found_and_built_again(built: Callable[..., Stage], engine: Engine) -> None:
    built("armv7")
    prepared = prepare_build(ARCHES["armv7"], PROBE)
    step = next(step for step in prepared.steps if step.recipe.name == "boardprobe")
    victim = step.built / "tree" / "bin" / "boardprobe"
    good = victim.read_bytes()
    victim.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    again = build_stage(prepared)
    assert (again.tree / "bin" / "boardprobe").read_bytes() == good, "two builds of the same inputs differ"


def without_builds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this the cache: sources, sysroots and images as they are, and nothing built."""
    cached = paths.cache()
    monkeypatch.setenv("BOARDCAST_CACHE", str(folder))
    folder.mkdir()
    for name in ("sysroots", "archives", "index", "images.json"):
        if (cached / name).exists():
            (folder / name).symlink_to(cached / name)


@pytest.mark.slow  # both SDKs, made otherwise in more ways, are compared in tests/builder/test_reproducible.py
def test_two_builds_in_other_places_are_the_same_bytes(
    built: Callable[..., Stage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another work folder, another -j; the tree is the same."""
    first = built("armv7")
    prepared = prepare_build(ARCHES["armv7"], replace(PROBE, jobs=1))
    monkeypatch.setenv("BOARDCAST_WORK", str(tmp_path / "elsewhere"))
    without_builds(tmp_path / "cache", monkeypatch)
    old = os.umask(0o077)
    try:
        second = build_stage(prepared)
    finally:
        os.umask(old)
    assert second.folder != first.folder
    assert second.manifest.files == first.manifest.files


@pytest.mark.parametrize(
    "recipe",
    [pytest.param(name, marks=pytest.mark.slow) for name in ("libsrtp2", "curl", "log4cplus", "openssl")],
)
def test_forced_and_from_the_caches_it_is_the_same_bytes(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing of ccache's and of configure's answers shows in what is built; they are used; and none is silent."""
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.3)
    monkeypatch.setattr(progress, "HEARTBEAT_SECONDS", 0.3)
    monkeypatch.setenv("BOARDCAST_WORK", str(tmp_path / "work"))
    without_builds(tmp_path / "cache", monkeypatch)
    prepared = prepare_build(ARCHES["armv7"], BuildRequest(names=(recipe,)), engine=engine)
    log = tmp_path / "work" / "logs" / f"armv7-{recipe}.log"
    first = build_stage(prepared).manifest.files
    assert re.search(rf"{recipe} [\w.]+ for armv7: [a-z]+, \d", capsys.readouterr().err), "phase and time, or share"
    answered = log.read_text().count("(cached)")
    compiled = tmp_path / "cache" / "ccache" / "armv7"
    objects = {path.relative_to(compiled) for path in compiled.rglob("*R")}
    assert objects
    shutil.rmtree(prepared.steps[-1].built)
    assert build_stage(prepared).manifest.files == first
    if recipe != "openssl":  # its Configure is Perl, not autoconf's
        assert log.read_text().count("(cached)") > answered + 20
    assert {path.relative_to(compiled) for path in compiled.rglob("*R")} == objects
    assert build_stage(prepared, force=True).manifest.files == first


def test_why_names_the_part_that_changed(built: Callable[..., Stage]) -> None:
    built("armv7")
    prepared = prepare_build(ARCHES["armv7"], PROBE)
    assert {row["state"] for row in explain_rebuilds(prepared)} == {"cached"}
    changed = replace(
        prepared, steps=tuple(replace(step, parts=step.parts | {"sysroot": "another"}) for step in prepared.steps)
    )
    assert {row["changed"] for row in explain_rebuilds(changed)} == {"sysroot"}


def broken(prepared: BuildPlan, *commands: tuple[str, ...]) -> BuildPlan:
    """Return a plan whose boardprobe is made by other commands."""
    steps_ = tuple(Command(name=f"step {number}", argv=argv) for number, argv in enumerate(commands))
    changed = [
        replace(step, commands=steps_, parts=step.parts | {"recipe": f"broken {commands}"})
        if step.recipe.name == "boardprobe"
        else step
        for step in prepared.steps
    ]
    return replace(prepared, steps=tuple(changed))


def test_a_compiler_error_names_recipe_step_lines_and_log(built: Callable[..., Stage]) -> None:
    built("armv7")
    prepared = prepare_build(ARCHES["armv7"], PROBE)
    compile_ = ("sh", "-c", "echo 'int main(void) { return missing; }' > bad.c && $CC -c bad.c")
    with pytest.raises(BuildError) as caught:
        build_stage(broken(prepared, compile_))
    assert "boardprobe 1.1.0: step 0 failed with exit code 1" in caught.value.what
    assert "undeclared (first use in this function)" in caught.value.why
    assert Path(caught.value.where).is_file()
    assert not list((paths.work() / "scratch").iterdir())


def test_output_of_another_arch_does_not_pass_the_gate(built: Callable[..., Stage]) -> None:
    built("armv7")
    prepared = prepare_build(ARCHES["armv7"], PROBE)
    # perl is a program of the build machine: a wrong file that is sure to be in the image.
    copy = ("sh", "-c", "mkdir -p out/bc/prefix/bin && cp /usr/bin/perl out/bc/prefix/bin/boardprobe")
    wrong = broken(prepared, copy)
    with pytest.raises(BuildError, match="does not pass") as caught:
        build_stage(wrong)
    assert (
        "bin/boardprobe: is ELF64 little-endian x86-64, armv7 is ELF32 little-endian ARM, hard float"
        in caught.value.why
    )
    assert not any(step.built.exists() for step in wrong.steps if step.recipe.name == "boardprobe")


def test_a_missing_output_and_a_host_path_do_not_pass_the_gate(built: Callable[..., Stage]) -> None:
    built("armv7")
    prepared = prepare_build(ARCHES["armv7"], PROBE)
    link = (
        "sh",
        "-c",
        (
            "mkdir -p out/bc/prefix/lib && echo 'int x;' > x.c && "
            "$CC $CFLAGS -shared -Wl,-rpath,/home/me/build -o out/bc/prefix/lib/libx.so x.c"
        ),
    )
    with pytest.raises(BuildError) as caught:
        build_stage(broken(prepared, link))
    assert "bin/boardprobe: the recipe names this output" in caught.value.why
    assert "lib/libx.so: looks for libraries in /home/me/build" in caught.value.why


def sessions_of(engine: Engine, process: int) -> list[str]:
    """Return the containers that a process made: others may be at work at the same time."""
    listed = engine._client.containers.list(all=True, ignore_removed=True, filters={"label": OWNER_LABEL})
    return [one.name for one in listed if one.labels[OWNER_LABEL].rpartition(":")[2] == str(process)]


@pytest.mark.parametrize("moment", [0.6, 1.2, 2.5])
def test_ctrl_c_leaves_no_container_and_no_half_build(
    built: Callable[..., Stage], engine: Engine, tmp_path: Path, moment: float
) -> None:
    built("armv7")
    environment = {**os.environ, "BOARDCAST_WORK": str(tmp_path / "work")}
    child = subprocess.Popen(
        [sys.executable, "-m", "invoke", "build", "--arch", "armv7", "--recipe", "libwebsockets", "--force"],
        cwd=paths.CHECKOUT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # Where the tests themselves run in the background, Ctrl-C is ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads in the child yet
    )
    deadline = time.monotonic() + 60
    while not sessions_of(engine, child.pid) and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(moment)
    os.killpg(child.pid, signal.SIGINT)
    out, _ = child.communicate(timeout=240)
    assert child.returncode == 130, out
    assert "Traceback" not in out
    assert not sessions_of(engine, child.pid)
    assert not list((tmp_path / "work" / "scratch").iterdir())
    assert not (tmp_path / "work" / "stage").exists()


def test_containers_of_a_killed_run_are_swept_by_the_next(engine: Engine, built: Callable[..., Stage]) -> None:
    built("armv7")
    code = (
        "import os, signal, sys\nfrom pathlib import PurePosixPath\n"
        "from recipes.engine.container import Job\nfrom recipes.engine.docker import Engine\n"
        "with Engine.connect().session(Job(image=sys.argv[1], cwd=PurePosixPath('/bc/work'))) as s:\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, image_tag(ARCHES["armv7"])], cwd=paths.CHECKOUT)
    assert child.wait(timeout=120) == -signal.SIGKILL
    # Another run at the same time may have swept it already.
    Engine.connect()
    assert not sessions_of(engine, child.pid)


def test_no_host_headers_leak_into_an_image(engine: Engine, built: Callable[..., Stage]) -> None:
    built("armv7")
    job = Job(image=image_tag(ARCHES["armv7"]), cwd=PurePosixPath("/bc/work"))
    with engine.session(job) as session, Path(os.devnull).open("wb") as log:
        for header in ("openssl/ssl.h", "curl/curl.h", "gstreamer-1.0/gst/gst.h", "libwebsockets.h"):
            assert session.run(["test", "!", "-e", f"/usr/include/{header}"], log=log) == 0


def test_the_stage_says_what_it_is_made_of(built: Callable[..., Stage]) -> None:
    staged = built("armv7")
    data = json.loads((staged.folder / STAGE_MANIFEST).read_text())
    assert data["image"].startswith("sha256:")
    assert data["sysroot_fingerprint"] == ensure_sysroot("debian12-armv7", Engine.connect()).fingerprint
    assert is_intact(staged.tree, staged.manifest.files)


THIRD_PARTY = {
    "openssl": ("libssl.so.3", "libcrypto.so.3"),
    "curl": ("libcurl.so.4",),
    "log4cplus": ("liblog4cplus-2.0.so.3",),
    "libsrtp2": ("libsrtp2.so.1",),
    "usrsctp": ("libusrsctp.so.2",),
}


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["armv7", "aarch64"])
@pytest.mark.parametrize("recipe", sorted(THIRD_PARTY))
def test_sonames_come_out_as_debians_own(arch: str, recipe: str, tmp_path: Path, engine: Engine) -> None:
    prepared = prepare_build(ARCHES[arch], BuildRequest(names=(recipe,)), engine=engine)
    staged = build_stage(prepared)
    sysroot = ensure_sysroot(f"debian12-{arch}", engine).index()
    for soname in THIRD_PARTY[recipe]:
        assert elf.read(staged.tree / "lib" / soname).soname == soname
        assert sysroot.find(soname, ARCHES[arch].identity) is not None, f"Debian's {soname} has another name"

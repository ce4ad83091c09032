"""Both SDKs, by the recipes as they are, on stand-in upstreams: real containers, real cross-compilers, no network."""

from __future__ import annotations

import difflib
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from recipes import elf, paths
from recipes.arch import ARCHES
from recipes.builder.plan import BuildPlan, plan_build
from recipes.builder.request import BuildRequest, SourcePolicy
from recipes.builder.run import build_stage, prepare_build
from recipes.engine.docker import Engine
from recipes.engine.layout import SOURCE
from recipes.errors import BuildError, ConfigError
from recipes.sources.lock import Archive, load_lock, lock_path
from recipes.sources.recipe import load_catalogue
from recipes.stage.manifest import Stage
from tests.support.repos import git
from tests.support.standin import Standin

pytestmark = pytest.mark.engine
CI_ARCHES = [
    "armv7",
    "aarch64",
    "x86_64",
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("armv5", "mipsel")),
]
FLOOR = {"libgstreamer-1.0.so.0"}
"""What is the board's own whatever is built."""
SDKS = BuildRequest(names=("producer", "webrtc"))
OUTPUTS = {
    "lib/libKinesisVideoProducer.so": {"libcproducer.so", "liblog4cplus-2.0.so.3"},
    "lib/libcproducer.so": {"libcurl.so.4", "libcrypto.so.3"},
    "gstreamer-1.0/libgstkvssink.so": {"libKinesisVideoProducer.so", "libcproducer.so", "libgstreamer-1.0.so.0"},
    "bin/kvs_gstreamer_sample": {"libKinesisVideoProducer.so"},
    "bin/kvs_gstreamer_audio_video_sample": {"libKinesisVideoProducer.so"},
    "bin/kvs_gstreamer_file_uploader_sample": {"libgstreamer-1.0.so.0"},
    "bin/kvs_gstreamer_multistream_sample": {"libKinesisVideoProducer.so"},
    "bin/kvssink_gstreamer_sample": {"libKinesisVideoProducer.so"},
    "lib/libkvsCommonLws.so.1": {"libwebsockets.so.19", "libcrypto.so.3"},
    "lib/libkvsWebrtcClient.so": {"libsrtp2.so.1", "libusrsctp.so.2", "libkvsWebRtcThreadpool.so"},
    "lib/libkvsWebrtcSignalingClient.so": {"libkvsCommonLws.so.1", "libwebsockets.so.19"},
    "lib/libkvsWebRtcThreadpool.so": set(),
    "bin/kvsWebrtcClientMaster": {"libkvsWebrtcClient.so", "libkvsWebrtcSignalingClient.so"},
    "bin/kvsWebrtcClientViewer": {"libkvsWebrtcClient.so"},
    "bin/kvsWebrtcClientMasterGstSample": {"libkvsWebrtcClient.so", "libgstreamer-1.0.so.0"},
    "bin/kvsWebrtcClientViewerGstSample": {"libkvsWebrtcClient.so", "libgstreamer-1.0.so.0"},
    "bin/discoverNatBehavior": {"libkvsWebrtcClient.so"},
}


@pytest.mark.parametrize("arch", CI_ARCHES)
def test_both_sdks_come_out_as_the_notes_list_them(sdk: Callable[..., Stage], arch: str) -> None:
    staged = sdk(arch)
    for path, needed in OUTPUTS.items():
        facts = elf.read(staged.tree / path)
        assert ARCHES[arch].matches(facts.identity), path
        assert needed <= set(facts.needed), path
        assert facts.runpath == ("$ORIGIN/../lib",), path
        assert (staged.tree / path).parent.joinpath("..", "lib").resolve() == (staged.tree / "lib").resolve()
    assert (staged.tree / "share/kvs/kvs_log_configuration").is_file()
    assert not (staged.tree / "src").exists(), "the SDK's own install rule would bring its sources"


def test_the_stage_names_every_commit_and_every_reason(sdk: Callable[..., Stage], standin: Standin) -> None:
    manifest = sdk("armv7").manifest
    by_name = {recipe.name: recipe for recipe in manifest.recipes}
    assert by_name["producer"].pins == {
        "kvs-producer-cpp": standin.commits["producer-cpp"],
        "kvs-producer-c-1.5.1": standin.commits["producer-c-1.5.1"],
        "kvs-pic-1.0.1": standin.commits["pic-1.0.1"],
    }
    assert set(by_name["webrtc"].pins) == {"kvs-webrtc-c", "kvs-producer-c-1.5.2", "kvs-pic-1.1.0"}
    reasons = {row["name"]: row for row in manifest.resolution}
    assert reasons["openssl"]["origin"] == reasons["curl"]["origin"] == "board"
    assert reasons["libwebsockets"]["origin"] == "source"
    assert "lws_http_date_parse_unix, which webrtc needs" in reasons["libwebsockets"]["because"]


def test_each_sdk_nests_its_own_release(sdk: Callable[..., Stage], standin: Standin) -> None:
    """What one process would mix up: the producer's PIC is 1.0.1, the WebRTC SDK's 1.1.0."""
    tree = sdk("armv7").tree
    assert standin.commits["producer-cpp"].encode() in (tree / "lib/libcproducer.so").read_bytes()
    assert standin.commits["webrtc-c"].encode() in (tree / "lib/libkvsWebrtcClient.so").read_bytes()
    assert b"1.0.1" in (tree / "lib/libcproducer.so").read_bytes()
    assert b"1.1.0" in (tree / "lib/libkvsCommonLws.so.1").read_bytes()


def changed(arch: str, name: str, ask: BuildRequest = SDKS, **changes: object) -> BuildPlan:
    """Return a plan in which one recipe is another."""
    recipes = load_catalogue()
    recipes[name] = recipes[name].model_copy(update=changes)
    prepared = prepare_build(ARCHES[arch], ask)
    return plan_build(
        recipes, load_lock(), replace(ask, jobs=2), arch=ARCHES[arch], image=prepared.image, sysroot=prepared.sysroot
    )


def test_a_nested_clone_that_the_lock_does_not_know_fails_with_the_lines_to_add(
    sdk: Callable[..., Stage], standin: Standin
) -> None:
    sdk("armv7")
    # As the SDK would by itself: its dependencies into a folder of its own, the first of them by a clone.
    prefix = {"OPEN_SRC_INSTALL_PREFIX": "/bc/work/open-source"}
    options = load_catalogue()["webrtc"].options | {"BUILD_DEPENDENCIES": "ON"} | prefix
    with pytest.raises(BuildError, match=r"webrtc 1\.10\.2: configure failed") as caught:
        build_stage(changed("armv7", "webrtc", options=options), mirror=[standin.mirror])
    assert "https://github.com/openssl/openssl.git" in caught.value.why + caught.value.next_step
    assert "[[repository]]" in caught.value.next_step


def test_a_nested_repository_locked_at_another_commit_is_told(
    sdk: Callable[..., Stage], standin: Standin, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sdk("armv7")
    text = lock_path().read_text()
    # The producer's unit with the release of the C producer that the WebRTC SDK nests.
    mixed = text.replace(standin.commits["producer-c-1.5.1"], standin.commits["producer-c-1.5.2"], 1)
    mixed = mixed.replace('version = "1.5.1"', 'version = "1.5.2"').replace('refs = ["v1.5.1"]', 'refs = ["v1.5.2"]')
    (tmp_path / "lock.toml").write_text(mixed)
    monkeypatch.setenv("BOARDCAST_LOCK", str(tmp_path / "lock.toml"))
    asks = rf"kvs-producer-cpp 3\.4\.1 asks for {standin.commits['producer-c-1.5.1']} of kvs-producer-c"
    with pytest.raises(BuildError, match=asks):
        build_stage(prepare_build(ARCHES["armv7"], replace(SDKS, names=("producer",))), mirror=[standin.mirror])


def test_a_board_library_too_old_is_refused_before_anything_is_compiled(sdk: Callable[..., Stage]) -> None:
    sdk("armv7")
    with pytest.raises(ConfigError, match="the policy says board") as caught:
        prepare_build(ARCHES["armv7"], replace(SDKS, policies={"libwebsockets": SourcePolicy.BOARD}))
    assert "lws_http_date_parse_unix" in caught.value.why


@pytest.mark.parametrize(
    ("patch", "element"), [("uploader-mp3", b"mpg123audiodec"), ("uploader-alsa", b"alsasrc device=")]
)
def test_the_uploaders_edit_changes_one_line_and_is_recorded(
    sdk: Callable[..., Stage], standin: Standin, tmp_path: Path, patch: str, element: bytes
) -> None:
    plain = sdk("armv7", BuildRequest(names=("producer",)))
    assert element not in (plain.tree / "bin/kvs_gstreamer_file_uploader_sample").read_bytes()
    edited = sdk("armv7", BuildRequest(names=("producer",), patches=(patch,)))
    assert element in (edited.tree / "bin/kvs_gstreamer_file_uploader_sample").read_bytes()
    assert set(edited.manifest.recipes[-1].patches) == {patch}

    bare = standin.mirror / "git/github.com/awslabs/amazon-kinesis-video-streams-producer-sdk-cpp.git"
    git(tmp_path, "clone", "--quiet", str(bare), "src")
    (edit,) = load_catalogue()["producer"].patches[patch].edits
    file = tmp_path / "src" / edit.file
    before = file.read_text().splitlines()
    argv = [sys.executable, str(paths.DOCKER / "edit.py"), str(file), str(edit.times), edit.find, edit.put]
    subprocess.run(argv, check=True, capture_output=True)
    marks = [line[0] for line in difflib.ndiff(before, file.read_text().splitlines()) if line[0] in "+-"]
    assert sorted(marks) == ["+", "-"]
    again = subprocess.run(argv, capture_output=True, check=False, text=True)
    assert again.returncode == 1
    assert "0 of the 1 places" in again.stderr


def test_kept_dependencies_are_the_locked_sources(sdk: Callable[..., Stage], standin: Standin) -> None:
    ask = BuildRequest(names=("webrtc",), patches=("keep-dependencies",))
    staged = sdk("armv7", ask)
    assert "keep-dependencies" in {recipe.name: recipe for recipe in staged.manifest.recipes}["webrtc"].patches
    kept = paths.work() / "sources" / "armv7"
    assert git(kept / "kvs-webrtc-c", "rev-parse", "HEAD") == standin.commits["webrtc-c"]
    assert (kept / "kvs-pic-1.1.0" / "CMakeLists.txt").is_file()
    assert (kept / "libwebsockets" / "CMakeLists.txt").is_file()
    assert "CVE-2025-11677.patch" in (kept / "libwebsockets.patches" / "patches" / "series").read_text()


def test_small_has_no_samples_and_no_data_channel(sdk: Callable[..., Stage]) -> None:
    staged = sdk("armv7", replace(SDKS, variants=("small",)))
    assert not (staged.tree / "bin").exists()
    assert "usrsctp_init" not in elf.read(staged.tree / "lib/libkvsWebrtcClient.so").imports.split()
    assert (staged.tree / "gstreamer-1.0/libgstkvssink.so").is_file()
    assert {recipe.name: recipe.variants for recipe in staged.manifest.recipes}["webrtc"] == ("small",)


def test_frames_are_a_component_of_their_own(sdk: Callable[..., Stage]) -> None:
    assert not (sdk("armv7").tree / "share/kvs/h264SampleFrames").exists()
    staged = sdk("armv7", BuildRequest(names=("webrtc",), variants=("frames",)))
    for folder in ("h264SampleFrames", "h265SampleFrames", "opusSampleFrames"):
        assert list((staged.tree / "share/kvs" / folder).iterdir())


def test_mbedtls_takes_the_place_of_openssl_in_the_webrtc_sdk(sdk: Callable[..., Stage]) -> None:
    staged = sdk("armv7", BuildRequest(names=("webrtc",), variants=("mbedtls",)))
    needed = {
        name for path in staged.tree.glob("lib/libkvs*.so") for name in elf.read(path).needed if not path.is_symlink()
    }
    assert "libmbedtls.so.14" in needed
    assert not {name for name in needed if name.startswith(("libssl", "libcrypto"))}


def test_static_client_libraries_are_archives_with_samples_that_need_none(sdk: Callable[..., Stage]) -> None:
    staged = sdk("armv7", BuildRequest(names=("webrtc",), variants=("static",)))
    because = {row["name"]: row["because"] for row in staged.manifest.resolution}
    assert (
        because["libsrtp2"] == because["usrsctp"] == "asked for is an archive (static), which is of our own build only"
    )
    assert (staged.tree / "lib/libkvsWebrtcClient.a").is_file()
    program = elf.read(staged.tree / "bin/kvsWebrtcClientMaster")
    needed = set(program.needed)
    assert not {name for name in needed if "kvsWebrtc" in name or "usrsctp" in name or "srtp" in name}
    assert "libkvsCommonLws.so.1" in needed, "this release does not forward the option"
    # It brings the shared OpenSSL, so a second one inside of the program would come before it.
    assert "libssl.so.3" in needed
    assert not {"SSL_CTX_new", "HMAC"} & set(program.exports.split())


def test_an_archive_is_not_taken_from_the_board(sdk: Callable[..., Stage]) -> None:
    sdk("armv7")
    ask = BuildRequest(names=("webrtc",), variants=("static",), policies={"usrsctp": SourcePolicy.BOARD})
    with pytest.raises(ConfigError, match="usrsctp: the policy says board") as caught:
        prepare_build(ARCHES["armv7"], ask)
    assert "asked for is an archive (static)" in caught.value.why


def test_debug_keeps_its_symbols_here_by_build_id(sdk: Callable[..., Stage]) -> None:
    staged = sdk("armv7", BuildRequest(names=("producer",), variants=("debug",)))
    for path in ("lib/libcproducer.so", "gstreamer-1.0/libgstkvssink.so"):
        identity = elf.read(staged.tree / path).build_id
        kept = staged.folder / "debug" / ".build-id" / identity[:2] / f"{identity[2:]}.debug"
        assert b".debug_info" in kept.read_bytes()
        assert b".debug_info" not in (staged.tree / path).read_bytes()


def test_one_openssl_for_both_when_it_is_built_from_source(sdk: Callable[..., Stage]) -> None:
    """Decided without building: a curl of the board would bring the board's OpenSSL into the same process."""
    prepared = prepare_build(ARCHES["armv7"], replace(SDKS, policies={"openssl": SourcePolicy.SOURCE}))
    made = {step.recipe.name for step in prepared.steps}
    assert {"openssl", "curl", "libwebsockets"} <= made
    pinned = prepare_build(ARCHES["armv7"], replace(SDKS, policies={"openssl": "1.1.1t"}))
    assert "ends upstream on 2023-09-11" in pinned.resolution["openssl"].because
    before = prepare_build(ARCHES["armv7"], replace(SDKS, policies={"openssl": "3.0.20"}))
    assert "ends upstream on 2026-09-07" in before.resolution["openssl"].because
    (step,) = (step for step in before.steps if step.recipe.name == "openssl")
    assert [command.name for command in step.commands][:2] == ["unpack", "patch"], "Debian 12's fixes are in it"


OWN = ("openssl", "curl", "log4cplus", "libwebsockets", "libsrtp2", "usrsctp")


@pytest.mark.slow  # OpenSSL takes minutes
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("arch", ["armv7", "aarch64", "x86_64", "armv5", "mipsel"])
def test_both_sdks_stand_on_what_is_built_here(sdk: Callable[..., Stage], arch: str) -> None:
    """No library of the board's: each is ours, of a line that is alive, with the distribution's patches in it."""
    staged = sdk(arch, replace(SDKS, policies=dict.fromkeys(OWN, SourcePolicy.SOURCE)))
    made = {recipe.name: recipe for recipe in staged.manifest.recipes}
    pins = load_lock()
    for name in OWN:
        pin = pins.get(name)
        assert isinstance(pin, Archive)
        assert (made[name].version, made[name].pins) == (pin.version, {name: pin.sha256})
        patched = made[name].distribution
        assert patched is not None
        assert (patched.version, patched.sha256, patched.without) == (pin.revision, pin.patches, pin.without)
        assert patched.patches
    fixed = {cve for name in ("openssl", "curl") for patch in made[name].distribution.patches for cve in patch.cves}  # type: ignore[union-attr]
    assert {"CVE-2026-63072", "CVE-2025-14819"} <= fixed
    assert f"OpenSSL {made['openssl'].version} ".encode() in (staged.tree / "lib/libcrypto.so.3").read_bytes()
    assert made["curl"].version.encode() in (staged.tree / "lib/libcurl.so.4").read_bytes()
    for path, needed in OUTPUTS.items():
        facts = elf.read(staged.tree / path)
        assert ARCHES[arch].matches(facts.identity), path
        assert needed <= set(facts.needed), path
        assert all((staged.tree / "lib" / soname).exists() for soname in needed if soname not in FLOOR), path


def test_both_sdks_again_touch_nothing(sdk: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch) -> None:
    staged = sdk("armv7")
    before = (staged.folder / "stage.json").stat()

    def refuse() -> Engine:
        raise AssertionError("the engine was asked")

    monkeypatch.setattr(Engine, "connect", staticmethod(refuse))
    again = sdk("armv7")
    assert (again.folder / "stage.json").stat().st_mtime_ns == before.st_mtime_ns


def test_every_step_of_the_plan_can_be_printed(sdk: Callable[..., Stage]) -> None:
    sdk("armv7")
    shown = prepare_build(ARCHES["armv7"], replace(SDKS, verbose=True)).as_dict()
    text = str(shown)
    assert "BUILD_GSTREAMER_PLUGIN=TRUE" in text
    assert "--verbose" in text
    assert str(SOURCE) in text

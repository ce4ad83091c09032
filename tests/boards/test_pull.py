"""What a live board has, brought over SSH from BusyBox and from Debian: resumed, and the same facts as its image."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.boards import pull
from deploy.boards.board import Board, load_board
from deploy.boards.index import board_index
from deploy.boards.inventory import SimState, host_target
from deploy.boards.pull import pull_root
from deploy.boards.session import SshSession, connect
from deploy.bundle.assemble import make_bundle
from deploy.bundle.load import Bundle
from deploy.release.deployment import deploy_to
from deploy.reports.root_diff import root_differences
from recipes import paths
from recipes.arch import ARCHES
from recipes.errors import PreflightError
from recipes.rootfs.capture import read_capture, relevant_part
from recipes.rootfs.index import scan_root
from recipes.stage.manifest import Stage
from recipes.toolchains.sysroots import sysroot_spec

ARM, X64 = ARCHES["armv7"], ARCHES["x86_64"]
pytestmark = [pytest.mark.engine, pytest.mark.sim]


def test_busybox_tells_the_same_libraries_as_its_image(tiny: SimState, tmp_path: Path) -> None:
    with connect(host_target(tiny.name)) as session:
        done = pull_root(session, "pulled-tiny", X64, tmp_path / "root.tar")
    assert done.files > 0
    assert done.headers.toml == ""
    assert "headers of the C library" in done.headers.because
    assert root_differences(board_index(load_board("sim-tiny")), scan_root(done.root)) == []


@pytest.mark.slow  # every library of a Debian is hashed under emulation
def test_an_emulated_debian_too_and_the_second_time_fetches_nothing(
    arm: SimState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(host_target(arm.name)) as session:
        first = pull_root(session, "pulled-arm", ARM, tmp_path / "first.tar")
        second = pull_root(session, "pulled-arm", ARM, tmp_path / "second.tar")
    assert first.fetched > 10_000_000
    assert second.fetched == 0
    assert first.root.read_bytes() == second.root.read_bytes()
    assert root_differences(board_index(load_board("sim-armv7")), scan_root(first.root)) == []
    captured = read_capture(tmp_path)
    assert captured.files == relevant_part(scan_root(first.root)).files
    assert captured.cache, "the loader's cache is part of what was brought"
    monkeypatch.setattr(paths, "BOARDS", tmp_path)
    (tmp_path / "sysroots").mkdir()
    (tmp_path / "sysroots" / "cam.toml").write_text(first.headers.toml)
    spec = sysroot_spec("cam")
    assert (spec.arch, spec.suite) == ("armv7", "bookworm")
    assert {"libc6-dev", "libssl-dev", "libgstreamer1.0-dev"} <= set(spec.packages)


def test_a_cut_costs_one_batch(tiny: SimState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull, "_BATCH", 4)
    real, calls = SshSession.fetch, [0]

    def cut(self: SshSession, *words: object, **more: object) -> bytes:
        calls[0] += 1
        if calls[0] == 3:
            raise PreflightError("the connection was lost")
        return real(self, *words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(SshSession, "fetch", cut)
    with connect(host_target(tiny.name)) as session, pytest.raises(PreflightError, match="was lost"):
        pull_root(session, "pulled-cut", X64, tmp_path / "root.tar")
    assert not (tmp_path / "root.tar").exists()
    # The loader's configuration came first, in a batch of its own.
    here = sorted((paths.work() / "pull" / "pulled-cut").iterdir())
    assert len(here) == 1 + 4
    times = [path.stat().st_mtime_ns for path in here]
    with connect(host_target(tiny.name)) as session:
        done = pull_root(session, "pulled-cut", X64, tmp_path / "root.tar")
    assert [path.stat().st_mtime_ns for path in here] == times
    contents = len(list((paths.work() / "pull" / "pulled-cut").iterdir()))
    assert contents <= done.files
    assert calls[0] == 3 + -(-(contents - 5) // 4)


def at_opt(built: Callable[..., Stage]) -> tuple[Board, Bundle]:
    """Return the small board with its root where libraries are looked for, and a bundle for it."""
    known = load_board("sim-tiny")
    board = known.model_copy(update={"file": known.file.model_copy(update={"root": "/opt/boardcast"})})
    return board, make_bundle(board, built("x86_64", "tiny-x86_64"), board_index(known))[0]


def test_a_pull_after_a_deploy_tells_what_one_before_it_did(
    tiny: SimState, built: Callable[..., Stage], tmp_path: Path
) -> None:
    board, bundle = at_opt(built)
    assert [file.path for file in bundle.manifest.files if ".so" in file.path], "it brings libraries"
    with connect(host_target(tiny.name)) as session:
        before = pull_root(session, "pulled-before", X64, tmp_path / "before" / "root.tar")
    deploy_to(tiny.name, bundle)
    with connect(host_target(tiny.name)) as session:
        try:
            assert session.run("ls /opt/boardcast/store/*.x /opt/boardcast/.boardcast").code == 0
            marked = pull_root(session, "pulled-after", X64, tmp_path / "after" / "root.tar")
            # As 0.1 left it: no marker; and a root that the board's file says is not looked for.
            session.run("rm /opt/boardcast/.boardcast")
            listed = pull_root(session, "pulled-after", X64, tmp_path / "old" / "root.tar")
            session.run("rm -f /opt/boardcast/releases/*/.list")
            told = pull_root(session, "pulled-after", X64, tmp_path / "told" / "root.tar", ours="/opt/boardcast")
            lost = pull_root(session, "pulled-after", X64, tmp_path / "lost" / "root.tar")
        finally:
            session.run("rm -rf /opt/boardcast")
    assert {done.files for done in (marked, listed, told)} == {before.files}
    assert {done.root.read_bytes() for done in (marked, listed, told)} == {before.root.read_bytes()}
    assert lost.files > before.files, "nothing else hides what is below it"
    index = read_capture(marked.root.parent)
    assert index.fingerprint == read_capture(before.root.parent).fingerprint
    again = make_bundle(board, built("x86_64", "tiny-x86_64"), index)[0]
    assert [row.action for row in again.manifest.decisions] == [row.action for row in bundle.manifest.decisions]


def test_a_folder_that_the_loader_names_is_pulled_too(tiny: SimState, tmp_path: Path) -> None:
    vendor = (
        "mkdir -p /data/oem/usr/lib && ln -sfn data/oem /oem && cp /lib/*/libm.so.6 /oem/usr/lib/libvendor.so.1 && "
        "ln -s libvendor.so.1 /oem/usr/lib/libvendor.so && echo /oem/usr/lib > /etc/ld.so.conf.d/vendor.conf"
    )
    with connect(host_target(tiny.name)) as session:
        try:
            assert session.run(vendor).code == 0
            done = pull_root(session, "pulled-vendor", X64, tmp_path / "root.tar")
        finally:
            session.run("rm -rf /oem /data /etc/ld.so.conf.d/vendor.conf")
    index = scan_root(done.root)
    assert index.resolve("/oem/usr/lib/libvendor.so") == "/data/oem/usr/lib/libvendor.so.1"
    assert "/data/oem/usr/lib/libvendor.so.1" in index.files
    assert "/oem/usr/lib" in index.listed


def test_the_index_before_is_kept_until_a_bundle_is_made(
    tiny: SimState, built: Callable[..., Stage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board, _ = at_opt(built)
    here = tmp_path / board.name
    with connect(host_target(tiny.name)) as session:
        pull_root(session, "pulled-kept", X64, here / "root.tar")
        first = (here / "index.json").read_bytes()
        for number in range(2):
            session.run(f"cp /lib/*/libm.so.6 /usr/lib/libnew{number}.so.1")
            pull_root(session, "pulled-kept", X64, here / "root.tar")
        session.run("rm /usr/lib/libnew*.so.1")
    assert (here / "index.before" / "index.json").read_bytes() == first
    assert read_capture(here / "index.before").files != read_capture(here).files
    shutil.copytree(paths.BOARDS / "sysroots", tmp_path / "sysroots")
    shutil.copy(paths.BOARDS / board.name / "board.toml", here)
    monkeypatch.setattr(paths, "BOARDS", tmp_path)
    make_bundle(board, built("x86_64", "tiny-x86_64"), read_capture(here), write=False)
    assert (here / "index.before").is_dir()
    make_bundle(board, built("x86_64", "tiny-x86_64"), read_capture(here))
    assert not (here / "index.before").exists()

"""What a live board has, brought over SSH from BusyBox and from Debian: resumed, and the same facts as its image."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.boards import pull
from deploy.boards.board import load_board
from deploy.boards.index import board_index
from deploy.boards.inventory import SimState, host_target
from deploy.boards.pull import pull_root
from deploy.boards.session import SshSession, connect
from deploy.reports.root_diff import root_differences
from recipes import paths
from recipes.arch import ARCHES
from recipes.errors import PreflightError
from recipes.rootfs.capture import read_capture, relevant_part
from recipes.rootfs.index import scan_root
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
    here = [path for path in (paths.work() / "pull" / "pulled-cut").rglob("*") if path.is_file()]
    assert len(here) == 8
    with connect(host_target(tiny.name)) as session:
        done = pull_root(session, "pulled-cut", X64, tmp_path / "root.tar")
    assert calls[0] == 3 + -(-(done.files - 8) // 4)

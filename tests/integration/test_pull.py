"""What a live board has, brought over SSH from BusyBox and from Debian: resumed, and the same facts as its image."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy import assemble
from deploy import pull as pulling
from deploy.board import load_board
from deploy.rootdiff import differences
from deploy.session import SshSession, connect
from deploy.sim import boards
from deploy.sim.boards import State
from recipes import elfindex, indexfile, paths, roots
from recipes.arch import ARCHES
from recipes.errors import PreflightError

ARM, X64 = ARCHES["armv7"], ARCHES["x86_64"]
pytestmark = [pytest.mark.engine, pytest.mark.sim]


def test_busybox_tells_the_same_libraries_as_its_image(tiny: State, tmp_path: Path) -> None:
    with connect(boards.target(tiny.name)) as session:
        done = pulling.pull(session, "pulled-tiny", X64, tmp_path / "root.tar")
    assert done.files > 0
    assert done.headers.toml == ""
    assert "headers of the C library" in done.headers.because
    assert differences(assemble.board_index(load_board("sim-tiny")), elfindex.scan(done.root)) == []


def test_an_emulated_debian_too_and_the_second_time_fetches_nothing(
    arm: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(boards.target(arm.name)) as session:
        first = pulling.pull(session, "pulled-arm", ARM, tmp_path / "first.tar")
        second = pulling.pull(session, "pulled-arm", ARM, tmp_path / "second.tar")
    assert first.fetched > 10_000_000
    assert second.fetched == 0
    assert first.root.read_bytes() == second.root.read_bytes()
    assert differences(assemble.board_index(load_board("sim-armv7")), elfindex.scan(first.root)) == []
    captured = indexfile.read(tmp_path)
    assert captured.files == indexfile.keep(elfindex.scan(first.root)).files
    assert captured.cache, "the loader's cache is part of what was brought"
    monkeypatch.setattr(paths, "BOARDS", tmp_path)
    (tmp_path / "sysroots").mkdir()
    (tmp_path / "sysroots" / "cam.toml").write_text(first.headers.toml)
    spec = roots.spec("cam")
    assert (spec.arch, spec.suite) == ("armv7", "bookworm")
    assert {"libc6-dev", "libssl-dev", "libgstreamer1.0-dev"} <= set(spec.packages)


def test_a_cut_costs_one_batch(tiny: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulling, "_BATCH", 4)
    real, calls = SshSession.fetch, [0]

    def cut(self: SshSession, *words: object, **more: object) -> bytes:
        calls[0] += 1
        if calls[0] == 3:
            raise PreflightError("the connection was lost")
        return real(self, *words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(SshSession, "fetch", cut)
    with connect(boards.target(tiny.name)) as session, pytest.raises(PreflightError, match="was lost"):
        pulling.pull(session, "pulled-cut", X64, tmp_path / "root.tar")
    assert not (tmp_path / "root.tar").exists()
    here = [path for path in (paths.work() / "pull" / "pulled-cut").rglob("*") if path.is_file()]
    assert len(here) == 8
    with connect(boards.target(tiny.name)) as session:
        done = pulling.pull(session, "pulled-cut", X64, tmp_path / "root.tar")
    assert calls[0] == 3 + -(-(done.files - 8) // 4)

"""What is asked before the first write: asked of this machine, refused in words."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.release.preflight import Footing, look_before, refuse_unfounded, refuse_unwritable
from recipes.errors import PreflightError
from tests.support import bundles
from tests.support.localboard import LocalSession, own_libc

pytestmark = pytest.mark.process
GOOD = Footing(place="/opt", user="camera", owner="root:root, mode drwxr-xr-x", loader=True, locked="")


def test_a_folder_that_is_not_there_yet_is_looked_at_where_it_would_be(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o750)
    (tmp_path / "link").symlink_to("real")
    footing = look_before(LocalSession(), f"{tmp_path}/link/not/there/yet", str(own_libc()[1]))
    assert footing.place == str(tmp_path / "real")
    assert footing.owner.endswith("mode drwxr-x---")
    assert footing.user
    assert footing.loader
    assert not footing.locked
    assert not look_before(LocalSession(), str(tmp_path), "/no/loader").loader


def test_who_is_at_work_there_is_told(tmp_path: Path) -> None:
    (tmp_path / ".lock").mkdir()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    (tmp_path / ".lock/pid").write_text(f"{os.getpid()} {boot}")
    (tmp_path / ".lock/who").write_text("alice@laptop since \u202e2026\n")
    footing = look_before(LocalSession(), str(tmp_path), "")
    assert footing.locked == rf"alice@laptop since \u202e2026 (process {os.getpid()} on the board)"
    with pytest.raises(PreflightError, match="another deploy is at work there") as caught:
        refuse_unfounded(footing, bundles.manifest())
    assert "alice@laptop" in caught.value.why


def test_a_loader_that_is_not_there_is_told() -> None:
    manifest = bundles.manifest(loader="/lib/ld-linux-armhf.so.3")
    refuse_unfounded(GOOD, manifest)
    with pytest.raises(PreflightError, match=r"the board has no /lib/ld-linux-armhf.so.3"):
        refuse_unfounded(replace(GOOD, loader=False), manifest)


@pytest.mark.parametrize("shell", [("sh",), ("busybox", "ash")])
@pytest.mark.parametrize(("name", "content", "mode"), [("closed", b"\x7fELF", 0o644), ("other", b"\x7fELF\1\1", 0o755)])
def test_a_loader_that_the_board_cannot_start_is_told_before_the_switch(
    tmp_path: Path, name: str, content: bytes, mode: int, shell: tuple[str, ...]
) -> None:
    """It may not be executed, or is for another processor: the check after the switch would list nothing."""
    loader = tmp_path / f"ld-{name}.so.1"
    loader.write_bytes(content)
    loader.chmod(mode)
    footing = look_before(LocalSession(shell), str(tmp_path), str(loader))
    with pytest.raises(PreflightError, match=f"the board cannot start {loader}.*nothing was changed") as caught:
        refuse_unfounded(footing, bundles.manifest(loader=str(loader)))
    assert caught.value.code == 5
    assert str(loader) in caught.value.why
    healthy = look_before(LocalSession(shell), str(tmp_path), str(own_libc()[1]))
    assert (healthy.loader, healthy.refused) == (True, "")


def test_a_root_that_is_somebody_elses_names_both_and_what_to_do() -> None:
    error = refuse_unwritable(GOOD, "/opt/boardcast")
    assert "cannot be written to by camera" in error.what
    assert error.why == "/opt is root:root, mode drwxr-xr-x"
    assert "chown camera /opt/boardcast" in error.next_step

"""What a board does at its start with a release on trial, under dash and BusyBox, cut at every command."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from deploy.atboot.guard import guard_files, guard_scripts
from deploy.services.systems import INIT_SYSTEMS
from tests.support.powercut import wrap_commands

pytestmark = pytest.mark.process
OLD, NEW, EARLIER = "0" * 32, "1" * 32, "another-start:7 100"
SHELLS = pytest.mark.parametrize("shell", [("sh",), ("busybox", "ash")], ids=["sh", "busybox"])
COMMANDS = ("cat", "date", "grep", "ln", "mkdir", "mv", "readlink", "rm", "sync")


class Flash:
    """A board's folder with two releases: the old one verified, the new one switched on and on trial."""

    def __init__(self, folder: Path, shell: Sequence[str] = ("sh",)) -> None:
        self.root, self.shell, self.folder = folder / "a root" / "boardcast", shell, folder
        for name in (OLD, NEW):
            (self.root / "releases" / name).mkdir(parents=True)
        (self.root / "applied").mkdir()
        (self.root / "releases" / OLD / ".confirmed").touch()
        self.point("current", NEW)
        self.point("previous", OLD)
        (self.root / ".serving").write_text(f"{NEW}\n")
        (self.root / ".trial").write_text(f"{NEW} {EARLIER}\n")
        (self.root / "services").mkdir()
        files = guard_files("none", str(self.root))
        (self.root / "services" / "_boot.sh").write_bytes(files[f"{self.root}/services/_boot.sh"][0])
        # What follows beside needs services: here it says that it was called, and ends the trial as SERVICES does.
        (self.root / "services" / "_settle.sh").write_text('echo "$2" >> "$1/settled"; rm -f "$1/.trial"\n')

    def point(self, name: str, release: str) -> None:
        (self.root / name).unlink(missing_ok=True)
        (self.root / name).symlink_to(f"releases/{release}")

    def start(self, cut: int = -1) -> bool:
        """Start the board, up to the command of this number; tells whether the guard came to its end."""
        tools = self.folder / "tools"
        if cut >= 0 and not tools.is_dir():
            wrap_commands(tools, COMMANDS)
        (self.folder / "counter").write_text("0\n")
        variables = {**os.environ, "COUNTER": str(self.folder / "counter"), "CUT": str(cut)}
        if cut >= 0:
            variables["PATH"] = f"{tools}:{os.environ['PATH']}"
        argv = [*self.shell, str(self.root / "services" / "_boot.sh")]
        done = subprocess.run(argv, env=variables, start_new_session=True, capture_output=True, text=True, check=False)
        assert done.returncode in (0, -9), done.stderr
        return done.returncode == 0

    def settled(self) -> bool:
        """Wait for what follows beside."""
        for _ in range(200):
            if (self.root / "settled").is_file() and not (self.root / ".trial").exists():
                return True
            subprocess.run(["sleep", "0.05"], check=True)
        return False

    def state(self) -> tuple[str, str]:
        return (self.root / "current").readlink().name, (self.root / ".serving").read_text().strip()


@SHELLS
def test_what_nobody_saw_work_is_taken_back_once(tmp_path: Path, shell: tuple[str, ...]) -> None:
    flash = Flash(tmp_path, shell)
    assert flash.start()
    assert flash.state() == (OLD, OLD)
    assert flash.settled()
    assert (flash.root / "settled").read_text() == "current\n"
    release, back, clock = (flash.root / ".reverted").read_text().split()
    assert (release, back, clock.isdigit()) == (NEW, OLD, True)
    assert not (flash.root / ".lock").exists()
    assert flash.start()
    assert flash.state() == (OLD, OLD)


@SHELLS
def test_the_start_that_it_was_switched_on_in_is_no_reason(tmp_path: Path, shell: tuple[str, ...]) -> None:
    flash = Flash(tmp_path, shell)
    stat = Path("/proc/1/stat").read_text().rpartition(") ")[2].split()
    this = f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}:{stat[19]}"
    (flash.root / ".trial").write_text(f"{NEW} {this} 1\n")
    assert flash.start()
    assert flash.state() == (NEW, NEW)
    # A kernel without a boot id: the uptime tells.
    (flash.root / ".trial").write_text(f"{NEW} {this} 99999999999\n")
    assert flash.start()
    assert flash.state() == (OLD, OLD)


def test_a_confirmed_release_stays(tmp_path: Path) -> None:
    """The power went between the confirmation and the end of the trial."""
    flash = Flash(tmp_path)
    (flash.root / "releases" / NEW / ".confirmed").touch()
    assert flash.start()
    assert flash.state() == (NEW, NEW)
    assert not (flash.root / ".trial").exists()
    assert not (flash.root / ".reverted").exists()


def test_the_first_release_stays_for_want_of_another(tmp_path: Path) -> None:
    flash = Flash(tmp_path)
    (flash.root / "previous").unlink()
    assert flash.start()
    assert flash.state() == (NEW, NEW)
    assert not (flash.root / ".trial").exists()


@pytest.mark.parametrize("marker", ["", "\n", f"{NEW}", "\0\0\0\0", f"{NEW} x y\n"])
def test_a_marker_that_lost_its_content_counts(tmp_path: Path, marker: str) -> None:
    flash = Flash(tmp_path)
    (flash.root / ".trial").write_text(marker)
    assert flash.start()
    assert flash.state() == (OLD, OLD)


def test_a_switch_that_was_never_made_is_no_reason(tmp_path: Path) -> None:
    """The power went between the marker and the link: the services are put in order, and nothing is said of it."""
    flash = Flash(tmp_path)
    flash.point("current", OLD)
    (flash.root / ".serving").write_text(f"{OLD}\n")
    assert flash.start()
    assert flash.settled()
    assert flash.state() == (OLD, OLD)
    assert not (flash.root / ".reverted").exists()


def test_power_that_goes_at_any_command_of_it_is_made_good_by_the_next_start(tmp_path: Path) -> None:
    for cut in range(60):
        flash = Flash(tmp_path / str(cut))
        whole = flash.start(cut)
        assert flash.state()[0] in (OLD, NEW), f"in front of command {cut}"
        assert flash.start()
        assert flash.state() == (OLD, OLD), f"in front of command {cut}"
        assert flash.settled()
        if whole:
            break
    else:
        pytest.fail("the guard did not come to its end")
    assert cut > 8


@pytest.mark.parametrize("init", INIT_SYSTEMS)
def test_every_script_of_it_is_one_of_sh(init: str) -> None:
    root = "/opt/a  board's $HOME *"
    texts = {path: content for path, (content, _) in guard_files(init, root).items()}
    texts |= {verb: script.encode() for verb, script in guard_scripts(init, root).items()}
    for name, text in texts.items():
        if name.endswith(".service"):
            continue
        for shell in (["sh"], ["busybox", "ash"]):
            done = subprocess.run([*shell, "-n"], input=text, capture_output=True, check=False)
            assert done.returncode == 0, f"{name}: {done.stderr.decode()}"

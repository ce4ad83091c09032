"""A board that loses its power while services are changed: at every step, what boot starts is one release's, whole.

The script is ended in front of each of its commands in turn. What the loops would run is asked of the loop's own text.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from deploy.atboot.put_in import SERVICES
from deploy.release.status import HostStatus
from deploy.services import supervise
from tests.support.powercut import wrap_commands

pytestmark = pytest.mark.process
COMMANDS = ("cat", "chmod", "cmp", "cp", "find", "grep", "mkdir", "mv", "rm", "rmdir", "sh", "sync", "tail")
VERBS = {
    "enable": ": >'{boot}/{name}'",
    "disable": "rm -f '{boot}/{name}'",
    "start": ":",
    "stop": ":",
    "restart": ":",
    "status": ":",
    "remove": "rm -f '{boot}/{name}' '{root}/services/{name}.sh'",
}
LOOP = (Path(supervise.__file__).parent / "templates" / "supervise.sh").read_text()
CHOOSE = LOOP[LOOP.index("choose() {") : LOOP.index("launch() {")]


class Flash:
    """A board's flash: releases, what was put in, and what its init system would start."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root, self.boot = folder, folder / "boardcast", folder / "boot"
        self.boot.mkdir(parents=True)
        self.tools = folder / "tools"
        wrap_commands(self.tools, COMMANDS)

    def release(self, identity: str, streams: Iterable[str]) -> None:
        place = self.root / "releases" / identity
        (place / "run").mkdir(parents=True)
        for name in streams:
            (place / "run" / name).write_text("#!/bin/sh\n")
            (place / "run" / name).chmod(0o755)
            service = place / "services" / name
            loop = service / f"files{self.root}/services/{name}.sh"
            loop.parent.mkdir(parents=True)
            loop.write_text(f"# the loop of {name}, {identity}\n")
            for verb, text in VERBS.items():
                (service / verb).write_text(text.format(boot=self.boot, name=name, root=self.root) + "\n")
        if streams:
            (place / "services" / "list").write_text("".join(f"{name}\n" for name in streams))

    def switch(self, identity: str) -> None:
        new = self.root / ".current.new"
        new.symlink_to(f"releases/{identity}")
        new.rename(self.root / "current")

    def run(self, identity: str, cut: int = -1) -> bool:
        """Run the script, up to the command of this number; tells whether it came to its end."""
        counter = self.folder / "counter"
        counter.write_text("0\n")
        variables = {
            **os.environ,
            "PATH": f"{self.tools}:{os.environ['PATH']}",
            "COUNTER": str(counter),
            "CUT": str(cut),
        }
        argv = ["/bin/sh", "-c", SERVICES, "boardcast", str(self.root), identity, "a test"]
        done = subprocess.run(argv, env=variables, start_new_session=True, capture_output=True, text=True, check=False)
        assert done.returncode in (0, -9), done.stderr
        return done.returncode == 0

    def after_a_reboot(self) -> dict[str, str]:
        """Return what streams after the next start: stream to the release that its program is of."""
        streams = {}
        for name in sorted(path.name for path in self.boot.iterdir()):
            if not (self.root / "services" / f"{name}.sh").is_file():
                continue
            script = f'wanted=\'\' command=$1\n{CHOOSE}choose\n[ ! -x "$command" ] || readlink -f "$command"'
            argv = ["sh", "-c", script, "sh", f"{self.root}/current/run/{name}"]
            said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
            if said:
                streams[name] = Path(said).parent.parent.name
        return streams


OLD, NEW = "0" * 64, "1" * 64
CHANGES = {
    "another release": (("front", "back"), ("front", "side")),
    "the first": ((), ("front",)),
    "the last": (("front", "back"), ()),
    "another name": (("front",), ("door",)),
    "the same stream": (("front",), ("front",)),
}
SLOW = ("the first", "another name")


@pytest.mark.parametrize(
    "change", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in CHANGES]
)
def test_at_every_step_boot_starts_one_release_whole(tmp_path: Path, change: str) -> None:
    before, after = CHANGES[change]
    old, new = dict.fromkeys(before, OLD), dict.fromkeys(after, NEW)
    seen: list[dict[str, str]] = []
    for cut in range(400):
        flash = Flash(tmp_path / str(cut))
        flash.release(OLD, before)
        flash.switch(OLD)
        assert flash.run(OLD)
        assert flash.after_a_reboot() == old
        flash.release(NEW, after)
        # The release is switched on, and its services are not there yet: the power may go here too.
        flash.switch(NEW)
        assert flash.after_a_reboot() == old
        whole = flash.run(NEW, cut)
        streams = flash.after_a_reboot()
        assert streams in (old, new), f"in front of command {cut}"
        seen.append(streams)
        # The next command makes it good, in either direction.
        if cut % 3 == 0:
            assert flash.run(NEW)
            assert flash.after_a_reboot() == new
        elif cut % 3 == 1:
            flash.switch(OLD)
            assert flash.run(OLD)
            assert flash.after_a_reboot() == old
        shutil.rmtree(flash.folder)
        if whole:
            break
    else:
        pytest.fail("the script did not come to its end")
    # First the old one, then the new one, and never back.
    assert [streams == new for streams in seen] == sorted(streams == new for streams in seen)
    assert len(seen) > 10
    assert seen[-1] == new


def test_a_release_that_is_gone_serves_nobody(tmp_path: Path) -> None:
    """A red release goes before the services of the one before it are put back: they start that one's programs."""
    flash = Flash(tmp_path)
    flash.release(OLD, ["front"])
    flash.release(NEW, ["front"])
    flash.switch(NEW)
    assert flash.run(NEW)
    flash.switch(OLD)
    shutil.rmtree(flash.root / "releases" / NEW)
    assert flash.after_a_reboot() == {"front": OLD}
    (flash.root / ".serving").write_text("../../etc\n")
    assert flash.after_a_reboot() == {"front": OLD}
    (flash.root / ".serving").unlink()
    assert flash.after_a_reboot() == {"front": OLD}


TOLD = {"": "", OLD: "those of 000000000000: ", "nothing": "of no release: "}


@pytest.mark.parametrize("serving", TOLD)
def test_status_says_what_streams_where_it_is_another_release(serving: str) -> None:
    told = TOLD[serving]
    status = HostStatus(
        host="cam01",
        board="cam",
        release=NEW,
        verified=False,
        deployed_by="",
        previous=OLD,
        previous_by="",
        newest=True,
        root="/opt/boardcast",
        free=1,
        serving=serving,
        locked="",
    )
    lines = status.lines()
    assert ("streams" in lines) == bool(told)
    assert lines.get("streams", "").startswith(told)
    assert not told or "invoke deploy --host cam01" in lines["streams"]

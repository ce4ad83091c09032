"""Programs of a user who is not root but may use the engine, started by a suite that is root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from recipes.paths import CHECKOUT

SOCKET = Path("/var/run/docker.sock")
NUMBER = 54_321
"""Of the user and of his group: no account has to be made for a number."""
# $1 a folder that is closed to others, $2 what is to be seen of it all the same, $3 an empty folder. For this one
# program: the interpreter may be in root's home.
_OPEN = r"""
set -eu
mount --bind "$2" "$3"
mount -t tmpfs -o mode=755 none "$1"
mkdir -p "$2"
mount --move "$3" "$2"
shift 3
exec "$@"
"""


@dataclass(frozen=True)
class OtherUser:
    """A user with a home and a work folder of his own."""

    home: Path

    @property
    def work(self) -> Path:
        return self.home / "work"

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run something as he would, from the checkout."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            "BOARDCAST_WORK": str(self.work),
            "BOARDCAST_CACHE": str(self.home / "cache"),
            "PYTHONPATH": str(CHECKOUT),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        return subprocess.run(
            [*self.words(), *argv], cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False
        )

    def words(self) -> list[str]:
        """Return what stands before a command that he gives."""
        who = [f"--reuid={NUMBER}", f"--regid={NUMBER}", f"--groups={SOCKET.stat().st_gid}"]
        return [*open_to(self.home.parent), "setpriv", *who, "--"]


def open_to(folder: Path) -> list[str]:
    """Return what stands before a program of another user's that runs this interpreter, which may be closed to him."""
    shown = Path(sys.base_prefix).resolve()
    closed = [above for above in shown.parents if not above.stat().st_mode & 1]
    if not closed:
        return []
    (folder / "empty").mkdir(exist_ok=True)
    return ["unshare", "-m", "sh", "-c", _OPEN, "sh", str(closed[-1]), str(shown), str(folder / "empty")]


def other_user(folder: Path, cache: Path) -> OtherUser:
    """Make the user's folders; what the engine's images are is known to him as to who runs the suite.

    Where the suite is not root, or has no engine of this machine, the test is skipped: that user's own runs show it.
    """
    if os.getuid() != 0 or not SOCKET.is_socket():
        pytest.skip("only root becomes another user, and that one needs the engine's socket")
    for at in (folder, *folder.parents):
        if at.stat().st_uid == os.getuid() and at != Path("/"):
            at.chmod(at.stat().st_mode | 0o001)
    made = OtherUser(folder / "home")
    (made.home / "cache").mkdir(parents=True)
    for file in cache.glob("*.json"):
        shutil.copy(file, made.home / "cache")
    for path in (made.home, *made.home.rglob("*")):
        os.chown(path, NUMBER, NUMBER)
    return made

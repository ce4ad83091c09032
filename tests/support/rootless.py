"""A user of a mount namespace of its own, with an account and ids to give away, as an engine without root needs."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from recipes.paths import CHECKOUT
from tests.support.otheruser import open_to

_QUIETLY = ("-q", "-p", "no:cacheprovider", "-p", "no:randomly")
TESTS = ("-m", "pytest", *_QUIETLY, "-m", "engine and not slow", "tests/engine")
"""What an interpreter is given to run the tests of the engine."""
NAME, NUMBER, FIRST, IDS = "engineer", 54_322, 6_000_000, 65_536
# $1 a folder with this user's files of /etc. Nobody else sees them, and they go with the last program here.
_ENTER = r"""
set -eu
for file in passwd group subuid subgid; do mount --bind "$1/$file" "/etc/$file"; done
shift
exec "$@"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RootlessUser:
    """A user with a home; each of its programs is in a namespace with the same account."""

    home: Path
    path: str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"

    def words(self, environment: Mapping[str, str]) -> list[str]:
        """Return what stands before a command that the user gives, in just this environment."""
        who = [f"--reuid={NUMBER}", f"--regid={NUMBER}", "--clear-groups"]
        given = {"HOME": str(self.home), "PATH": self.path, "XDG_RUNTIME_DIR": str(self.home / "run"), **environment}
        told = [f"{name}={value}" for name, value in given.items()]
        enter = ["unshare", "--mount", "sh", "-c", _ENTER, "sh", str(self.home.parent / "etc")]
        return [*enter, *open_to(self.home.parent), "setpriv", *who, "env", "--ignore-environment", *told]

    def python(self, engine: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run this interpreter as the user, with an engine and folders of his own."""
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{self.path}",
            "PYTHONPATH": str(CHECKOUT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "LC_ALL": "C.UTF-8",
            "DOCKER_HOST": engine,
            "BOARDCAST_WORK": str(self.home / "work"),
            "BOARDCAST_CACHE": str(self.home / "cache"),
        }
        argv = [*self.words(environment), sys.executable, *words]
        return subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, check=False)


def all_passed(ran: subprocess.CompletedProcess[str]) -> None:
    """Fail with what the tests of the engine said where one of them failed, or hardly any ran."""
    assert ran.returncode == 0, ran.stdout[-12000:] + ran.stderr[-2000:]
    found = re.search(r"(\d+) passed", ran.stdout)
    assert found, ran.stdout[-12000:]
    assert int(found[1]) >= 20


@contextlib.contextmanager
def short_place() -> Iterator[Path]:
    """Give a folder that anybody may pass through, with a short name: podman takes no other."""
    with tempfile.TemporaryDirectory(prefix="bc-", dir="/tmp", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def rootless_user(folder: Path) -> RootlessUser:
    """Make the user's home and account below a folder; root is needed for it, and for every program of the user's."""
    for at in (folder, *folder.parents):
        if at.stat().st_uid == os.getuid() and at != Path("/"):
            at.chmod(at.stat().st_mode | 0o001)
    user = RootlessUser(home=folder / "home")
    (folder / "etc").mkdir()
    lines = {
        "passwd": Path("/etc/passwd").read_text() + f"{NAME}:x:{NUMBER}:{NUMBER}::{user.home}:/bin/sh\n",
        "group": Path("/etc/group").read_text() + f"{NAME}:x:{NUMBER}:\n",
        "subuid": f"{NAME}:{FIRST}:{IDS}\n",
        "subgid": f"{NAME}:{FIRST}:{IDS}\n",
    }
    for name, text in lines.items():
        (folder / "etc" / name).write_text(text)
    for part in ("work", "cache", "run", ".config/containers"):
        (user.home / part).mkdir(parents=True)
    (user.home / ".config/containers/storage.conf").write_text('[storage]\ndriver = "overlay"\n')
    own(user.home)
    return user


def end_all() -> None:
    """End what is left of the user's programs: podman keeps one for its namespace, and some for five minutes."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_uid == NUMBER:
                os.kill(int(folder.name), signal.SIGKILL)


def own(top: Path) -> None:
    """Give a tree to the user."""
    for path in (top, *top.rglob("*")):
        os.chown(path, NUMBER, NUMBER, follow_symlinks=False)


def missing(*programs: str) -> list[str]:
    """Return which of these programs, and of the files that such a user needs, are not here."""
    found = [
        name for name in programs if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/libexec/podman")
    ]
    return found + [
        file for file in ("/dev/fuse", "/dev/net/tun", "/etc/subuid", "/etc/subgid") if not Path(file).exists()
    ]


@contextlib.contextmanager
def served(argv: list[str], socket: Path, log: Path, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run an engine until the block ends; gives its address once its socket is there."""
    with log.open("wb") as said:
        service = subprocess.Popen(argv, env=environment, stdout=said, stderr=said)
    try:
        until = time.monotonic() + 60
        while not socket.exists() and service.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
        assert socket.exists(), log.read_text()
        yield f"unix://{socket}"
    finally:
        service.terminate()
        service.wait(60)

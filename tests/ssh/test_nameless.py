"""A user who is only a number, as in some containers: no account says his name or his home, and no variable does."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from recipes import paths
from tests.support.otheruser import NUMBER, other_user
from tests.support.sshserver import ssh_line

pytestmark = [pytest.mark.loopback, pytest.mark.process]
_DEPLOYS = """
import sys
from pathlib import Path
from deploy.release.run import this_user
from deploy.ssh.dial import Target, dial, hang_up
port, key, host_key = sys.argv[1:]
target = Target(name="cam01", address="127.0.0.1", port=int(port), user="root", key=Path(key), host_key=host_key)
connection = dial(target)
print(this_user())
print(connection.run("echo there", hide=True).stdout)
hang_up(connection)
"""


@pytest.mark.parametrize("home", [True, False])
def test_he_reaches_a_board_and_leaves_his_number_there(tmp_path: Path, *, home: bool) -> None:
    user = other_user(tmp_path, paths.cache())
    without = ["-u", "USER", "-u", "LOGNAME", *([] if home else ["-u", "HOME"])]
    with ssh_line(tmp_path) as line:
        assert line.target.key is not None
        os.chown(line.target.key, NUMBER, NUMBER)
        words = [str(line.target.port), str(line.target.key), line.target.host_key]
        done = user.run("env", *without, sys.executable, "-c", _DEPLOYS, *words)
        listed = user.run("env", *without, sys.executable, "-m", "invoke", "--list")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{NUMBER}@")
    assert "there" in done.stdout
    assert listed.returncode == 0, listed.stderr

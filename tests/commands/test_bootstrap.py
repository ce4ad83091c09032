"""`bootstrap` on machines that lack something: it names what, and for whom."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from recipes import paths
from tests.support.linkchain import link_chain, tar_of

pytestmark = pytest.mark.process


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Path]:
    """Yield the socket of an engine that is there, and that only its owner may use."""
    place = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place))
        server.listen()
        place.chmod(0o000)
        yield place


def run(folder: Path, action: str, engine: Path) -> subprocess.CompletedProcess[str]:
    """Run it as somebody who is not root: root may open any socket."""
    shutil.copy(paths.CHECKOUT / "bootstrap", folder / "bootstrap")
    nobody = {"user": 65534, "group": 65534, "extra_groups": []} if os.getuid() == 0 else {}
    for parent in (folder, *folder.parents):
        if nobody and parent.owner() == "root" and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "DOCKER_HOST": f"unix://{engine}"}
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        ["sh", str(folder / "bootstrap"), action],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        **nobody,
    )


@pytest.mark.parametrize("action", ["install", "demo", "test"])
def test_an_engine_that_is_not_for_this_user_is_not_called_missing(
    tmp_path: Path, listening: Path, action: str
) -> None:
    done = run(tmp_path, action, listening)
    assert done.returncode == 2
    assert "may not use it" in done.stderr
    assert "usermod -aG docker" in done.stderr
    assert "apt-get install" not in done.stderr


def test_an_engine_that_is_not_there_is_called_missing(tmp_path: Path) -> None:
    done = run(tmp_path, "install", tmp_path / "none.sock")
    assert done.returncode == 2
    assert "may not use it" not in done.stderr
    assert "this takes root" in done.stderr


_EXTRACT = """import sys, tarfile
with tarfile.open(sys.argv[1]) as archive:
    try:
        archive.extractall(sys.argv[2], filter="data")
    except (tarfile.TarError, OSError, TypeError):
        pass
"""


@pytest.mark.parametrize("python", [Path(sys.executable).resolve(), "/usr/bin/python3"])
def test_a_python_is_named_whose_tarfile_writes_outside_and_no_other(tmp_path: Path, python: Path | str) -> None:
    """What it says is held against what an archive with a chain of links does to this very Python."""
    if not Path(python).exists():
        pytest.skip("the distribution has no Python here")
    outside = tmp_path / "outside"
    (tmp_path / "into").mkdir()
    outside.mkdir()
    (tmp_path / "chain.tar").write_bytes(tar_of(link_chain("../../outside")))
    subprocess.run([python, "-c", _EXTRACT, tmp_path / "chain.tar", tmp_path / "into"], check=True)
    writes = (outside / "written").exists()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python3").symlink_to(python)
    shutil.copy(paths.CHECKOUT / "bootstrap", tmp_path / "bootstrap")
    environment = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    argv = ["sh", str(tmp_path / "bootstrap"), "install", "--no-install"]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert ("lacks the fix of CVE-2025-4517" in done.stderr) is writes

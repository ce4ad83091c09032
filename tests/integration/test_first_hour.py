"""The first hour with a board that the tool does not know, as the page about Debian boards has it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.sim.keys import ed25519_pair
from deploy.ssh.keys import fingerprint
from recipes import paths
from recipes.engine.docker import Engine
from recipes.toolchains.debian_root import BoardRoot

pytestmark = [pytest.mark.engine, pytest.mark.sim]
PAGE = (paths.CHECKOUT / "docs" / "quickstart-debian-board.md").read_text()
NEEDED = ("deploy", "recipes", "docker", "board-configs", "tasks.py")
"""What of a checkout the commands need."""
UP = ("invoke", "up", "--host", "cam01")
BOARD = ("--board", "mycam")
FOLDER = "/usr/lib/arm-linux-gnueabihf"
# Drivers of a desktop are most of the root's bytes, and each pull hashes every library under emulation.
WITHOUT = f"{FOLDER}/dri {FOLDER}/libLLVM* {FOLDER}/libicudata*"
# What only the plugins need, codecs and toolkits: more than half of the bytes that are left.
OF_PLUGINS = re.sub(
    r"\w+",
    rf"{FOLDER}/lib\g<0>*",
    "codec2 z3 av sw rsvg gtk gdk placebo flite aom OpenEXR SvtAv1 x26 icu rav1e jxl perl dav1d vpx",
)
START = """rm -rf {without}
mkdir -p /run/sshd && chmod 600 /etc/ssh/ssh_host_ed25519_key && chown -R root:root /root/.ssh
exec /usr/sbin/sshd -D -e -o HostKey=/etc/ssh/ssh_host_ed25519_key -o UsePAM=no -o PasswordAuthentication=no
"""


def block(word: str, page: str = PAGE) -> str:
    """Return the first code block of a page that has this word."""
    found: list[str] = re.findall(r"```\w*\n(.*?)```", page, re.DOTALL)
    return next(text for text in found if word in text)


def commands(page: str) -> list[list[str]]:
    """Return the five commands of a page, without their comments."""
    lines = block("invoke sysroot.pull", page).splitlines()
    return [line.partition("#")[0].split() for line in lines if line.startswith("invoke ")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """A board that answers on its own address, with its own host key; the key to log in is in a file."""

    address: str
    key: Path


@pytest.fixture
def camera(
    request: pytest.FixtureRequest, engine: Engine, arm_root: Future[BoardRoot], tmp_path: Path
) -> Iterator[Camera]:
    """Start a board on a network of its own; neither `sim` nor the inventory know it.

    It goes without GStreamer's plugins and what these need, unless the test's parameter is "gstreamer".
    """
    streams = getattr(request, "param", "") == "gstreamer"
    start = START.format(without=WITHOUT if streams else f"{WITHOUT} {OF_PLUGINS} {FOLDER}/gstreamer-1.0")
    name = f"boardcast-test-{uuid.uuid4().hex[:8]}"
    private, public = ed25519_pair()
    host_private, _ = ed25519_pair()
    key = tmp_path / "cam01"
    key.write_bytes(private)
    key.chmod(0o600)
    image = arm_root.result(timeout=1800).image
    engine.services.ensure_network(name)
    try:
        address = engine.services.start(
            f"{name}.camera",
            image,
            ["/bin/sh", "-c", start],
            network=name,
            files={
                "etc/ssh/ssh_host_ed25519_key": (host_private, 0o600),
                "root/.ssh/authorized_keys": (f"{public} camera\n".encode(), 0o600),
            },
        )
        yield Camera(address=address, key=key)
    finally:
        engine.services.remove(f"{name}.camera")
        engine.services.remove_network(name)


def scanned(address: str) -> str:
    """Return what `ssh-keyscan` prints behind the address, as soon as the board answers."""
    for _ in range(100):
        argv = ["ssh-keyscan", "-t", "ed25519", address]
        out = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60).stdout
        if out.startswith(address):
            return out.removeprefix(address).strip()
        time.sleep(0.2)
    raise AssertionError("the board's SSH server does not answer")


class Person:
    """Types commands in a checkout of their own, and on the board."""

    def __init__(self, folder: Path, camera: Camera) -> None:
        self.folder, self.camera, self.host_key = folder, camera, scanned(camera.address)
        for name in NEEDED:
            source = paths.CHECKOUT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, folder / name)
        own = {"BOARDCAST_WORK": str(folder / ".boardcast"), "XDG_CONFIG_HOME": str(folder / "config")}
        plain = {"NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(folder)}
        self.environment = {**os.environ, **own, **plain}

    def types(self, *words: str, code: int = 0) -> str:
        """Give a command, and return what it prints; its exit code has to be this one."""
        argv = [sys.executable, "-m", *words]
        done = subprocess.run(
            argv, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False, timeout=900
        )
        assert done.returncode == code, f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stdout + done.stderr
        return done.stdout + done.stderr

    def on_board(self, line: str) -> str:
        """Run a line on the board, and return what it prints."""
        options = ["-i", str(self.camera.key), "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes"]
        known = self.folder / "known_hosts"
        known.write_text(f"{self.camera.address} {self.host_key}\n")
        argv = ["ssh", *options, "-o", f"UserKnownHostsFile={known}", f"root@{self.camera.address}", line]
        return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout

    def describes_the_board(self) -> Path:
        """Give the page's first command with what is this board's own; returns the board's file."""
        own = {"192.0.2.17": self.camera.address, "~/.ssh/cam01": str(self.camera.key)}
        words = [own.get(word, word) for word in block("invoke board.init").split()]
        assert "nobody vouches for the host key" in self.types(*words, code=5)
        self.types(*words, "--fingerprint", fingerprint(self.host_key))
        return self.folder / "board-configs" / "mycam" / "board.toml"

    def wants_boardprobe_alone(self) -> None:
        """Describe the board, without what it would stream."""
        file = self.describes_the_board()
        plain = file.read_text().partition("[streams.main]")[0]
        plain = re.sub(r"^recipes = .*\n", "", plain, flags=re.MULTILINE)
        file.write_text(plain.replace("schema = 2\n", 'schema = 2\nrecipes = ["boardprobe"]\n'))
        assert 'arch = "armv7"' in file.read_text()

    def brings_an_edit(self, before: str) -> str:
        """Edit boardprobe's source, give `up` twice, and return the id of what runs then."""
        file = self.folder / "recipes" / "catalog" / "boardprobe" / "src" / "board.c"
        line = 'report_text("machine", name.machine);'
        assert line in file.read_text()
        file.write_text(file.read_text().replace(line, f'{line}\n        report_text("edition", "second");'))
        done = self.types(*UP)
        assert "build: changed since: boardprobe" in done
        assert "bundle: changed since: the Stage (built again)" in done
        brought = re.findall(r"Deploy to cam01: (\w+) runs there now", done)
        assert brought != [before]
        assert "cam01: green" in done
        assert json.loads(self.on_board("/opt/boardcast/current/run/boardprobe"))["edition"] == "second"
        again = self.types(*UP)
        for skipped in (
            "build: skipped, the Stage is that of the recipes as they are now",
            "bundle: skipped, the last one is as it would be made now",
            "Deploy to cam01: nothing to do",
            "verify: nothing was deployed, so what runs there is checked now",
            "cam01: green",
        ):
            assert skipped in again
        return str(brought[0])


def test_readme_and_page_have_the_same_five_commands() -> None:
    assert commands((paths.CHECKOUT / "README.md").read_text()) == commands(PAGE)
    assert [words[1] for words in commands(PAGE)] == ["sysroot.pull", "build", "bundle", "deploy", "verify"]


def test_the_first_hour_with_a_board_that_nobody_knows(camera: Camera, tmp_path: Path) -> None:
    (tmp_path / "checkout").mkdir()
    person = Person(tmp_path / "checkout", camera)
    assert "known: sim-armv7, sim-camera, sim-tiny" in person.types("invoke", "deploy", "--host", "cam01", code=2)
    person.wants_boardprobe_alone()
    pull, build, bundle, deploy, verify = commands(PAGE)
    assert "next: invoke sysroot.pull --host cam01" in person.types(*build, code=2), "its libraries are not known yet"

    assert "Pulled from cam01" in person.types(*pull)
    assert (person.folder / "board-configs" / "sysroots" / "mycam.toml").is_file()
    assert "Stage for armv7" in person.types(*build)
    table = person.types(*bundle)
    assert re.search(r"libcurl\.so\.4 +use-board ", table)
    assert re.search(r"libwebsockets\.so\.19 +keep-private ", table)
    assert "next: invoke deploy --host cam01" in table
    first = re.findall(r"^Bundle (\w+) for mycam", table, re.MULTILINE)[0]
    assert "cam01: send: 3 of 3 files" in person.types(*deploy, "--dry-run")
    sent = person.types(*deploy)
    assert f"{first} runs there now" in sent
    assert "cam01: green" in sent
    assert "cam01: green" in person.types(*verify)
    assert "nothing to do" in person.types(*deploy)
    assert json.loads(person.on_board("/opt/boardcast/current/run/boardprobe"))["machine"] == "armv7l"

    # A source is edited: the whole chain is one command, and says what it skips the second time.
    first = person.brings_an_edit(first)

    # The board is updated, and a library that the release uses goes with it.
    person.on_board(f"mkdir /root/gone && mv {FOLDER}/libcurl.so.4* /root/gone/")
    refused = person.types(*deploy, code=5)
    assert "libcurl.so.4 is gone; nothing was changed" in refused
    assert "next: invoke sysroot.pull --host cam01, then invoke up --host cam01" in refused
    red = person.types(*verify, code=7)
    assert "every library comes from its named provider: libcurl.so.4 not found (bin/boardprobe" in red
    assert "boardprobe answers without an error: for want of libcurl.so.4" in red
    # A path is never broken, and how long this checkout's are is not ours to say.
    told = [line for line in red.partition("error: ")[2].splitlines() if str(person.folder) not in line]
    assert max(map(len, told)) <= 100
    assert "then invoke up --host cam01" in red
    assert "Pulled from cam01" in person.types(*pull)
    cured = person.types(*UP)
    assert "build: skipped, the Stage is that of the recipes as they are now" in cured
    assert "bundle: changed since: what the board has (its index)" in cured
    assert " runs there now" in cured
    assert "cam01: green" in cured
    assert "libcurl.so.4: keep: board has none" in person.types("invoke", "bundle.why", "libcurl.so.4", *BOARD)
    gone = person.types("invoke", "rollback", "--host", "cam01", code=5)
    assert "libcurl.so.4" in gone
    assert "cam01: green" in person.types(*verify)

    # It is back, so the release from before can run again.
    person.on_board(f"mv /root/gone/* {FOLDER}/")
    assert first in person.types("invoke", "rollback", "--host", "cam01")
    assert "cam01: green" in person.types(*verify)
    assert person.on_board("readlink /opt/boardcast/current").strip().removeprefix("releases/").startswith(first)


@pytest.mark.slow  # hundreds of plugins are hashed and loaded under emulation
@pytest.mark.parametrize("camera", ["gstreamer"], indirect=True)
def test_three_commands_from_a_board_that_nobody_knows_to_one_that_streams(camera: Camera, tmp_path: Path) -> None:
    """No camera is on it and no account here: the test picture that was written for it goes nowhere, and is watched."""
    (tmp_path / "checkout").mkdir()
    person = Person(tmp_path / "checkout", camera)
    file = person.describes_the_board()
    text = file.read_text()
    assert "[streams.main]" in text
    assert 'init = "none"' in text
    file.write_text(re.sub(r"^sink = .*$", "sink = { fake = true }", text, flags=re.MULTILINE))
    pull = commands(PAGE)[0]
    person.types(*pull)
    done = person.types(*UP)
    assert "cam01: green" in done
    assert re.search(r"every stream goes on +ok +main: \d+ pictures", done)
    assert re.search(r"main +running ", person.types("invoke", "status", "--host", "cam01"))
    assert "main: started" in person.types("invoke", "logs", "--host", "cam01")
    assert json.loads(person.on_board("cat /var/run/boardcast-main/stream.json"))["state"] == "streaming"

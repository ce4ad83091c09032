"""P-16: a host key that is unknown or another than before, of the board or of a jump host on the way, for each task."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.sim.keys import ed25519_pair
from recipes import paths
from tests.support.plainrelease import bundle_of
from tests.support.sshserver import Line, ssh_line

pytestmark = pytest.mark.process
ONE = ("--host", "cam01")
TASKS = (
    ("deploy", *ONE, "--bundle", "ID"),
    ("deploy", *ONE, "--bundle", "ID", "--stage-only"),
    ("deploy", "--group", "site", "--bundle", "ID"),
    *((name, *ONE) for name in ("activate", "rollback", "releases", "prune", "uninstall", "start", "stop", "restart")),
    *((name, *ONE) for name in ("verify", "probe", "logs", "doctor", "status", "sysroot.pull", "board.check")),
    ("verify", "--group", "site", "--fast"),
    ("status", "--group", "site"),
    ("render", *ONE, "--diff"),
)
"""All that go to a board; `enroll`, which is there to show its key, is below."""
FORMS = {"unknown": "", "another": ed25519_pair()[1]}
SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A board behind two jump hosts, whoever's keys are wrong."""

    lines: dict[str, Line]
    folder: Path
    bundle: str

    def told(self, wrong: str, key: str, ssh: str) -> dict[str, str]:
        """Write down what is known, of one machine another key or none; returns the environment for that."""
        place = self.folder / f"{wrong}-{bool(key)}-{ssh}"
        keys = {name: line.target.host_key for name, line in self.lines.items()} | {wrong: key}
        (place / ".ssh").mkdir(parents=True)
        (place / "boards").mkdir()
        shutil.copytree(paths.BOARDS / "sim-tiny", place / "boards" / "sim-tiny")
        hops = [(name, self.lines[name].target) for name in ("one", "two")]
        known = [f"[127.0.0.1]:{hop.port} {keys[name]}\n" for name, hop in hops if keys[name]]
        (place / ".ssh" / "known_hosts").write_text("".join(known))
        hosts = [
            f"Host {name}\n HostName 127.0.0.1\n Port {hop.port}\n User root\n IdentityFile {hop.key}\n"
            f" UserKnownHostsFile {place}/.ssh/known_hosts\n"
            for name, hop in hops
        ]
        (place / ".ssh" / "config").write_text(
            f"Host cam.example\n HostName 127.0.0.1\n ProxyJump one,two\n{''.join(hosts)}"
        )
        cam = self.lines["cam"].target
        (place / "boards" / "hosts.toml").write_text(
            f'schema = 1\n[hosts.cam01]\nboard = "sim-tiny"\naddress = "cam.example"\nport = {cam.port}\n'
            f'key = "{cam.key}"\nhost_key = "{keys["cam"]}"\ngroups = ["site"]\nssh = "{ssh}"\n'
        )
        # The system's ssh finds a user's files by the password file, not by HOME.
        (place / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {place}/.ssh/config "$@"\n')
        (place / "ssh").chmod(0o755)
        given = {**os.environ, "NO_COLOR": "1", "BOARDCAST_BOARDS": str(place / "boards"), "HOME": str(place)}
        return given | {"BOARDCAST_CACHE": str(paths.cache()), "PATH": f"{place}:{os.environ['PATH']}"}

    def invoke(self, words: tuple[str, ...], environment: dict[str, str]) -> tuple[int, str]:
        argv = [sys.executable, "-m", "invoke", *(self.bundle if word == "ID" else word for word in words)]
        done = subprocess.run(
            argv, cwd=paths.CHECKOUT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False, timeout=SECONDS,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Way]:
    for name in ("BOARDCAST_WORK", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    bundle = bundle_of(tmp_path / "root", "any")
    with ExitStack() as stack:
        lines = {}
        for name in ("one", "two", "cam"):
            (tmp_path / name).mkdir()
            lines[name] = stack.enter_context(ssh_line(tmp_path / name))
        yield Way(lines=lines, folder=tmp_path / "homes", bundle=bundle.id)


@pytest.mark.timeout(900)
def test_no_task_goes_on_past_a_key_that_is_not_known(way: Way, figure: Callable[[str], None]) -> None:
    full, order = bool(os.environ.get("BOARDCAST_FULL")), list(way.lines)
    tried = []
    for ssh in ("own", "openssh"):
        for wrong in order:
            for form, key in FORMS.items():
                environment = way.told(wrong, key, ssh)
                # In short, each task once: all of them come in by the same few lines.
                tasks = TASKS if full or (ssh, wrong, form) == ("own", "two", "another") else TASKS[:1]
                with ThreadPoolExecutor(max_workers=4) as pool:
                    done = list(pool.map(way.invoke, tasks, [environment] * len(tasks)))
                for words, (code, text) in zip(tasks, done, strict=True):
                    where = f"{' '.join(words)}, {form} key of {wrong}, {ssh}: exit {code}\n{text}"
                    assert code in {2, 5, 8}, where
                    assert "Traceback" not in text, where
                    assert "key" in text or "known_hosts" in text, where
                for name in order[order.index(wrong) :]:
                    assert way.lines[name].logins == [], f"{name}: logged in though the key of {wrong} is {form}"
                assert way.lines[wrong].forwarded == []
                for line in way.lines.values():
                    line.logins.clear()
                    line.forwarded.clear()
                tried += done
    figure(
        f"{len(tried)} commands, {len(TASKS)} tasks, a wrong or unknown key on the board and 2 hops: 0 log-ins past it"
    )


def test_with_the_right_keys_it_gets_there_by_both(way: Way) -> None:
    """Else what is above would pass whatever refuses it."""
    for ssh in ("own", "openssh"):
        code, text = way.invoke(("probe", *ONE), way.told("", "x", ssh))
        assert code == 0, text
        assert way.lines["cam"].logins, ssh
        way.lines["cam"].logins.clear()


def test_enroll_shows_a_key_and_trusts_no_jump_host(way: Way) -> None:
    code, text = way.invoke(("enroll", *ONE), way.told("one", FORMS["another"], "own"))
    assert code == 5, text
    assert way.lines["two"].links == []
    code, text = way.invoke(("enroll", *ONE), way.told("cam", FORMS["another"], "own"))
    assert "shows another key now" in text
    assert way.lines["cam"].logins == []

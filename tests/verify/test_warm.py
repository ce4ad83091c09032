"""Checks forked from a process that has imported everything: the same verdicts, and nothing left behind."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deploy.verify import run, warm
from deploy.verify.verdict import Verdict
from deploy.verify.warm import ready
from recipes.errors import PreflightError
from tests.support.localboard import LocalSession
from tests.verify.test_checks import children, look, program, put

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("home")]
OWN = """
import os, sys

sys.seen = getattr(sys, "seen", 0) + 1

def test_its_process_is_its_own(host):
    assert sys.seen == 1
    assert host.run("echo on").stdout == "on\\n"
    os.environ["BOARDCAST_TEST"] = "left behind"

def test_red():
    assert {"a": 1} == {"a": 2}
"""


@pytest.fixture
def checks(tmp_path: Path) -> Path:
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks/test_own.py").write_text(OWN)
    return tmp_path / "checks"


def states_of(verdict: Verdict) -> list[tuple[str, str]]:
    return [(check.name, check.state) for check in verdict.checks]


def test_a_forked_run_comes_to_the_same_verdict(tmp_path: Path, checks: Path) -> None:
    _, manifest = put(tmp_path / "flash/boardcast", program())
    cold = look(manifest, own=[checks])
    before = children()
    with ready():
        warm_one, again = look(manifest, own=[checks]), look(manifest, own=[checks])
    assert states_of(cold) == states_of(warm_one) == states_of(again)
    assert ("its process is its own", "passed") in states_of(again)
    assert "assert {'a': 1} == {'a': 2}" in warm_one.checks[-1].evidence, "a check of the user's own says what it saw"
    assert children() <= before


def test_many_run_side_by_side(tmp_path: Path, checks: Path) -> None:
    _, manifest = put(tmp_path / "flash/boardcast", program())

    def one(number: int) -> list[tuple[str, str]]:
        return states_of(run.run_checks(LocalSession(), f"cam{number}", "one", manifest, own=[checks]))

    with ready(), ThreadPoolExecutor(4) as pool:
        found = list(pool.map(one, range(8)))
    assert all(each == found[0] for each in found)


def test_checks_that_are_ended_or_end_by_themselves_are_told(
    tmp_path: Path, checks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, manifest = put(tmp_path / "flash/boardcast", program())
    (checks / "test_own.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    with ready(), pytest.raises(PreflightError, match="the checks of cam could not run"):
        look(manifest, own=[checks])
    pid = tmp_path / "pid"
    (checks / "test_own.py").write_text(
        f"import os, time\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)\n"
    )
    monkeypatch.setattr(run, "TIMEOUT_SECONDS", 4)
    with ready():
        with pytest.raises(PreflightError, match="did not end within 4 s"):
            look(manifest, own=[checks])
        assert gone(int(pid.read_text())), "it is ended, and taken away"


def gone(pid: int) -> bool:
    end = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def test_without_its_template_a_run_starts_by_itself(tmp_path: Path) -> None:
    _, manifest = put(tmp_path / "flash/boardcast", program())
    before = children()
    with ready():
        look(manifest)
        (template,) = children() - before
        os.kill(template, signal.SIGKILL)
        made = warm.template()
        assert made is not None
        time.sleep(0.3)
        assert look(manifest).green

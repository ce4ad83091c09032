"""Checks of the user's own: beside the board's file, with what Boardcast's checks have; a broken one is told early."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from deploy.bundle.manifest import ServiceRow
from deploy.release.deployment import deploy_to
from deploy.verify.run import own_checks, refuse_broken_checks, run_checks
from recipes import paths
from recipes.errors import ConfigError
from tests.support import bundles
from tests.support.localboard import LocalSession
from tests.verify.test_checks import look, program, put, states

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("home")]
EXAMPLE = re.findall(r"^```python\n(.*?)^```$", (bundles.ROOT / "docs/checks.md").read_text(), re.DOTALL | re.MULTILINE)
STATUS = "echo installed=yes\necho enabled=yes\necho supervisor=yes\necho state={state}\necho pid=77\necho restarts=2\n"


@pytest.fixture
def checks(tmp_path: Path) -> Path:
    (tmp_path / "checks").mkdir()
    return tmp_path / "checks"


def service(root: Path, name: str, state: str = "running", log: int = 10) -> ServiceRow:
    """Put a service in, as a deploy leaves it."""
    (root / "applied" / name).mkdir(parents=True)
    (root / "applied" / name / "status").write_text(STATUS.format(state=state))
    (root / f"{name}.log").write_bytes(b"x" * log)
    (root / f"{name}.log.1").write_bytes(b"x" * 1000)
    return ServiceRow(name=name, stream=name, log=str(root / f"{name}.log"))


def test_the_example_of_the_docs_runs(tmp_path: Path, checks: Path) -> None:
    root = tmp_path / "flash/boardcast"
    (checks / "test_mycam.py").write_text(EXAMPLE[0])
    services = (service(root, "front"), service(root, "back", log=2 << 20))
    session = LocalSession()
    manifest = put(root, program(), services=services)[1]
    verdict = run_checks(session, "cam", "one", manifest, own=[checks], fast=True)
    seen = states(verdict)
    assert seen["the sensor is there"][0] == seen["the program came whole"][0] == "passed"
    assert re.fullmatch(r"\d+ KiB free", seen["the flash has room for a day"][1])
    assert seen["the log is small: front"][0] == "passed"
    assert seen["the log is small: back"] == ("failed", f"{root}/back.log has {(2 << 20) + 1000} bytes")
    assert seen["service is up: front"] == ("passed", "running, process 77, restarted 2 times")
    assert session.traffic.round_trips == 2, "everything, and the sensor"
    assert not verdict.green


def test_without_a_stream_what_asks_for_one_is_skipped(tmp_path: Path, checks: Path) -> None:
    (checks / "test_mycam.py").write_text(EXAMPLE[0])
    verdict = look(put(tmp_path / "flash/boardcast", program())[1], own=[checks])
    assert verdict.green
    assert [state for name, (state, _) in states(verdict).items() if name.startswith("the log is small")] == ["skipped"]


@pytest.mark.parametrize(("state", "colour"), [("failed", "failed"), ("stopped", "failed"), ("waiting", "passed")])
def test_a_service_that_is_down_is_red_without_a_wait_for_pictures(tmp_path: Path, state: str, colour: str) -> None:
    root = tmp_path / "flash/boardcast"
    manifest = put(root, program(), services=(service(root, "front", state),))[1]
    verdict = run_checks(LocalSession(), "cam", "one", manifest, fast=True)
    assert states(verdict)["service is up: front"][0] == colour


def test_two_files_of_one_name_and_a_conftest_are_the_users_right(tmp_path: Path, checks: Path) -> None:
    (checks / "test_release.py").write_text("def test_it_is_ours(word):\n    assert word == 'ours'\n")
    (checks / "conftest.py").write_text("import pytest\n@pytest.fixture\ndef word():\n    return 'ours'\n")
    seen = states(look(put(tmp_path / "flash/boardcast", program())[1], own=[checks]))
    assert seen["it is ours"][0] == seen["files are intact"][0] == "passed"


def test_the_folder_is_found_beside_the_boards_file_and_those_it_extends(home: Path) -> None:
    for name, text in (("base", "schema = 2\n"), ("mine", 'schema = 2\nextends = "base"\n')):
        (paths.BOARDS / name).mkdir(parents=True)
        (paths.BOARDS / name / "board.toml").write_text(text)
    assert own_checks("mine") == []
    for name in ("base", "mine"):
        (paths.BOARDS / name / "checks").mkdir()
    assert own_checks("mine") == [paths.BOARDS / "mine/checks", paths.BOARDS / "base/checks"]
    assert own_checks("base") == [paths.BOARDS / "base/checks"]


@pytest.mark.parametrize("text", ["def test_x(:\n", "import no_such_module\n", "def test_x(no_such_fixture): pass\n"])
def test_a_check_that_cannot_be_read_is_told_before_anything_is_sent(home: Path, text: str) -> None:
    shutil.copytree(bundles.ROOT / "board-configs", paths.BOARDS, ignore=shutil.ignore_patterns("*.tar"))
    place = paths.BOARDS / "sim-tiny" / "checks"
    place.mkdir()
    made = bundles.make()
    (place / "test_good.py").write_text("def test_it(host, facts, release, stream): pass\n")
    refuse_broken_checks("sim-tiny", made.id, made.manifest, own_checks("sim-tiny"))
    (place / "test_bad.py").write_text(text)
    with pytest.raises(ConfigError, match="a check of your own cannot be read") as caught:
        deploy_to("sim-tiny", made)  # it is not up: whoever asked the board first would say so
    assert caught.value.code == 2
    assert "test_bad.py" in caught.value.why

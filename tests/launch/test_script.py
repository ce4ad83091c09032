"""Every value that reaches a shell is quoted by the renderer: what the program gets is what the config says."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.boards.probe import PROBE_SCRIPT
from deploy.launch.script import launch_script
from deploy.release import carried, preflight, scripts, status
from recipes import paths
from recipes.errors import ConfigError

SHELLS = [[path] for name in ("dash", "bash") if (path := shutil.which(name))]
if busybox := shutil.which("busybox"):
    SHELLS.append([busybox, "ash"])
VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\x00\n\r"), max_size=20)


def script(arguments: list[str], environment: dict[str, str] | None = None) -> bytes:
    return launch_script(
        title="test $(reboot) `x`", program="bin/app", arguments=arguments, environment=environment or {}, plugins=True
    )


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a release whose program prints its own arguments and one variable as JSON."""
    folder = tmp_path_factory.mktemp("release dir with space")
    (folder / "bin").mkdir()
    (folder / "run").mkdir()
    program = folder / "bin" / "app"
    program.write_text(
        f"#!{sys.executable}\nimport json, os, sys\n"
        "print(json.dumps([sys.argv[1:], os.environ.get('VALUE'), os.environ.get('GST_PLUGIN_PATH'),"
        " os.environ.get('LD_LIBRARY_PATH')]))\n"
    )
    program.chmod(0o755)
    return folder


@pytest.mark.process
@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: Path(shell[-1]).name)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arguments=st.lists(VALUES, min_size=15, max_size=15), value=VALUES)
def test_the_program_gets_what_the_config_says(
    release: Path, shell: list[str], arguments: list[str], value: str
) -> None:
    path = release / "run" / "app"
    path.write_bytes(script(arguments, {"VALUE": value}))
    done = subprocess.run([*shell, str(path)], capture_output=True, check=True)
    got = json.loads(done.stdout)
    assert got == [arguments, value, f"{release}/gstreamer-1.0", None]


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0b"])
def test_a_line_break_or_nul_is_refused(bad: str) -> None:
    with pytest.raises(ConfigError, match="line break"):
        script([bad])


def test_a_variable_must_have_a_shells_name() -> None:
    with pytest.raises(ConfigError, match="not a name"):
        script([], {"A;reboot": "x"})


@pytest.mark.process
def test_every_script_of_ours_passes_shellcheck(tmp_path: Path) -> None:
    files = [
        paths.CHECKOUT / "bootstrap",
        *paths.DOCKER.glob("*.sh"),
        paths.DOCKER / "target-pkg-config",
        paths.CHECKOUT / ".ci/run",
    ]
    rendered = tmp_path / "launch"
    rendered.write_bytes(script(["it's", "$HOME", "a b"]))
    files.append(rendered)
    parts = {"probe": PROBE_SCRIPT, "look": preflight._LOOK, "status": status._BROUGHT, "papers": carried._READ}
    for name, text in {**parts, **vars(scripts)}.items():
        if not isinstance(text, str) or name.startswith("_"):
            continue
        path = tmp_path / name
        # Word splitting of `set -- $(sha256sum …)` is what these lines are for.
        path.write_text("#!/bin/sh\n# shellcheck disable=SC2046,SC2012,SC2329\n" + text)
        files.append(path)
    done = subprocess.run(
        ["shellcheck", "-S", "warning", *map(str, files)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout

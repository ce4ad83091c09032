"""Every value that reaches a shell is quoted by the renderer: what the program gets is what the config says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.atboot import put_in
from deploy.boards.introduce import SELF_SCRIPT
from deploy.boards.listing import LIST_SCRIPT
from deploy.boards.probe import PROBE_SCRIPT
from deploy.fleet import staged
from deploy.launch.script import launch_script
from deploy.release import carried, preflight, scripts, status
from deploy.transfer.receive import RECEIVE
from deploy.upkeep import prune, releases, uninstall
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
        " os.environ.get('LD_LIBRARY_PATH'), os.environ['GST_REGISTRY']]))\n"
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
    assert got == [arguments, value, f"{release}/gstreamer-1.0", None, f"{release}/.gst/registry.bin"]


def started(shell: list[str], path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*shell, str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
        env={**os.environ, **environment},
    )


@pytest.fixture
def current(release: Path, tmp_path: Path) -> Path:
    """Return the link to the release, as a board has it."""
    (release / "run" / "app").write_bytes(script(["word"]))
    (release / "run" / "app").chmod(0o755)
    (tmp_path / "current").symlink_to(release)
    return tmp_path / "current"


@pytest.mark.process
@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: Path(shell[-1]).name)
@pytest.mark.parametrize("relative", [True, False])
def test_a_link_in_a_folder_of_programs_starts_the_program(
    release: Path, current: Path, tmp_path: Path, shell: list[str], relative: bool
) -> None:
    programs = tmp_path / "usr" / "local" / "bin"
    programs.mkdir(parents=True)
    target = current / "run" / "app"
    (programs / "app").symlink_to("../../../current/run/app" if relative else target)
    (programs / "other-name").symlink_to("app")
    for name in ("app", "other-name"):
        done = started(shell, programs / name)
        assert done.returncode == 0, done.stderr
        got = json.loads(done.stdout)
        assert got[0] == ["word"]
        assert got[2] == f"{release.resolve()}/gstreamer-1.0"


@pytest.mark.process
@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: Path(shell[-1]).name)
@pytest.mark.parametrize("given", ["", "/lib/other.so"])
def test_an_unwinder_that_travels_is_brought_in_before_it_is_asked_for(
    tmp_path: Path, shell: list[str], given: str
) -> None:
    """The C library opens it by name, and would look for the board's alone."""
    for folder in ("bin", "run", "lib"):
        (tmp_path / folder).mkdir()
    program, path = tmp_path / "bin" / "app", tmp_path / "run" / "app"
    program.write_text('#!/bin/sh\nunset LD_DEBUG; echo "${LD_PRELOAD:-none}"\n')
    program.chmod(0o755)
    path.write_bytes(script([]))
    assert started(shell, path, **({"LD_PRELOAD": given} if given else {})).stdout.strip() == (given or "none")
    (tmp_path / "lib" / "libgcc_s.so.1").touch()
    done = started(shell, path, **({"LD_PRELOAD": given} if given else {}))
    ours = f"{tmp_path.resolve()}/lib/libgcc_s.so.1"
    assert done.stdout.strip() == (f"{ours}:{given}" if given else ours)


@pytest.mark.process
@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: Path(shell[-1]).name)
def test_a_copy_and_a_circle_end_with_a_word_instead_of_a_loop(current: Path, tmp_path: Path, shell: list[str]) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    shutil.copy(current / "run" / "app", programs / "app")
    (programs / "round").symlink_to("circle")
    (programs / "circle").symlink_to("round")
    done = started(shell, programs / "app")
    assert done.returncode == 126
    assert "make it a link" in done.stderr
    assert started(shell, programs / "round").returncode != 0


@pytest.mark.hostile(kind="board")
@pytest.mark.process
@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: Path(shell[-1]).name)
@pytest.mark.parametrize("planted", ["nothing", "a folder for all", "a link", "a file"])
def test_the_registry_is_in_a_folder_that_nobody_else_may_write_to(
    release: Path, current: Path, tmp_path: Path, shell: list[str], planted: str
) -> None:
    shutil.rmtree(release / ".gst", ignore_errors=True)
    (release / ".gst").write_text("in the way, as on a file system that is read only")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    guessed = temporary / f"boardcast-{os.getuid()}"
    if planted == "a folder for all":
        guessed.mkdir()
        guessed.chmod(0o777)
    elif planted == "a link":
        (tmp_path / "victim").mkdir(mode=0o700)
        guessed.symlink_to(tmp_path / "victim")
    elif planted == "a file":
        guessed.touch()
    try:
        done = started(shell, current / "run" / "app", TMPDIR=str(temporary))
    finally:
        (release / ".gst").unlink()
    assert done.returncode == 0, done.stderr
    registry = Path(json.loads(done.stdout)[4])
    assert registry.parent.parent == temporary
    assert registry.parent.stat().st_mode & 0o777 == 0o700
    assert (registry.parent == guessed) is (planted == "nothing")
    assert not list((tmp_path / "victim").iterdir() if planted == "a link" else ())


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
    boards = {"probe": PROBE_SCRIPT, "listing": LIST_SCRIPT, "introduce": SELF_SCRIPT}
    upkeep = {"releases": releases._RELEASES, "is-ours": uninstall._IS_OURS, "remove": uninstall._REMOVE}
    fleet = {"waiting": staged._LOOK, "switch-on": staged._SWITCH_ON, "prune": prune._REMOVE, "put-in": put_in.SERVICES}
    pieces = {
        "FLUSH",
        "LOCK",
        "SUMS",
        "UNPACK",
        "BEGIN_TRIAL",
        "THIS_START",
        "SWITCH",
        "SWEEP",
    }  # of the scripts that they stand in, which are whole
    for name, text in {**parts, **boards, **upkeep, **fleet, "RECEIVE": RECEIVE, **vars(scripts)}.items():
        if not isinstance(text, str) or name.startswith("_") or name in pieces:
            continue
        path = tmp_path / name
        # Word splitting of `set -- $(sha256sum …)` is what these lines are for.
        path.write_text("#!/bin/sh\n# shellcheck disable=SC2046,SC2012,SC2329,SC2086\n" + text)
        files.append(path)
    done = subprocess.run(
        ["shellcheck", "-S", "warning", *map(str, files)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout

"""The checks over a session that is open: run for real by pytest in its own process, on a board of this machine."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from deploy.boards.session import BoardSession, Reply
from deploy.bundle.manifest import BundleFile, Manifest
from deploy.verify.line import LONGEST_ARGUMENT
from deploy.verify.run import run_checks
from deploy.verify.verdict import Verdict
from recipes import progress
from recipes.errors import PreflightError
from tests.support import bundles
from tests.support.localboard import ARCH, LocalSession, own_libc

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("home")]
LOADER = "every library comes from its named provider"
FILES = "files are intact"
CURRENT = "current points to this release"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "flash" / "boardcast"


def put(place: Path, contents: dict[str, bytes], **changes: Any) -> tuple[str, Manifest]:
    """Put a release below a folder, as a deploy leaves it; the manifest may name that folder in another way."""
    folder = place / "releases" / "one"
    for path, data in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
        (folder / path).chmod(0o755)
    (place / "current").symlink_to("releases/one")
    files = tuple(
        BundleFile(path=path, sha256=hashlib.sha256(data).hexdigest(), size=len(data), mode=0o755)
        for path, data in contents.items()
    )
    program, loader = "bin/program", str(own_libc()[1])
    providers = {program: {"libc.so.6": str(own_libc()[0])}} if program in contents else {}
    values = {"machines": ARCH.machine, "root": str(place), "files": files, "providers": providers, "loader": loader}
    return "one", bundles.manifest(**(values | changes))


def program() -> dict[str, bytes]:
    return {"bin/program": Path(shutil.which("true") or "/bin/true").read_bytes()}


def look(manifest: Manifest, session: BoardSession | None = None, own: Sequence[Path] = ()) -> Verdict:
    return run_checks(session or LocalSession(), "cam", "one", manifest, own=own)


def states(verdict: Verdict) -> dict[str, tuple[str, str]]:
    return {check.name: (check.state, check.evidence) for check in verdict.checks}


def test_every_check_runs_over_the_session_that_is_open(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-option")
    monkeypatch.setenv("PYTEST_PLUGINS", "no.such.plugin")
    session = LocalSession()
    verdict = look(put(root, program())[1], session)
    assert verdict.green, verdict
    assert states(verdict)[FILES] == ("passed", "1 of 1 files intact")
    assert states(verdict)[LOADER] == ("passed", "1 library resolved as planned")
    assert states(verdict)["boardprobe answers without an error"][0] == "skipped"
    assert session.traffic.round_trips == 1, "the board is asked everything at once"
    assert verdict.junit.is_file()


class SlowSession(LocalSession):
    """A board that takes its time."""

    def _run(self, script: str, arguments: Sequence[str], stdin: Iterable[bytes]) -> tuple[int, bytes, bytes]:
        time.sleep(0.4)
        return super()._run(script, arguments, stdin)


def test_long_checks_say_which_one_is_at_work(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.1)
    monkeypatch.setattr(progress, "HEARTBEAT_SECONDS", 0.1)
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks/test_slow.py").write_text("def test_it_is_slow(host):\n    host.run('true')\n")
    assert look(put(root, program())[1], SlowSession(), own=[tmp_path / "checks"]).green
    said = capsys.readouterr().err
    assert "cam: checks: 0 s so far" in said, "while the board is asked"
    assert "cam: checks: 10 of 10, it is slow, " in said
    assert "cam: checks: done in " in said


@pytest.mark.parametrize(
    "line",
    [
        "\tlibx.so.1 => not found",
        "bin/program: error while loading shared libraries: libx.so.1: cannot open shared object file: No such file",
        "Error loading shared library libx.so.1: No such file or directory (needed by bin/program)",
    ],
)
def test_a_library_that_is_missing_is_told_in_the_same_words_whatever_the_loader_says(
    root: Path, tmp_path: Path, line: str
) -> None:
    loader = tmp_path / "loader"
    loader.write_text(f"#!/bin/sh\necho '{line}' >&2\nexit 127\n")
    loader.chmod(0o755)
    state, evidence = states(look(put(root, program(), loader=str(loader))[1]))[LOADER]
    assert (state, evidence) == ("failed", "libx.so.1 not found (bin/program)")


def test_thousands_of_paths_travel_on_stdin(root: Path) -> None:
    contents = program() | {f"share/models of a camera/layer-{number:04}.bin": b"%d" % number for number in range(2000)}
    session = LocalSession()
    verdict = look(put(root, contents)[1], session)
    assert states(verdict)[FILES] == ("passed", "2001 of 2001 files intact")
    assert max(map(len, session.scripts)) < LONGEST_ARGUMENT


@pytest.mark.hostile(kind="board")
def test_a_path_is_no_part_of_a_script(root: Path) -> None:
    odd = {"share/$(touch gone);`touch gone`": b"x", 'share/it\'s "a" * name': b"y", "share/-n": b"z"}
    verdict = look(put(root, program() | odd)[1])
    assert states(verdict)[FILES] == ("passed", "4 of 4 files intact")
    assert not list(root.parent.parent.rglob("gone"))


@pytest.mark.parametrize("way", ["{real}", "{link}/boardcast"])
def test_the_root_is_compared_as_the_board_resolves_it(root: Path, tmp_path: Path, way: str) -> None:
    """A library of ours is found below the folder where the board really has it."""
    link = tmp_path / "link"
    root.parent.mkdir(parents=True)
    link.symlink_to(root.parent)
    library = "lib/libc.so.6"
    contents = program() | {library: own_libc()[0].read_bytes()}
    loader = tmp_path / "loader"
    loader.write_text(f'#!/bin/sh\nexec {own_libc()[1]} --library-path "${{2%/bin/*}}/bin/../lib" "$@"\n')
    loader.chmod(0o755)
    named = way.format(real=root, link=link)
    providers = {"bin/program": {"libc.so.6": f"bundle:{library}"}}
    _, manifest = put(root, contents, root=named, providers=providers, loader=str(loader))
    assert states(look(manifest))[LOADER] == ("passed", "1 library resolved as planned")
    elsewhere = manifest.model_copy(update={"providers": {"bin/program": {"libc.so.6": "/lib/libc.so.6"}}})
    state, evidence = states(look(Manifest.model_validate(elsewhere.model_dump())))[LOADER]
    assert state == "failed"
    assert f"{root.resolve()}/releases/one/bin/../lib/libc.so.6, planned was /lib/libc.so.6" in evidence


@pytest.mark.hostile(kind="board")
@pytest.mark.parametrize("loader", ["", "ld-uClibc.so.1"])
def test_what_is_asked_about_is_not_run(root: Path, tmp_path: Path, loader: str) -> None:
    """The program leaves a mark when it runs; a loader of uClibc without a list mode is told by its text."""
    script = f"#!/bin/sh\ntouch {tmp_path}/ran\n".encode()
    changes = {"loader": str(tmp_path / loader)} if loader else {}
    (tmp_path / "ld-uClibc.so.1").write_bytes(b"\0LD_BIND_NOW\0")
    verdict = look(put(root, {"bin/program": script}, **changes)[1])
    state, evidence = states(verdict)[LOADER]
    assert not (tmp_path / "ran").exists()
    assert (state, "built without a mode that lists" in evidence) == (
        ("skipped", True) if loader else ("failed", False)
    )


def test_a_loader_that_lists_by_itself_is_told_by_its_text_too(root: Path, tmp_path: Path) -> None:
    """The programs of this machine know the same variable as uClibc's loader."""
    loader = tmp_path / "ld-uClibc.so.1"
    loader.write_bytes(b"\0LD_TRACE_LOADED_OBJECTS\0")
    named = {"bin/program": program()["bin/program"] + f"\0{loader}\0".encode()}
    contents = named | {"gstreamer-1.0/libplugin.so": own_libc()[0].with_name("libm.so.6").read_bytes()}
    providers = {"bin/program": {"libc.so.6": "/lib/libc.so.6"}, "gstreamer-1.0/libplugin.so": {"libc.so.6": "/lib/x"}}
    verdict = look(put(root, contents, loader=str(loader), providers=providers)[1])
    assert states(verdict)[LOADER] == ("passed", "2 libraries resolved as planned")


def test_a_damaged_file_a_lost_one_and_another_release_are_red(root: Path) -> None:
    contents = program() | {"share/a": b"a", "share/b": b"b"}
    _, manifest = put(root, contents)
    (root / "releases/one/share/a").write_bytes(b"x")
    (root / "releases/one/share/b").unlink()
    (root / "current").unlink()
    (root / "current").symlink_to("releases/\u202etwo")
    seen = states(look(manifest))
    assert seen[FILES] == ("failed", "damaged or missing: share/a, share/b")
    assert seen[CURRENT] == ("failed", r"current is releases/\u202etwo")


# A boardprobe that knows one element, as `boardprobe` of a board with a camera and nothing else would.
PROBE = r"""#!/bin/sh
seen='' findings=''
while [ $# -gt 0 ]; do
    state=missing
    [ "$2" != v4l2src ] || state=loads
    seen=$seen${seen:+,}$(printf '"%s":"%s"' "$2" "$state")
    if [ $state = missing ]; then
        findings=$findings${findings:+,}$(
            printf '{"level":"note","check":"element","detail":"%s: no plugin has it"}' "$2"
        )
    fi
    shift 2
done
media=$(printf '"gstreamer":"1.22","elements":{%s}' "$seen")
printf '{"machine":"armv7l","libc_version":"2.36","curl":"8","openssl":"3 (x)","libwebsockets":"4",'
printf '%s,"findings":[%s]}' "$media" "$findings"
"""
NO_GSTREAMER = r"""#!/bin/sh
printf '{"machine":"armv7l","libc_version":"2.36","curl":"8","openssl":"3 (x)","libwebsockets":"4",'
printf '"gstreamer":"missing","findings":[{"level":"warn","check":"gstreamer","detail":"cannot be used: gone"}]}'
"""


@pytest.mark.parametrize(
    ("asked", "plugin", "gstreamer", "state", "says"),
    [
        (["v4l2src"], False, True, "passed", "1 of 1 elements load"),
        (["v4l2src", "kvssink"], False, True, "failed", "kvssink: no plugin has it"),
        (["v4l2src", "x264enc"], True, True, "failed", "kvssink: no plugin has it; x264enc: no plugin has it"),
        ([], True, True, "failed", "kvssink: no plugin has it"),
        ([], True, False, "failed", "GStreamer cannot be used: gone; kvssink does not load"),
        (["v4l2src"], False, False, "failed", "GStreamer cannot be used: gone"),
    ],
)
def test_what_was_asked_for_or_brought_and_does_not_load_is_red_by_name(
    root: Path, asked: list[str], plugin: bool, gstreamer: bool, state: str, says: str
) -> None:
    words = " ".join(f"--element {name}" for name in asked)
    launcher = f'#!/bin/sh\nexec sh "${{0%/run/*}}/bin/boardprobe" {words} "$@"\n'.encode()
    probe = (PROBE if gstreamer else NO_GSTREAMER).encode()
    contents = {"bin/boardprobe": probe, "run/boardprobe": launcher}
    contents |= {"gstreamer-1.0/libgstkvssink.so": b"plugin"} if plugin else {}
    verdict = look(put(root, contents, providers={"bin/boardprobe": {"libc.so.6": "/lib/libc.so.6"}})[1])
    got, evidence = states(verdict)["boardprobe answers without an error"]
    assert (got, says in evidence) == (state, True), evidence


@pytest.mark.hostile(kind="board")
@pytest.mark.parametrize(
    "printed",
    [
        "",
        "Welcome to ACME\\n{}",
        "[]",
        "[" * 9_000,
        "7" * 5_000,
        '{"machine":"armv7l","libc_version":"2.36","curl":"8","openssl":3,"libwebsockets":"4","findings":[]}',
        '{"machine":"armv7l","libc_version":"2.36","curl":"8","openssl":"3","libwebsockets":"4","findings":[{}]}',
        '{"machine":"a","libc_version":"2","curl":"8","openssl":"3","libwebsockets":"4","findings":[],"elements":[1]}',
    ],
)
def test_a_boardprobe_that_prints_no_report_is_red_with_its_words(root: Path, printed: str) -> None:
    probe = f"#!/bin/sh\nprintf '{printed}'\n".encode()
    contents = {"bin/boardprobe": probe, "run/boardprobe": probe}
    verdict = look(put(root, contents, providers={"bin/boardprobe": {"libc.so.6": "/lib/libc.so.6"}})[1])
    state, evidence = states(verdict)["boardprobe answers without an error"]
    assert state == "failed"
    assert evidence.startswith("what it printed is no report: ")
    assert printed[:20].partition("\\")[0] in evidence


class LostSession(LocalSession):
    """A board that goes away before, or after, it was asked everything."""

    def __init__(self, answers: int) -> None:
        super().__init__()
        self._answers = answers

    def run(self, script: str, arguments: Sequence[str] = (), stdin: Iterable[bytes] = (), **limits: Any) -> Reply:
        if self.traffic.round_trips >= self._answers:
            raise PreflightError("the connection to cam was lost")
        return super().run(script, arguments, stdin, **limits)


def children() -> set[int]:
    """Return the processes that this one started and has not waited for: running ones and zombies (proc(5), stat)."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended while we looked
            if int(stat.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.add(int(stat.parent.name))
    return found


@pytest.mark.parametrize("answers", [0, 1])
def test_a_connection_that_is_lost_is_neither_green_nor_red(root: Path, tmp_path: Path, answers: int) -> None:
    _, manifest = put(root, program())
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks/test_more.py").write_text("def test_more(host):\n    host.run('true')\n")
    before = children()
    with pytest.raises(PreflightError, match="the connection to cam was lost"):
        look(manifest, LostSession(answers), own=[tmp_path / "checks"])
    assert children() <= before  # no child of the checks is left, running or not


def test_a_check_of_many_words_travels_on_stdin(root: Path) -> None:
    """Over a socket pair as `verify` has it: a script that is too long for an argument runs all the same."""
    import socket
    import threading

    from deploy.verify.line import AskingLine, answer_checks

    ours, theirs = socket.socketpair()
    session = LocalSession()
    begun: list[str] = []
    with ours:
        answering = threading.Thread(
            target=answer_checks,
            args=(ours, session, {"host": "cam"}, lambda: {"text": ""}),
            kwargs={"seconds": 60, "told": begun.append},
            daemon=True,
        )
        answering.start()
        line = AskingLine(theirs.detach())
        words = " ".join(f"word{number}" for number in range(2000))
        assert line.run(f"for word in {words}; do :; done; echo $word").out == "word1999\n"
        assert line.run("cat", "given").out == "given"
        assert line.run("sh -c 'kill -SEGV $$'").code == 139
        with pytest.raises(ValueError, match="leaves no room on stdin"):
            line.run("x" * 5000, "given")
        assert line.release == {"host": "cam"}
        line.begin("2 of 4, files are intact")
        line.close()
        answering.join(timeout=20)
    assert begun == ["2 of 4, files are intact"]
    assert len(session.scripts) == 3


def test_checks_that_cannot_start_say_what_they_printed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module is missing, as in an installation that is broken."""
    monkeypatch.setattr("deploy.verify.run._PLUGIN", "deploy.verify.gone")
    with pytest.raises(PreflightError, match="the checks of cam could not run") as caught:
        look(put(root, program())[1])
    assert "deploy.verify.gone" in caught.value.why

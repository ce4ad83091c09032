"""Testinfra modules run against a board over the session that is open, and read back as a verdict with evidence."""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import IO, Any

from deploy.boards.layers import read_layers
from deploy.boards.session import BoardSession, within
from deploy.bundle.manifest import Manifest
from deploy.causes.boardside import StreamSeen
from deploy.reach.ask import Reach
from deploy.verify.gather import NOWHERE, gather
from deploy.verify.line import CHANNEL_VARIABLE, answer_checks, tell_release
from deploy.verify.verdict import Check, Verdict, check_name, explained
from deploy.verify.warm import ENVIRONMENT, Forked, template
from recipes import paths, process
from recipes.errors import ConfigError, PreflightError
from recipes.files import whole_file
from recipes.progress import progress
from recipes.text import one_line, shown

TIMEOUT_SECONDS = 300
"""For all checks of one board, and every command that they run there."""
PATIENCE_SECONDS = 120
"""For a stream to start: an emulated board takes some twenty seconds, kvssink on a slow line as long again."""
RUNNING_PATIENCE, RUNNING_STALL = 25, 12
"""The same for what should be streaming already, and for its pictures to stand still: red within a minute, all told."""
_PLUGIN = "deploy.verify.plugin"
_ENDING_SECONDS = 20
"""For pytest to write its report."""
_OUTPUT_BYTES = 1 << 16
_EVIDENCE = 2000
"""Characters of what one check says; it may quote the board."""


def run_checks(
    session: BoardSession,
    host: str,
    identity: str,
    manifest: Manifest,
    notes: Sequence[str] = (),
    *,
    patience: int = PATIENCE_SECONDS,
    stall: int = 0,
    own: Sequence[Path] = (),
    fast: bool = False,
    reach: Reach = NOWHERE,
) -> Verdict:
    """Run every check against the release of this id on a board, over a session that is open, in one round trip.

    pytest runs in a process of its own, without the user's configuration and plugins; it has no connection but ours.

    Parameters
    ----------
    notes:
        What the verdict says besides.
    patience:
        Seconds that a stream may take until its pictures come.
    stall:
        Seconds that they may stand still once they came; 0: as long.
    own:
        Folders with checks of the user's own.
    fast:
        Wait for nothing: that each service runs is looked at, its pictures and the network are not.
    reach:
        The endpoints that the board has to reach.

    Raises
    ------
    PreflightError
        The checks could not run at all: that is neither green nor red.
    """
    junit, reach = _fresh_file(host), NOWHERE if fast else reach
    release = _release(manifest, host, identity, patience) | {"stall": stall or patience, "endpoints": reach.rows()}
    words = [*_words(release, own, fast=fast), f"--junitxml={junit}"]

    def answer(line: socket.socket) -> None:
        with progress(f"{host}: checks") as step, within(session, TIMEOUT_SECONDS):
            facts = partial(gather, session, release, reach)
            answer_checks(line, session, release, facts, seconds=TIMEOUT_SECONDS, told=step.at)

    code, output = _carry_out(host, words, answer)
    if not junit.is_file() or code not in (0, 1):
        raise PreflightError(f"the checks of {host} could not run", why=shown(output[-800:]))
    return _verdict(host, identity, junit, (*_overridden(manifest), *notes))


def _verdict(host: str, identity: str, junit: Path, notes: tuple[str, ...]) -> Verdict:
    make_fit(junit)
    checks = tuple(explained(check, host) for check in read_checks(junit))
    return Verdict(host=host, release=identity, checks=checks, junit=junit, notes=notes)


def _fresh_file(host: str) -> Path:
    """Return where pytest is to write: nothing is there."""
    junit = paths.work() / "verify" / f"{host}.xml"
    junit.parent.mkdir(parents=True, exist_ok=True)
    junit.unlink(missing_ok=True)
    return junit


def _overridden(manifest: Manifest) -> list[str]:
    return [
        f"{proof.library} is the board's though its proof fails: {proof.overridden}"
        for proof in manifest.proofs
        if proof.overridden
    ]


def own_checks(board: str) -> list[Path]:
    """Return the folders `checks/` beside a board's file and those that it extends, the nearest first.

    Raises
    ------
    ConfigError
        Nobody knows the board, or its files cannot be read.
    """
    folders = [layer.path.parent / "checks" for layer in read_layers(board).files]
    return [folder for folder in folders if folder.is_dir()]


def refuse_broken_checks(host: str, identity: str, manifest: Manifest, own: Sequence[Path]) -> None:
    """Look at the user's own checks, where there are any, before anything is sent: no board is asked, and none runs.

    Raises
    ------
    ConfigError
        One of them cannot be read or imported, or asks for a fixture that is not there: after the switch that would
        take a healthy release back.
    """
    if not own:
        return
    release = _release(manifest, host, identity, 0)
    words = [*_words(release, own, fast=True), "--setup-plan"]
    code, output = _carry_out(host, words, partial(tell_release, release=release))
    if code:
        where = ", ".join(map(str, own))
        raise ConfigError("a check of your own cannot be read", where=where, why=shown(output[-1200:].strip()))


def _release(manifest: Manifest, host: str, identity: str, patience: int) -> dict[str, Any]:
    folder = f"{manifest.root}/releases/{identity}"
    more = {"id": identity, "host": host, "folder": folder, "patience": patience, "endpoints": []}
    return manifest.model_dump() | more


def _carry_out(host: str, words: Sequence[str], answer: Callable[[socket.socket], None]) -> tuple[int, bytes]:
    """Run pytest and answer what its checks ask of the board; returns its exit code and what it printed."""
    line, theirs = socket.socketpair()
    with line, theirs, tempfile.TemporaryDirectory(prefix="boardcast-verify-") as name, tempfile.TemporaryFile() as log:
        with _started(["--rootdir", name, *words], Path(name), log, theirs) as child:
            theirs.close()
            try:
                answer(line)
                code = child.wait(_ENDING_SECONDS)
            except TimeoutError as error:
                why = f"they did not end within {TIMEOUT_SECONDS} s"
                raise PreflightError(f"the checks of {host} could not run", why=why) from error
            except ConnectionError:
                code = child.wait(_ENDING_SECONDS)  # it ended before it asked anything; what it printed says why
        log.seek(0)
        return code, log.read(_OUTPUT_BYTES)


def _started(
    words: Sequence[str], cwd: Path, log: IO[bytes], channel: socket.socket
) -> AbstractContextManager[process.Child | Forked]:
    """Start pytest: forked where a template is ready, else by itself."""
    if (ready := template()) and (forked := ready.fork(words, cwd, log, channel)):
        return forked
    environment = {CHANNEL_VARIABLE: str(channel.fileno()), **ENVIRONMENT}
    argv = [sys.executable, "-m", "pytest", *words]
    return process.child(argv, cwd=cwd, env=environment, output=log, descriptor=channel.fileno())


def _words(release: Mapping[str, Any], own: Sequence[Path], *, fast: bool) -> list[str]:
    """Return pytest's words: our checks and the user's, our plugin, nothing of the caller's own configuration."""
    checks = Path(__file__).parent / "checks"
    # Streams go on where pictures come; whoever does not wait for these looks at the services alone.
    left_out = {"test_services.py": not fast or not release["services"], "test_streams.py": fast}
    left_out["test_streams.py"] |= not release["services"]
    left_out["test_endpoints.py"] = not release["endpoints"] or "bin/boardprobe" not in release["providers"]
    left_out |= dict.fromkeys(("test_devices.py", "test_log.py"), not release["services"])
    ignored = [f"--ignore={checks / name}" for name, out in left_out.items() if out]
    plain = f"-q -p no:cacheprovider -p {_PLUGIN} -c /dev/null -o junit_family=xunit1 --import-mode=importlib"
    # Without it pytest lists every folder from the root on.
    top = os.path.commonpath([checks, *own])
    return [*plain.split(), f"--confcutdir={top}", *ignored, str(checks), *map(str, own)]


def make_fit(junit: Path) -> None:
    """Rewrite a JUnit file whole, so that no text in it acts on a terminal or a page that shows it.

    pytest takes out what XML forbids; of C1, bidirectional marks and invisible characters XML forbids none.
    """
    from junitparser import JUnitXml

    read = JUnitXml.fromfile(str(junit))
    for element in read._elem.iter():  # noqa: SLF001 - the texts of all elements, also of those that it has no word for
        element.text, element.tail = (part and shown(part, most=len(part)) for part in (element.text, element.tail))
        for name, value in element.attrib.items():
            element.set(name, shown(value, most=len(value)))
    with whole_file(junit) as file:
        read.write(file)


def read_checks(junit: Path) -> list[Check]:
    """Read what pytest wrote of each check: its state, what it saw or why it was skipped, what it says of its cause."""
    from junitparser import Error, Failure, JUnitXml, Skipped
    from junitparser.junitparser import Properties

    checks = []
    for case in (case for suite in JUnitXml.fromfile(str(junit)) for case in suite):
        messages = {type(result): result.message or "" for result in reversed(case.result)}
        # Of this one method junitparser states no types.
        recorded = case.iterchildren(Properties)  # type: ignore[no-untyped-call]
        notes = {entry.name: entry.value or "" for properties in recorded for entry in properties}
        state, evidence = "passed", notes.get("evidence", "")
        if Failure in messages or Error in messages:
            state = "failed"
            lines = messages.get(Failure, messages.get(Error, "")).splitlines()
            evidence = lines[0].removeprefix("AssertionError: ") if lines else ""
        elif Skipped in messages:
            state, evidence = "skipped", messages[Skipped]
        checks.append(
            Check(
                name=check_name(case.name or ""),
                state=state,
                evidence=one_line(evidence, most=_EVIDENCE),
                seconds=case.time or 0.0,
                cure=one_line(notes.get("cure", "")),
                cause=notes.get("cause", ""),
                streams=_streams(notes.get("streams", "{}")),
            )
        )
    return checks


def _streams(text: str) -> dict[str, StreamSeen]:
    """Read what the check of the streams saw of each; nothing where a check of the user's own wrote something else."""
    try:
        return {str(name): StreamSeen(kind) for name, kind in json.loads(text).items()}
    except (ValueError, AttributeError, TypeError, RecursionError):
        return {}


def append_checks(junit: Path, suite: str, checks: Sequence[Check]) -> None:
    """Add a suite to a JUnit file; a file that is not there is begun."""
    from junitparser import Failure, JUnitXml, Skipped, TestCase, TestSuite

    whole = JUnitXml.fromfile(str(junit)) if junit.is_file() else JUnitXml()
    if not isinstance(whole, JUnitXml):  # a file may have one suite, and nothing around it
        alone, whole = whole, JUnitXml()
        whole.add_testsuite(alone)
    made = TestSuite(suite)
    for check in checks:
        case = TestCase(check.name, suite, check.seconds)
        if check.state == "failed":
            case.result = [Failure(check.evidence)]
        elif check.state == "skipped":
            case.result = [Skipped(check.evidence)]
        else:
            case.system_out = check.evidence
        made.add_testcase(case)
    whole.add_testsuite(made)
    whole.update_statistics()  # type: ignore[no-untyped-call] # of this one method junitparser states no types
    with whole_file(junit) as file:
        whole.write(file)
    make_fit(junit)

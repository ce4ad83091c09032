"""Testinfra modules run against a board over the session that is open, and read back as a verdict with evidence."""

from __future__ import annotations

import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from deploy.boards.session import BoardSession
from deploy.bundle.manifest import Manifest
from deploy.verify.line import CHANNEL_VARIABLE, answer_checks
from deploy.verify.verdict import Check, Verdict, check_name
from recipes import paths, process
from recipes.errors import PreflightError
from recipes.files import whole_file
from recipes.progress import progress
from recipes.text import one_line, shown

TIMEOUT_SECONDS = 300
"""For all checks of one board."""
PATIENCE_SECONDS = 120
"""For a stream to start: an emulated board takes some twenty seconds, kvssink on a slow line as long again."""
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
) -> Verdict:
    """Run every check against the release of this id on a board, over a session that is open.

    pytest runs in a process of its own, without the user's configuration and plugins; it has no connection but ours.

    Parameters
    ----------
    notes:
        What the verdict says besides, such as where the manifest is from.
    patience:
        Seconds that a stream may take until its pictures come.

    Raises
    ------
    PreflightError
        The checks could not run at all: that is neither green nor red.
    """
    junit = paths.work() / "verify" / f"{host}.xml"
    junit.parent.mkdir(parents=True, exist_ok=True)
    junit.unlink(missing_ok=True)
    folder = f"{manifest.root}/releases/{identity}"
    release = manifest.model_dump() | {"id": identity, "host": host, "folder": folder, "patience": patience}
    code, output = _carry_out(session, host, release, junit)
    if not junit.is_file() or code not in (0, 1):
        raise PreflightError(f"the checks of {host} could not run", why=shown(output[-800:]))
    make_fit(junit)
    overridden = [
        f"{proof.library} is the board's though its proof fails: {proof.overridden}"
        for proof in manifest.proofs
        if proof.overridden
    ]
    checks = tuple(read_checks(junit))
    return Verdict(host=host, release=identity, checks=checks, junit=junit, notes=(*overridden, *notes))


def _carry_out(session: BoardSession, host: str, release: dict[str, object], junit: Path) -> tuple[int, bytes]:
    """Run pytest and answer what its checks ask of the board; returns its exit code and what it printed."""
    line, theirs = socket.socketpair()
    environment = {
        CHANNEL_VARIABLE: str(theirs.fileno()),
        "PYTHONPATH": str(paths.CHECKOUT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    with line, theirs, tempfile.TemporaryDirectory(prefix="boardcast-verify-") as name, tempfile.TemporaryFile() as log:
        argv = _command(junit, Path(name), streams=bool(release["services"]))
        with process.child(argv, cwd=Path(name), env=environment, output=log, descriptor=theirs.fileno()) as child:
            theirs.close()
            try:
                with progress(f"{host}: checks") as step:
                    answer_checks(line, session, release, seconds=TIMEOUT_SECONDS, told=step.at)
                    code = child.wait(_ENDING_SECONDS)
            except TimeoutError as error:
                why = f"they did not end within {TIMEOUT_SECONDS} s"
                raise PreflightError(f"the checks of {host} could not run", why=why) from error
            except ConnectionError:
                code = child.wait(_ENDING_SECONDS)  # it ended before it asked anything; what it printed says why
        log.seek(0)
        return code, log.read(_OUTPUT_BYTES)


def _command(junit: Path, folder: Path, *, streams: bool) -> list[str]:
    """Return pytest's command line: our checks, our plugin, nothing of the caller's own configuration."""
    checks = Path(__file__).parent / "checks"
    left_out = [] if streams else [f"--ignore={checks / 'test_streams.py'}"]
    own = f"--rootdir {folder} -p no:cacheprovider -p {_PLUGIN} -c /dev/null -o junit_family=xunit1"
    return [sys.executable, "-m", "pytest", "-q", *own.split(), *left_out, f"--junitxml={junit}", str(checks)]


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
    """Read what pytest wrote of each check: its state, and what it saw or why it failed or was skipped."""
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
            )
        )
    return checks

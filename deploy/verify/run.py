"""Testinfra modules run against a board, and read back as a verdict with evidence."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from deploy.boards.session import CONNECT_SECONDS, Target
from deploy.bundle.load import Bundle
from deploy.verify.verdict import Check, Verdict
from recipes import paths, process
from recipes.errors import PreflightError

TIMEOUT_SECONDS = 300


def run_checks(target: Target, bundle: Bundle) -> Verdict:
    """Run every check against a board.

    Raises
    ------
    PreflightError
        The checks could not run at all: that is neither green nor red.
    """
    junit = paths.work() / "verify" / f"{target.name}.xml"
    junit.parent.mkdir(parents=True, exist_ok=True)
    junit.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="boardcast-verify-") as name:
        folder = Path(name)
        config = _ssh_config(target, folder)
        release = bundle.manifest.model_dump() | {"id": bundle.id}
        (folder / "release.json").write_text(json.dumps(release))
        argv = _command(target, config, junit, folder)
        environment = {
            "BOARDCAST_RELEASE": str(folder / "release.json"),
            "PYTHONPATH": str(paths.CHECKOUT),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        try:
            _reach(target, config)
            done = process.run(argv, env=environment, cwd=folder, timeout=TIMEOUT_SECONDS, check=False)
        finally:
            # testinfra keeps one connection open between its commands; it must not outlive the checks.
            process.run(["ssh", "-F", str(config), "-O", "exit", "--", target.name], check=False, timeout=20)
    if not junit.is_file() or done.code not in (0, 1):
        raise PreflightError(
            f"the checks of {target.name} could not run",
            why=(done.stdout + done.stderr).decode("utf-8", "replace")[-800:],
        )
    notes = tuple(
        f"{proof.library} is the board's though its proof fails: {proof.overridden}"
        for proof in bundle.manifest.proofs
        if proof.overridden
    )
    return Verdict(host=target.name, release=bundle.id, checks=tuple(read_checks(junit)), junit=junit, notes=notes)


def _command(target: Target, config: Path, junit: Path, folder: Path) -> list[str]:
    """Return pytest's command line: our checks, one host, nothing of the caller's own configuration."""
    own = f"--rootdir {folder} -p no:cacheprovider -p no:hypothesispytest -c /dev/null -o junit_family=xunit1"
    host = f"ssh://{target.name}?ssh_config={config}&timeout={CONNECT_SECONDS}"
    checks = str(Path(__file__).parent / "checks")
    return [sys.executable, "-m", "pytest", "-q", *own.split(), "--hosts", host, f"--junitxml={junit}", checks]


def _reach(target: Target, config: Path) -> None:
    """Open the connection that all checks share; a board that cannot be reached is neither green nor red."""
    answer = process.run(
        ["ssh", "-F", str(config), "--", target.name, "true"], check=False, timeout=2 * CONNECT_SECONDS
    )
    if answer.code != 0:
        lines = [line for line in answer.stderr.decode("utf-8", "replace").splitlines() if line.strip(" @\r")]
        raise PreflightError(
            f"the checks of {target.name} could not run: SSH says no",
            where=f"{target.user}@{target.address}:{target.port}",
            why="; ".join(line.strip() for line in lines[-2:]),
            next_step=f"invoke deploy --host {target.name} --dry-run says more of the connection",
        )


def _ssh_config(target: Target, folder: Path) -> Path:
    """Write an OpenSSH configuration that knows one host key and asks nothing: testinfra's ssh backend takes it."""
    place = target.address if target.port == 22 else f"[{target.address}]:{target.port}"
    (folder / "known_hosts").write_text(f"{place} {target.host_key}\n")
    lines = [
        f"Host {target.name}",
        f"  HostName {target.address}",
        f"  Port {target.port}",
        f"  User {target.user}",
        f"  UserKnownHostsFile {folder}/known_hosts",
        "  GlobalKnownHostsFile /dev/null",
        "  StrictHostKeyChecking yes",
        "  BatchMode yes",
        "  LogLevel ERROR",
        f"  ConnectTimeout {CONNECT_SECONDS}",
        "  ServerAliveInterval 15",
        "  ControlMaster auto",
        f"  ControlPath {folder}/mux",
        "  ControlPersist 60",
    ]
    if target.key is not None:
        lines += [f"  IdentityFile {target.key}", "  IdentitiesOnly yes"]
    config = folder / "ssh_config"
    config.write_text("\n".join(lines) + "\n")
    config.chmod(0o600)
    return config


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
        name = (case.name or "").partition("[")[0].removeprefix("test_").replace("_", " ")
        checks.append(Check(name=name, state=state, evidence=evidence, seconds=case.time or 0.0))
    return checks

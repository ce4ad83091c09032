"""Ours without its checks, and what people use instead to bring files to a board; for benches, over one SSH server."""

from __future__ import annotations

import platform
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from deploy.boards.inventory import SimState, host_target
from deploy.boards.probe import probe_host
from deploy.boards.session import connect
from deploy.bundle.load import Bundle
from deploy.release.carried import older_contents, paper_sizes
from deploy.release.plan import plan_release
from deploy.release.run import ReleaseResult, deploy_release
from deploy.ssh.dial import Target
from deploy.transfer.means import choose_means
from recipes.engine.docker import Engine

TOOL = "/var/tmp/boardcast-rsync"


@contextmanager
def link_of(board: SimState, engine: Engine, rate: str) -> Iterator[None]:
    """Let bytes go to a simulated board no faster than `rate`, in words of tc(8), such as 20mbit; root alone may.

    It is done at this machine's end of the board's own cable: a token bucket (tc-tbf(8)).
    """
    there: Any = engine.services._client.containers.get(board.container)
    number = there.exec_run(["cat", "/sys/class/net/eth0/iflink"]).output.decode().strip()
    cable = next(
        path.parent.name for path in Path("/sys/class/net").glob("*/ifindex") if path.read_text().strip() == number
    )
    words = ["dev", cable, "root"]
    limits = ["tbf", "rate", rate, "burst", "64kb", "latency", "100ms"]
    subprocess.run(["tc", "qdisc", "add", *words, *limits], check=True)
    try:
        yield
    finally:
        subprocess.run(["tc", "qdisc", "del", *words], check=True)


def bring(host: str, bundle: Bundle) -> ReleaseResult:
    """Deploy a bundle without the checks, which no peer has: probe, send, hash, fsync, switch, confirm."""
    with connect(host_target(host)) as session:
        facts = probe_host(session, bundle.manifest.root, [], wanted=bundle.id)
        fits = replace(facts, files={"/etc/ld.so.cache": bundle.manifest.search.cache or "absent"})
        plan = plan_release(bundle.id, bundle.manifest, fits, papers=paper_sizes(bundle))
        means = choose_means(facts.tools, latency=session.traffic.latency)
        wanted = [blob for step in plan.steps for blob in step.blobs]
        bases = older_contents(bundle, facts.current, wanted, facts.blobs)
        return deploy_release(
            session, host, bundle, lambda: None, planned=plan, tools=facts.tools, means=means, bases=bases
        )


def place(root: str) -> str:
    """Return the folder on the board that they write to: on the file system of ours."""
    return f"{root}-peer"


def lay_out(bundle: Bundle, folder: Path) -> Path:
    """Write a bundle's files as a tree, as peers send one."""
    shutil.rmtree(folder, ignore_errors=True)
    blobs = bundle.blobs()
    for file in bundle.manifest.files:
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(blobs[file.blob])
        path.chmod(file.mode)
    return folder


def ssh_words(target: Target, folder: Path) -> list[str]:
    """Return the command that logs in, with the known host key and nothing of the user's."""
    known = folder / f"known-{target.name}"
    place = target.address if target.port == 22 else f"[{target.address}]:{target.port}"
    known.write_text(f"{place} {target.host_key}\n")
    options = ["-F", "none", "-o", f"UserKnownHostsFile={known}", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"]
    return ["ssh", *options, "-p", str(target.port), "-i", str(target.key)]


def tar_over_ssh(target: Target, tree: Path, folder: Path, to: str) -> None:
    there = shlex.quote(f"mkdir -p {to} && tar -xf - -C {to}")
    ssh = shlex.join([*ssh_words(target, folder), f"{target.user}@{target.address}"])
    subprocess.run(f"tar -cf - -C {shlex.quote(str(tree))} . | {ssh} {there}", shell=True, check=True)


def bring_rsync(target: Target) -> bool:
    """Put this machine's rsync and its libraries on a board, or find one there; False where neither works."""
    with connect(target) as session:
        if session.run("uname -m").out.strip() != platform.machine():
            return False
        if session.run("command -v rsync").code == 0:
            session.run(
                f"mkdir -p {TOOL}; printf '#!/bin/sh\\nexec rsync \"$@\"\\n' > {TOOL}/rsync; chmod 755 {TOOL}/rsync"
            )
            return True
        own = shutil.which("rsync")
        if own is None:
            return False
        listed = subprocess.run(["ldd", own], capture_output=True, text=True, check=True).stdout
        files = [own, *(word for line in listed.splitlines() for word in line.split() if word.startswith("/"))]
        packed = subprocess.run(["tar", "-chf", "-", *files], capture_output=True, check=True).stdout
        session.run(f"mkdir -p {TOOL} && tar -xf - -C {TOOL}", [], [packed])
        loader = next(file for file in files if "/ld-" in file)
        path = ":".join(sorted({f"{TOOL}{Path(file).parent}" for file in files[1:]}))
        line = f'exec {TOOL}{loader} --library-path {path} {TOOL}{own} "$@"'
        session.run(f'printf "#!/bin/sh\\n%s\\n" "$1" > {TOOL}/rsync; chmod 755 {TOOL}/rsync', [line])
        return session.run(f"{TOOL}/rsync --version").code == 0


def rsync(target: Target, tree: Path, folder: Path, to: str) -> int:
    """Bring a tree by `rsync -az`; returns the bytes that it sent."""
    argv = ["rsync", "-az", "--stats", f"--rsync-path={TOOL}/rsync", "-e", shlex.join(ssh_words(target, folder))]
    argv += [f"{tree}/", f"{target.user}@{target.address}:{to}/"]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    line = next(line for line in said.splitlines() if line.startswith("Total bytes sent"))
    return int("".join(letter for letter in line if letter.isdigit()))

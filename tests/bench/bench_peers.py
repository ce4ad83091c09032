"""A first deploy of 2,100 files to the emulated board, ours and pyinfra's, one after the other in one run.

pyinfra comes from the package registry into an environment of its own, for this bench alone. Ansible's `copy` needs a
Python on the board, which no board of ours has: it is not measured.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from deploy.boards.board import load_board
from deploy.boards.inventory import host_target, load_host
from deploy.boards.session import connect
from deploy.sim.boards import bring_up, is_up, prepare_board, take_down
from deploy.ssh.dial import Target
from recipes.engine.docker import Engine
from recipes.errors import PreflightError
from tests.support import peers, shapes
from tests.support.bench import show

HOST = "sim-armv7"
PYINFRA = "pyinfra==3.10.0"
MOST = 600
"""Seconds that a peer is given; what is there by then is counted."""


def with_pyinfra(folder: Path) -> Path:
    """Return the program, installed from the registry that the machine is set up for."""
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    subprocess.run(
        [str(folder / "venv/bin/pip"), "install", "--quiet", "--disable-pip-version-check", PYINFRA], check=True
    )
    return folder / "venv" / "bin" / "pyinfra"


def sync(program: Path, target: Target, tree: Path, folder: Path, to: str) -> float:
    """Return the seconds of `files.sync` of a tree, MOST where it is not through by then."""
    known = folder / "known"
    known.write_text(f"{target.address} {target.host_key}\n")
    told = {
        "ssh_user": target.user,
        "ssh_port": target.port,
        "ssh_key": str(target.key),
        "ssh_known_hosts_file": str(known),
    }
    (folder / "inventory.py").write_text(f"boards = [({target.address!r}, {told!r})]\n")
    (folder / "bring.py").write_text(
        f"from pyinfra.operations import files\nfiles.sync(src={str(tree)!r}, dest={to!r})\n"
    )
    begun = time.perf_counter()
    argv = [str(program), "--yes", "inventory.py", "bring.py"]
    try:
        subprocess.run(argv, cwd=folder, check=True, timeout=MOST, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return MOST
    return time.perf_counter() - begun


def measure() -> dict[str, object]:
    engine, board = Engine.connect(), load_board(load_host(HOST).board)
    prepare_board(board, engine)
    if is_up(HOST, engine):
        raise PreflightError(f"{HOST} is up already", next_step=f"invoke sim down --host {HOST}, if nobody uses it")
    bring_up(HOST, engine)
    try:
        with tempfile.TemporaryDirectory() as name:
            folder, target, bundle = Path(name), host_target(HOST), shapes.many_shape(board)
            tree, to = peers.lay_out(bundle, folder / "tree"), peers.place(board.file.root)
            program = with_pyinfra(folder)
            begun = time.perf_counter()
            peers.bring(HOST, bundle)
            ours = time.perf_counter() - begun
            theirs = sync(program, target, tree, folder, to)
            with connect(target) as session:
                count = session.run('find "$1" -type f | wc -l', [to]).out.strip()
    finally:
        take_down(HOST, engine)
    more = "more than " if theirs == MOST else ""
    return {
        "2,100 files to the emulated board, hashed and switched to, s": round(ours, 1),
        f"{PYINFRA}, files.sync, s ({count} files there then)": f"{more}{theirs:.0f}",
        "pyinfra / ours": f"{more}{theirs / ours:.0f}x",
    }


if __name__ == "__main__":
    show("A first deploy, ours and a peer's", measure)

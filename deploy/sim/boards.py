"""Simulated boards: up, down, status. Each has its own host key; the key to log in stays in the work folder."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import time
from dataclasses import asdict, replace

from deploy.boards.board import Board, SimSettings, load_board
from deploy.boards.inventory import SimState, load_host, sim_folder, sim_state
from deploy.sim.keys import ed25519_pair
from recipes import paths
from recipes.engine.docker import Engine
from recipes.errors import BuildError, ConfigError
from recipes.files import exclusive, write_whole
from recipes.progress import timed
from recipes.toolchains.debian_root import BoardRoot, ensure_board_root
from recipes.toolchains.vendor import parse_arch

NETWORK = "boardcast-sim"
READY_SECONDS = 90
_BOOT = (
    # The engine writes a container's hosts file anew at each start; a board keeps it.
    "[ ! -f /etc/hosts.kept ] || cat /etc/hosts.kept > /etc/hosts; "
    "[ ! -x /etc/rc.local ] || /etc/rc.local < /dev/null > /dev/null 2>&1; "
)
"""What a board does at boot before its SSH server starts: it has no init system but this."""
_KEEP = ("/bin/sh", "-c", "cat /etc/hosts > /etc/hosts.kept")
_RC_LOCAL = b"#!/bin/sh\nexit 0\n"
_SERVERS = {
    "openssh": "mkdir -p /run/sshd && chmod 600 /etc/ssh/ssh_host_ed25519_key && chown -R root:root /root/.ssh && "
    "exec /usr/sbin/sshd -D -e -o HostKey=/etc/ssh/ssh_host_ed25519_key -o UsePAM=no -o PasswordAuthentication=no",
    "dropbear": "dropbearconvert openssh dropbear /etc/ssh/ssh_host_ed25519_key /etc/dropbear/key 2>/dev/null && "
    "exec dropbear -F -E -s -r /etc/dropbear/key",
}


def _container(name: str) -> str:
    # Two checkouts may each have their boards up: the work folder is part of the name.
    import hashlib

    return f"boardcast-sim-{hashlib.sha256(str(paths.work()).encode()).hexdigest()[:6]}.{name}"


def prepare_board(board: Board, engine: Engine) -> BoardRoot:
    """Make sure that a board's root and image are there; minutes the first time for a foreign architecture."""
    sim = board.file.sim
    if sim is None:
        raise ConfigError(f"{board.name} has no [sim] table: it is a real board")
    arch = parse_arch(board.file.arch)
    return ensure_board_root(board.name, arch, sim.suite, sim.mode, sim.packages, sim.scripts, engine)


def is_up(host_name: str, engine: Engine) -> bool:
    """Tell whether a simulated board runs: whoever brought it up may be using it."""
    state = sim_state(host_name)
    return state is not None and engine.services.running(state.container)


def bring_up(host_name: str, engine: Engine) -> SimState:
    """Bring a simulated board up, and wait until its SSH server answers.

    Raises
    ------
    BuildError
        It did not answer in time; carries the last lines of its log.
    ConfigError
        It is a real board, or there is no such host.
    """
    state = sim_state(host_name)
    if state is not None and engine.services.running(state.container):
        return state
    host = load_host(host_name)
    board = load_board(host.board)
    root = prepare_board(board, engine)
    sim = board.file.sim
    if sim is None or not host.simulated:
        raise ConfigError(f"{host_name} is not a simulated board")
    take_down(host_name, engine, keep_network=True)
    with timed(f"simulated board {host_name}"):
        made = _start(host_name, root.image, sim, engine)
        try:
            _wait(made, engine)
        except BaseException:
            engine.services.remove(made.container)
            raise
    write_whole(sim_folder(host_name) / "state.json", json.dumps(asdict(made), indent=1).encode())
    return made


def _start(host_name: str, image: str, sim: SimSettings, engine: Engine) -> SimState:
    """Start the container, with a host key and a way in of its own."""
    folder = sim_folder(host_name)
    folder.mkdir(parents=True)
    private, public = ed25519_pair()
    host_private, host_public = ed25519_pair()
    write_whole(folder / "id_ed25519", private, mode=0o600)
    # Another program's last board may go at this moment, and would take the network with it.
    with exclusive("change-of-networks", paths.cache()):
        gateway = engine.services.ensure_network(NETWORK)
        address = engine.services.start(
            _container(host_name),
            image,
            ["/bin/sh", "-c", _BOOT + _SERVERS[sim.server]],
            network=NETWORK,
            tmpfs={"/flash": f"size={sim.flash_mib}m,mode=0755,exec"} if sim.flash_mib else {},
            files={
                "etc/ssh/ssh_host_ed25519_key": (host_private, 0o600),
                "etc/rc.local": (_RC_LOCAL, 0o755),
                "root/.ssh/authorized_keys": (f"{public} boardcast\n".encode(), 0o600),
            },
        )
    return SimState(
        name=host_name,
        container=_container(host_name),
        address=address,
        host_key=host_public,
        key=str(folder / "id_ed25519"),
        gateway=gateway,
    )


def restart_board(host_name: str, engine: Engine) -> SimState:
    """Switch a simulated board off and on again, and wait until its SSH server answers.

    What is in memory is gone (`/flash` of a board that has it there, too); its other files stay.

    Raises
    ------
    BuildError
        It did not answer in time.
    ConfigError
        It is not up.
    """
    state = sim_state(host_name)
    if state is None or not engine.services.running(state.container):
        raise ConfigError(f"{host_name} is not up", next_step=f"invoke sim up --host {host_name}")
    with exclusive("change-of-networks", paths.cache()):
        address = engine.services.restart(state.container, network=NETWORK, before=_KEEP)
    moved = replace(state, address=address)
    write_whole(sim_folder(host_name) / "state.json", json.dumps(asdict(moved), indent=1).encode())
    _wait(moved, engine)
    return moved


def _wait(board: SimState, engine: Engine) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((board.address, 22), timeout=2) as link:
            link.settimeout(5)
            if link.recv(4) == b"SSH-":
                return
        if not engine.services.running(board.container):
            break
        time.sleep(0.1)
    raise BuildError(
        f"{board.name} did not come up",
        where=board.container,
        why=engine.services.log_tail(board.container).strip()[-600:],
        next_step="is user emulation registered? ./bootstrap doctor says it, sudo ./bootstrap install does it",
    )


def take_down(host_name: str, engine: Engine, *, keep_network: bool = False) -> bool:
    """Take a simulated board away with all that is on it; returns whether there was one."""
    state = sim_state(host_name)
    engine.services.remove(_container(host_name))
    shutil.rmtree(sim_folder(host_name), ignore_errors=True)
    if not keep_network:
        with exclusive("change-of-networks", paths.cache()):
            engine.services.remove_network(NETWORK)
    return state is not None

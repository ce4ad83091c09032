"""Simulated boards: up, down, status. Each has its own host key; the key to log in stays in the work folder."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.board import Board, Sim, load_board, load_host
from deploy.session import Target
from recipes import console, paths, roots
from recipes.arch import Arch
from recipes.engine import Engine
from recipes.errors import BuildError, ConfigError, PreflightError

NETWORK = "boardcast-sim"
READY_SECONDS = 30

_SERVERS = {
    "openssh": "mkdir -p /run/sshd && chmod 600 /etc/ssh/ssh_host_ed25519_key && chown -R root:root /root/.ssh && "
    "exec /usr/sbin/sshd -D -e -o HostKey=/etc/ssh/ssh_host_ed25519_key -o UsePAM=no -o PasswordAuthentication=no",
    "dropbear": "dropbearconvert openssh dropbear /etc/ssh/ssh_host_ed25519_key /etc/dropbear/key 2>/dev/null && "
    "exec dropbear -F -E -s -r /etc/dropbear/key",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What is known of a board that is up."""

    name: str
    container: str
    address: str
    host_key: str
    key: str
    gateway: str
    """This machine, as the board sees it."""


def _folder(name: str) -> Path:
    return paths.work() / "sim" / name


def _container(name: str) -> str:
    # Two checkouts may each have their boards up: the work folder is part of the name.
    import hashlib

    return f"boardcast-sim-{hashlib.sha256(str(paths.work()).encode()).hexdigest()[:6]}.{name}"


def state(name: str) -> State | None:
    """Return what was recorded when a board was brought up; None for one that was not."""
    try:
        return State(**json.loads((_folder(name) / "state.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _keys() -> tuple[bytes, str]:
    """Make an Ed25519 pair: the private half as OpenSSH writes it, the public half as one line."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private, public.decode()


def prepare(board: Board, engine: Engine) -> roots.BoardRoot:
    """Make sure that a board's root and image are there; minutes the first time for a foreign architecture."""
    sim = board.file.sim
    if sim is None:
        raise ConfigError(f"{board.name} has no [sim] table: it is a real board")
    arch = Arch.parse(board.file.arch)
    return roots.ensure_board_root(board.name, arch, sim.suite, sim.mode, sim.packages, sim.scripts, engine)


def up(host_name: str, engine: Engine) -> State:
    """Bring a simulated board up, and wait until its SSH server answers.

    Raises
    ------
    BuildError
        It did not answer in time; carries the last lines of its log.
    """
    there = state(host_name)
    if there is not None and engine.running(there.container):
        return there
    host = load_host(host_name)
    board = load_board(host.board)
    root = prepare(board, engine)
    sim = board.file.sim
    if sim is None or not host.simulated:
        raise ConfigError(f"{host_name} is not a simulated board")
    down(host_name, engine, keep_network=True)
    with console.timed(f"simulated board {host_name}"):
        made = _start(host_name, root.image, sim, engine)
        try:
            _wait(made, engine)
        except BaseException:
            engine.remove(made.container)
            raise
    paths.write_whole(_folder(host_name) / "state.json", json.dumps(asdict(made), indent=1).encode())
    return made


def _start(host_name: str, image: str, sim: Sim, engine: Engine) -> State:
    """Start the container, with a host key and a way in of its own."""
    folder = _folder(host_name)
    folder.mkdir(parents=True)
    private, public = _keys()
    host_private, host_public = _keys()
    paths.write_whole(folder / "id_ed25519", private, mode=0o600)
    gateway = engine.ensure_network(NETWORK)
    address = engine.start(
        _container(host_name),
        image,
        ["/bin/sh", "-c", _SERVERS[sim.server]],
        network=NETWORK,
        tmpfs={"/flash": f"size={sim.flash_mib}m,exec"} if sim.flash_mib else {},
        files={
            "etc/ssh/ssh_host_ed25519_key": (host_private, 0o600),
            "root/.ssh/authorized_keys": (f"{public} boardcast\n".encode(), 0o600),
        },
    )
    return State(
        name=host_name,
        container=_container(host_name),
        address=address,
        host_key=host_public,
        key=str(folder / "id_ed25519"),
        gateway=gateway,
    )


def _wait(board: State, engine: Engine) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((board.address, 22), timeout=2) as link:
            link.settimeout(5)
            if link.recv(4) == b"SSH-":
                return
        if not engine.running(board.container):
            break
        time.sleep(0.1)
    raise BuildError(
        f"{board.name} did not come up",
        where=board.container,
        why=engine.log_tail(board.container).strip()[-600:],
        next_step="is user emulation registered? ./bootstrap demo does it as root",
    )


def down(host_name: str, engine: Engine, *, keep_network: bool = False) -> bool:
    """Take a simulated board away with all that is on it; returns whether there was one."""
    there = state(host_name)
    engine.remove(_container(host_name))
    shutil.rmtree(_folder(host_name), ignore_errors=True)
    if not keep_network:
        engine.remove_network(NETWORK)
    return there is not None


def target(host_name: str) -> Target:
    """Return how to reach a host of the inventory, simulated or real.

    Raises
    ------
    PreflightError
        It is simulated, and not up.
    """
    host = load_host(host_name)
    if host.simulated:
        there = state(host_name)
        if there is None:
            raise PreflightError(f"{host_name} is not up", next_step=f"invoke sim up --host {host_name}")
        return Target(
            name=host_name, address=there.address, port=22, user="root", key=Path(there.key), host_key=there.host_key
        )
    key = Path(host.key).expanduser() if host.key else None
    return Target(name=host_name, address=host.address, port=host.port, user=host.user, key=key, host_key=host.host_key)

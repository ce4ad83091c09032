"""Port 443 for a service that may not open it: a small container opens it and hands the sockets over.

So the service has an address of its own on the boards' network, is an ordinary user's process, and sees who connects;
no byte passes through the container. While the service is away, who connects waits in the socket's queue.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from recipes import paths
from recipes.arch import ARCHES
from recipes.engine.confinement import Rights
from recipes.engine.docker import Engine
from recipes.errors import BuildError
from recipes.toolchains.images import ensure_image, known_image

READY_SECONDS = 20.0
_INSIDE = "/door"
_NAME = "door.sock"
_ANY = "0.0.0.0"  # noqa: S104  # of a network that only boards of ours are on


@dataclass
class Handed:
    """Sockets that a door opened: connections on TCP port 443, and datagrams on UDP port 443."""

    stream: socket.socket
    datagrams: socket.socket


def open_door(container: str, folder: Path, engine: Engine, *, network: str, address: str = "") -> str:
    """Start the container, and wait until it hands over; returns its address.

    Parameters
    ----------
    folder:
        Where the Unix socket is; nobody but its owner reaches into the folder around it.
    network:
        A network of the engine; `host` for this machine's own.
    address:
        To listen on; every one of the container's own network without it.

    Raises
    ------
    BuildError
        It did not come up: port 443 of this address is taken, say.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    shared = folder / "shared"
    shared.mkdir(exist_ok=True)
    shared.chmod(0o777)
    (shared / _NAME).unlink(missing_ok=True)
    engine.services.remove(container)
    script = (paths.DOCKER / "door.py").read_text()
    given = engine.services.start(
        container,
        _image(engine),
        ["python3", "-c", script, address or _ANY, f"{_INSIDE}/{_NAME}"],
        network=network,
        files={},
        rights=Rights.DOOR,
        binds={shared: _INSIDE},
    )
    _wait(container, folder, engine)
    return given or address


def _image(engine: Engine) -> str:
    """Return an image with Python in it: any of the toolchains' that is there, else this machine's own."""
    for arch in ARCHES.values():
        known = known_image(arch)
        if known is not None and engine.image_id(known.tag):
            return known.tag
    return ensure_image(ARCHES["x86_64"], engine).tag


def _wait(container: str, folder: Path, engine: Engine) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if (folder / "shared" / _NAME).exists():
            return
        if not engine.services.running(container):
            break
        time.sleep(0.05)
    why = engine.services.log_tail(container).strip()[-400:]
    engine.services.remove(container)
    raise BuildError(
        "the local service got no address of its own",
        where=container,
        why=why or "the container that opens port 443 did not answer",
        next_step="is port 443 of this address free? ss -ltnp 'sport = :443'",
    )


def is_open(folder: Path) -> bool:
    """Tell whether a door answers."""
    try:
        handed = take_sockets(folder)
    except OSError:
        return False
    handed.stream.close()
    handed.datagrams.close()
    return True


def take_sockets(folder: Path) -> Handed:
    """Ask a door for its sockets.

    Raises
    ------
    OSError
        No door answers there.
    """
    with _short(folder / "shared") as short, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(5)
        link.connect(f"{short}/{_NAME}")
        word, descriptors, _, _ = socket.recv_fds(link, 16, 2)
    if word != b"443" or len(descriptors) != 2:
        for descriptor in descriptors:
            os.close(descriptor)
        raise OSError("the door handed over something else")
    stream, datagrams = (socket.socket(fileno=descriptor) for descriptor in descriptors)
    return Handed(stream, datagrams)


@contextlib.contextmanager
def _short(folder: Path) -> Iterator[str]:
    """Yield a short name of a folder: the path of a Unix socket has at most 107 bytes."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)

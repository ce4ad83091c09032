"""The process of the local service: its listeners, its clock work, and its end.

`python -m deploy.localkvs.run FOLDER` serves until SIGTERM or SIGINT. `deploy.localkvs.lifecycle` starts it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import logging.handlers
import os
import secrets
import signal
import socket
import sys
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO, TYPE_CHECKING

from deploy.kvs.tls import Authority
from deploy.kvsstore.service import MOST_BYTES, Service, open_store
from recipes.errors import ConfigError
from recipes.files import write_whole

if TYPE_CHECKING:
    import ssl

    from aiohttp import web

    from deploy.signaling.turn import Turn

STATE = "state.json"
LOCK = "running.lock"
LOG = "service.log"
PURGE_SECONDS = 20.0
_LOG_BYTES = 1 << 20
_LOCK_TRIES = 50


@dataclass(frozen=True)
class Settings:
    """What a service is started with; it is in `settings.json` of its folder.

    Attributes
    ----------
    port:
        On 127.0.0.1, for the programs of this machine; 0 for a free one.
    addresses:
        Under which boards reach it, for the certificate.
    network, lan:
        What it has an address on: a network of the engine, an address of this machine.
    doors:
        Folders of the doors that hand over port 443 of these addresses.
    turn:
        Address of this machine to relay WebRTC at; empty for no relay.
    most_bytes:
        Of all fragments together.
    """

    port: int = 0
    addresses: tuple[str, ...] = ()
    network: str = ""
    lan: str = ""
    doors: tuple[str, ...] = ()
    turn: str = ""
    most_bytes: int = MOST_BYTES


@dataclass(frozen=True)
class State:
    """What a running service says of itself, to its owner only; it is true while the service holds its lock.

    Attributes
    ----------
    token:
        Lets the commands of its owner in.
    """

    pid: int
    port: int
    token: str
    addresses: tuple[str, ...]


def read_settings(folder: Path) -> Settings:
    """Read a folder's settings; the usual ones where there are none, or those of another version."""
    try:
        facts = json.loads((folder / "settings.json").read_text())
        known = {field.name: facts[field.name] for field in fields(Settings) if field.name in facts}
        lists = {name: tuple(value) for name, value in known.items() if isinstance(value, list)}
        return Settings(**known | lists)
    except (FileNotFoundError, ValueError, TypeError):
        return Settings()


def main(folder: Path) -> None:
    """Serve from a folder until told to end."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = (folder / LOCK).open("wb")
    _take(lock)
    _log_into(folder / LOG)
    settings = read_settings(folder)
    authority = Authority(folder, settings.addresses)
    store = open_store(folder, most_bytes=settings.most_bytes)
    try:
        asyncio.run(_serve(Service(folder, store), settings, authority))
    finally:
        store.close()
        lock.close()


def _take(lock: IO[bytes]) -> None:
    """Hold the folder's lock for as long as this process lives; who only looks has it for a moment."""
    for _ in range(_LOCK_TRIES):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(0.02)
    raise SystemExit("another service serves from this folder")


def _log_into(file: Path) -> None:
    """Write the log into one file of at most a megabyte and one older."""
    handler = logging.handlers.RotatingFileHandler(file, maxBytes=_LOG_BYTES, backupCount=1, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    # aiohttp tells each broken connection with a traceback; what matters of them is logged by us.
    for name in ("aiohttp.server", "aiohttp.access", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


async def _serve(service: Service, settings: Settings, authority: Authority) -> None:
    from aiohttp import web

    from deploy.localkvs.app import make_app

    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    service.store.keys.own()
    token = secrets.token_urlsafe(32)
    service.state |= {"admin": token, "authority": authority}
    runner = web.AppRunner(make_app(service), access_log=None, keepalive_timeout=20, shutdown_timeout=2)
    await runner.setup()
    context = authority.context()
    port = await _listen(runner, context, settings)
    state = State(os.getpid(), port, token, settings.addresses)
    write_whole(service.folder / STATE, json.dumps(asdict(state)).encode(), mode=0o600)
    logging.getLogger("boardcast.kvs").info("serving on 127.0.0.1:%d and %s", port, ", ".join(settings.addresses))
    work = asyncio.create_task(_purge(service))
    turn = await _relay(service, settings.turn) if settings.turn else None
    try:
        await over.wait()
    finally:
        work.cancel()
        if turn is not None:
            turn.stop()
        (service.folder / STATE).unlink(missing_ok=True)
        with contextlib.suppress(asyncio.CancelledError):
            await work
        await runner.cleanup()


async def _relay(service: Service, address: str) -> Turn | None:
    """Start coturn; without it the service goes on, and its log says why."""
    from deploy.signaling.turn import Turn

    turn = Turn(service.folder / "turn", address)
    try:
        await turn.start()
    except ConfigError as error:
        logging.getLogger("boardcast.kvs").warning("no TURN: %s", error)
        return None
    service.state["turn"] = turn
    return turn


async def _listen(runner: web.AppRunner, context: ssl.SSLContext, settings: Settings) -> int:
    """Listen on this machine's loopback, and on what the door hands over; returns the port of the former."""
    from aiohttp import web

    here = socket.create_server(("127.0.0.1", settings.port), reuse_port=False)
    await web.SockSite(runner, here, ssl_context=context).start()
    for door in settings.doors:
        from deploy.localkvs.door import take_sockets
        from deploy.signaling.stun import Answerer

        handed = take_sockets(Path(door))
        await web.SockSite(runner, handed.stream, ssl_context=context).start()
        await asyncio.get_running_loop().create_datagram_endpoint(Answerer, sock=handed.datagrams)
    return int(here.getsockname()[1])


async def _purge(service: Service) -> None:
    """Delete what is past its retention, again and again."""
    while True:
        await asyncio.sleep(PURGE_SECONDS)
        gone = await service.store.fragments.purge(service.store.streams.all())
        if gone:
            logging.getLogger("boardcast.kvs").info("%d fragments are past their retention", gone)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

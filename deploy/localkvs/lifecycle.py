"""The local service as a program that runs on: up, down, and how to reach it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shlex
import signal
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deploy.kvs.keys import Key
from deploy.localkvs.run import LOCK, LOG, STATE, Settings, State, read_settings
from recipes import paths, process
from recipes.errors import BuildError, ConfigError, PreflightError
from recipes.files import exclusive, write_whole
from recipes.text import shown

READY_SECONDS = 30.0
DEFAULT_REGION = "us-west-2"
"""Where neither a board's file nor AWS_REGION names one."""


def service_folder() -> Path:
    """Return the folder that this checkout's service lives in."""
    return paths.work() / "kvs"


def door_name() -> str:
    """Return the name of the container that opens port 443: two checkouts have one each."""
    return f"boardcast-kvs-{hashlib.sha256(str(paths.work()).encode()).hexdigest()[:6]}.door"


@dataclass(frozen=True)
class Running:
    """A service that runs, and how its owner's programs reach it.

    Attributes
    ----------
    url:
        For this machine's programs, such as boto3's `endpoint_url`; its certificate is of `authority`.
    addresses:
        Where boards find it, on port 443.
    """

    folder: Path
    state: State

    @property
    def url(self) -> str:
        return f"https://localhost:{self.state.port}"

    @property
    def addresses(self) -> tuple[str, ...]:
        return self.state.addresses

    @property
    def authority(self) -> Path:
        return self.folder / "ca.pem"

    def ask(self, method: str, path: str, facts: Any = None) -> dict[str, Any]:
        """Ask the service something that is its owner's to ask.

        Raises
        ------
        PreflightError
            It does not answer.
        """
        body = None if facts is None else json.dumps(facts).encode()
        request = urllib.request.Request(f"{self.url}{path}", data=body, method=method)  # noqa: S310  # https, ours
        request.add_header("Authorization", f"Bearer {self.state.token}")
        context = ssl.create_default_context(cafile=str(self.authority))
        try:
            with urllib.request.urlopen(request, timeout=10, context=context) as answer:  # noqa: S310
                found: dict[str, Any] = json.loads(answer.read())
                return found
        except urllib.error.HTTPError as error:
            told = shown(error.read(2_000).decode("utf-8", "replace"))
            raise PreflightError(
                "the local service knows no such question; was it started by another version?",
                where=f"{self.url}{path}",
                why=f"{error.code}: {told}",
                next_step="invoke kvs down, then invoke kvs up",
            ) from error
        except (OSError, ValueError) as error:
            raise PreflightError(
                "the local service does not answer", where=self.url, why=str(error), next_step="invoke kvs up"
            ) from error

    def own_key(self) -> Key:
        """Return the key that this service gives its owner."""
        facts = self.ask("GET", "/-/key")
        return Key(facts["access"], facts["secret"])


def running() -> Running | None:
    """Return this checkout's service where it runs; None where it does not."""
    folder = service_folder()
    if not _held(folder / LOCK):
        return None
    with contextlib.suppress(OSError, ValueError, TypeError):
        facts = json.loads((folder / STATE).read_text())
        return Running(folder, State(**facts | {"addresses": tuple(facts["addresses"])}))
    return None


def write_profile(running: Running) -> Path:
    """Write what a shell needs for boto3 and the AWS CLI to reach the service; only its owner can read it.

    AWS_ENDPOINT_URL: https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
    """
    key = running.own_key()
    values = {
        "AWS_ENDPOINT_URL": running.url,
        "AWS_CA_BUNDLE": str(running.authority),
        "AWS_ACCESS_KEY_ID": key.access,
        "AWS_SECRET_ACCESS_KEY": key.secret,
        "AWS_DEFAULT_REGION": os.environ.get("AWS_DEFAULT_REGION", DEFAULT_REGION),
    }
    lines = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
    file = running.folder / "profile.sh"
    write_whole(file, f"unset AWS_SESSION_TOKEN AWS_PROFILE\n{lines}".encode(), mode=0o600)
    return file


def require_running() -> Running:
    """Return this checkout's service.

    Raises
    ------
    PreflightError
        It does not run.
    """
    found = running()
    if found is None:
        raise PreflightError("the local service does not run", next_step="invoke kvs up")
    return found


def _held(lock: Path) -> bool:
    """Tell whether a process holds the lock of a folder: a service has it as long as it lives, however it ends."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True


def bring_up(*, network: str = "", lan: str = "", port: int = 0, turn: bool = False) -> Running:
    """Start the service, unless it runs already with what is asked for; wait until it answers.

    Parameters
    ----------
    network:
        Name of the simulated boards' network, to have an address there.
    lan:
        An address of this machine under which real boards see it. With neither: this machine's loopback only.
    port:
        On 127.0.0.1; 0 for a free one, which stays the same from then on.
    turn:
        Relay WebRTC through coturn.

    Raises
    ------
    BuildError
        It did not start, or got no address.
    """
    with exclusive("local-service"):
        found = running()
        if found is not None:
            now = read_settings(service_folder())
            network, lan, turn = network or now.network, lan or now.lan, turn or bool(now.turn)
            if (network, lan, turn) == (now.network, now.lan, bool(now.turn)):
                return found
            _end(found)
        folder = service_folder()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        settings = _settings(folder, network, lan, port=port, turn=turn)
        write_whole(folder / "settings.json", json.dumps(asdict(settings)).encode(), mode=0o600)
        return _start(folder)


def _settings(folder: Path, network: str, lan: str, *, port: int, turn: bool) -> Settings:
    """Return what to start with: the port of last time, and the addresses that are wanted."""
    last = read_settings(folder)
    opened: dict[str, str] = {}
    if network:
        opened[str(folder / "door")] = _open(folder / "door", door_name(), last, network=network)
    if lan:
        opened[str(folder / f"lan-{lan}")] = _open(
            folder / f"lan-{lan}", f"{door_name()}-lan", last, network="host", address=lan
        )
    return Settings(
        port=port or last.port or _free_port(),
        addresses=tuple(opened.values()),
        network=network,
        lan=lan,
        doors=tuple(opened),
        turn=(lan or (_gateway(network) if network else "127.0.0.1")) if turn else "",
    )


def _gateway(network: str) -> str:
    from recipes.engine.docker import Engine

    return Engine.connect().services.ensure_network(network)


def _open(folder: Path, name: str, last: Settings, *, network: str, address: str = "") -> str:
    """Return the address of a door: of the one that a service which was killed left open, or of a new one.

    Boards have the address in their hosts files, so it stays where it can.
    """
    from deploy.localkvs.door import is_open, open_door
    from recipes.engine.docker import Engine

    engine = Engine.connect()
    with exclusive("change-of-networks", paths.cache()):
        known = dict(zip(last.doors, last.addresses, strict=False))
        if str(folder) in known and engine.services.running(name) and is_open(folder):
            return known[str(folder)]
        if network != "host":
            engine.services.ensure_network(network)
        return open_door(name, folder, engine, network=network, address=address)


def _free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as here:
        return int(here.getsockname()[1])


def _start(folder: Path) -> Running:
    argv = [sys.executable, "-m", "deploy.localkvs.run", str(folder)]
    with (folder / "console.log").open("wb") as output:
        number = process.start_detached(
            argv,
            cwd=folder,
            env={"PYTHONPATH": str(paths.CHECKOUT)},
            output=output,
        )
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        found = running()
        if found is not None and found.state.pid == number:
            return found
        if not _lives(number):
            break
        time.sleep(0.02)
    with contextlib.suppress(OSError):
        os.kill(number, signal.SIGKILL)
    raise BuildError(
        "the local service did not start",
        where=str(folder / LOG),
        why=shown(_tail(folder / "console.log") or "it did not say why"),
        next_step="invoke kvs up; a taken port: invoke kvs up --port N",
    )


def _lives(number: int) -> bool:
    """Tell whether a child of ours runs on; one that ended is taken note of."""
    with contextlib.suppress(ChildProcessError):
        return os.waitpid(number, os.WNOHANG)[0] == 0
    return False


def _tail(file: Path) -> str:
    try:
        return file.read_bytes()[-600:].decode("utf-8", "replace").strip()
    except OSError:
        return ""


def take_down() -> bool:
    """End the service and take its address away, and the network with the last on it; what it keeps stays.

    Returns whether it ran.
    """
    with exclusive("local-service"):
        found = running()
        if found is not None:
            _end(found)
        settings = read_settings(service_folder())
        if settings.doors:
            from recipes.engine.docker import Engine

            services = Engine.connect().services
            for name in (door_name(), f"{door_name()}-lan"):
                services.remove(name)
            if settings.network:
                with exclusive("change-of-networks", paths.cache()):
                    services.remove_network(settings.network)
        return found is not None


def _end(found: Running) -> None:
    """Ask the process to end; one that does not is killed, which costs nothing that was acknowledged."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(found.state.pid, signal.SIGTERM)
    for _ in _tries(8.0):
        if not _held(found.folder / LOCK):
            return
    with contextlib.suppress(ProcessLookupError):
        os.kill(found.state.pid, signal.SIGKILL)
    for _ in _tries(5.0):
        if not _held(found.folder / LOCK):
            return
    raise ConfigError("the local service does not end", where=f"process {found.state.pid}", next_step="invoke kvs down")


def _tries(seconds: float) -> Iterator[None]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(0.02)

"""Which engine is meant, the way to it, who we are to it, and a removal that no Ctrl-C cuts short."""

from __future__ import annotations

import atexit
import contextlib
import os
import platform
import pwd
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from recipes.errors import BuildError, ConfigError
from recipes.process import Child, run, start_on_link
from recipes.text import one_line, shown


def engine_endpoint() -> tuple[str, Any]:
    """Return the engine's address and TLS set-up as docker's own command line would choose them.

    DOCKER_HOST first, then DOCKER_CONTEXT, then the current context of ~/.docker/config.json.
    """
    import docker

    if os.environ.get("DOCKER_HOST"):
        from docker.utils import kwargs_from_env

        known = kwargs_from_env()
        return str(known["base_url"]), known.get("tls") or False
    try:
        context = docker.ContextAPI.get_context(os.environ.get("DOCKER_CONTEXT") or None)
    except docker.errors.DockerException:
        context = None
    if context is None:
        return "unix:///var/run/docker.sock", False
    return str(context.Host), context.TLSConfig or False


def process_space() -> str:
    """Return what the process ids of this program are about: nothing can be said of those of another.

    On Linux this boot and this space of ids: a container that was given the engine's socket has ids of its own. On
    macOS this machine.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}".replace(":", "")
    except OSError:
        return platform.node().replace(":", "")


def owner_mark() -> str:
    return f"{process_space()}:{os.getpid()}"


def owner_is_gone(mark: str) -> bool:
    """Tell whether the program that left a mark has ended; False where nobody here can know."""
    where, _, number = mark.rpartition(":")
    if where != process_space() or not number.isdigit():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _no_engine(where: str, error: BaseException, said: str = "") -> BuildError:
    """Return what to tell a user whom no engine answers: there is none, or it is not for this user."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    if isinstance(error, PermissionError):
        return BuildError(
            "a container engine is there, but this user may not use it",
            where=where,
            why="permission denied; being allowed to is as good as being root on this machine",
            next_step=f"as root: usermod -aG docker {_user_name()}, then log in again; or the same command as root",
        )
    return BuildError(
        "no container engine answers",
        where=where,
        why=said or one_line(str(error)),
        next_step="as root: ./bootstrap install brings and starts one; or set DOCKER_HOST to yours",
    )


_LONGEST_PLACE = 50


class _SshWay:
    """A socket here that leads to the engine of another machine by this machine's own ssh.

    As docker's command line goes there: what ~/.ssh/config says counts, and `docker system dial-stdio` there knows its
    engine. (The SDK's own way does not know the port of that file, and breaks where an answer is closed.) All
    connections share one log-in, where the server lets them, which ends half a minute after the last of them.
    """

    def __init__(self, host: str) -> None:
        # A socket's name has 108 characters at most (unix(7); 104 on macOS), and ssh adds 17 of its own to one of its.
        short = None if len(tempfile.gettempdir()) < _LONGEST_PLACE else "/tmp"  # noqa: S108 - a folder of our own in it
        self._folder = tempfile.TemporaryDirectory(prefix="boardcast-ssh-", dir=short)
        place = Path(self._folder.name)
        self.address = f"unix://{place / 'engine'}"
        self._said = (place / "said").open("a+b")
        self._children: list[Child] = []
        options = {"ControlMaster": "auto", "ControlPath": str(place / "control"), "ControlPersist": "30"}
        self._ssh = ["ssh", "-T", *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]
        self._there = _ssh_words(host)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(place / "engine"))
        self._listener.listen(64)
        threading.Thread(target=self._accept, name="ssh to the engine", daemon=True).start()

    def said(self) -> str:
        """Return the last line that ssh said."""
        self._said.seek(0)
        lines = self._said.read().decode("utf-8", "replace").strip().splitlines()
        return one_line(lines[-1]) if lines else ""

    def close(self) -> None:
        """End the connections, and the log-in."""
        self._listener.close()
        for child in self._children:
            child.end()
        run([*self._ssh, "-O", "exit", *self._there], check=False, timeout=10)
        self._said.close()
        self._folder.cleanup()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                link, _ = self._listener.accept()
                with link:
                    argv = [*self._ssh, *self._there, "docker", "system", "dial-stdio"]
                    self._children = [child for child in self._children if not child.ended()]
                    self._children.append(start_on_link(argv, link.fileno(), env=_agent(), errors=self._said))


def _ssh_words(address: str) -> list[str]:
    """Return what ssh is given of an address: the user and the port only where they are in it."""
    parts = urlsplit(address)
    try:
        port = ["-p", str(parts.port)] if parts.port else []
    except ValueError as error:
        raise ConfigError("this is no address of an engine", where=shown(address), why=str(error)) from error
    return [*port, *(["-l", parts.username] if parts.username else []), "--", parts.hostname or ""]


def _agent() -> dict[str, str]:
    """Return the variables by which ssh finds keys and asks for passwords."""
    return {name: os.environ[name] for name in ("SSH_AUTH_SOCK", "SSH_ASKPASS", "DISPLAY") if name in os.environ}


_WAYS: dict[str, _SshWay] = {}
_CHANGE = threading.Lock()


def _way_to(host: str) -> _SshWay:
    """Return the way to the engine of another machine, the same one for all connections of this program."""
    with _CHANGE:
        if host not in _WAYS:
            _WAYS[host] = _SshWay(host)
            atexit.register(_WAYS[host].close)
        return _WAYS[host]


def engine_client() -> Any:
    """Return a connection to the engine that is meant; raises BuildError where none answers, or not to this user."""
    import docker

    host, tls = engine_endpoint()
    way = _way_to(host) if host.startswith("ssh://") else None
    try:
        client = docker.DockerClient(base_url=way.address if way else host, tls=tls, timeout=600)
        client.ping()
    except (docker.errors.DockerException, OSError) as error:
        raise _no_engine(host, error, way.said() if way else "") from error
    return client


_REFUSALS = {
    "container-init binary not found": "install the small init that the engine starts in a container: Debian's package"
    " catatonit, or tini for docker",
    "rlimit": "let the engine raise its own limits (LimitNPROC, LimitNOFILE of its service), or run it as root",
    "no space left": "docker system df shows what takes the room; docker system prune",
}
"""What an engine's words on a container that it does not start have in them, and the way out."""


@contextlib.contextmanager
def refusals(what: str) -> Iterator[None]:
    """Turn the engine's refusal into a BuildError with its words, and the cure of a known one."""
    import docker

    try:
        yield
    except docker.errors.APIError as error:
        told = one_line(str(error.explanation or error))
        cure = next((cure for words, cure in _REFUSALS.items() if words in told.lower()), "")
        raise BuildError(what, where=engine_endpoint()[0], why=told, next_step=cure) from error


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back while a container is removed: a second one must not leave it behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, old)

"""Which engine is meant, who we are to it, and a removal that no Ctrl-C cuts short."""

from __future__ import annotations

import contextlib
import os
import platform
import pwd
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recipes.errors import BuildError
from recipes.text import one_line


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


def no_engine(where: str, error: BaseException) -> BuildError:
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
        why=one_line(str(error)),
        next_step="as root: ./bootstrap install brings and starts one; or set DOCKER_HOST to yours",
    )


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

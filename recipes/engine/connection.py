"""Which engine is meant, who we are to it, and a removal that no Ctrl-C cuts short."""

from __future__ import annotations

import contextlib
import os
import platform
import pwd
import signal
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
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


# $@ what is mounted; prints those that are empty, or a folder where a file was mounted (its name begins with `file:`).
_EMPTY = r"""
for path; do
    case $path in
        file:*) [ -f "${path#file:}" ] || echo "${path#file:}" ;;
        *) [ -n "$(ls -A "$path" 2>/dev/null)" ] || echo "$path" ;;
    esac
done
"""


def refuse_unseen(container: Any, bound: Mapping[Path, PurePosixPath]) -> None:
    """Refuse an engine that does not see the files of this program, though its socket is here.

    So it is in a container that was given the engine's socket: paths mean those of the machine, and an engine makes an
    empty folder of a path that it does not have.

    Raises
    ------
    BuildError
        What is mounted in this running container is empty, and here it is not.
    """
    full = {target: source for source, target in bound.items() if source.is_file() or _holds_something(source)}
    words = [f"{'file:' * source.is_file()}{target}" for target, source in full.items()]
    if not words:
        return
    code, printed = container.exec_run(["sh", "-c", _EMPTY, "sh", *words])
    missing = printed.decode("utf-8", "replace").split("\n") if code == 0 else []
    lost = next((source for target, source in full.items() if str(target) in missing), None)
    if lost is not None:
        raise BuildError(
            "the container engine does not see the files of this program",
            where=str(lost),
            why="what it mounted is empty: it was asked over a socket that is here, and its files are elsewhere"
            " (docker.sock in a container, a virtual machine that does not share this folder)",
            next_step="give the container the same folders under the same paths (docker run -v DIR:DIR), and point"
            " BOARDCAST_WORK and BOARDCAST_CACHE there; or name the engine by its address (DOCKER_HOST=ssh://…):"
            " then files are copied",
        )


def _holds_something(folder: Path) -> bool:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        return next(entries, None) is not None
    return False


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

"""The only user of subprocess: argument vectors in, results out, never a shell, never a secret in argv."""

from __future__ import annotations

import getpass
import os
import pwd
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from recipes import progress
from recipes.errors import BuildError

# What a child may see of our environment. The rest stays here: a leaked CC, LD_LIBRARY_PATH or token changes builds.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "TERM", "SSL_CERT_FILE", "SSL_CERT_DIR", "DOCKER_HOST")


def user_name() -> str:
    """Return the name of who runs this program; the number of a user who has none, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.geteuid())


def name_user() -> None:
    """Give a user who is only a number a name and a home in the environment: libraries fail that find neither.

    The home is what an engine gives to such a user of a container.
    """
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        os.environ.setdefault("LOGNAME", user_name())
        os.environ.setdefault("HOME", "/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a child left behind: its exit code and both of its streams, as bytes."""

    argv: tuple[str, ...]
    code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        return self.stdout.decode("utf-8", "replace")


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the allow-listed environment for a child, with `extra` on top."""
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return kept | dict(extra or {})


def run(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    stdout: IO[bytes] | None = None,
    timeout: float | None = None,
    check: bool = True,
) -> Result:
    """Run a program to its end.

    Parameters
    ----------
    timeout:
        Seconds; the child is killed after that.
    stdout:
        An open file that takes the output instead of memory.
    check:
        Raise when the exit code is not 0.

    Raises
    ------
    BuildError
        The program is missing, timed out, or failed with `check` set; carries the last lines of its stderr.
    """
    try:
        done = subprocess.run(
            list(argv),
            cwd=cwd,
            env=environment(env),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            stdout=stdout or subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as error:
        raise BuildError(
            f"{argv[0]} is not on this machine", why=str(error), next_step="./bootstrap install brings what is missing"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"{argv[0]} did not end within {timeout:g} s", where=" ".join(argv)) from error
    result = Result(argv=tuple(argv), code=done.returncode, stdout=done.stdout or b"", stderr=done.stderr or b"")
    return checked(result) if check else result


def checked(result: Result) -> Result:
    """Return a result whose exit code is 0; raises BuildError with the last lines of its stderr for another."""
    if result.code != 0:
        tail = result.stderr.decode("utf-8", "replace").strip().splitlines()[-12:]
        raise BuildError(
            f"{result.argv[0]} failed with exit code {result.code}",
            where=" ".join(result.argv),
            why="\n    ".join(tail),
        )
    return result


@dataclass(frozen=True, slots=True)
class Child:
    """A program that runs beside us."""

    _started: subprocess.Popen[bytes]

    def wait(self, seconds: float) -> int:
        """Return its exit code; raises TimeoutError where it runs on after `seconds`."""
        try:
            return self._started.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"the program did not end within {seconds:g} s") from error

    def ended(self) -> bool:
        """Tell whether it has ended."""
        return self._started.poll() is not None

    def end(self) -> None:
        """End it where it runs, and wait until it has."""
        self._started.kill()
        self._started.wait()


@contextmanager
def child(
    argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], output: IO[bytes], descriptor: int | None = None
) -> Iterator[Child]:
    """Start a program that talks to us while it runs; it is ended with the block, however that ends.

    Parameters
    ----------
    output:
        An open file that takes both of its streams.
    descriptor:
        An open descriptor of ours that it may use too, under the same number; None for none.
    """
    started = subprocess.Popen(
        list(argv),
        cwd=cwd,
        env=environment(env),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=() if descriptor is None else (descriptor,),
    )
    try:
        yield Child(started)
    finally:
        if started.poll() is None:
            started.kill()
        started.wait()


def start_on_link(argv: Sequence[str], link: int, *, env: Mapping[str, str], errors: IO[bytes]) -> Child:
    """Start a program whose input and output are one end of a connection; Ctrl-C does not end it, `end` does.

    Parameters
    ----------
    link:
        The descriptor of that end; ours can be closed then.
    errors:
        An open file that takes its other stream.
    """
    words = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", *argv]
    return Child(subprocess.Popen(words, env=environment(env), stdin=link, stdout=link, stderr=errors))


def passthrough(argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> int:
    """Run a program on our own terminal (tests, an interactive shell) and return its exit code."""
    with progress.quiet():
        return subprocess.run(list(argv), env=environment(env), check=False).returncode


def start_detached(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], output: IO[bytes]) -> int:
    """Start a program that outlives us, in a session of its own; returns its process ID.

    Parameters
    ----------
    output:
        An open file that takes both of its streams.
    """
    started = subprocess.Popen(
        list(argv),
        cwd=cwd,
        env=environment(env),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    # It is nobody's child to wait for: without this the interpreter warns at its end.
    started.returncode = 0
    return started.pid

"""The only user of subprocess: argument vectors in, results out, never a shell, never a secret in argv."""

from __future__ import annotations

import getpass
import os
import pwd
import selectors
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
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


class TooMuchError(Exception):
    """A program printed more than it may; with the begin of that."""

    def __init__(self, begin: bytes) -> None:
        super().__init__("a program printed more than it may")
        self.begin = begin


_PART = 64 << 10


def converse(
    argv: Sequence[str],
    stdin: Iterable[bytes],
    *,
    env: Mapping[str, str],
    most: int,
    left: Callable[[], float],
    moved: Callable[[int, int], None],
) -> Result:
    """Run a program that is sent a stream while it answers; it is ended with the call, however that ends.

    Parameters
    ----------
    most:
        Bytes of both of its streams that are taken.
    left:
        Gives the seconds that it may go on for; asked while nothing moves.
    moved:
        Hears how many bytes went there, and came back.

    Raises
    ------
    TooMuchError
        It printed more than `most` bytes.
    TimeoutError
        `left` gave none.
    OSError
        It cannot be started.
    """
    started = subprocess.Popen(
        list(argv), env=environment(env), bufsize=0, start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        out, err = _Talk(started, iter(stdin), most, left, moved).to_the_end()
        return Result(argv=tuple(argv), code=started.wait(max(0.1, left())), stdout=out, stderr=err)
    except subprocess.TimeoutExpired as error:
        raise TimeoutError("it closed its output and went on") from error
    finally:
        if started.poll() is None:
            started.kill()
        started.wait()
        for pipe in (started.stdin, started.stdout, started.stderr):
            if pipe is not None:
                pipe.close()


class _Talk:
    """The three pipes of a program, moved side by side."""

    def __init__(
        self,
        started: subprocess.Popen[bytes],
        source: Iterator[bytes],
        most: int,
        left: Callable[[], float],
        moved: Callable[[int, int], None],
    ) -> None:
        self._source, self._most, self._left, self._moved = source, most, left, moved
        self._waiting = memoryview(b"")
        self._ready = selectors.DefaultSelector()
        self._heard: dict[int, bytearray] = {}
        for pipe in (started.stdout, started.stderr):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
                self._ready.register(pipe, selectors.EVENT_READ)
                self._heard[pipe.fileno()] = bytearray()
        self._input = started.stdin
        if self._input is not None:
            os.set_blocking(self._input.fileno(), False)
            self._ready.register(self._input, selectors.EVENT_WRITE)

    def to_the_end(self) -> tuple[bytes, bytes]:
        with self._ready:
            while self._ready.get_map():
                seconds = self._left()
                if seconds <= 0:
                    raise TimeoutError("no answer in time")
                for key, _ in self._ready.select(min(seconds, 1.0)):
                    if key.fileobj is self._input:
                        self._send()
                    else:
                        self._take(key.fd, key.fileobj)
        out, err = self._heard.values()
        return bytes(out), bytes(err)

    def _send(self) -> None:
        if self._input is None:
            return
        if not self._waiting:
            chunk = next(self._source, None)
            if chunk is None:
                self._end_input()
                return
            self._waiting = memoryview(chunk)
        try:
            count = self._input.write(self._waiting[:_PART]) or 0  # None where the pipe is full
        except BrokenPipeError:
            self._end_input()  # who ends before its input does says why by its exit code
            return
        self._waiting = self._waiting[count:]
        self._moved(count, 0)

    def _end_input(self) -> None:
        if self._input is not None:
            self._ready.unregister(self._input)
            self._input.close()
            self._input = None

    def _take(self, descriptor: int, pipe: object) -> None:
        part = os.read(descriptor, _PART)
        if not part:
            self._ready.unregister(pipe)  # type: ignore[arg-type]
            return
        self._heard[descriptor] += part
        self._moved(0, len(part))
        if sum(map(len, self._heard.values())) > self._most:
            raise TooMuchError(bytes(next(iter(self._heard.values()))[:200]))


@contextmanager
def child(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    output: IO[bytes],
    descriptor: int | None = None,
) -> Iterator[Child]:
    """Start a program that talks to us while it runs; it is ended with the block, however that ends.

    It has a session of its own: no terminal on which it could ask somebody, and Ctrl-C is ours.

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
        start_new_session=True,
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
    """Run a program on our own terminal (benches, an interactive shell) and return its exit code.

    A Ctrl-C there is for both: what the program has to take down it takes down before we end, too.

    Raises
    ------
    KeyboardInterrupt
        After the program's own end.
    """
    with progress.quiet(), subprocess.Popen(list(argv), env=environment(env)) as child:
        try:
            return child.wait()
        except KeyboardInterrupt:
            # `subprocess.run` would kill it a quarter of a second later, and a board that it brought up stay.
            while child.poll() is None:
                with suppress(KeyboardInterrupt):
                    child.wait()
            raise


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

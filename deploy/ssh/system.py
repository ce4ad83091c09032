"""The system's OpenSSH as the way to a board: for keys on a token (FIDO), and for what paramiko does not speak.

One `ssh` in the background holds the connection, a control master (ssh_config(5), ControlMaster); each command is a
further `ssh` through its socket. The user's ssh configuration counts as it does for `ssh` itself; the board's host key
is the known one, and nobody is asked anything.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from deploy.ssh.dial import Target, not_known, place_of, refused_key, refused_log_in
from deploy.ssh.jumps import CONNECT_SECONDS
from deploy.ssh.keys import KeyFile, check_key_file, pick_host_key
from recipes import process
from recipes.errors import PreflightError
from recipes.text import one_line

_BEAT, _BEATS = 5, 6
"""Seconds between questions whether the board lives, and how many go unanswered before it is given up."""
_SOCKET_BYTES: Final = 90
"""Of the path of a control socket: the kernel takes 108 (unix(7)), and ssh adds some while it makes one."""
_NOWHERE: Final = "boardcast.invalid"
"""The host that a command names: without its master it leads nowhere (RFC 6761, 6.4), and no second log-in is tried."""
_MASTER_SECONDS: Final = 1.0
"""Within which a master has ended whose connection went; no script of ours ends with 255."""
_ASKS_NOBODY = {"SSH_ASKPASS_REQUIRE": "never"}
_INHERITED = ("SSH_AUTH_SOCK", "SSH_SK_PROVIDER", "SSH_SK_HELPER", "USER", "LOGNAME", "XDG_RUNTIME_DIR", "KRB5CCNAME")


@dataclass(slots=True, kw_only=True)
class Line:
    """An open connection.

    Attributes
    ----------
    control:
        The socket of its master.
    """

    target: Target
    control: Path
    master: process.Child
    said: IO[bytes]

    def run(
        self, command: str, stdin: Iterable[bytes], *, most: int, left: Callable[[], float],
        moved: Callable[[int, int], None],
    ) -> process.Result:  # fmt: skip
        """Run a command there; raises what `process.converse` does, and ConnectionError where the connection went."""
        argv = [
            "ssh",
            "-T",
            "-S",
            str(self.control),
            "-o",
            "ControlMaster=no",
            "-o",
            "LogLevel=ERROR",
            _NOWHERE,
            command,
        ]
        done = process.converse(argv, stdin, env=_environment(), most=most, left=left, moved=moved)
        if done.code == 255 and (_NOWHERE.encode() in done.stderr or self._ends()):
            # The second: the master is there, and opens no further session for it.
            raise ConnectionError(self.words() or "the board's server opens no further session")
        if done.code < 0:
            raise ConnectionError("ssh was ended")
        return done

    def _ends(self) -> bool:
        """Tell whether the master ends: it closes its sessions a moment before."""
        try:
            self.master.wait(_MASTER_SECONDS)
        except TimeoutError:
            return False
        return True

    def words(self) -> str:
        """Return what the master said, on one line."""
        self.said.seek(0)
        return one_line(self.said.read(4096), most=400)


@contextmanager
def open_line(target: Target, *, seconds: float = CONNECT_SECONDS) -> Iterator[Line]:
    """Open a connection by the system's ssh; it is closed with the block.

    Parameters
    ----------
    seconds:
        For TCP, and then for the log-in.

    Raises
    ------
    ConfigError
        The file of the key that logs in is missing, or no private key.
    PreflightError
        There is no ssh here, nothing answers, the host key is not the known one, or the log-in is refused.
    """
    if shutil.which("ssh") is None:
        raise PreflightError(
            f"{target.name} is to be reached by the system's ssh, and there is none",
            next_step='apt install openssh-client, or ssh = "own" in ' + target.inventory,
        )  # fmt: skip
    locked = target.key is not None and check_key_file(target.key) is KeyFile.LOCKED
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bc-", dir=_short_folder())))
        said = stack.enter_context((folder / "said").open("w+b"))
        control = folder / "s"
        argv = ["ssh", *_options(target, folder, control, seconds, named=not locked), "-N", target.address]
        master = stack.enter_context(
            process.child(argv, cwd=folder, env=_environment(), output=said)
        )  # fmt: skip
        line = Line(target=target, control=control, master=master, said=said)
        _wait(line, 3 * seconds, locked=locked)
        yield line


def _short_folder() -> str:
    """Return a folder whose name leaves room for a socket's: TMPDIR may be long."""
    usual = tempfile.gettempdir()
    return usual if len(os.fsencode(usual)) < _SOCKET_BYTES - 20 else "/tmp"  # noqa: S108 - mkdtemp makes it ours


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in _INHERITED if name in os.environ} | _ASKS_NOBODY


def _options(target: Target, folder: Path, control: Path, seconds: float, *, named: bool) -> list[str]:
    """Return ssh's words: who is expected and how it is logged in; the way there is the user's configuration's."""
    try:
        key = pick_host_key(target.host_key)
    except ValueError as error:
        raise not_known(target) from error
    if not key:
        raise not_known(target)
    alias = f"boardcast-{target.name}"
    known = folder / "known_hosts"
    known.write_text(f"{alias} {key}\n")
    settings = {
        "ControlMaster": "yes", "ControlPath": control, "ControlPersist": "no", "HostKeyAlias": alias,
        "UserKnownHostsFile": known, "GlobalKnownHostsFile": "/dev/null", "StrictHostKeyChecking": "yes",
        "UpdateHostKeys": "no", "CheckHostIP": "no", "BatchMode": "yes", "ConnectTimeout": max(1, round(seconds)),
        "ServerAliveInterval": _BEAT, "ServerAliveCountMax": _BEATS, "ClearAllForwardings": "yes",
        "ForwardAgent": "no", "ForwardX11": "no", "PermitLocalCommand": "no", "RemoteCommand": "none",
        "RequestTTY": "no", "EscapeChar": "none", "LogLevel": "INFO",
    }  # fmt: skip
    words = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    words += ["-l", target.user, "-p", str(target.port)]
    if target.key is not None:
        words += ["-i", str(target.key), *(["-o", "IdentitiesOnly=yes"] if named else [])]
    return words


def _wait(line: Line, seconds: float, *, locked: bool) -> None:
    """Wait until the connection stands; raises PreflightError where it does not."""
    end = time.monotonic() + seconds
    while not _listens(line.control):
        if line.master.ended():
            raise _not_opened(line.target, line.words(), locked=locked)
        if time.monotonic() > end:
            raise _not_opened(line.target, f"ssh has no connection after {seconds:.0f} s", locked=locked)
        time.sleep(0.01)


def _listens(control: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as link:
        try:
            link.connect(str(control))
        except OSError:
            return False
    return True


def _not_opened(target: Target, said: str, *, locked: bool) -> PreflightError:
    """Say why a connection could not be opened, from ssh's own words; each cause has its own cure."""
    if "Host key verification failed" in said or ("host key" in said and "has changed" in said.lower()):
        if f"boardcast-{target.name}" in said or "IDENTIFICATION" in said:
            return refused_key(target, one_line(said, most=200))
        return PreflightError(
            f"a jump host on the way to {target.name} cannot be passed", where=place_of(target), why=said,
            next_step="ssh to that host has to work without a question first",
        )  # fmt: skip
    if "no matching" in said:
        return PreflightError(
            f"{target.name} and the system's ssh have no algorithm in common", where=place_of(target), why=said,
            next_step=f"in ~/.ssh/config, below `Host {target.address}`: HostKeyAlgorithms, KexAlgorithms or Ciphers "
            "with a + and one of those that it offers",
        )  # fmt: skip
    if "Permission denied" in said or "Too many authentication failures" in said:
        return refused_log_in(target, said, locked=locked, nothing=False)
    if "Could not resolve hostname" in said:
        return PreflightError(
            f"nobody knows the address of {target.name}", where=place_of(target), why=said,
            next_step=f"is `address` in {target.inventory} right?",
        )  # fmt: skip
    return PreflightError(
        f"{target.name} does not answer", where=place_of(target), why=said or "ssh does not say why",
        next_step="is it switched on, and is SSH let through?",
    )  # fmt: skip

"""An SSH server on 127.0.0.1 that runs each command with this machine's `sh`, behind a line that can be frozen."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.sim.keys import ed25519_pair
from deploy.ssh.dial import Target


@dataclass(slots=True)
class Line:
    """The line to the server: nothing passes while it is frozen, and nothing is closed."""

    target: Target
    frozen: threading.Event = field(default_factory=threading.Event)
    links: list[socket.socket] = field(default_factory=list)
    forwarded: list[int] = field(default_factory=list)
    """The ports that it was asked to carry a connection on to, as a jump host."""
    logins: list[str] = field(default_factory=list)
    """Who tried to log in, once for each key; nobody does whom its host key turned away."""

    def cut(self) -> None:
        """End every connection that there is; new ones are taken."""
        for link in self.links:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)


def _serve(sock: socket.socket, key: Any, kinds: tuple[str, ...], line: Line, longest: int) -> Any:
    import paramiko

    class Server(paramiko.ServerInterface):  # type: ignore[misc]
        def check_channel_request(self, kind: str, chanid: int) -> int:
            return int(paramiko.OPEN_SUCCEEDED)

        def check_channel_direct_tcpip_request(
            self, chanid: int, origin: tuple[str, int], destination: tuple[str, int]
        ) -> int:
            line.forwarded.append(destination[1])
            threading.Thread(target=_forward, args=(transport, destination), daemon=True).start()
            return int(paramiko.OPEN_SUCCEEDED)

        def check_auth_publickey(self, username: str, key: Any) -> int:
            line.logins.append(username)
            return int(paramiko.AUTH_SUCCESSFUL if username == "root" else paramiko.AUTH_FAILED)

        def get_allowed_auths(self, username: str) -> str:
            return "publickey"

        def check_channel_exec_request(self, channel: Any, command: bytes) -> bool:
            if longest and len(command) > longest:
                return False
            threading.Thread(target=_execute, args=(channel, command.decode()), daemon=True).start()
            return True

    transport = paramiko.Transport(sock)
    transport.add_server_key(key)
    if kinds:
        transport._preferred_keys = kinds
    with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
        transport.start_server(server=Server())
    return transport


def _forward(transport: Any, destination: tuple[str, int]) -> None:
    """Carry a connection on, as a jump host does."""
    channel = transport.accept(20)
    with contextlib.suppress(OSError), socket.create_connection(destination, timeout=20) as link:
        back = threading.Thread(target=_pump, args=(link.recv, channel.sendall, channel.close), daemon=True)
        back.start()
        _pump(channel.recv, link.sendall, lambda: link.shutdown(socket.SHUT_RDWR))
        back.join(20)


def _pump(read: Callable[[int], bytes], write: Callable[[bytes], object], over: Callable[[], object]) -> None:
    """Carry bytes until an end is closed, then say so."""
    with contextlib.suppress(OSError, ValueError, EOFError):
        while data := read(65536):
            write(data)
    with contextlib.suppress(OSError, ValueError, EOFError):
        over()


def _execute(channel: Any, command: str) -> None:
    argv = ["sh", "-c", command]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0) as child:
        assert child.stdin
        assert child.stdout
        assert child.stderr
        pumps = [
            threading.Thread(target=_pump, args=(child.stdout.read, channel.sendall, bool), daemon=True),
            threading.Thread(target=_pump, args=(child.stderr.read, channel.sendall_stderr, bool), daemon=True),
        ]
        threading.Thread(target=_pump, args=(channel.recv, child.stdin.write, child.stdin.close), daemon=True).start()
        for pump in pumps:
            pump.start()
        while child.poll() is None:
            if channel.closed:
                child.kill()
            threading.Event().wait(0.01)
        for pump in pumps:
            pump.join(5)
        with contextlib.suppress(OSError, EOFError):
            channel.send_exit_status(max(child.returncode, 0))
            channel.close()


def _carry(source: socket.socket, sink: socket.socket, frozen: threading.Event) -> None:
    with contextlib.suppress(OSError, ValueError):
        while data := source.recv(65536):
            while frozen.is_set():
                if threading.Event().wait(0.05):
                    return
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError, ValueError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def ssh_line(folder: Path, *, kinds: tuple[str, ...] = (), longest: int = 0) -> Iterator[Line]:
    """Serve until the block ends, with keys of its own; the target knows them.

    Parameters
    ----------
    kinds:
        The only algorithms of host keys that the server offers, as an old one does.
    longest:
        Bytes of a command that the server takes, as dropbear takes some 9,000; 0 for any.
    """
    import paramiko

    private, public = ed25519_pair()
    (folder / "id").write_bytes(private)
    (folder / "id").chmod(0o600)
    key = paramiko.Ed25519Key.from_private_key_file(str(folder / "id"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        target = Target(name="cam01", address="127.0.0.1", port=port, user="root", key=folder / "id", host_key=public)
        line, used = Line(target), contextlib.ExitStack()

        def accept() -> None:
            with contextlib.suppress(OSError, ValueError):
                while True:
                    client, _ = listener.accept()
                    near, far = socket.socketpair()
                    for end in (client, near, far):
                        used.callback(end.close)
                    for ends in ((client, near), (near, client)):
                        threading.Thread(target=_carry, args=(*ends, line.frozen), daemon=True).start()
                    line.links.append(client)
                    used.callback(_serve(far, key, kinds, line, longest).close)

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield line
        finally:
            line.frozen.clear()
            listener.shutdown(socket.SHUT_RDWR)
            used.close()

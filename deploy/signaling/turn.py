"""TURN through coturn, where it is installed: for viewers that cannot reach a camera directly.

Its secret is in a file that only its owner reads; a client gets a name and a password that end by themselves.
https://github.com/coturn/coturn/blob/master/README.turnserver ("TURN REST API")
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import ipaddress
import os
import secrets
import shutil
import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from deploy.signaling.stun import binding_request
from recipes import process
from recipes.errors import ConfigError
from recipes.files import write_whole

PROGRAM = "turnserver"
PACKAGE = "coturn"
LIFETIME = 300
"""Seconds that a client's password is good for, as with the service."""
_START_SECONDS = 10.0
_DATABASE = "turn.db"
_LOCAL = ("10.0.0.0-10.255.255.255", "172.16.0.0-172.31.255.255", "192.168.0.0-192.168.255.255")


def find_program() -> str | None:
    """Return where coturn's server is; None where it is not installed."""
    return shutil.which(PROGRAM, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/bin", "/usr/sbin")))


def configuration(address: str, port: int, secret: str, folder: Path) -> str:
    """Return coturn's file.

    It listens on one address only, and relays to peers of local networks only: whoever got hold of a password has no
    way through us to the Internet, to this machine's loopback, or to the address where clouds keep credentials.
    """
    loopback = ipaddress.ip_address(address).is_loopback
    allowed = [*_LOCAL, address, *(["127.0.0.0-127.255.255.255"] if loopback else [])]
    lines = [
        *(f"listening-ip={address}", f"relay-ip={address}", f"listening-port={port}"),
        *("use-auth-secret", f"static-auth-secret={secret}", "realm=boardcast.local", "stale-nonce=600"),
        *("fingerprint", "no-cli", "no-tls", "no-dtls", "no-tcp-relay", "no-multicast-peers", "no-rfc5780"),
        *("no-stun-backward-compatibility", "no-software-attribute"),
        *("user-quota=32", "total-quota=256", "max-allocate-lifetime=3600"),
        *("denied-peer-ip=0.0.0.0-255.255.255.255", "denied-peer-ip=::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        *(f"allowed-peer-ip={one}" for one in allowed),
        *(["allow-loopback-peers"] if loopback else []),
        *("log-file=stdout", "simple-log", f"pidfile={folder / 'turn.pid'}", f"userdb={folder / _DATABASE}"),
    ]
    return "".join(f"{line}\n" for line in lines)


class Turn:
    """A running TURN server.

    Parameters
    ----------
    folder:
        Its file and its log; made for the owner only.
    address, port:
        Where it listens, by UDP and TCP; nowhere else.
    """

    def __init__(self, folder: Path, address: str, port: int = 3_478) -> None:
        self._folder = folder
        self._address = address
        self._port = port
        self._secret = secrets.token_hex(32)
        self._running = ExitStack()

    async def start(self) -> None:
        """Start it, and wait until it answers. It ends with `stop`, and with this process, however that ends.

        Raises
        ------
        ConfigError
            It is not installed, or it does not start.
        """
        program = find_program()
        if program is None:
            raise ConfigError(
                f"{PROGRAM} is not on this machine",
                why=f"TURN is served by the package {PACKAGE}; without it clients meet on the local network only",
                next_step=f"install {PACKAGE}, or leave TURN off",
            )
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file, log = self._folder / "turn.conf", self._folder / "turn.log"
        (self._folder / _DATABASE).unlink(missing_ok=True)
        write_whole(file, configuration(self._address, self._port, self._secret, self._folder).encode(), mode=0o600)
        # A kill of ours would leave it behind: setpriv asks the kernel to end it with its parent.
        guard = shutil.which("setpriv")
        argv = [*([guard, "--pdeathsig", "KILL", "--"] if guard else []), program, "-c", str(file)]
        output = self._running.enter_context(log.open("wb"))
        child = self._running.enter_context(process.child(argv, cwd=self._folder, env={}, output=output))
        deadline = asyncio.get_running_loop().time() + _START_SECONDS
        while not (await self._answers() and await self._has_tables()):
            if child.ended() or asyncio.get_running_loop().time() > deadline:
                self.stop()
                tail = log.read_bytes()[-2_000:].decode("utf-8", "replace").strip()
                raise ConfigError(f"{PROGRAM} did not start", where=f"{self._address}:{self._port}", why=tail)

    def stop(self) -> None:
        """End it; once more does no harm."""
        self._running.close()

    def server(self, client: str, now: float) -> dict[str, Any]:
        """Return one entry of an IceServerList: for this client, for five minutes.

        Parameters
        ----------
        now:
            Seconds since 1970.
        """
        name = f"{int(now) + LIFETIME}:{client}"
        password = base64.b64encode(hmac.digest(self._secret.encode(), name.encode(), "sha1")).decode()
        at = f"turn:{self._address}:{self._port}"
        return {
            "Uris": [f"{at}?transport=udp", f"{at}?transport=tcp"],
            "Username": name,
            "Password": password,
            "Ttl": LIFETIME,
        }

    async def _has_tables(self) -> bool:
        """Tell whether it has made its database, which it does beside its start.

        A client whose name is checked meanwhile is refused, by a "database is locked" in the log.
        """
        before = self._tables()
        await asyncio.sleep(0.1)
        return before == self._tables() > 0

    def _tables(self) -> int:
        try:
            with closing(
                sqlite3.connect(f"{(self._folder / _DATABASE).as_uri()}?mode=ro", timeout=0, uri=True)
            ) as link:
                return int(link.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
        except sqlite3.Error:
            return 0

    async def _answers(self) -> bool:
        """Tell whether a binding request gets an answer within a moment."""
        loop = asyncio.get_running_loop()
        came = loop.create_future()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Waiting(came), remote_addr=(self._address, self._port)
        )
        try:
            transport.sendto(binding_request(secrets.token_bytes(12)))
            return bool(await asyncio.wait_for(came, 0.2))
        except TimeoutError:
            return False
        finally:
            transport.close()
            await asyncio.sleep(0)  # which lets it close


class _Waiting(asyncio.DatagramProtocol):
    """Tells a future about the first datagram that comes."""

    def __init__(self, came: asyncio.Future[bool]) -> None:
        self._came = came

    def datagram_received(self, _data: bytes, _addr: tuple[str, int]) -> None:
        """Tell it."""
        if not self._came.done():
            self._came.set_result(True)

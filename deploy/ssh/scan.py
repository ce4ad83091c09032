"""The key that a server shows, before anybody trusts it: what `ssh-keyscan` does, for one server."""

from __future__ import annotations

from deploy.ssh.dial import way_to
from deploy.ssh.keys import TYPES
from recipes.errors import PreflightError
from recipes.text import one_line

SCAN_SECONDS = 20


def shown_host_key(address: str, port: int) -> str:
    """Return the host key that a server shows, as `TYPE BASE64`: of the best type that it has.

    It goes the way that every command goes to the board. Nothing is sent that a log-in needs. Who answers is not known:
    the key is to be compared on the board itself.

    Raises
    ------
    PreflightError
        Nothing answers there, or no SSH server of our time; or a jump host on the way cannot be passed.
    """
    import paramiko

    where = f"{address}:{port}"
    try:
        with way_to(address, port) as link:
            transport = paramiko.Transport(link)
            try:
                options = transport.get_security_options()
                known = tuple(options.key_types)
                wanted = [*TYPES[:-1], "rsa-sha2-512", "rsa-sha2-256"]
                options.key_types = tuple(name for name in wanted if name in known)
                transport.start_client(timeout=SCAN_SECONDS)
                key = transport.get_remote_server_key()
                return f"{key.get_name()} {key.get_base64()}"
            finally:
                transport.close()
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise PreflightError(
            "no SSH server answers there",
            where=where,
            why=one_line(str(error)) or type(error).__name__,
            next_step="is the board on, and are its address and port right?",
        ) from error

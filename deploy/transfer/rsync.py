"""The way by rsync: of a changed file what differs, by what the board has of it, where its old bundle is not here.

rsync runs on both sides, over the connection that is open. It writes into `incoming` alone: what comes of it is hashed,
written out and moved into the store as by every other way.
"""

from __future__ import annotations

import shlex
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from deploy.boards.session import BoardSession, BridgeSession, Pace, Reply
from deploy.transfer.cargo import Part
from deploy.transfer.receive import RECEIVE
from recipes import process
from recipes.text import one_line

_SHELL = """
import os,socket,sys,threading
link=socket.socket(fileno=int(sys.argv[1]))
link.sendall(" ".join(sys.argv[3:]).encode()+bytes(1))
def there():
    while data:=os.read(0,65536): link.sendall(data)
    link.shutdown(socket.SHUT_WR)
threading.Thread(target=there,daemon=True).start()
while data:=link.recv(65536):
    while data: data=data[os.write(1,data):]
"""
"""What rsync takes for the program that logs in, with the number of our socket: it carries bytes, nothing else."""
_BASIS = ".basis"
_ENDING_SECONDS = 20
_SPARE = 1 << 20


def rsync_parts(session: BoardSession, root: str, parts: Sequence[Part], who: str, pace: Pace) -> Reply:
    """Send contents by rsync, and have what arrived checked and moved into the store.

    Raises
    ------
    PreflightError
        The connection went.
    """
    if not isinstance(session, BridgeSession):
        raise TypeError("a session without a bridge")
    # The board links what it has of a file to the new content's name, where rsync looks for something to begin with.
    rows = [f"{part.blob} {part.path}\n" for part in parts if part.path]
    reply = session.run(RECEIVE, [root, "basis", "none", who], ["".join(rows).encode()] if rows else [])
    if reply.code != 0:
        return reply
    with tempfile.TemporaryDirectory(prefix="boardcast-rsync-") as folder:
        for part in parts:
            file = Path(folder) / part.blob
            file.write_bytes(part.content)
            file.chmod(part.mode)
        said = _run(session, Path(folder), root, pace, sum(len(part.content) for part in parts))
    if said:
        failed = session.run(RECEIVE, [root, "failed", "none", who])
        return Reply(code=failed.code, out=failed.out, err=f"rsync: {said}")
    return session.run(RECEIVE, [root, "nothing", "none", who])


def _run(session: BridgeSession, folder: Path, root: str, pace: Pace, size: int) -> str:
    """Run rsync here and there; returns what went wrong, empty for nothing."""
    ours, theirs = socket.socketpair()
    argv = [
        "rsync", "--recursive", "--perms", "--chmod=D755", "--ignore-times", "--compress", "--partial",
        f"--compare-dest=../{_BASIS}", f"--rsh={sys.executable} -IS -c '{_SHELL}' {theirs.fileno()}",
        f"{folder}/", f"board:{shlex.quote(root)}/incoming/",
    ]  # fmt: skip
    with ours, theirs, tempfile.TemporaryFile() as output:
        with process.child(argv, cwd=folder, env={}, output=output, descriptor=theirs.fileno()) as local:
            theirs.close()
            # The hashes of what the board has are a hundredth of it, or less.
            reply = session.bridge(ours, pace=pace, most=size + _SPARE)
            code = local.wait(_ENDING_SECONDS)
        output.seek(0)
        said = output.read(4096).decode("utf-8", "replace")
    return "" if code == 0 and reply.code == 0 else one_line(f"{said} {reply.err}", most=400) or f"exit code {code}"

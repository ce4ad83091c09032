"""A board that is a container: the files of a release and of a C library at their own places in it."""

from __future__ import annotations

import io
import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from deploy.boards.session import TEXT_BYTES, Reply, Traffic
from deploy.verify.facts import Facts, read_facts
from deploy.verify.gather import gather
from recipes.engine.container import ContainerSession

_HERE = PurePosixPath("/corpus")


class ContainerBoard:
    """A session whose commands run in a container; both of their streams are one."""

    def __init__(self, session: ContainerSession) -> None:
        self._session = session
        self.traffic = Traffic()
        self.deadline = math.inf

    def run(
        self, script: str, arguments: Sequence[str] = (), stdin: Iterable[bytes] = (), *, most: int = TEXT_BYTES
    ) -> Reply:
        log = io.BytesIO()
        self._session.put(_HERE, {"asked": (b"".join(stdin), 0o644), "script": (script.encode(), 0o644)})
        words = " ".join(shlex.quote(word) for word in arguments)
        code = self._session.run(["sh", "-c", f"sh script {words} < asked"], log=log)
        assert len(log.getvalue()) <= most
        return Reply(code=code, out=log.getvalue().decode("utf-8", "replace"), err="")

    def fetch(self, script: str, arguments: Sequence[str] = (), stdin: Iterable[bytes] = (), *, most: int) -> bytes:
        return self.run(script, arguments, stdin, most=most).out.encode()


def facts_of(session: ContainerSession, release: Mapping[str, Any]) -> Facts:
    """Ask a container what a board is asked about a release."""
    whole = {"root": "/", "files": [], "services": [], **release}
    return read_facts(gather(ContainerBoard(session), whole), whole)

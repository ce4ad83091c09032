"""A board that is a container: the files of a release and of a C library at their own places in it."""

from __future__ import annotations

import io
import shlex
from pathlib import PurePosixPath
from types import SimpleNamespace

from recipes.engine.container import ContainerSession

_HERE = PurePosixPath("/corpus")


class ContainerBoard:
    """As much of testinfra's host as a check asks for."""

    def __init__(self, session: ContainerSession) -> None:
        self._session = session

    def run(self, command: str, *words: str, stdin: str) -> SimpleNamespace:
        log = io.BytesIO()
        line = command % tuple(shlex.quote(word) for word in words)
        self._session.put(_HERE, {"asked": (stdin.encode(), 0o644)})
        code = self._session.run(["sh", "-c", f"{{ {line}\n}} < asked"], log=log)
        return SimpleNamespace(rc=code, stdout=log.getvalue().decode("utf-8", "replace"))

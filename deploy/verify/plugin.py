"""What every check gets: `host`, testinfra's, over the connection that is open already; `release`, `facts`, `stream`.

A pytest plugin, loaded in the process of the checks and nowhere else. Owner of testinfra.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
from testinfra.backend.base import BaseBackend, CommandResult
from testinfra.host import Host

from deploy.reach.ask import rows_as_endpoints
from deploy.verify.facts import Facts, StreamFact, read_facts
from deploy.verify.line import CHANNEL_VARIABLE, AskingLine
from deploy.verify.verdict import check_name


class SessionBackend(BaseBackend):  # type: ignore[misc] # testinfra has no types
    """A testinfra backend without a connection of its own: commands go over the line to the session of the deploy."""

    NAME = "boardcast"

    def __init__(self, line: AskingLine, known: Mapping[str, tuple[int, str]]) -> None:
        super().__init__(str(line.release["host"]))
        self._line = line
        self._known = known

    def run(self, command: str, *words: str, stdin: str = "", **_: Any) -> CommandResult:
        """Run a command; `%s` in it stand for the words, quoted. A list of paths belongs on stdin."""
        script = self.get_command(command, *words)
        if script in self._known and not stdin:
            code, out = self._known[script]
            return self.result(code, script.encode(), out, "")
        reply = self._line.run(script, stdin)
        return self.result(reply.code, script.encode(), reply.out, reply.err)

    def get_encoding(self) -> str:
        """Ask no Python of the board: what a board says is read as UTF-8."""
        return "utf-8"


@cache
def _line() -> AskingLine:
    return AskingLine(int(os.environ[CHANNEL_VARIABLE]))


def pytest_sessionfinish() -> None:
    """Tell the other end that the checks are over."""
    _line().close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a check that asks for `stream` once for each service of the release; without any it is skipped."""
    if "stream" in metafunc.fixturenames:
        names = [row["name"] for row in _line().release["services"]]
        metafunc.parametrize("stream", names, ids=names, indirect=True)
    if "endpoint" in metafunc.fixturenames:
        found = [one for one in rows_as_endpoints(_line().release["endpoints"]) if one.kind != "nat"]
        metafunc.parametrize("endpoint", found, ids=[one.name for one in found])


@pytest.fixture(autouse=True)
def _begin(request: pytest.FixtureRequest) -> None:
    """Tell the other end which check begins, of how many."""
    items = request.session.items
    _line().begin(f"{items.index(request.node) + 1} of {len(items)}, {check_name(request.node.name)}")


@pytest.fixture(scope="session")
def host(facts: Facts) -> Host:
    """Return the board: testinfra's host, each command one round trip."""
    backend = SessionBackend(_line(), facts.answers)
    made = Host(backend)
    backend.set_host(made)
    return made


@pytest.fixture(scope="session")
def release() -> dict[str, Any]:
    """Return the manifest of the release that should be on the board, its `id` and `folder` with it."""
    return _line().release


@pytest.fixture(scope="session")
def facts(release: dict[str, Any]) -> Facts:
    """Return what the board said when it was asked everything at once; reading it costs no round trip."""
    return read_facts(_line().facts, release)


@pytest.fixture
def stream(facts: Facts, request: pytest.FixtureRequest) -> StreamFact:
    """Return a service of a stream, as `facts` has it."""
    return facts.streams[request.param]

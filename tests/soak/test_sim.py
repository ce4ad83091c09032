"""A soak on a board with BusyBox and dropbear: a service of ours that leaks is red there, a healthy one green."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from deploy.boards.inventory import SimState, host_target
from deploy.boards.session import BoardSession, connect
from deploy.services.service import Service
from deploy.services.systems import init_system
from deploy.soak.judge import judge_soak
from deploy.soak.watch import watch_board
from tests.support.leaking import Steps, row

pytestmark = [pytest.mark.engine, pytest.mark.sim]
ROOT = "/opt/soaked"
_LEAKS = "#!/bin/sh\nwhile :; do kept=$kept$chunk$chunk; sleep 600 & sleep 1; done\n"
_HOLDS = "#!/bin/sh\nwhile :; do kept=$chunk$chunk; sleep 0.2; done\n"
_CHUNK = "chunk=$(head -c 60000 /dev/zero | tr '\\0' x)\n"
# $1 a path, $2 its mode; stdin its content.
_PUT = 'set -e; mkdir -p "${1%/*}"; cat > "$1"; chmod "$2" "$1"'
NONE = init_system("none")


def service(name: str) -> Service:
    return Service(
        name=name,
        description="a service of a test",
        command=f"{ROOT}/current/run/{name}",
        working_folder=f"{ROOT}/scratch/{name}",
        log_file=f"{ROOT}/log/{name}.log",
        needs_network=False,
        needs_clock=False,
    )


def run(session: BoardSession, script: str) -> None:
    reply = session.run(script)
    assert reply.code == 0, reply.err


@pytest.fixture
def put_in(tiny: SimState) -> Iterator[Callable[[str, str], None]]:
    made: list[Service] = []

    def start(name: str, program: str) -> None:
        one = service(name)
        made.append(one)
        head, _, rest = program.partition("\n")
        files = {one.command: (f"{head}\n{_CHUNK}{rest}".encode(), 0o755)} | NONE.files(one)
        files[f"{ROOT}/applied/{name}/status"] = (NONE.status(one).encode(), 0o755)
        with connect(host_target(tiny.name)) as session:
            for path, (content, mode) in files.items():
                assert session.run(_PUT, [path, f"{mode:o}"], [content]).code == 0
            run(session, NONE.enable(one))
            run(session, NONE.start(one))

    yield start
    with connect(host_target(tiny.name)) as session:
        for one in made:
            session.run(NONE.remove(one))
        session.run(f"rm -rf {ROOT}")


def test_a_service_that_leaks_is_red_and_a_healthy_one_green(
    tiny: SimState, put_in: Callable[[str, str], None]
) -> None:
    put_in("leaky", _LEAKS)
    put_in("healthy", _HOLDS)
    target = host_target(tiny.name)
    rows = [row("leaky"), row("healthy")]
    plan = Steps(1.0).plan(seconds=14, interval=1)
    seen = watch_board(tiny.name, lambda: connect(target), ROOT, rows, plan)
    found = {(one.subject, one.check): one for one in judge_soak(seen, ["leaky", "healthy"])}
    assert found["", "the board stays"].state == "passed", found
    assert {one.reason for (name, _), one in found.items() if name == "leaky"} == {
        "",
        "leak-memory",
        "leak-descriptors",
        "leak-threads",
    }
    assert {one.reason for (name, _), one in found.items() if name == "healthy"} == {""}
    assert "KiB/h" in found["leaky", "memory does not grow"].evidence
    assert found["healthy", "memory does not grow"].state == "passed"
    assert seen.samples[-1].services["healthy"].loop is not None

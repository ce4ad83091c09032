"""The network's part of one round trip, run for real: boardprobe's sources, this machine's shell, a local service."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.bundle.manifest import BundleFile, Manifest
from deploy.cloud.session import Keys, Service
from deploy.kvs.tls import Authority
from deploy.reach.ask import NAT, Reach
from deploy.reach.endpoints import VIEW_FOLDER, Endpoint
from deploy.reach.here import Way
from deploy.reach.lookup import named_by_service
from deploy.signaling.turn import Turn, find_program
from deploy.verify.run import run_checks
from deploy.verify.verdict import Check
from recipes import paths
from tests.support import bundles
from tests.support.compiler import compiled
from tests.support.fakestream import board_of, stream
from tests.support.localboard import ARCH, LocalSession
from tests.support.localservice import REGION, LocalService, local_service

pytestmark = [pytest.mark.process, pytest.mark.loopback, pytest.mark.engine, pytest.mark.usefixtures("home")]
HEADER = Path("/usr/include/openssl/ssl.h")
PARTS = ("reach.c", "reach.h", "stun.c", "stun.h", "nat.c", "turn.c", "tls.c", "report.c", "report.h")
MAIN = '#include "reach.h"\nint main(void) { return probe_reach(); }\n'
MAKE = """
$CC -std=c11 -D_GNU_SOURCE -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -Wall -Wextra -Werror \
    -Wformat=2 -o reach main.c reach.c stun.c nat.c turn.c tls.c report.c -lssl -lcrypto
$CC -O1 -shared -fPIC -o clock.so clock.c
"""
REPORT = '{"machine":"x","libc_version":"2","curl":"8","openssl":"3","libwebsockets":"4","findings":[]}'
LAUNCHER = """#!/bin/sh
for word; do [ "$word" != --endpoints ] || exec REACH; done
echo 'REPORT'
"""


@pytest.fixture(scope="module")
def reach_program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not HEADER.is_file():
        pytest.skip("no headers of OpenSSL on this machine (Debian: apt install libssl-dev)")
    sources = {name: (paths.CATALOG / "boardprobe" / "src" / name).read_text() for name in PARTS}
    sources |= {"main.c": MAIN, "clock.c": (Path(__file__).parent / "clock.c").read_text()}
    return compiled(request, tmp_path_factory.mktemp("reach"), sources, MAKE) / "reach"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalService]:
    with local_service(tmp_path_factory.mktemp("service")) as running:
        yield running


def release(root: Path, program: Path) -> Manifest:
    """Put a release there whose boardprobe is ours for the network, and a script for all else."""
    folder = root / "releases" / "one"
    launcher = LAUNCHER.replace("REACH", str(program)).replace("REPORT", REPORT).encode()
    files = {"bin/boardprobe": launcher, "run/boardprobe": launcher}
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
        (folder / path).chmod(0o755)
    (root / "current").symlink_to("releases/one")
    rows = tuple(
        BundleFile(path=path, sha256=hashlib.sha256(data).hexdigest(), size=len(data), mode=0o755)
        for path, data in files.items()
    )
    providers: dict[str, dict[str, str]] = {"bin/boardprobe": {}}
    return bundles.manifest(machines=ARCH.machine, root=str(root), files=rows, providers=providers, loader="/bin/true")


def look(root: Path, program: Path, reach: Reach, shell: Sequence[str] = ("sh",)) -> dict[str, Check]:
    session = LocalSession(shell)
    verdict = run_checks(session, "cam", "one", release(root, program), reach=reach)
    assert session.traffic.round_trips == 1
    assert not any("PASS" in word for words in session.asked for word in words), "a password is in no argument"
    name = "endpoint is reached: "
    return {one.name.removeprefix(name): one for one in verdict.checks if one.name.startswith((name, "viewers"))}


@contextlib.contextmanager
def served(listener: socket.socket, context: ssl.SSLContext) -> Iterator[None]:
    """Finish every TLS handshake on a listening socket, and close."""

    def work() -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = listener.accept()
                with contextlib.suppress(OSError), line, context.wrap_socket(line, server_side=True) as secure:
                    secure.recv(1024)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def test_tls_is_judged_by_the_boards_authorities_and_clock(
    tmp_path: Path, reach_program: Path, service: LocalService
) -> None:
    stranger = Authority(tmp_path)
    stranger.context()
    right = Endpoint(
        name="right", kind="tls", host="localhost", port=service.tls_port, ca=str(service.authority.certificate)
    )
    endpoints = (
        right,
        replace(right, name="stranger", ca=str(stranger.certificate)),
        replace(right, name="none", ca=str(tmp_path / "gone.pem")),
        replace(right, name="plain", port=service.port),
        replace(right, name="closed", port=9),
        replace(right, name="no name", host="no.such.name.invalid"),
        replace(right, name="address", host="127.0.0.1"),
    )
    reach = Reach(endpoints=endpoints, local=Way(address="127.0.0.1", ca=service.authority.certificate),
                  addresses=("127.0.0.1",))  # fmt: skip
    found = look(tmp_path / "flash", reach_program, reach)
    causes = {name: one.cause.removeprefix("endpoint-") for name, one in found.items()}
    assert causes == {
        "right": "", "address": "", "viewers can connect": "", "stranger": "ca", "none": "ca-file",
        "plain": "not-tls", "closed": "refused", "no name": "dns",
    }  # fmt: skip
    assert "clock +0 s to the service's, this workstation reaches it too" in found["right"].evidence
    assert found["stranger"].evidence.startswith("the board refuses the certificate of localhost:")
    assert "this workstation takes it: it is by 'Boardcast local CA'" in found["stranger"].evidence
    assert found["closed"].evidence.startswith("nobody can reach localhost:9, neither the board nor this workstation")

    clocked = tmp_path / "clocked"
    early = f"AHEAD=-1700000000 ASAN_OPTIONS=verify_asan_link_order=0 LD_PRELOAD={reach_program.parent}/clock.so"
    clocked.write_text(f"#!/bin/sh\n{early} exec {reach_program}\n")
    clocked.chmod(0o755)
    found = look(tmp_path / "flash2", clocked, replace(reach, endpoints=endpoints[:1]))
    assert found["right"].cause == "endpoint-clock"
    assert "the certificate is good from " in found["right"].evidence


def test_turn_is_asked_with_the_services_own_password(
    tmp_path: Path, reach_program: Path, service: LocalService
) -> None:
    if find_program() is None:
        pytest.skip("no coturn on this machine (Debian: apt install coturn)")
    loop, port = asyncio.new_event_loop(), 34_781
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    turn = Turn(tmp_path / "turn", "127.0.0.1", port)
    asyncio.run_coroutine_threadsafe(turn.start(), loop).result(30)
    service.service.state["turn"] = turn
    try:
        service.call(lambda: service.service.store.channels.create("door", region=REGION, ttl=60))
        door = {key: value for key, value in stream().items() if key != "sink"} | {"sinks": [{"webrtc": "door"}]}
        board = board_of(Path("/flash/boardcast"), {"door": door}, environment={"region": REGION})
        key = service.key()
        named = named_by_service(
            board,
            lambda region: Service(
                region=region, endpoint_url=service.url, ca=service.authority.certificate,
                keys=Keys(access_key=key.access, secret_key=key.secret, session_token=key.token),
            ),
        )  # fmt: skip
        relays = [one for one in named if one.kind == "turn"]
        assert [(one.transport, one.host, one.port) for one in relays] == [
            ("udp", "127.0.0.1", port), ("tcp", "127.0.0.1", port),
        ]  # fmt: skip
        assert {one.host.partition(".")[0] for one in named if one.kind == "tls"} == {"r-local", "m-local"}
        wrong = replace(relays[0], name="wrong", password="PASSWORD-OF-ANOTHER")
        nat = Endpoint(name=NAT, kind="nat", host="127.0.0.1", port=port)
        found = look(tmp_path / "flash", reach_program, Reach(endpoints=(*relays, wrong, nat)))
        assert {one.state for name, one in found.items() if name != "wrong"} == {"passed"}, found
        assert "relays at 127.0.0.1:" in found[relays[0].name].evidence
        assert found["wrong"].cause == "endpoint-login"
        assert "by TURN (UDP or TCP)" in found["viewers can connect"].evidence
    finally:
        service.service.state.pop("turn")
        turn.stop()
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


OURS, BOARDS = "198.18.77.1", "198.18.77.2"
"""Two addresses of a network for measurements (RFC 2544), which nobody has."""
FIREWALLS = {
    "drops what the board sends": ("iptables -A OUTPUT -p tcp --dport {port} -j DROP", "no answer", "timeout"),
    "refuses it": (
        "iptables -A OUTPUT -p tcp --dport {port} -j REJECT --reject-with tcp-reset", "refused", "refused",
    ),
    "has no route": ("ip addr flush dev lan", "no route", "unreachable"),
}  # fmt: skip


@pytest.fixture
def namespace() -> Iterator[tuple[str, ...]]:
    """Yield the words that start a shell in a network namespace of its own, one cable away from this machine."""
    if os.geteuid() != 0 or not all(shutil.which(tool) for tool in ("ip", "iptables", "nsenter", "unshare")):
        pytest.skip("a namespace with a firewall takes root, iproute2 and iptables")
    cable = f"bc{os.getpid()}"
    with subprocess.Popen(["unshare", "-n", "sh", "-c", "echo ready; exec sleep 300"], stdout=subprocess.PIPE) as held:
        assert held.stdout is not None
        held.stdout.readline()
        inside = ("nsenter", f"--net=/proc/{held.pid}/ns/net", "sh")
        try:
            for line in (
                f"ip link add {cable} type veth peer name lan netns {held.pid}",
                f"ip addr add {OURS}/30 dev {cable}",
                f"ip link set {cable} up",
            ):
                subprocess.run(line.split(), check=True, capture_output=True)
            script = f"ip link set lo up; ip addr add {BOARDS}/30 dev lan; ip link set lan up"
            subprocess.run([*inside, "-euc", script], check=True, capture_output=True)
            yield inside
        finally:
            held.kill()
            subprocess.run(["ip", "link", "del", cable], check=False, capture_output=True)


@pytest.mark.parametrize(
    "how", [pytest.param(how, marks=pytest.mark.slow if "drops" in how else ()) for how in FIREWALLS]
)
def test_what_a_firewall_keeps_from_the_board_alone_is_said_to_be_its(
    tmp_path: Path, reach_program: Path, namespace: tuple[str, ...], how: str
) -> None:
    authority = Authority(tmp_path, (OURS,))
    rule, words, cause = FIREWALLS[how]
    with socket.create_server((OURS, 0)) as server, served(server, authority.context()):
        port = server.getsockname()[1]
        right = Endpoint(name="control", kind="tls", host=OURS, port=port, ca=str(authority.certificate))
        reach = Reach(endpoints=(right,), local=Way(ca=authority.certificate), addresses=(OURS,))
        found = look(tmp_path / "open", reach_program, reach, namespace)["control"]
        assert found.state == "passed", found.evidence
        subprocess.run([*namespace, "-euc", rule.format(port=port)], check=True, capture_output=True)
        found = look(tmp_path / "closed", reach_program, reach, namespace)["control"]
    assert found.cause == f"endpoint-{cause}"
    assert found.evidence.startswith(f"the board cannot reach {OURS}:{port}, this workstation can: {words} at {OURS}")


_VIEW = """
mount --make-rprivate /
mount -t tmpfs none /run
mkdir -p "$VIEW"
printf '127.0.0.1 kinesisvideo.eu-west-1.amazonaws.com\\n' > "$VIEW/file0"
echo "file0 /etc/hosts" > "$VIEW/mounts"
exec sh "$@"
"""


def test_a_board_whose_streams_were_attached_looks_as_they_do(
    tmp_path: Path, reach_program: Path, service: LocalService
) -> None:
    """As `kvs attach` leaves a board: files that are put in front of the board's own, for the streams alone."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("a view of its own takes root and unshare")
    name = Endpoint(
        name="control", kind="tls", host="kinesisvideo.eu-west-1.amazonaws.com", port=service.tls_port,
        ca=str(service.authority.certificate),
    )  # fmt: skip
    way = Way(address="127.0.0.1", ca=service.authority.certificate)
    reach = Reach(endpoints=(name,), local=way, addresses=("127.0.0.1",))
    assert Path("/var/run").resolve() == Path("/run")
    shell = ("unshare", "-m", "env", f"VIEW={VIEW_FOLDER}", "sh", "-euc", _VIEW, "sh")
    found = look(tmp_path / "attached", reach_program, reach, shell)["control"]
    assert found.state == "passed", found.evidence
    assert "this workstation reaches it too" in found.evidence
    other = look(tmp_path / "other", reach_program, reach)["control"]
    assert other.state == "failed", "without the view the name is another's, or nobody's"

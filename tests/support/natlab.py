"""A small Internet in one container: two addresses of servers, a router with the kernel's NAT, and a board behind it.

The NAT, the firewall and the TURN server are real; boardprobe's own sources are compiled in there.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.reach.endpoints import Endpoint
from deploy.reach.seen import Seen, asked_lines, read_seen
from deploy.sim.boards import NETWORK
from recipes import paths
from recipes.arch import ARCHES
from recipes.engine.docker import Engine
from recipes.files import exclusive
from recipes.toolchains.images import ensure_image

ONE, TWO, ROUTER, BOARD = "203.0.113.1", "203.0.113.2", "203.0.113.99", "10.0.0.2"
PORT, OTHER_PORT = 3478, 3479
USER, PASSWORD = "camera", "secret-of-the-test"
_SOURCES = ("reach.c", "reach.h", "stun.c", "stun.h", "nat.c", "turn.c", "tls.c", "report.c", "report.h")
_MAIN = '#include "reach.h"\nint main(void) { return probe_reach(); }\n'
_PACKAGES = "libssl-dev iptables iproute2 coturn"
_BUILD = """
set -eu
cd /lab
gcc -std=c11 -D_GNU_SOURCE -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -Wall -Wextra -Werror \
    -Wformat=2 -o /lab/reach main.c reach.c stun.c nat.c turn.c tls.c report.c -lssl -lcrypto
hold() { unshare -n sleep 3600 > /dev/null 2>&1 & echo $! > "$1"; }
hold router
hold board
sleep 0.5
router=$(cat router) board=$(cat board)
inside() { nsenter -t "$1" -n sh -euc "$2"; }
ip link add wan0 type veth peer name wan1
ip link add lan0 type veth peer name lan1
ip link set wan1 netns "$router"
ip link set lan0 netns "$router"
ip link set lan1 netns "$board"
ip addr add ONE/24 dev wan0
ip addr add TWO/24 dev wan0
ip link set wan0 up
inside "$router" 'ip link set lo up; ip addr add ROUTER/24 dev wan1; ip link set wan1 up
    ip addr add 10.0.0.1/24 dev lan0; ip link set lan0 up'
inside "$board" 'ip link set lo up; ip addr add BOARD/24 dev lan1; ip link set lan1 up
    ip route add default via 10.0.0.1'
ip route add 10.0.0.0/24 via ROUTER
[ "$(nsenter -t "$router" -n cat /proc/sys/net/ipv4/ip_forward)" = 1 ]
"""
_COTURN = f"""
listening-ip={ONE}
listening-ip={TWO}
relay-ip={ONE}
listening-port={PORT}
alt-listening-port={OTHER_PORT}
lt-cred-mech
user={USER}:{PASSWORD}
realm=lab.example
no-cli
no-tls
no-dtls
simple-log
log-file=stdout
"""
RULES = {
    "none": "",
    "ordinary": "iptables -t nat -A POSTROUTING -o wan1 -j MASQUERADE",
    "symmetric": "iptables -t nat -A POSTROUTING -o wan1 -j MASQUERADE --random-fully",
    "open": f"""iptables -t nat -A POSTROUTING -o wan1 -j MASQUERADE
        iptables -t nat -A PREROUTING -i wan1 -p udp -j DNAT --to-destination {BOARD}""",
    "no udp": "iptables -t nat -A POSTROUTING -o wan1 -j MASQUERADE; iptables -A FORWARD -p udp -j DROP",
    "nothing": "iptables -A FORWARD -j DROP",
    "refused": "iptables -A FORWARD -p tcp -j REJECT --reject-with tcp-reset; iptables -A FORWARD -p udp -j REJECT",
}
"""What the router does, in words, and as rules."""


@dataclass
class Lab:
    """The container, up."""

    container: Any

    def sh(self, script: str, *words: str) -> str:
        code, out = self.container.exec_run(["/bin/sh", "-euc", script, "sh", *words])
        text = str(out.decode("utf-8", "replace"))
        assert code == 0, f"{script}\n{text}"
        return text

    def route(self, how: str) -> None:
        """Let the router do something else."""
        script = f"iptables -F; iptables -t nat -F; {RULES[how]}"
        self.sh('nsenter -t "$(cat /lab/router)" -n sh -euc "$1"', script)

    @contextlib.contextmanager
    def serve(self, *, other_addresses: bool) -> Iterator[None]:
        """Run coturn; it may tell of its other address, by which RFC 5780 finds out all."""
        more = "rfc5780\n" if other_addresses else f"no-rfc5780\naux-server={ONE}:{OTHER_PORT}\n"
        self.sh('printf "%s" "$1" > /lab/turn.conf; rm -f /lab/turn.db', _COTURN + more + "userdb=/lab/turn.db\n")
        self.sh("turnserver -c /lab/turn.conf --pidfile /lab/turn.pid > /lab/turn.log 2>&1 & echo $! > /lab/turn.is")
        self.sh('for try in $(seq 100); do grep -q "auth thread" /lab/turn.log && break; sleep 0.1; done; sleep 0.5')
        try:
            yield
        finally:
            self.sh('kill -9 "$(cat /lab/turn.is)"')

    def ask(self, endpoints: Sequence[Endpoint]) -> dict[str, Seen]:
        """Let the board look at endpoints."""
        lines = "".join(f"{line}\n" for line in asked_lines(endpoints))
        told = self.sh('printf "%s" "$1" | nsenter -t "$(cat /lab/board)" -n /lab/reach', lines)
        seen = read_seen(told, endpoints)
        assert seen is not None, told
        return seen


@contextlib.contextmanager
def lab(engine: Engine, name: str) -> Iterator[Lab]:
    """Yield the small Internet; nothing in it reaches anything else."""
    base = ensure_image(ARCHES["x86_64"], engine).tag
    recipe = f"FROM {base}\nRUN apt-get update -qq; apt-get install -y -qq --no-install-recommends {_PACKAGES}\n"
    tag = f"boardcast/test-natlab:{hashlib.sha256(recipe.encode()).hexdigest()[:16]}"
    if not engine.image_id(tag):
        engine.build({"Dockerfile": (recipe.encode(), 0o644)}, tag, {})
    source = paths.CATALOG / "boardprobe" / "src"
    files = {f"lab/{one}": ((source / one).read_bytes(), 0o644) for one in _SOURCES}
    files["lab/main.c"] = (_MAIN.encode(), 0o644)
    with exclusive("change-of-networks", paths.cache()):
        engine.services.ensure_network(NETWORK)
        may = ("NET_ADMIN", "SYS_ADMIN", "NET_RAW")
        engine.services.start(name, tag, ["sleep", "3600"], network=NETWORK, files=files, capabilities=may)
    try:
        made = Lab(engine.services._client.containers.get(name))
        script = _BUILD
        for word, value in (("ONE", ONE), ("TWO", TWO), ("ROUTER", ROUTER), ("BOARD", BOARD)):
            script = script.replace(word, value)
        made.sh(script)
        yield made
    finally:
        engine.services.remove(name)
        with exclusive("change-of-networks", paths.cache()):
            engine.services.remove_network(NETWORK)


def folder_name(folder: Path) -> str:
    """Return a container's name that no other test run has."""
    return f"boardcast-natlab-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}.lab"

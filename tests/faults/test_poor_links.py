"""A poor link: packets that are lost at random, both ways, or late. A deploy takes its time and comes to its end."""

from __future__ import annotations

import contextlib
import os
import queue
import random
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from deploy.boards.inventory import SimState, host_target
from deploy.boards.session import connect
from deploy.bundle.load import Bundle
from deploy.ssh.dial import Target
from recipes.engine.docker import Engine
from tests.faults.test_cuts import deploy, whole
from tests.support.simboard import container_of, rounds
from tests.support.simrelease import FLASH, variant

pytestmark = [
    pytest.mark.engine,
    pytest.mark.sim,
    pytest.mark.skipif(os.getuid() != 0, reason="only root drops packets of a board's network"),
    pytest.mark.skipif(not (shutil.which("iptables") and shutil.which("nsenter")), reason="iptables or nsenter"),
]


@contextmanager
def losing(board: SimState, engine: Engine, percent: float) -> Iterator[list[int]]:
    """Drop so many of 100 packets in the board's own network, each way: iptables-extensions(8), statistic.

    Gives a list that has at the end how many were dropped each way.
    """
    number = container_of(board.name, engine).attrs["State"]["Pid"]
    share = ["-m", "statistic", "--mode", "random", "--probability", f"{percent / 100:.4f}", "-j", "DROP"]
    dropped = list[int]()

    def rules(*words: str) -> str:
        argv = ["nsenter", f"--net=/proc/{number}/ns/net", "iptables", *words]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout

    for chain in ("INPUT", "OUTPUT"):
        rules("-A", chain, *share)
    try:
        yield dropped
    finally:
        for chain in ("INPUT", "OUTPUT"):
            dropped.append(int(rules("-nvxL", chain).splitlines()[2].split()[0]))
            rules("-D", chain, *share)


def carry(source: socket.socket, sink: socket.socket, seconds: float) -> None:
    """Hand on each piece so many seconds after it came; its sender goes on meanwhile."""
    waiting: queue.Queue[tuple[float, bytes]] = queue.Queue()

    def send() -> None:
        data = b"any"
        with contextlib.suppress(OSError):
            while data:
                due, data = waiting.get()
                time.sleep(max(0.0, due - time.monotonic()))
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    threading.Thread(target=send, daemon=True).start()
    data = b"any"
    while data:
        try:
            data = source.recv(65536)
        except OSError:
            data = b""
        waiting.put((time.monotonic() + seconds, data))


@contextmanager
def far(target: Target, seconds: float) -> Iterator[Target]:
    """Give the board at the end of a line on which each byte takes so long, each way; this kernel may have no netem."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    near, _ = listener.accept()
                    away = socket.create_connection((target.address, target.port), timeout=20)
                    for ends in ((near, away), (away, near)):
                        stack.callback(ends[0].close)
                        threading.Thread(target=carry, args=(*ends, seconds), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        stack.callback(listener.shutdown, socket.SHUT_RDWR)
        yield replace(target, address="127.0.0.1", port=listener.getsockname()[1])


@pytest.mark.timeout(900)
def test_a_deploy_comes_to_its_end_though_packets_are_lost(
    tiny: SimState, tiny_bundle: Bundle, engine: Engine, dice: random.Random, figure: Callable[[str], None]
) -> None:
    told = []
    for percent in (0, 5, *([15] * rounds(0, 1))):
        took, sent, gone = [], [], 0
        for tag in range(rounds(2, 10)):
            old, new = (
                variant(tiny_bundle, name, share__noise=dice.randbytes(300_000))
                for name in (f"old {tag}", f"new {tag}")
            )
            with connect(host_target(tiny.name)) as session:
                session.run(f"rm -rf {FLASH}")
                deploy(session, old)
            with losing(tiny, engine, percent) as dropped:
                begun = time.monotonic()
                with connect(host_target(tiny.name)) as session:
                    sent.append(deploy(session, new).payload)
                took.append(time.monotonic() - begun)
            gone += sum(dropped)
            with connect(host_target(tiny.name)) as session:
                assert whole(session, old, new) == new.id
        assert min(sent) > 300_000
        assert (gone > 0) == (percent > 0), "nothing was lost"
        deploys = f"{len(took)} deploys of {sent[0]:,} bytes"
        told.append(f"{percent} %: {deploys}, {gone} packets lost, {min(took):.1f} to {max(took):.1f} s")
    figure("; ".join(told))


def test_a_deploy_comes_to_its_end_over_a_far_link(
    tiny: SimState, tiny_bundle: Bundle, dice: random.Random, figure: Callable[[str], None]
) -> None:
    """A camera on a mobile link: 300 ms there and back. Dropbear's window of 24 KiB bounds what comes in that time."""
    told = []
    with connect(host_target(tiny.name)) as session:
        session.run(f"rm -rf {FLASH}")
        deploy(session, variant(tiny_bundle, "near", share__noise=dice.randbytes(300_000)))
    for seconds in (0.0, 0.15):
        new = variant(tiny_bundle, f"far {seconds}", share__noise=dice.randbytes(300_000))
        with far(host_target(tiny.name), seconds) as target:
            begun = time.monotonic()
            with connect(target) as session:
                done = deploy(session, new)
                assert whole(session, new) == new.id
            took = time.monotonic() - begun
        assert took > done.round_trips * 2 * seconds, "nothing was late"
        told.append(f"{2000 * seconds:.0f} ms: {done.payload:,} bytes, {done.round_trips} round trips, {took:.1f} s")
    figure("; ".join(told))

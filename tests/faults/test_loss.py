"""Packets that are lost at random, both ways, as on a poor Wi-Fi: a deploy takes its time and comes to its end."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from deploy.boards.inventory import SimState, host_target
from deploy.boards.session import connect
from deploy.bundle.load import Bundle
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
def losing(board: SimState, engine: Engine, percent: float) -> Iterator[None]:
    """Drop so many of 100 packets in the board's own network, each way: iptables-extensions(8), statistic."""
    number = container_of(board.name, engine).attrs["State"]["Pid"]
    share = ["-m", "statistic", "--mode", "random", "--probability", f"{percent / 100:.4f}", "-j", "DROP"]

    def rules(verb: str) -> None:
        for chain in ("INPUT", "OUTPUT"):
            argv = ["nsenter", f"--net=/proc/{number}/ns/net", "iptables", verb, chain, *share]
            subprocess.run(argv, check=True, capture_output=True)

    rules("-A")
    try:
        yield
    finally:
        rules("-D")


@pytest.mark.timeout(900)
def test_a_deploy_comes_to_its_end_though_packets_are_lost(
    tiny: SimState, tiny_bundle: Bundle, engine: Engine, dice: random.Random, figure: Callable[[str], None]
) -> None:
    told = []
    for percent in (0, 5, *([15] * rounds(0, 1))):
        took, sent = [], []
        for tag in range(rounds(2, 10)):
            old, new = (
                variant(tiny_bundle, name, share__noise=dice.randbytes(300_000))
                for name in (f"old {tag}", f"new {tag}")
            )
            with connect(host_target(tiny.name)) as session:
                session.run(f"rm -rf {FLASH}")
                deploy(session, old)
            with losing(tiny, engine, percent):
                begun = time.monotonic()
                with connect(host_target(tiny.name)) as session:
                    sent.append(deploy(session, new).payload)
                took.append(time.monotonic() - begun)
            with connect(host_target(tiny.name)) as session:
                assert whole(session, old, new) == new.id
        assert min(sent) > 300_000
        told.append(f"{percent} %: {len(took)} deploys of {sent[0]:,} bytes, {min(took):.1f} to {max(took):.1f} s")
    figure("; ".join(told))

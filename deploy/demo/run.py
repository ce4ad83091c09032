"""The demo, step by step: build, bring a simulated board up, deploy, verify, see its picture arrive."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from deploy.kvsboards.simulated import lead_to_service
from deploy.localkvs.lifecycle import bring_up as bring_service_up
from deploy.localkvs.lifecycle import running
from deploy.localkvs.lifecycle import take_down as take_service_down
from recipes import console, paths
from recipes.engine.docker import Engine

if TYPE_CHECKING:
    from deploy.boards.board import Board
    from deploy.demo.arrival import Arrival
    from deploy.kvsboards.view import View
    from deploy.release.deployment import DeployOutcome


def steps_of(host: str, board: Board) -> list[str]:
    """Return what the demo does, in words."""
    steps = [f"build the recipes of {board.name}"]
    if board.file.streams:
        steps.append("bring the local service up, unless it is")
    steps += [f"bring {host} up", "bundle", "deploy", "verify", "deploy again"]
    if board.file.streams:
        steps += ["wait for its picture, save it, and look at it", "serve the page with it"]
    return [*steps, f"take {host} down, unless it was up before"]


def run_demo(host: str, board: Board, *, stay: bool, json: bool) -> None:
    """Run the demo on a simulated board.

    Parameters
    ----------
    stay:
        Serve the page until Ctrl-C.
    """
    from deploy.cli.output import outcome_facts
    from deploy.sim.boards import bring_up

    begun = time.monotonic()
    engine = Engine.connect()
    build_beside_the_root(board, engine, quiet=json)
    with _as_before(host, engine, service=bool(board.file.streams)) as was_up:
        bring_up(host, engine)
        view = _lead(host) if board.file.streams else None
        outcomes = _deploy_twice(host, board, quiet=json)
        seconds = time.monotonic() - begun
        arrival, page = (None, "") if view is None else _see(view, stay=stay, json=json, begun=begun)
        if view is not None:
            seconds = time.monotonic() - begun if not stay else seconds
    if json:
        facts: dict[str, Any] = {"host": host, "deploys": [outcome_facts(done) for done in outcomes]}
        console.emit(facts | {"seconds": round(seconds), "page": page} | _arrival_facts(arrival))
    left = "stays up, as it was" if was_up else "is gone"
    console.say(f"the demo took {seconds:.0f} s; the board {left}, the bundle stays in .boardcast/bundles")


@contextmanager
def _as_before(host: str, engine: Engine, *, service: bool) -> Iterator[bool]:
    """Take down at the end what was not up before: somebody may be at work with it. Gives whether the board was up."""
    from deploy.sim.boards import is_up, take_down

    was_up, served = is_up(host, engine), running() is not None
    try:
        yield was_up
    finally:
        if not was_up:
            take_down(host, engine)
        if service and not served:
            take_service_down()


def _lead(host: str) -> View:
    from deploy.sim.boards import NETWORK

    return lead_to_service(host, bring_service_up(network=NETWORK))


def _see(view: View, *, stay: bool, json: bool, begun: float) -> tuple[Arrival, str]:
    """Wait for the picture, show it, and serve the page with it."""
    from deploy.demo.arrival import local_calls, serve_page, wait_for_picture
    from deploy.localkvs.lifecycle import require_running

    service = require_running()
    arrival = wait_for_picture(service, view, paths.work() / "demo")
    if not json:
        _show(arrival)
        console.say(f"from nothing to a picture: {time.monotonic() - begun:.0f} s")
    calls = local_calls(service, view.streams[0][1])
    page = ""
    try:
        with contextlib.suppress(KeyboardInterrupt):
            page = asyncio.run(serve_page(calls, view, stay=stay))
    finally:
        calls.close()
    if page and not json:
        console.out(f"  page     {page} answered; invoke demo --stay keeps it open")
    return arrival, page


def _show(arrival: Arrival) -> None:
    """Print what arrived, and draw it where the terminal can."""
    from deploy.demo.draw import drawn

    seen = arrival.seen
    if sys.stdout.isatty():
        console.drawing(drawn(seen.picture, shutil.get_terminal_size().columns - 2))
    console.fields(
        f"{arrival.stream}: a picture of the board arrived",
        {
            "file": paths.shown_path(arrival.file),
            "size": f"{seen.width} x {seen.height}, {seen.codec}",
            "behind": f"{arrival.behind:.1f} s",
            "picture": f"moves; brightness {seen.brightness:.0f} of 255, contrast {seen.contrast:.0f}",
        },
    )


def _arrival_facts(arrival: Arrival | None) -> dict[str, Any]:
    return {} if arrival is None else {"picture": arrival.seen.as_dict() | {"file": str(arrival.file)}}


def build_beside_the_root(board: Board, engine: Engine, *, quiet: bool) -> None:
    """Build while the board's root is made: the one waits for the mirror, the other for emulation."""
    from concurrent.futures import ThreadPoolExecutor

    from deploy.cli.output import print_resolution, print_stage
    from deploy.sim.boards import prepare_board
    from recipes.builder.run import build_stage, prepare_build
    from recipes.files import exclusive
    from recipes.toolchains.vendor import parse_arch
    from recipes.tools.base import ensure_base_image

    second = Engine.connect()
    ensure_base_image(engine)
    with ThreadPoolExecutor(max_workers=1) as pool:
        root = pool.submit(prepare_board, board, second)
        try:
            with exclusive("build"):
                prepared = prepare_build(parse_arch(board.file.arch), board.ask(), engine=engine)
                if not quiet:
                    print_resolution(prepared)
                staged = build_stage(prepared)
            if not root.done():
                console.say("the build is done; the board's packages are still being configured under emulation …")
            root.result()
        except BaseException:
            if not root.done():
                second.abort()  # its container goes, so its command ends
            raise
    if not quiet:
        print_stage(staged)


def _deploy_twice(host: str, board: Board, *, quiet: bool) -> list[DeployOutcome]:
    """Deploy a new bundle, and the same again: the second time nothing is left to do."""
    from deploy.boards.index import board_index
    from deploy.bundle.assemble import make_bundle, stage_for
    from deploy.cli.output import print_bundle, print_outcome
    from deploy.release.deployment import deploy_to

    made, decided = make_bundle(board, stage_for(board), board_index(board))
    if not quiet:
        print_bundle(made, decided)
    outcomes = []
    for _ in range(2):
        outcomes.append(deploy_to(host, made))
        if not quiet:
            print_outcome(outcomes[-1])
    return outcomes

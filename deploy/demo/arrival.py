"""What arrives of a board's streams, looked at twice: a picture that stands still is told from one that moves."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.kvsboards.view import View
from deploy.localkvs.lifecycle import Running
from recipes.errors import VerifyError
from recipes.progress import progress

if TYPE_CHECKING:
    from deploy.cloud.session import Calls
    from deploy.watch.once import Seen

_LOOKS = 8
WAIT = 90.0
"""Seconds in which a first picture may come: an emulated board looks through its plugins first."""


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """A picture that came from a board.

    Attributes
    ----------
    file:
        Where it is saved.
    behind:
        Seconds from the end of its fragment to when it was looked at.
    """

    stream: str
    file: Path
    seen: Seen
    behind: float


def local_calls(running: Running, region: str) -> Calls:
    """Return the calls to the local service, with its owner's key."""
    from deploy.cloud.session import Calls, Keys, Service

    key = running.own_key()
    keys = Keys(access_key=key.access, secret_key=key.secret, session_token=key.token)
    return Calls(Service(region=region, endpoint_url=running.url, ca=running.authority, keys=keys))


def wait_for_picture(running: Running, view: View, folder: Path) -> Arrival:
    """Wait for the first stream's picture, save it, and make sure that it shows something and moves.

    Raises
    ------
    VerifyError
        None came in time, or it is black, green, or always the same.
    """
    name, region = view.streams[0]
    calls = local_calls(running, region)
    try:
        with progress(f"waiting for the picture of {name}"):
            return asyncio.run(_look(calls, name, folder))
    finally:
        calls.close()


async def _look(calls: Calls, name: str, folder: Path) -> Arrival:
    from deploy.watch.cameras import Wanted
    from deploy.watch.feed import Feed
    from deploy.watch.once import choose, take

    feed = Feed(calls, Wanted(streams=frozenset({name}), channels=frozenset()))
    try:
        camera = await choose(feed, wait=WAIT)
        first = await take(feed, camera, "JPEG", wait=WAIT)
        second = first
        for _ in range(0 if first.blank else _LOOKS):
            await asyncio.sleep(1)
            second = await take(feed, camera, "JPEG", wait=WAIT)
            if second.picture != first.picture:
                break
    finally:
        await feed.close()
    return _judged(name, first, second, folder)


def _judged(name: str, first: Seen, second: Seen, folder: Path) -> Arrival:
    from recipes.files import write_whole

    file = folder / f"{name}.jpg"
    write_whole(file, second.picture)
    what = second.blank or ("" if second.moving or second.picture != first.picture else "always the same")
    if what:
        raise VerifyError(f"what arrives of {name} is {what}", where=str(file), next_step="invoke doctor --host HOST")
    return Arrival(stream=name, file=file, seen=second, behind=second.behind)


async def serve_page(feed_of: Calls, view: View, *, stay: bool) -> str:
    """Serve the page with a board's cameras, until Ctrl-C where it is to stay; return its address.

    Without staying it is asked for once: what a browser would get is there.
    """
    from deploy.watch.cameras import Wanted
    from deploy.watch.libraries import libraries
    from deploy.watch.server import start
    from recipes import console

    names = frozenset(name for name, _ in view.streams)
    wanted = Wanted(streams=names, channels=frozenset(name for name, _ in view.channels))
    running = await start(feed_of, wanted, await asyncio.to_thread(libraries))
    try:
        if stay:
            console.out(f"Open {running.address}", "Ctrl-C ends it, and takes the board down.")
            await asyncio.Event().wait()
        await _answers(running.address)
        return running.address
    finally:
        await running.close()


async def _answers(address: str) -> None:
    from aiohttp import ClientSession, ClientTimeout

    async with (
        ClientSession(timeout=ClientTimeout(total=20)) as session,
        session.get(address) as answer,
    ):
        if answer.status != 200 or "<html" not in await answer.text():
            raise VerifyError("the page does not answer", where=address)

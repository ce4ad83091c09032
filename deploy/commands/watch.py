"""The task that shows what arrives: a page on this machine, or one picture."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from invoke import Context

from deploy.cli.command import BOARD, command
from recipes.errors import ConfigError, VerifyError

if TYPE_CHECKING:
    from deploy.cloud.session import Calls
    from deploy.watch.cameras import Wanted
    from deploy.watch.once import Seen

_WAIT = 30.0
"""Seconds in which a first fragment may come for --once."""


@command(
    iterable=["stream", "channel"],
    help={
        "board": f"{BOARD}: the streams and channels of its file; everything the service has without a name",
        "stream": "name of a stream; may be given more than once",
        "channel": "name of a signaling channel; may be given more than once",
        "once": "save one picture (.jpg or .png) and say what is seen in it, instead of the page",
        "port": "of the page, on 127.0.0.1; one that is free without it",
        "profile": "of your AWS configuration: watch AWS with it, and not the local service",
        "region": "of the streams; the board's, the local service's or the profile's own without it",
        "aws": "watch AWS with the usual credentials, also while the local service runs",
    },
)
def watch(
    _: Context,
    stream: list[str],
    channel: list[str],
    board: str = "",
    once: str = "",
    port: int = 0,
    profile: str = "",
    region: str = "",
    aws: bool = False,
    json: bool = False,
) -> None:
    """Show what arrives: a page with all cameras, or one picture with --once."""
    import asyncio

    from deploy.cloud.session import Calls, chosen_service
    from deploy.watch.once import picture_kind
    from recipes.files import write_whole

    if not 0 <= port <= 65_535:
        raise ConfigError(f"--port {port}: 1 to 65535")
    wanted, home = _wanted(board, stream, channel)
    if once:
        picture_kind(Path(once))
    calls = Calls(chosen_service(region or home, profile, aws=aws))
    try:
        if once:
            seen = asyncio.run(_picture(calls, wanted, Path(once)))
            write_whole(Path(once).absolute(), seen.picture)
            _tell(seen, Path(once), json=json)
        else:
            with contextlib.suppress(KeyboardInterrupt):  # its usual end
                asyncio.run(_page(calls, wanted, port, json=json))
    finally:
        calls.close()


def _wanted(board: str, streams: Sequence[str], channels: Sequence[str]) -> tuple[Wanted, str]:
    """Return which cameras are asked for, and the region that the board's file says; empty without a board."""
    from deploy.watch.cameras import Wanted

    if not board:
        return Wanted(streams=frozenset(streams), channels=frozenset(channels)), ""
    from deploy.boards.board import load_board
    from deploy.cloud.promise import board_promises, board_region

    loaded = load_board(board)
    promised = board_promises(loaded)
    if not promised:
        raise ConfigError(f"{board} sends nothing to the service", next_step=f"invoke board.show --board {board}")
    names = frozenset(stream.name for stream in promised.streams) | frozenset(streams)
    signaling = frozenset(channel.name for channel in promised.channels) | frozenset(channels)
    return Wanted(streams=names, channels=signaling), board_region(loaded)


async def _page(calls: Calls, wanted: Wanted, port: int, *, json: bool) -> None:
    """Serve until Ctrl-C."""
    import asyncio
    import sys

    from deploy.cloud.session import ServiceRefusalError, as_user_error
    from deploy.watch.feed import Feed
    from deploy.watch.libraries import libraries
    from deploy.watch.server import start
    from recipes import console, progress

    where = f"the local service, {calls.region}" if calls.service.is_local else f"AWS, {calls.region}"
    try:
        count = len(await Feed(calls, wanted).cameras())
    except ServiceRefusalError as refusal:
        raise as_user_error(refusal, f"cannot read the list of cameras from {where}") from refusal
    running = await start(calls, wanted, await asyncio.to_thread(libraries), port=port)
    if json:
        console.emit({"address": running.address, "cameras": count, "region": calls.region})
    else:
        console.out(f"Cameras of {where}: {count}", f"Open {running.address}", "Ctrl-C ends it.")
    sys.stdout.flush()
    try:
        with progress.quiet():
            await asyncio.Event().wait()
    finally:
        await running.close()


async def _picture(calls: Calls, wanted: Wanted, path: Path) -> Seen:
    from deploy.cloud.session import ServiceRefusalError, as_user_error
    from deploy.watch.feed import Feed
    from deploy.watch.once import choose, picture_kind, take

    feed = Feed(calls, wanted)
    try:
        return await take(feed, await choose(feed, wait=_WAIT), picture_kind(path), wait=_WAIT)
    except ServiceRefusalError as refusal:
        raise as_user_error(refusal, "there is no picture") from refusal
    finally:
        await feed.close()


def _tell(seen: Seen, path: Path, *, json: bool) -> None:
    """Print what was seen; a picture that shows nothing is an error."""
    from recipes import console

    if json:
        console.emit(seen.as_dict() | {"file": str(path)})
    else:
        moving = {True: "moving", False: "the same from the first picture of the fragment to its last", None: "-"}
        console.fields(
            f"{seen.camera}: {path}",
            {
                "size": f"{seen.width} x {seen.height}",
                "codec": seen.codec,
                "behind": f"{seen.behind:.1f} s",
                "brightness": f"{seen.brightness:.0f} of 255, contrast {seen.contrast:.0f}",
                "picture": moving[seen.moving],
            },
        )
    if seen.blank:
        raise VerifyError(
            f"{seen.camera}: the picture is {seen.blank}",
            where=str(path),
            why="what arrives can be decoded, and shows nothing",
            next_step="invoke logs --host HOST; a camera with its lid on is black too",
        )

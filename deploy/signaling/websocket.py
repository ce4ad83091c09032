"""The WebSocket of a channel: its master and its viewers connect to it; what they send is checked and passed on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploy.kvs.errors import ServiceError, invalid, limit_exceeded
from deploy.kvs.keys import Key
from deploy.kvsstore.channels import Channel
from deploy.kvsstore.service import Service
from deploy.signaling.hub import Hub, hub_of
from deploy.signaling.messages import MOST_FRAME, correlation_of, event, is_client, read_fields, read_message, status
from deploy.signaling.peers import GOING_AWAY, NOT_TEXT, REFUSED, Peer, Rate

if TYPE_CHECKING:
    from aiohttp import web

_FAREWELL = 2.0
"""Seconds that a client has to answer a close frame."""


async def websocket(service: Service, request: web.Request, key: Key) -> web.WebSocketResponse:
    """Serve one connection to its end. Who gives a client ID is a viewer, who gives none the master.

    Raises
    ------
    ServiceError
        Before the connection is one: no such channel, an ID that is none, too many viewers.
    """
    from aiohttp import web

    if "X-Amz-ChannelARN" not in request.query:
        raise invalid("X-Amz-ChannelARN is missing.")
    channel = service.store.channels.find(arn=request.query["X-Amz-ChannelARN"])
    client = request.query.get("X-Amz-ClientId", "")
    if "X-Amz-ClientId" in request.query and (not is_client(client) or client.upper().startswith("AWS_")):
        raise invalid("X-Amz-ClientId must be 1 to 256 of a-z, A-Z, 0-9, _, . and -, and not begin with AWS_")
    hub = hub_of(service)
    # Pings are ours to answer, so that they count: as signs of life, and as frames.
    socket = web.WebSocketResponse(
        protocols=("wss",), autoping=False, max_msg_size=MOST_FRAME, compress=False, timeout=_FAREWELL
    )
    if not socket.can_prepare(request):
        raise invalid("The request asks for no WebSocket.")
    # Joined before the upgrade, so that one viewer too many is refused by status; and after all other checks, since it
    # ends the connection of the same client that was there before.
    peer = hub.join(channel, client)
    try:
        await socket.prepare(request)
        await _Connection(hub, channel, peer, socket).serve()
    finally:
        hub.leave(peer)
        peer.end(GOING_AWAY, "")
        await _close(request, socket, peer)
    return socket


async def _close(request: web.Request, socket: web.WebSocketResponse, peer: Peer) -> None:
    """Say farewell; who does not read is cut off, since a close frame would wait for him for ever."""
    code, reason = peer.ending or (GOING_AWAY, "")
    if not socket.prepared:
        return
    try:
        async with asyncio.timeout(2 * _FAREWELL):
            await socket.close(code=code, message=reason.encode())
    except (TimeoutError, ConnectionError):
        if request.transport is not None:
            request.transport.abort()


@dataclass
class _Connection:
    """One open connection."""

    hub: Hub
    channel: Channel
    peer: Peer
    socket: web.WebSocketResponse

    async def serve(self) -> None:
        """Read and write until either is over."""
        loop = asyncio.get_running_loop()
        limits = self.hub.limits
        timer = loop.call_later(max(limits.connection - limits.grace, 0), self._send_away)
        tasks = {loop.create_task(self._read()), loop.create_task(self._write())}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            # A connection may break in either; a fault of ours is not to be passed over.
            if isinstance(end, Exception) and not isinstance(end, ConnectionError | TimeoutError):
                raise end

    def _send_away(self) -> None:
        """Tell the client to connect again: its time is nearly over."""
        self.peer.send(event("GO_AWAY"))
        asyncio.get_running_loop().call_later(self.hub.limits.grace, self.peer.end, GOING_AWAY, "time is over")

    async def _write(self) -> None:
        while (text := await self.peer.next()) is not None:
            try:
                async with asyncio.timeout(self.hub.limits.stalled):
                    await self.socket.send_str(text)
            except TimeoutError:
                self.peer.end(REFUSED, "messages are not read")
                return
            except ConnectionError:
                return

    async def _read(self) -> None:
        from aiohttp import WSMsgType

        loop, limits = asyncio.get_running_loop(), self.hub.limits
        frames = Rate(limits.frames, loop.time())
        rates = {action: Rate(each_second, loop.time()) for action, each_second in limits.rates.items()}
        while True:
            try:
                frame = await self.socket.receive(timeout=limits.idle)
            except TimeoutError:
                return self.peer.end(GOING_AWAY, "nothing was sent for too long")
            if frame.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
                return None
            if not frames.take(loop.time()):
                return self.peer.end(REFUSED, "too many frames")
            if frame.type is WSMsgType.PING:
                async with asyncio.timeout(limits.stalled):
                    await self.socket.pong(frame.data)
            # Empty frames occur in the real service too: https://github.com/AlexxIT/go2rtc reads past them.
            elif frame.type in (WSMsgType.TEXT, WSMsgType.BINARY) and frame.data:
                if frame.type is WSMsgType.BINARY:
                    return self.peer.end(NOT_TEXT, "only text is read")
                self._take(frame.data, rates)

    def _take(self, text: str, rates: dict[str, Rate]) -> None:
        """Pass a message on, or say why not; who gave it no name hears nothing, as with the service."""
        correlation = ""
        try:
            fields = read_fields(text)
            correlation = correlation_of(fields)
            message = read_message(fields, from_master=self.peer.is_master)
            if not rates[message.action].take(asyncio.get_running_loop().time()):
                raise limit_exceeded(f"Too many of {message.action} in a second.")
            self.hub.pass_on(self.peer, self.channel, message)
        except ServiceError as error:
            if correlation:
                self.peer.send(status(correlation, error))

"""Who is connected to which channel, and what goes from whom to whom."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from deploy.kvs.errors import ServiceError, limit_exceeded, not_found
from deploy.kvsstore.channels import Channel
from deploy.kvsstore.service import Service
from deploy.signaling.messages import Message, event
from deploy.signaling.peers import GOING_AWAY, Limits, Peer

MOST_HELD = 1_024
"""Messages that wait for somebody to connect, on all channels together: 10 MB."""


@dataclass
class _Room:
    """The clients of one channel."""

    master: Peer | None = None
    viewers: dict[str, Peer] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Held:
    """A message for somebody who is not connected.

    Attributes
    ----------
    channel:
        Its ARN.
    recipient, sender:
        A viewer's ID; empty for the master.
    until:
        On the service's clock.
    """

    channel: str
    recipient: str
    sender: str
    message: Message
    until: float


class Hub:
    """The connected clients of all channels; it lives in one event loop.

    Parameters
    ----------
    clock:
        Seconds; by which messages stop waiting.
    """

    def __init__(self, clock: Callable[[], float], limits: Limits) -> None:
        self.limits = limits
        self._clock = clock
        self._rooms: dict[str, _Room] = {}
        self._held: list[_Held] = []
        self._answers: dict[tuple[str, str], asyncio.Future[str]] = {}

    def join(self, channel: Channel, client: str) -> Peer:
        """Take a client in, and queue what waits for it; a connection of the same one that is open is ended.

        Parameters
        ----------
        client:
            A viewer's ID; empty for the master.

        Raises
        ------
        ServiceError
            The channel has as many viewers as it may have.
        """
        room = self._rooms.setdefault(channel.arn, _Room())
        older = room.viewers.get(client) if client else room.master
        if client and older is None and len(room.viewers) >= self.limits.viewers:
            raise limit_exceeded(f"The channel has {self.limits.viewers} viewers, which is the most.")
        peer = Peer(channel.arn, client)
        if client:
            room.viewers[client] = peer
        else:
            room.master = peer
        if older is not None:
            older.end(GOING_AWAY, "connected again from elsewhere")
        self._deliver_held(peer)
        return peer

    def leave(self, peer: Peer) -> None:
        """Forget a connection; a newer one of the same client stays."""
        room = self._rooms.get(peer.channel, _Room())
        if room.master is peer:
            room.master = None
        if room.viewers.get(peer.client) is peer:
            del room.viewers[peer.client]
        if room.master is None and not room.viewers:
            self._rooms.pop(peer.channel, None)

    def facts(self, arn: str) -> dict[str, Any]:
        """Return whether a channel's master is connected, the IDs of its viewers, and how many messages wait."""
        room = self._rooms.get(arn, _Room())
        now = self._clock()
        waiting = sum(held.channel == arn and held.until > now for held in self._held)
        return {"master": room.master is not None, "viewers": sorted(room.viewers), "waiting": waiting}

    def pass_on(self, sender: Peer, channel: Channel, message: Message) -> None:
        """Give a message to whom it is for, now or when that one connects.

        Raises
        ------
        ServiceError
            Too many messages wait already.
        """
        waiting = self._answers.get((channel.arn, message.recipient)) if sender.is_master else None
        if waiting is not None:
            if message.action == "SDP_ANSWER" and not waiting.done():
                waiting.set_result(message.payload)
            return
        self._give(channel, message, sender.client)

    async def ask(self, channel: Channel, client: str, offer: str, seconds: float) -> str:
        """Offer something to the master in a client's name, and return its answer's payload.

        Raises
        ------
        ServiceError
            No answer came within the seconds, or that client has asked already.
        """
        key = (channel.arn, client)
        if key in self._answers:
            raise limit_exceeded("This client's offer is still waiting for its answer.")
        waiting = self._answers[key] = asyncio.get_running_loop().create_future()
        try:
            self._give(channel, Message("SDP_OFFER", "", offer), client)
            return await asyncio.wait_for(waiting, seconds)
        except TimeoutError:
            raise not_found("The master did not answer.") from None
        finally:
            del self._answers[key]

    def tell(self, channel: Channel, kind: str, client: str | None = None) -> int:
        """Send GO_AWAY or RECONNECT_ICE_SERVER to all of a channel, or to one; returns how many were told.

        Who is told to go away, and stays, is cut off after the time of grace.

        Parameters
        ----------
        client:
            A viewer's ID, empty for the master; None for all.
        """
        peers = [peer for peer in self._peers(channel.arn) if client is None or peer.client == client]
        told = [peer for peer in peers if peer.send(event(kind))]
        if kind == "GO_AWAY":
            for peer in told:
                asyncio.get_running_loop().call_later(self.limits.grace, peer.end, GOING_AWAY, "told to go away")
        return len(told)

    async def close_channel(self, arn: str, reason: str = "the channel is deleted") -> None:
        """End all connections of a channel, and forget what waits for it."""
        for peer in self._peers(arn):
            peer.end(GOING_AWAY, reason)
        self._held = [held for held in self._held if held.channel != arn]

    async def close(self) -> None:
        """End all connections of all channels: the service ends."""
        for arn in list(self._rooms):
            await self.close_channel(arn, "the service ends")

    def _peers(self, channel: str) -> list[Peer]:
        room = self._rooms.get(channel, _Room())
        return [*([room.master] if room.master else []), *room.viewers.values()]

    def _give(self, channel: Channel, message: Message, sender: str) -> None:
        room = self._rooms.get(channel.arn, _Room())
        peer = room.viewers.get(message.recipient) if message.recipient else room.master
        if peer is not None and peer.send(event(message.action, payload=message.payload, sender=sender)):
            return
        self._hold(_Held(channel.arn, message.recipient, sender, message, self._clock() + channel.ttl))

    def _hold(self, new: _Held) -> None:
        """Keep a message; a newer offer or answer of the same sender takes the older one's place."""
        now = self._clock()
        self._held = [held for held in self._held if held.until > now and not _replaces(new, held)]
        if len(self._held) >= MOST_HELD:
            raise limit_exceeded("Too many messages wait for somebody to connect.")
        self._held.append(new)

    def _deliver_held(self, peer: Peer) -> None:
        now = self._clock()
        theirs = [held for held in self._held if (held.channel, held.recipient) == (peer.channel, peer.client)]
        self._held = [held for held in self._held if held not in theirs]
        for held in theirs:
            if held.until > now:
                peer.send(event(held.message.action, payload=held.message.payload, sender=held.sender))


def _replaces(new: _Held, old: _Held) -> bool:
    same = (new.channel, new.recipient, new.sender) == (old.channel, old.recipient, old.sender)
    return same and new.message.action == old.message.action and new.message.action != "ICE_CANDIDATE"


def hub_of(service: Service) -> Hub:
    """Return the hub of a running service; the first who asks makes it."""
    found = service.state.get("signaling")
    if not isinstance(found, Hub):
        found = service.state["signaling"] = Hub(service.clock, Limits())
    return found


def send_events(service: Service, name: str, region: str, kind: str, client: str | None = None) -> int:
    """Send GO_AWAY or RECONNECT_ICE_SERVER because a person asked for it; returns how many were told.

    Raises
    ------
    ServiceError
        There is no such channel, or no such event.
    """
    if kind not in ("GO_AWAY", "RECONNECT_ICE_SERVER"):
        raise ServiceError(400, "InvalidArgumentException", "the events are GO_AWAY and RECONNECT_ICE_SERVER")
    return hub_of(service).tell(service.store.channels.find(name=name, region=region), kind, client)

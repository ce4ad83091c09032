"""The HTTPS calls of a channel: which ICE servers there are, and an offer on behalf of Alexa."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deploy.kvs.arguments import choice, text
from deploy.kvs.errors import invalid
from deploy.kvsstore.channels import Channel
from deploy.kvsstore.service import Handler, Service
from deploy.signaling.hub import hub_of
from deploy.signaling.messages import MOST_PAYLOAD, is_client, is_payload
from deploy.signaling.turn import Turn

if TYPE_CHECKING:
    from aiohttp import web


async def get_ice_server_config(service: Service, request: web.Request, arguments: dict[str, Any]) -> dict[str, Any]:
    """Answer GetIceServerConfig: TURN where it runs, else an empty list, with which the clients go on."""
    _channel(service, arguments)
    choice(arguments, "Service", ["TURN"], "TURN")
    client = _client(arguments, "ClientId") or _client(arguments, "Username") or "local"
    turn = service.state.get("turn")
    return {"IceServerList": [turn.server(client, service.clock())] if isinstance(turn, Turn) else []}


async def send_alexa_offer(service: Service, request: web.Request, arguments: dict[str, Any]) -> dict[str, Any]:
    """Answer SendAlexaOfferToMaster: the offer waits for a master as long as the channel keeps messages."""
    channel = _channel(service, arguments)
    client = _client(arguments, "SenderClientId", needed=True)
    offer = text(arguments, "MessagePayload", needed=True, most=MOST_PAYLOAD)
    if not is_payload(offer):
        raise invalid("MessagePayload must be base64.")
    return {"Answer": await hub_of(service).ask(channel, client, offer, channel.ttl)}


def _channel(service: Service, arguments: dict[str, Any]) -> Channel:
    return service.store.channels.find(arn=text(arguments, "ChannelARN", needed=True))


def _client(arguments: dict[str, Any], name: str, *, needed: bool = False) -> str:
    given = text(arguments, name, needed=needed)
    if given and not is_client(given):
        raise invalid(f"{name} must be 1 to 256 of a-z, A-Z, 0-9, _, . and -")
    return given


OPERATIONS: dict[str, Handler] = {
    "v1/get-ice-server-config": get_ice_server_config,
    "v1/send-alexa-offer-to-master": send_alexa_offer,
}

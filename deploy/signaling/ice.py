"""The HTTPS calls of a channel: which ICE servers there are, and an offer on behalf of Alexa."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deploy.kvs.errors import invalid
from deploy.kvsstore.channels import Channel
from deploy.kvsstore.service import Handler, Service
from deploy.signaling.hub import hub_of
from deploy.signaling.messages import is_client, is_payload
from deploy.signaling.turn import Turn

if TYPE_CHECKING:
    from aiohttp import web


async def get_ice_server_config(service: Service, _request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
    """Answer GetIceServerConfig: TURN where it runs, else an empty list, with which the clients go on."""
    _channel(service, body)
    if body.get("Service", "TURN") != "TURN":
        raise invalid("Service must be TURN.")
    client = _client(body, "ClientId", _client(body, "Username", "local"))
    turn = service.state.get("turn")
    return {"IceServerList": [turn.server(client, service.clock())] if isinstance(turn, Turn) else []}


async def send_alexa_offer_to_master(service: Service, _request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
    """Answer SendAlexaOfferToMaster: the offer waits for a master as long as the channel keeps messages."""
    channel = _channel(service, body)
    client = _client(body, "SenderClientId", "")
    offer = body.get("MessagePayload")
    if not client:
        raise invalid("SenderClientId is missing.")
    if not isinstance(offer, str) or not is_payload(offer):
        raise invalid("MessagePayload must be base64 of at most 10000 characters.")
    return {"Answer": await hub_of(service).ask(channel, client, offer, channel.ttl)}


def _channel(service: Service, body: dict[str, Any]) -> Channel:
    arn = body.get("ChannelARN")
    if not isinstance(arn, str):
        raise invalid("ChannelARN is missing.")
    return service.store.channels.find(arn=arn)


def _client(body: dict[str, Any], name: str, otherwise: str) -> str:
    given = body.get(name, otherwise)
    if not isinstance(given, str) or (given and not is_client(given)):
        raise invalid(f"{name} must be 1 to 256 of a-z, A-Z, 0-9, _, . and -")
    return given


OPERATIONS: dict[str, Handler] = {
    "v1/get-ice-server-config": get_ice_server_config,
    "v1/send-alexa-offer-to-master": send_alexa_offer_to_master,
}

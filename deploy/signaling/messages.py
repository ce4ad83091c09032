"""Signaling messages: what a client may send, and what it is sent.

Clients spell keys differently (C: `MessagePayload`, JavaScript: `messagePayload`), so they are read without case.
https://docs.aws.amazon.com/kinesisvideostreams-webrtc-dg/latest/devguide/kvswebrtc-websocket-apis.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from deploy.kvs.errors import ServiceError, invalid

ACTIONS = ("SDP_OFFER", "SDP_ANSWER", "ICE_CANDIDATE")
MOST_PAYLOAD = 10_000
"""Characters of a payload, which is base64; as the service's own model has it for an offer."""
MOST_FRAME = 32_768
"""Bytes of one WebSocket message."""
_CLIENT = re.compile(r"[a-zA-Z0-9_.-]{1,256}")
_BASE64 = re.compile(r"[a-zA-Z0-9+/=]+")
_KEYS = ("action", "recipientclientid", "messagepayload", "correlationid")


@dataclass(frozen=True, slots=True)
class Message:
    """One message from a client.

    Attributes
    ----------
    recipient:
        The client that it is for; empty from a viewer, which can only mean the master.
    payload:
        Base64, passed on as it is.
    correlation:
        What the sender calls this message by; empty where it does not care how it fared.
    """

    action: str
    recipient: str
    payload: str
    correlation: str = ""


def is_client(name: str) -> bool:
    """Tell whether a word may be a client's ID."""
    return _CLIENT.fullmatch(name) is not None


def is_payload(value: str) -> bool:
    """Tell whether a text may be a message's payload."""
    return len(value) <= MOST_PAYLOAD and _BASE64.fullmatch(value) is not None


def read_fields(text: str) -> dict[str, str]:
    """Read a frame's JSON; the keys of a message in lower case, and nothing else of it.

    Raises
    ------
    ServiceError
        It is no JSON object, or a value of a message is no text.
    """
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        raise invalid("The message is no JSON.") from None
    if not isinstance(read, dict):
        raise invalid("The message is no JSON object.")
    found = {name.lower(): value for name, value in read.items() if name.lower() in _KEYS and value is not None}
    for name, value in found.items():
        if not isinstance(value, str):
            raise invalid(f"{name} is no text.")
    return found


def correlation_of(fields: Mapping[str, str]) -> str:
    """Return what the sender calls a message by, where that is a name."""
    given = fields.get("correlationid", "")
    return given if is_client(given) else ""


def read_message(fields: Mapping[str, str], *, from_master: bool) -> Message:
    """Check what was read of a frame.

    Parameters
    ----------
    from_master:
        A master has to say who a message is for; what a viewer says about that is left out.

    Raises
    ------
    ServiceError
        Something is missing, is not of its form, or is too long.
    """
    action, recipient = fields.get("action", ""), fields.get("recipientclientid", "") if from_master else ""
    payload = fields.get("messagepayload", "")
    if action not in ACTIONS:
        raise invalid(f"action must be one of {', '.join(ACTIONS)}.")
    if len(payload) > MOST_PAYLOAD:
        raise invalid(f"messagePayload has {len(payload)} characters; the most is {MOST_PAYLOAD}.")
    if not is_payload(payload):
        raise invalid("messagePayload must be base64, and not empty.")
    if from_master and not is_client(recipient):
        raise invalid("recipientClientId must be 1 to 256 of a-z, A-Z, 0-9, _, . and -")
    return Message(action, recipient, payload, correlation_of(fields))


def event(kind: str, *, payload: str = "", sender: str = "") -> str:
    """Return an event as a client is sent it.

    Parameters
    ----------
    kind:
        An action, GO_AWAY or RECONNECT_ICE_SERVER.
    sender:
        A viewer's ID; the master has none.
    """
    said = {"messageType": kind, "messagePayload": payload} | ({"senderClientId": sender} if sender else {})
    return json.dumps(said)


def status(correlation: str, error: ServiceError) -> str:
    """Return the event that says how a message fared; it is sent for errors only, as the service does."""
    response = {
        "correlationId": correlation,
        "errorType": error.code,
        "statusCode": str(error.status),
        "description": error.message,
    }
    return json.dumps({"messageType": "STATUS_RESPONSE", "messagePayload": "", "statusResponse": response})

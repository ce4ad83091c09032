"""A viewer without a screen: it counts the pictures that it could decode, and times the first; loss and round trip too.

aiortc is an extra: `boardcast[webrtc]`. Two lines of what it offers are changed for the C SDK, see `offered`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deploy.cloud.session import Calls, ServiceRefusalError
from deploy.webrtc.channel import connect_viewer, ice_servers, open_session

if TYPE_CHECKING:
    from aiohttp import ClientWebSocketResponse
    from aiortc import RTCPeerConnection
    from aiortc.mediastreams import MediaStreamTrack

FRAMES = 10
"""Pictures that are to be decoded."""
SECONDS = 20.0
"""For all of them, from the offer on."""
_FRAME_SECONDS = 5.0
_ROUND_TRIPS = 3


@dataclass(slots=True, kw_only=True)
class Viewed:
    """What a viewer saw; times in seconds from the offer on, None for what did not happen.

    Attributes
    ----------
    answered, connected, first:
        When the master's answer came, the connection stood, and the first picture was decoded.
    received, lost:
        RTP packets of the pictures.
    way:
        Kinds of the two ends: host, srflx, prflx or relay.
    fault:
        Why it went no further, in the words of whoever said so.
    """

    channel: str
    answered: float | None = None
    connected: float | None = None
    first: float | None = None
    frames: int = 0
    seconds: float = 0.0
    received: int = 0
    lost: int = 0
    round_trip: float | None = None
    way: str = ""
    pictures: list[Any] = field(default_factory=list)
    fault: str = ""
    refusal: ServiceRefusalError | None = None

    @property
    def rate(self) -> float:
        return (self.frames - 1) / self.seconds if self.frames > 1 and self.seconds else 0.0


def offered(sdp: str) -> tuple[str, list[str]]:
    """Return an SDP as the C SDK needs it, and the candidates, which go on their own.

    Of several fingerprints it takes the last, and aiortc's last is not the one that it computes; and without the
    option it gathers for 10 s before it answers.
    https://github.com/awslabs/amazon-kinesis-video-streams-webrtc-sdk-c/pull/2262
    """
    candidates = re.findall(r"^a=(candidate:.*?)\r?$", sdp, re.MULTILINE)
    left_out = ("a=candidate:", "a=end-of-candidates", "a=fingerprint:sha-384", "a=fingerprint:sha-512")
    kept = [line for line in sdp.splitlines() if not line.startswith(left_out)]
    at = next(number for number, line in enumerate(kept) if line.startswith("m="))
    return "\r\n".join([*kept[:at], "a=ice-options:trickle", *kept[at:], ""]), candidates


async def view(calls: Calls, channel: str, *, frames: int = FRAMES, seconds: float = SECONDS) -> Viewed:
    """Look at a channel until enough pictures came or the time is over; whatever goes wrong is in the answer.

    Raises
    ------
    ImportError
        aiortc is not installed.
    """
    from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection

    viewed = Viewed(channel=channel)
    try:
        described = await calls.ask("kinesisvideo", "describe_signaling_channel", ChannelName=channel)
        arn = str(described.get("ChannelInfo", {}).get("ChannelARN", ""))
        servers = [RTCIceServer(**_server(row)) for row in await ice_servers(calls, arn)]
        async with open_session(calls.service) as session, await connect_viewer(calls, session, arn) as socket:
            peer = RTCPeerConnection(RTCConfiguration(iceServers=servers))
            try:
                async with asyncio.timeout(seconds):
                    await _look(socket, peer, viewed, frames)
            finally:
                with contextlib.suppress(TimeoutError, ConnectionError):
                    await asyncio.wait_for(peer.close(), 5)
    except ServiceRefusalError as refusal:
        viewed.refusal, viewed.fault = refusal, refusal.words
    except TimeoutError:
        viewed.fault = viewed.fault or f"the time of {seconds:g} s is over"
    return viewed


def _server(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a server as aiortc takes it, the addresses that it knows; it uses the first of each kind."""
    urls = [url for url in row["urls"] if not (url.startswith("turns:") and "transport=udp" in url)]
    return {**row, "urls": urls}


async def _look(socket: ClientWebSocketResponse, peer: RTCPeerConnection, viewed: Viewed, frames: int) -> None:
    """Offer, follow what the master says, and count pictures; returns when there are enough."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[MediaStreamTrack] = loop.create_future()
    connected = asyncio.Event()
    peer.addTransceiver("video", direction="recvonly")
    peer.addTransceiver("audio", direction="recvonly")

    @peer.on("track")
    def track_came(track: MediaStreamTrack) -> None:
        if track.kind == "video" and not found.done():
            found.set_result(track)

    @peer.on("connectionstatechange")
    def state_changed() -> None:
        if peer.connectionState == "connected":
            connected.set()

    await peer.setLocalDescription(await peer.createOffer())
    began = time.monotonic()
    await _say(socket, peer)
    following = asyncio.ensure_future(_follow(socket, peer, viewed, began))
    try:
        track = await found
        await connected.wait()
        viewed.connected = time.monotonic() - began
        await _count(track, viewed, frames, began)
        await _measure(peer, viewed)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def _say(socket: ClientWebSocketResponse, peer: RTCPeerConnection) -> None:
    sdp, candidates = offered(peer.localDescription.sdp)
    await _send(socket, "SDP_OFFER", {"type": "offer", "sdp": sdp})
    for candidate in candidates:
        await _send(socket, "ICE_CANDIDATE", {"candidate": candidate, "sdpMid": "0", "sdpMLineIndex": 0})


async def _send(socket: ClientWebSocketResponse, action: str, payload: Mapping[str, Any]) -> None:
    packed = base64.b64encode(json.dumps(payload).encode()).decode()
    await socket.send_json({"action": action, "messagePayload": packed, "correlationId": secrets.token_hex(8)})


async def _follow(socket: ClientWebSocketResponse, peer: RTCPeerConnection, viewed: Viewed, began: float) -> None:
    """Take the master's answer and its candidates; what is malformed is left out."""
    from aiortc import RTCSessionDescription
    from aiortc.exceptions import InvalidAccessError, InvalidStateError

    waiting: list[Mapping[str, Any]] = []
    async for message in socket:
        kind, said = _read(message.data)
        if kind == "STATUS_RESPONSE":
            viewed.fault = f"the service says {said.get('errorType', '')}: {said.get('description', '')}"[:200]
        elif kind == "SDP_ANSWER" and viewed.answered is None:
            viewed.answered = time.monotonic() - began
            try:
                await peer.setRemoteDescription(RTCSessionDescription(str(said.get("sdp")), "answer"))
            except (ValueError, KeyError, IndexError, InvalidAccessError, InvalidStateError) as error:
                viewed.fault = f"the master's answer cannot be used: {type(error).__name__}"
                continue
            for one in waiting:
                await _add(peer, one)
        elif kind == "ICE_CANDIDATE":
            waiting.append(said) if viewed.answered is None else await _add(peer, said)


def _read(text: Any) -> tuple[str, Mapping[str, Any]]:
    """Return a message's kind and what is in it; nothing where it cannot be read."""
    try:
        told = json.loads(text)
        if told.get("messageType") == "STATUS_RESPONSE":
            said = told.get("statusResponse")
        else:
            said = json.loads(base64.b64decode(told["messagePayload"]))
        return str(told["messageType"]), said if isinstance(said, dict) else {}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return "", {}  # the real service sends empty ones


async def _add(peer: RTCPeerConnection, said: Mapping[str, Any]) -> None:
    from aiortc.sdp import candidate_from_sdp

    line = str(said.get("candidate", "")).removeprefix("candidate:")
    # The C SDK names relays that it has not got yet; a name of mDNS is for browsers of one machine.
    if not line or " 0.0.0.0 " in line or ".local " in line:
        return
    with contextlib.suppress(ValueError, IndexError, AssertionError):
        candidate = candidate_from_sdp(line)
        candidate.sdpMid, candidate.sdpMLineIndex = str(said.get("sdpMid", "0")), int(said.get("sdpMLineIndex", 0))
        await peer.addIceCandidate(candidate)


async def _count(track: MediaStreamTrack, viewed: Viewed, frames: int, began: float) -> None:
    from aiortc.mediastreams import MediaStreamError

    from deploy.media.pictures import snapshot

    start = 0.0
    while viewed.frames < frames:
        try:
            frame: Any = await asyncio.wait_for(track.recv(), _FRAME_SECONDS)
        except MediaStreamError:
            viewed.fault = "the connection ended"
            return
        except TimeoutError:
            viewed.fault = f"no further picture within {_FRAME_SECONDS:g} s"
            return
        now = time.monotonic()
        viewed.frames += 1
        if viewed.first is None:
            viewed.first, start = now - began, now
        viewed.seconds = now - start
        if viewed.frames in (1, frames):
            viewed.pictures.append(await asyncio.to_thread(snapshot, frame))


async def _measure(peer: RTCPeerConnection, viewed: Viewed) -> None:
    """Read loss from RTP's own counts, and time STUN requests on the way that was chosen."""
    for report in (await peer.getStats()).values():
        if report.type == "inbound-rtp" and report.kind == "video":
            viewed.received, viewed.lost = int(report.packetsReceived), max(0, int(report.packetsLost))
    receiver = next(one.receiver for one in peer.getTransceivers() if one.kind == "video")
    connection: Any = receiver.transport.transport._connection  # noqa: SLF001 - aiortc states no round trip
    pair = next(iter(connection._nominated.values()), None)  # noqa: SLF001
    if pair is None:
        return
    viewed.way = f"{pair.local_candidate.type} to {pair.remote_candidate.type}"
    times = []
    for _ in range(_ROUND_TRIPS):
        request, begun = connection.build_request(pair, nominate=False), time.monotonic()
        key = str(connection.remote_password).encode()
        with contextlib.suppress(Exception):  # a lost packet is no fault of the stream
            await pair.protocol.request(request, pair.remote_addr, integrity_key=key, retransmissions=1)
            times.append(time.monotonic() - begun)
    viewed.round_trip = min(times, default=None)

"""WebRTC peers on this machine's loopback: a master with a picture that moves, and a viewer that looks at it."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import aiohttp
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription, VideoStreamTrack
from aiortc.mediastreams import MediaStreamTrack
from aiortc.sdp import candidate_from_sdp
from av import VideoFrame
from av.frame import Frame
from av.packet import Packet

from deploy.webrtc.viewer import offered
from tests.support.signaling import js, packed

WIDTH, HEIGHT = 320, 240


class MovingBar(VideoStreamTrack):
    """A white bar on black that goes from left to right; one step a frame."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0

    async def recv(self) -> VideoFrame:
        """Make the next frame, when it is due."""
        pts, time_base = await self.next_timestamp()
        frame = VideoFrame(WIDTH, HEIGHT, "yuv420p")
        for number, plane in enumerate(frame.planes):
            row = bytearray((16 if number == 0 else 128,) * plane.line_size)
            if number == 0:
                at = self._count * 8 % (WIDTH - 64)
                row[at : at + 64] = bytes((235,)) * 64
            plane.update(bytes(row) * plane.height)
        frame.pts, frame.time_base = pts, time_base
        self._count += 1
        return frame


def peer(stun: str = "") -> RTCPeerConnection:
    """Return a connection that asks one STUN server, or none."""
    return RTCPeerConnection(RTCConfiguration(iceServers=[RTCIceServer(urls=stun)] if stun else []))


async def say(
    socket: aiohttp.ClientWebSocketResponse, description: RTCSessionDescription, *, to: str = ""
) -> list[str]:
    """Send an offer or answer, then its candidates one by one; returns those."""
    sdp, candidates = offered(description.sdp)
    await socket.send_str(
        js(f"SDP_{description.type.upper()}", packed({"type": description.type, "sdp": sdp}), to=to, correlation="1")
    )
    for candidate in candidates:
        said = {"candidate": candidate, "sdpMid": "0", "sdpMLineIndex": 0}
        await socket.send_str(js("ICE_CANDIDATE", packed(said), to=to, correlation="2"))
    return candidates


async def follow(socket: aiohttp.ClientWebSocketResponse, connection: RTCPeerConnection) -> None:
    """Take what the other side says; an offer is answered."""
    async for frame in socket:
        if frame.type is not aiohttp.WSMsgType.TEXT:
            continue
        event: dict[str, Any] = json.loads(frame.data)
        said = json.loads(base64.b64decode(event["messagePayload"]))
        if event["messageType"] == "ICE_CANDIDATE":
            candidate = candidate_from_sdp(said["candidate"].partition(":")[2])
            candidate.sdpMid, candidate.sdpMLineIndex = said["sdpMid"], said["sdpMLineIndex"]
            await connection.addIceCandidate(candidate)
            continue
        await connection.setRemoteDescription(RTCSessionDescription(said["sdp"], said["type"]))
        if event["messageType"] == "SDP_OFFER":
            connection.addTrack(MovingBar())
            await connection.setLocalDescription(await connection.createAnswer())
            await say(socket, connection.localDescription, to=event["senderClientId"])


async def watch(socket: aiohttp.ClientWebSocketResponse, connection: RTCPeerConnection) -> MediaStreamTrack:
    """Offer to look, and return the track once there is one."""
    found: asyncio.Future[MediaStreamTrack] = asyncio.get_running_loop().create_future()
    connection.on("track", found.set_result)
    connection.addTransceiver("video", direction="recvonly")
    await connection.setLocalDescription(await connection.createOffer())
    await say(socket, connection.localDescription)
    return await found


def bar(frame: Frame | Packet[Any]) -> float:
    """Return how far the bar is from the left, in pixels; fails where there is none."""
    assert isinstance(frame, VideoFrame)
    plane = frame.reformat(format="gray").planes[0]
    start = HEIGHT // 2 * plane.line_size
    row = bytes(plane)[start : start + WIDTH]
    white = [place for place, level in enumerate(row) if level > 128]
    assert 40 <= len(white) <= 90, f"{len(white)} of {WIDTH} pixels are white"
    return sum(white) / len(white)

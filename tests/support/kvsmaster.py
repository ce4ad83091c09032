"""The master of a signaling channel, as a camera is one: it answers viewers with a moving picture and a tone."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from dataclasses import dataclass, field
from typing import Any, Self

from deploy.cloud.session import Calls, Service


@dataclass
class Master:
    """Answers viewers until the block ends.

    Attributes
    ----------
    ready:
        It is connected to the service.
    """

    service: Service
    channel_arn: str
    ready: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="master")
        self._thread.start()
        assert self.ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(20)

    async def _serve(self) -> None:
        import ssl

        from aiohttp import ClientSession, TCPConnector
        from yarl import URL

        calls = Calls(self.service)
        answer = await calls.ask(
            "kinesisvideo",
            "get_signaling_channel_endpoint",
            ChannelARN=self.channel_arn,
            SingleMasterChannelEndpointConfiguration={"Protocols": ["WSS"], "Role": "MASTER"},
        )
        endpoint = str(answer["ResourceEndpointList"][0]["ResourceEndpoint"])
        url = await calls.signed_url(endpoint, {"X-Amz-ChannelARN": self.channel_arn}, 299)
        trust = ssl.create_default_context(cafile=str(self.service.ca))
        self._peers: dict[str, Any] = {}
        async with (
            ClientSession(connector=TCPConnector(ssl=trust)) as session,
            session.ws_connect(URL(url, encoded=True)) as socket,
        ):
            self.ready.set()
            while not self._over.is_set():
                try:
                    message = await socket.receive(timeout=0.2)
                except TimeoutError:
                    continue
                if not isinstance(message.data, str):
                    break
                if message.data.strip():
                    await self._heard(socket, json.loads(message.data))
        for peer in self._peers.values():
            await peer.close()
        calls.close()

    async def _heard(self, socket: Any, told: dict[str, Any]) -> None:
        from aiortc import RTCPeerConnection, RTCSessionDescription

        viewer = told.get("senderClientId", "")
        if told.get("messageType") == "SDP_OFFER":
            offer = json.loads(base64.b64decode(told["messagePayload"]))
            peer = self._peers[viewer] = RTCPeerConnection()
            await peer.setRemoteDescription(RTCSessionDescription(offer["sdp"], "offer"))
            for transceiver, track in zip(peer.getTransceivers(), (_picture(), _tone()), strict=False):
                transceiver.sender.replaceTrack(track)
                transceiver.direction = "sendonly"
            await peer.setLocalDescription(await peer.createAnswer())
            made = {"type": "answer", "sdp": peer.localDescription.sdp}
            payload = base64.b64encode(json.dumps(made).encode()).decode()
            await socket.send_json({"action": "SDP_ANSWER", "recipientClientId": viewer, "messagePayload": payload})
        elif told.get("messageType") == "ICE_CANDIDATE" and viewer in self._peers:
            await _add(self._peers[viewer], json.loads(base64.b64decode(told["messagePayload"])))


async def _add(peer: Any, told: dict[str, Any]) -> None:
    from aiortc.sdp import candidate_from_sdp

    if not told.get("candidate") or ".local " in told["candidate"]:
        return  # a browser hides its address; the pair is found from its side
    candidate = candidate_from_sdp(told["candidate"].removeprefix("candidate:"))
    candidate.sdpMid, candidate.sdpMLineIndex = told.get("sdpMid"), told.get("sdpMLineIndex")
    await peer.addIceCandidate(candidate)


def _picture() -> Any:
    import av
    from aiortc import VideoStreamTrack

    class Picture(VideoStreamTrack):
        def __init__(self) -> None:
            super().__init__()
            self._frames = av.open("testsrc2=size=640x360:rate=30", format="lavfi").decode(video=0)

        async def recv(self) -> Any:
            at, base = await self.next_timestamp()
            frame = next(self._frames).reformat(format="yuv420p")
            frame.pts, frame.time_base = at, base
            return frame

    return Picture()


def _tone() -> Any:
    from aiortc.mediastreams import AudioStreamTrack

    return AudioStreamTrack()

"""Addresses to copy: for other players of this machine, and of the pages of AWS that show the same."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from typing import Any
from urllib.parse import quote

from deploy.cloud.session import Calls, ServiceRefusalError
from deploy.watch.cameras import Camera
from deploy.watch.hls import Sessions
from deploy.watch.relay import go2rtc_line
from deploy.webrtc.channel import ice_servers

_MOST, _SECONDS = 64, 43_200
_TEST_PAGE = "https://awslabs.github.io/amazon-kinesis-video-streams-webrtc-sdk-js/examples/index.html"


class SignalShares:
    """Addresses of signaling that were copied: each is a permission for one channel, for 12 hours."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, tuple[float, Camera]] = OrderedDict()

    def add(self, camera: Camera) -> str:
        identity = secrets.token_urlsafe(16)
        self._open[identity] = (time.monotonic() + _SECONDS, camera)
        while len(self._open) > _MOST:
            self._open.popitem(last=False)
        return identity

    def camera(self, identity: str) -> Camera:
        """Return whose signaling it is; raises ServiceRefusalError where the address is over."""
        until, camera = self._open.get(identity, (0.0, None))
        if camera is None or until < time.monotonic():
            raise ServiceRefusalError(410, "SessionOver", "this address is over")
        return camera


async def share_links(
    calls: Calls, sessions: Sessions, shares: SignalShares, camera: Camera, here: str
) -> dict[str, str]:
    """Return addresses of a camera for other players; nothing of the service's is in them.

    Parameters
    ----------
    here:
        This server as the browser calls it: //127.0.0.1:PORT.
    """
    links: dict[str, str] = {}
    if camera.stream is not None:
        try:
            session = await sessions.open(camera, "LIVE", shared=True)
        except ServiceRefusalError as refusal:
            if camera.channel is None:
                raise
            links["note"] = refusal.words
        else:
            url = f"http:{here}/share/{session.id}/live.m3u8"
            links |= {"hls": url, "ffplay": f"ffplay -fflags nobuffer '{url}'", "go2rtc": url}
    if camera.channel is not None:
        servers = await ice_servers(calls, camera.need_channel().arn)
        url = f"ws:{here}/share/{shares.add(camera)}/signal"
        links["go2rtc"] = go2rtc_line(url, servers)
    return links


def console_links(calls: Calls, camera: Camera) -> list[dict[str, Any]]:
    """Return where AWS shows the camera: its console, and the test page of its WebRTC SDK; none for a local service."""
    if calls.service.is_local:
        return []
    region = quote(calls.region, safe="")
    host = "console.amazonaws.cn" if region.startswith("cn-") else "console.aws.amazon.com"
    base = f"https://{region}.{host}/kinesisvideo/home?region={region}#"
    links = []
    if camera.stream is not None:
        links.append(
            {"title": "AWS console: stream", "url": f"{base}/streams/streamName/{quote(camera.name, safe='')}"}
        )
    if camera.channel is not None:
        name = quote(camera.name, safe="")
        links.append({"title": "AWS console: channel", "url": f"{base}/signalingChannels/channelName/{name}"})
        links.append({"title": "WebRTC test page", "url": f"{_TEST_PAGE}?region={region}&channelName={name}"})
    return links

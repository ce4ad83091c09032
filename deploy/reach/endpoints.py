"""The endpoints that a board's streams and channels need, as far as its file names them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from deploy.boards.board import Board
from deploy.cloud.promise import board_promises, board_region
from deploy.streams.model import PipelineStream
from deploy.streams.samples import UploaderSample

CA_FILE = "/etc/ssl/certs/ca-certificates.crt"
"""Where curl and OpenSSL of Debian, Buildroot and OpenWrt look."""
VIEW_FOLDER = "/var/run/boardcast-kvs"
"""On a board whose streams take the local service for AWS: in memory, so gone with a reboot."""
PORT = 443
"""Of every endpoint, STUN's by UDP.

https://docs.aws.amazon.com/kinesisvideostreams-webrtc-dg/latest/devguide/kvswebrtc-how-it-works.html
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One server that a board has to reach.

    Attributes
    ----------
    name:
        What it is for, in words; unique.
    kind:
        `tls`, `stun`, `turn`, or `nat` for what the ways to several servers say together.
    ca:
        File on the board with the authorities that vouch for it; for TLS.
    transport:
        Of TURN: `udp`, `tcp`, or `tls` over TCP.
    user, password:
        Of TURN, good for some minutes.
    others:
        Further servers, host and port, for `nat`.
    """

    name: str
    kind: str
    host: str
    port: int = PORT
    ca: str = ""
    transport: str = ""
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    others: tuple[tuple[str, int], ...] = ()

    @property
    def place(self) -> str:
        return f"{self.host}:{self.port}"


def domain(region: str) -> str:
    """Return what the names of a region's servers end with."""
    return f"{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"


def board_ca(board: Board) -> str:
    """Return the file on the board whose authorities its streams trust."""
    return board.file.environment.ca_file or CA_FILE


def promised_regions(board: Board) -> list[str]:
    """Return the regions that a board sends to, each once."""
    promised, usual = board_promises(board), board_region(board)
    named = [*(one.region for one in promised.streams), *(one.region for one in promised.channels)]
    return list(dict.fromkeys(region or usual for region in named))


def board_endpoints(board: Board) -> list[Endpoint]:
    """Return the endpoints that follow from a board's file alone: none where nothing of it goes to the service."""
    promised = board_promises(board)
    if not promised:
        return []
    regions = promised_regions(board)
    several = len(regions) > 1
    found = [
        Endpoint(
            name=f"control{f' of {region}' if several else ''}",
            kind="tls",
            host=f"kinesisvideo.{domain(region)}",
            ca=board_ca(board),
        )
        for region in regions
    ]
    found += _credentials(board)
    stun = dict.fromkeys(one.region or board_region(board) for one in promised.channels)
    found += [
        Endpoint(
            name=f"STUN{f' of {region}' if several else ''}", kind="stun", host=f"stun.kinesisvideo.{domain(region)}"
        )
        for region in stun
    ]
    return found


def _credentials(board: Board) -> Iterator[Endpoint]:
    """Yield the endpoints that give credentials for a certificate, each once."""
    shared, seen = board.file.credentials.iot, set[tuple[str, str]]()
    for stream in board.file.streams.values():
        given = [shared]
        if isinstance(stream, UploaderSample):
            given = [stream.iot or shared]
        elif isinstance(stream, PipelineStream):
            given = [getattr(sink, "iot", None) or shared for sink in stream.outputs]
        for iot in given:
            if iot is not None and (iot.endpoint, iot.ca_path) not in seen:
                number = f" {len(seen) + 1}" if seen else ""
                seen.add((iot.endpoint, iot.ca_path))
                yield Endpoint(name=f"credentials{number}", kind="tls", host=iot.endpoint, ca=iot.ca_path)

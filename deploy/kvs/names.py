"""The host names of a region, and which part of the service each one is.

One address serves them all, as the real names do from many: which part is meant shows in the path. The names of the
data endpoints are the service's own to choose; a client takes them from an answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DOMAIN = "amazonaws.com"
ACCOUNT = "123456789012"
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]{2,12}){1,3}-[0-9]{1,2}")
_HOST = re.compile(
    rf"(?:(?P<label>[a-z0-9][a-z0-9-]{{0,62}})\.)?(?P<part>kinesisvideo|credentials\.iot|iot|sts|iam|s3|monitoring)"
    rf"(?:\.(?P<region>{_REGION.pattern}))?\.amazonaws\.com(?:\.cn)?"
)


def is_region(value: str) -> bool:
    """Tell whether a word has the form of a region's name, such as eu-west-1."""
    return _REGION.fullmatch(value) is not None


def region_of(host: str) -> str | None:
    """Return the region in a host name of AWS; None where it is no such name. A port behind it is left out."""
    found = _HOST.fullmatch(host.rpartition(":")[0] if re.search(r":[0-9]+$", host) else host)
    return None if found is None else (found["region"] or "us-east-1")


@dataclass(frozen=True)
class Endpoints:
    """Where a client goes on, after it asked by a certain name.

    Who came by a name of AWS is sent to another name of AWS. Who came by an address of this machine (boto3 with
    `endpoint_url`) is sent there again: that machine's names are its own.

    Parameters
    ----------
    host:
        The Host header as it came, port and all.
    """

    host: str

    def _name(self, label: str) -> str:
        region = region_of(self.host)
        return self.host if region is None else f"{label}.kinesisvideo.{region}.{DOMAIN}"

    def data(self, api: str) -> str:
        """Return the data endpoint for an API name, with its scheme."""
        return f"https://{self._name('s-local' if api in ('PUT_MEDIA', 'GET_MEDIA') else 'b-local')}"

    def signaling(self, protocol: str) -> str:
        """Return the signaling endpoint for WSS, HTTPS or WEBRTC."""
        return f"wss://{self._name('m-local')}" if protocol == "WSS" else f"https://{self._name('r-local')}"

    def stun(self) -> str:
        """Return the host of the STUN server."""
        region = region_of(self.host)
        return self.host.partition(":")[0] if region is None else f"stun.kinesisvideo.{region}.{DOMAIN}"


def host_names(region: str, credentials: str = "") -> tuple[str, ...]:
    """Return every name that must lead to the service for the clients of one region.

    Parameters
    ----------
    credentials:
        The credential endpoint in a board's file, which each account has its own of.
    """
    parts = [
        "kinesisvideo",
        *(f"{label}.kinesisvideo" for label in ("s-local", "b-local", "m-local", "r-local", "stun")),
    ]
    parts += ["local.credentials.iot", "iot", "sts"]
    names = [f"{part}.{region}.{DOMAIN}" for part in parts]
    return tuple(dict.fromkeys([*names, *([credentials] if credentials else [])]))

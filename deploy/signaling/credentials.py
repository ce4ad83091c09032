"""Credentials by certificate, as IoT's credential provider gives them: a device shows its certificate, is lent keys.

https://docs.aws.amazon.com/iot/latest/developerguide/authorizing-direct-aws.html; statuses and messages of refusals as
seen from the service, at https://awslabs.github.io/aws-iot-core-credential-provider-session-helper/dev_notes.html
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from deploy.kvs.errors import ServiceError, denied, not_found
from deploy.kvs.tls import Authority
from deploy.kvsstore.service import Service, Store

if TYPE_CHECKING:
    from aiohttp import web

SECONDS = 3_600
"""That lent keys are good for, unless said otherwise."""
_PATH = re.compile(r"/role-aliases/([A-Za-z0-9_=,@-]{1,128})/credentials")
_THING = re.compile(r"[a-zA-Z0-9:_-]{1,128}")


@dataclass(frozen=True, slots=True)
class Thing:
    """A device, as the service knows it.

    Attributes
    ----------
    certificate:
        SHA-256 of its one certificate, in hex.
    aliases:
        The role aliases that it may ask for, each with the seconds that its keys are good for.
    """

    certificate: str
    aliases: Mapping[str, float]
    revoked: bool = False


def provision_thing(
    store: Store, authority: Authority, thing: str, alias: str, *, seconds: float = SECONDS
) -> tuple[bytes, bytes]:
    """Make a certificate for a device, and let it in with that; one that it had before is good no longer.

    Returns
    -------
    tuple
        Certificate and key in PEM; the key is kept nowhere else.

    Raises
    ------
    ValueError
        The thing's or the alias's name is none.
    """
    if not _THING.fullmatch(thing) or not _PATH.fullmatch(f"/role-aliases/{alias}/credentials"):
        raise ValueError(f"{thing!r} and {alias!r}: one is no name of a thing, or of a role alias")
    certificate, key = authority.issue(thing)
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.decode())).hexdigest()
    _write(store, thing, Thing(digest, {alias: seconds}))
    return certificate, key


def issue_pair(authority: Authority, name: str) -> tuple[str, str, str]:
    """Make a certificate for a device that is not named yet; returns it, its key, and the key's public half, in PEM."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    certificate, key = authority.issue(name)
    public = load_pem_private_key(key, None).public_key()
    half = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return certificate.decode(), key.decode(), half.decode()


def register(store: Store, thing: str, facts: Thing) -> None:
    """Let a device in with a certificate that somebody else made."""
    _write(store, thing, facts)


def revoke(store: Store, thing: str) -> None:
    """Take a device's certificate back; keys that it has been lent go on to their end.

    Raises
    ------
    ServiceError
        There is no such thing.
    """
    found = things(store).get(thing)
    if found is None:
        raise not_found(f"The thing {thing} is not known.")
    _write(store, thing, replace(found, revoked=True))


def _write(store: Store, thing: str, facts: Thing) -> None:
    store.database.write("INSERT OR REPLACE INTO things (name, facts) VALUES (?, ?)", thing, json.dumps(asdict(facts)))


def things(store: Store) -> dict[str, Thing]:
    """Return the devices that are known, by their names."""
    rows = store.database.read("SELECT name, facts FROM things")
    return {str(name): Thing(**json.loads(facts)) for name, facts in rows}


async def credentials(service: Service, request: web.Request) -> web.Response:
    """Answer GET /role-aliases/ALIAS/credentials, for the device whose certificate the connection shows."""
    from aiohttp import web

    try:
        thing, seconds = _check(service, request)
    except ServiceError as error:
        said, head = {"message": error.message}, {"x-amzn-ErrorType": error.code}
        return web.json_response(said, status=error.status, headers=head)
    now = service.clock()
    key = service.store.keys.lend(thing, now=now, seconds=seconds)
    end = dt.datetime.fromtimestamp(now + seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    lent = {
        "accessKeyId": key.access,
        "secretAccessKey": key.secret,
        "sessionToken": key.token,
        "expiration": end,
    }
    return web.json_response({"credentials": lent}, headers={"Cache-Control": "no-store"})


def _check(service: Service, request: web.Request) -> tuple[str, float]:
    """Return the device that asks, and how long its keys are good for; refusals come in the service's own order.

    TLS has seen to it already that the certificate is of our authority, and that the client has its key. That we know
    its hash says the rest: it is the one that this device was given.
    """
    path = _PATH.fullmatch(request.path)
    link = request.get_extra_info("ssl_object")
    shown = link.getpeercert(binary_form=True) if isinstance(link, ssl.SSLObject | ssl.SSLSocket) else None
    if not shown:
        raise denied("Missing authentication")
    digest = hashlib.sha256(shown).hexdigest()
    known = things(service.store)
    theirs = {name: thing for name, thing in known.items() if thing.certificate == digest and not thing.revoked}
    if not theirs or not _is_current(shown, service.clock()):
        raise denied("Certificate is invalid on this endpoint")
    name = request.headers.get("x-amzn-iot-thingname", next(iter(theirs)))
    if name not in theirs:
        raise denied("Invalid thing name passed")
    if path is None or all(path[1] not in thing.aliases for thing in known.values()):
        raise not_found("Role alias does not exist")
    if path[1] not in theirs[name].aliases:
        raise denied("Access Denied")
    return name, theirs[name].aliases[path[1]]


def _is_current(certificate: bytes, now: float) -> bool:
    from cryptography import x509

    read = x509.load_der_x509_certificate(certificate)
    return read.not_valid_before_utc <= dt.datetime.fromtimestamp(now, dt.UTC) <= read.not_valid_after_utc

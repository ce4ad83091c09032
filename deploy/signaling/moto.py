"""IoT, IAM, STS and S3 through moto, where it is installed: what clients of Kinesis Video need besides it.

moto answers in this process and keeps what it is told in memory: a restart begins anew. Signatures are checked here,
as for every call; and a certificate that IoT is asked for is of the local authority, so that it is good for a TLS
connection to the credential endpoint. Nothing of moto's own Kinesis Video is reached.
https://docs.getmoto.org/en/latest/
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from deploy.kvs.errors import ServiceError
from deploy.kvs.names import ACCOUNT, DOMAIN, region_of
from deploy.kvs.sigv4 import Signed, check_signature, signed_region
from deploy.kvs.tls import Authority
from deploy.kvsstore.service import Service
from deploy.signaling.credentials import Thing, issue_pair, register, revoke, things

if TYPE_CHECKING:
    from aiohttp import web

SERVICES = ("iot", "sts", "iam", "s3")
_SCOPE = re.compile(
    r"Credential=[A-Z0-9]{1,128}(?:/|%2F)[0-9]{8}(?:/|%2F)[a-z0-9-]{1,40}(?:/|%2F)([a-z0-9]{1,20})(?:/|%2F)aws4_request"
)
_HEX = re.compile(r"[0-9a-f]{64}")
# One at a time: moto's backends are plain dictionaries.
_TURN = ThreadPoolExecutor(1, thread_name_prefix="moto")


def service_of(request: web.Request) -> str | None:
    """Return which of the four a request is signed for; None where it is for none of them."""
    found = _SCOPE.search(request.headers.get("Authorization", "")[:2_000]) or _SCOPE.search(
        request.query_string[:4_000]
    )
    return found[1] if found and found[1] in SERVICES else None


@dataclass(frozen=True)
class _Call:
    """A checked request, as moto is given it."""

    service: str
    region: str
    method: str
    host: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


async def answer(service: Service, request: web.Request, name: str) -> web.Response:
    """Answer a call of one of the four services; errors in the form of that one."""
    from aiohttp import web

    try:
        call = await _checked(service, request, name)
        status, headers, body = await asyncio.get_running_loop().run_in_executor(_TURN, _answer, service, call)
    except ServiceError as error:
        return _error(name, error)
    kept = {key: value for key, value in headers.items() if key.lower() not in ("content-length", "server", "date")}
    return web.Response(status=status, headers=kept, body=body)


async def _checked(service: Service, request: web.Request, name: str) -> _Call:
    """Check a request's signature.

    Raises
    ------
    ServiceError
        It is not signed as it has to be, or moto is not there.
    """
    body = await request.read()
    path, _, query = request.raw_path.partition("?")
    headers = [(key.decode("latin-1"), value.decode("latin-1")) for key, value in request.raw_headers]
    digest = hashlib.sha256(body).hexdigest()
    # S3 says what it signed of the body: a hash, or one of several words for "nothing of it".
    said = request.headers.get("x-amz-content-sha256", digest)
    if _HEX.fullmatch(said) and said != digest:
        raise ServiceError(400, "XAmzContentSHA256Mismatch", "The body is not the one that was signed.")
    if "X-Amz-Signature" in request.query:
        said = "UNSIGNED-PAYLOAD" if name == "s3" else digest
    signed = Signed(request.method, path, query, headers, said)
    check_signature(signed, service.store.keys, now=service.clock(), service=name)
    _need_moto(name)
    region = signed_region(signed)
    at_aws = region_of(request.host) is not None
    host = request.host if at_aws else (f"iam.{DOMAIN}" if name == "iam" else f"{name}.{region}.{DOMAIN}")
    return _Call(name, region, request.method, host, path, query, dict(request.headers), body)


def _need_moto(name: str) -> None:
    try:
        import moto.core.config as settings
    except ImportError:
        why = f"{name} is answered by moto, which is not installed; `./bootstrap install` brings it for developers."
        raise ServiceError(501, "NotImplementedException", why) from None
    # Certificates have the IDs that AWS gives them: the hash of the certificate itself.
    settings.default_user_config["iot"] = {"use_valid_cert": True}


def _answer(service: Service, call: _Call) -> tuple[int, dict[str, str], bytes]:
    if call.service != "iot":
        return _ask(call)
    makes = (call.method, call.path) == ("POST", "/keys-and-certificate")
    said = _certificate(service, call) if makes else _ask(call)
    if call.method != "GET" and said[0] < 300:
        _note_things(service, call.region)
    return said


def _ask(call: _Call) -> tuple[int, dict[str, str], bytes]:
    from botocore.awsrequest import AWSPreparedRequest
    from botocore.compat import HTTPHeaders
    from moto.core.botocore_stubber import BotocoreStubber

    headers = HTTPHeaders()
    for name, value in call.headers.items():
        headers[name] = value
    url = f"https://{call.host}{call.path}" + (f"?{call.query}" if call.query else "")
    said = BotocoreStubber().process_request(
        AWSPreparedRequest(call.method, url, headers, call.body, stream_output=False)
    )
    status, found, body = said if said is not None else (404, {}, b"")
    return int(status), {str(k): str(v) for k, v in found.items()}, body.encode() if isinstance(body, str) else body


def _certificate(service: Service, call: _Call) -> tuple[int, dict[str, str], bytes]:
    """Answer CreateKeysAndCertificate with a certificate of the local authority, which moto is told of."""
    certificate, private, public = issue_pair(Authority(service.folder), "AWS IoT Certificate")
    active = "setAsActive=true" in call.query.split("&")
    told = {"certificatePem": certificate, "status": "ACTIVE" if active else "INACTIVE"}
    body = json.dumps(told).encode()
    headers = call.headers | {"Content-Length": str(len(body)), "Content-Type": "application/json"}
    asked = _Call("iot", call.region, "POST", call.host, "/certificate/register-no-ca", "", headers, body)
    status, found, said = _ask(asked)
    if status >= 300:
        return status, found, said
    pair = {"PublicKey": public, "PrivateKey": private}
    whole = json.loads(said) | {"certificatePem": certificate, "keyPair": pair}
    return status, found, json.dumps(whole).encode()


def _note_things(service: Service, region: str) -> None:
    """Let those devices in that an active certificate is attached to, and no longer those that lost theirs.

    Policies are not looked at: a device may ask for every role alias of its region.
    """
    from moto.backends import get_backend

    backend: Any = get_backend("iot")[ACCOUNT][region]
    aliases = {alias.role_alias: float(alias.credential_duration_seconds) for alias in backend.role_aliases.values()}
    attached = {thing.thing_name: certificate for certificate, thing in backend.principal_things.values()}
    for name, certificate in attached.items():
        active = getattr(certificate, "status", "") == "ACTIVE"
        register(service.store, name, Thing(certificate.certificate_id, aliases, revoked=not active))
    for name, thing in things(service.store).items():
        if thing.certificate in backend.certificates and name not in attached:
            revoke(service.store, name)


def _error(name: str, error: ServiceError) -> web.Response:
    from aiohttp import web

    headers = {"x-amzn-ErrorType": error.code}
    if name == "iot":
        return web.json_response({"message": error.message}, status=error.status, headers=headers)
    told = f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
    text = f"<Error>{told}</Error>" if name == "s3" else f"<ErrorResponse><Error>{told}</Error></ErrorResponse>"
    return web.Response(status=error.status, text=text, content_type="text/xml", headers=headers)

"""Signature Version 4, checked: who signed a request, and whether it is theirs, whole, and of now.

No kept library checks signatures, and botocore's signer leaves out headers that the producer signs; so the rules are
here, and botocore, the KVS clients and recorded requests are what they are tested with.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import calendar
import hashlib
import hmac
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

from deploy.kvs.errors import ServiceError
from deploy.kvs.keys import Key, Keys

ALGORITHM = "AWS4-HMAC-SHA256"
EMPTY = hashlib.sha256(b"").hexdigest()
WINDOW = 300
"""Seconds that a date may be off."""
_LONGEST = 604_800
_DATE = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_PAIR = re.compile(r"\s*(Credential|SignedHeaders|Signature)=([^,\s]{1,2000})\s*")


@dataclass(frozen=True)
class Signed:
    """A request, as far as a signature is about it.

    Attributes
    ----------
    path, query:
        As they came, still percent-encoded.
    headers:
        In the order in which they came; a name may come twice.
    payload:
        SHA-256 of the body in hex; that of nothing for a body that is sent as it is made.
    """

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]
    payload: str = EMPTY

    def header(self, name: str) -> str:
        """Return a header's first value, or nothing."""
        return next((value for key, value in self.headers if key.lower() == name), "")


@dataclass(frozen=True)
class _Claim:
    """What a request says about its own signature."""

    credential: str
    signed: tuple[str, ...]
    signature: str
    date: str
    token: str
    in_query: bool
    lifetime: int = WINDOW


def check_signature(request: Signed, keys: Keys, *, now: float, service: str = "kinesisvideo") -> Key:
    """Return the key that a request is signed with.

    Raises
    ------
    ServiceError
        As AWS answers: nothing is signed, the key is not known or has expired, the date is off by more than five
        minutes, it is meant for another region or service, or the signature is another one.
    """
    claim = _from_query(request) or _from_header(request)
    access, day, region, named, end = _scope(claim.credential)
    key = keys.find(access)
    if key is None or not hmac.compare_digest(key.token.encode(), claim.token.encode()):
        raise ServiceError(403, "UnrecognizedClientException", "The security token included in the request is invalid.")
    if key.expires is not None and now >= key.expires:
        raise ServiceError(403, "ExpiredTokenException", "The security token included in the request is expired")
    _check_date(claim, day, now)
    _check_scope(request, region, named, end, service)
    if "host" not in claim.signed:
        raise _mismatch("'Host' must be a 'SignedHeader' in the AWS Authorization.")
    scope = f"{day}/{region}/{named}/{end}"
    for path in dict.fromkeys((request.path, quote(request.path, safe="/-_.~"))):
        canonical = hashlib.sha256(_canonical(request, claim, path).encode()).hexdigest()
        wanted = _sign(key.secret, (day, region, named, end), f"{ALGORITHM}\n{claim.date}\n{scope}\n{canonical}")
        if hmac.compare_digest(wanted.encode(), claim.signature.encode()):
            return key
    raise _mismatch(
        "The request signature we calculated does not match the signature you provided. "
        "Check your AWS Secret Access Key and signing method."
    )


def signed_region(request: Signed) -> str:
    """Return the region that a checked request is signed for."""
    claim = _from_query(request) or _from_header(request)
    return _scope(claim.credential)[2]


def _mismatch(message: str) -> ServiceError:
    return ServiceError(403, "InvalidSignatureException", message)


def _incomplete(message: str) -> ServiceError:
    return ServiceError(403, "IncompleteSignatureException", message)


def _from_header(request: Signed) -> _Claim:
    given = request.header("authorization")
    if not given:
        raise ServiceError(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
    algorithm, _, rest = given.partition(" ")
    if algorithm != ALGORITHM:
        raise _incomplete("Authorization header requires the algorithm AWS4-HMAC-SHA256.")
    pairs = [_PAIR.fullmatch(part) for part in rest[:4_000].split(",")]
    found = {pair[1]: pair[2] for pair in pairs if pair}
    for name in ("Credential", "SignedHeaders", "Signature"):
        if name not in found:
            raise _incomplete(f"Authorization header requires '{name}' parameter.")
    signed = tuple(found["SignedHeaders"].lower().split(";"))
    date = request.header("x-amz-date")
    if not _DATE.fullmatch(date):
        raise _incomplete("Authorization header requires existence of a valid 'X-Amz-Date' header.")
    token = request.header("x-amz-security-token")
    return _Claim(found["Credential"], signed, found["Signature"], date, token, in_query=False)


def _from_query(request: Signed) -> _Claim | None:
    given = dict(_pairs(request.query))
    if "X-Amz-Algorithm" not in given and "X-Amz-Signature" not in given:
        return None
    for name in ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Signature"):
        if name not in given:
            raise _incomplete(f"AWS query-string parameters must include '{name}'.")
    if given["X-Amz-Algorithm"] != ALGORITHM or not _DATE.fullmatch(given["X-Amz-Date"]):
        raise _incomplete("X-Amz-Algorithm or X-Amz-Date is not one.")
    lifetime = given.get("X-Amz-Expires", str(WINDOW))
    if not re.fullmatch(r"[0-9]{1,6}", lifetime) or not 1 <= int(lifetime) <= _LONGEST:
        raise _incomplete("X-Amz-Expires must be between 1 and 604800 seconds.")
    signed = tuple(given["X-Amz-SignedHeaders"].lower().split(";"))
    token = given.get("X-Amz-Security-Token", "")
    return _Claim(
        *(given["X-Amz-Credential"], signed, given["X-Amz-Signature"], given["X-Amz-Date"], token),
        in_query=True,
        lifetime=int(lifetime),
    )


def _scope(credential: str) -> tuple[str, str, str, str, str]:
    parts = credential.split("/")
    if len(parts) != 5:
        raise _incomplete("Credential must have exactly 5 slash-delimited elements.")
    access, day, region, service, end = parts
    return access, day, region, service, end


def _check_date(claim: _Claim, day: str, now: float) -> None:
    try:
        moment = calendar.timegm(time.strptime(claim.date, "%Y%m%dT%H%M%SZ"))
    except (ValueError, OverflowError):
        raise _incomplete("X-Amz-Date is not a date.") from None
    here = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    if day != claim.date[:8]:
        raise _mismatch("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.")
    if moment - now > WINDOW:
        raise _mismatch(f"Signature not yet current: {claim.date} is still later than {here} + 5 min.")
    if now - moment > claim.lifetime:
        raise _mismatch(f"Signature expired: {claim.date} is now earlier than {here} - {claim.lifetime // 60} min.")


def _check_scope(request: Signed, region: str, named: str, end: str, service: str) -> None:
    from deploy.kvs.names import is_region, region_of

    at = region_of(request.header("host"))
    if end != "aws4_request":
        raise _mismatch("Credential should be scoped with a valid terminator: 'aws4_request'.")
    if not is_region(region) or (at is not None and region != at):
        raise _mismatch(f"Credential should be scoped to a valid region, not '{region}'.")
    if named != service:
        raise _mismatch(f"Credential should be scoped to correct service: '{service}'.")


def _pairs(query: str) -> list[tuple[str, str]]:
    """Return the pairs of a query; a plus sign is a plus sign, as signers see it."""
    return [
        (unquote(name), unquote(value))
        for name, _, value in (part.partition("=") for part in query[:65_536].split("&") if part)
    ]


def _canonical(request: Signed, claim: _Claim, path: str) -> str:
    """Return the text that is signed."""
    pairs = [pair for pair in _pairs(request.query) if not (claim.in_query and pair[0] == "X-Amz-Signature")]
    encoded = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in pairs)
    query = "&".join(f"{name}={value}" for name, value in encoded)
    values: dict[str, list[str]] = {}
    for name, value in request.headers:
        values.setdefault(name.lower(), []).append(" ".join(value.split()))
    lines = "".join(f"{name}:{','.join(values.get(name, ['']))}\n" for name in claim.signed)
    return "\n".join((request.method, path, query, lines, ";".join(claim.signed), request.payload))


def _sign(secret: str, scope: tuple[str, str, str, str], text: str) -> str:
    key = b"AWS4" + secret.encode()
    for part in scope:
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()

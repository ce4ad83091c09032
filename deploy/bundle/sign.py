"""Ed25519 signatures over a bundle's manifest: made, and checked against the keys that are trusted.

The bytes that are signed are `manifest.json` as it is in the archive, so anybody can check a bundle without us:
`openssl pkeyutl -verify -rawin -pubin -inkey KEY.pub -in manifest.json -sigfile SIGNATURE`.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from recipes.errors import ConfigError, PreflightError
from recipes.stage.keys import is_signed, key_id

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SIGNATURE_ALGORITHM = "ed25519"


def sign_manifest(data: bytes, private: Ed25519PrivateKey) -> bytes:
    """Return `signature.json` for a manifest. Ed25519 is deterministic: the same manifest and key, the same bytes."""
    return _written(key_id(private.public_key().public_bytes_raw()), private.sign(data))


def unsigned_signature() -> bytes:
    """Return a `signature.json` of the size that one has, for a bundle that is only weighed: it needs no key."""
    return _written("0" * 16, bytes(64))


def _written(identity: str, signature: bytes) -> bytes:
    fields = {"algorithm": SIGNATURE_ALGORITHM, "key": identity, "signature": base64.b64encode(signature).decode()}
    return json.dumps(fields, indent=1, sort_keys=True).encode() + b"\n"


def check_signature(data: bytes, signature: bytes, keys: Mapping[str, bytes], *, where: str) -> str:
    """Return the id of the key that signed a manifest.

    Raises
    ------
    PreflightError
        None of these keys signed it.
    ConfigError
        `signature.json` is no signature as Boardcast writes it.
    """
    try:
        fields: dict[str, Any] = json.loads(signature)
        identity, value = str(fields["key"]), base64.b64decode(str(fields["signature"]), validate=True)
        written = _written(identity, value)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError("the bundle's signature cannot be read", where=where, why=type(error).__name__) from error
    if written != signature or not re.fullmatch(r"[0-9a-f]{16}", identity):
        raise ConfigError("the bundle's signature is not written as Boardcast writes it", where=where)
    if identity not in keys:
        raise PreflightError(
            "the bundle is signed by a key that is not trusted here",
            where=where,
            why=f"signed by {identity}; trusted: {', '.join(sorted(keys)) or 'none'}",
            next_step=f"if you know whose {identity} is: put its public key into board-configs/trusted-keys/NAME.pub",
        )
    if not is_signed(data, value, keys[identity]):
        raise PreflightError(
            "the bundle's signature does not fit its manifest",
            where=where,
            why=f"key {identity} signed something else: one of the two was changed or swapped",
            next_step="get the bundle again from where it was made",
        )
    return identity

"""Ed25519 signatures over a bundle's manifest, and whose are trusted here. A private key never leaves its file.

The bytes that are signed are `manifest.json` as it lies in the archive, so anybody can check a bundle without us:
`openssl pkeyutl -verify -rawin -pubin -inkey KEY.pub -in manifest.json -sigfile SIGNATURE`.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipes import console, paths
from recipes.errors import ConfigError, PreflightError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

VARIABLE = "BOARDCAST_SIGNING_KEY"
ALGORITHM = "ed25519"


def key_id(public: bytes) -> str:
    """Return the name of a key: the first 16 hexadecimal digits of the sha256 of the raw public key."""
    return hashlib.sha256(public).hexdigest()[:16]


def place() -> Path:
    """Return where the private key lies: BOARDCAST_SIGNING_KEY, or a file in the user's configuration folder."""
    if given := os.environ.get(VARIABLE):
        return Path(given)
    from platformdirs import user_config_path

    return user_config_path("boardcast") / "signing-key.pem"


def key() -> Ed25519PrivateKey:
    """Return the key that bundles are signed with; the user's own is made on first use.

    Raises
    ------
    ConfigError
        BOARDCAST_SIGNING_KEY names no file, others may read the key, or it is not an Ed25519 key.
    """
    path = place()
    if not path.exists():
        if VARIABLE in os.environ:
            make = f"openssl genpkey -algorithm ed25519 -out {path} && chmod 600 {path}"
            raise ConfigError(f"{VARIABLE} names no file", where=str(path), next_step=make)
        _create(path)
    private = _private(path)
    raw = private.public_key().public_bytes_raw()
    beside = path.with_suffix(".pub")
    if beside.exists():
        if _public(beside) != raw:
            why = "bundles would be signed by a key that nobody could tell from the file beside it"
            raise ConfigError(
                "the public key does not belong to the private one",
                where=str(beside),
                why=why,
                next_step=f"openssl pkey -in {path} -pubout -out {beside}",
            )
    elif VARIABLE not in os.environ:
        paths.write_whole(beside, public_pem(private))
    return private


def public_pem(private: Ed25519PrivateKey) -> bytes:
    """Return the public half as PEM: what goes into board-configs/trusted-keys/NAME.pub."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def trusted() -> dict[str, bytes]:
    """Return key id to raw public key: the project's board-configs/trusted-keys/*.pub, and the user's own.

    No private key is read where its public half lies beside it.

    Raises
    ------
    ConfigError
        One of the files is not an Ed25519 public key.
    """
    found = [_public(path) for path in sorted((paths.BOARDS / "trusted-keys").glob("*.pub"))]
    own = place()
    if own.with_suffix(".pub").exists():
        found.append(_public(own.with_suffix(".pub")))
    elif own.exists():
        found.append(_private(own).public_key().public_bytes_raw())
    return {key_id(raw): raw for raw in found}


def sign(data: bytes, private: Ed25519PrivateKey) -> bytes:
    """Return `signature.json` for a manifest. Ed25519 is deterministic: the same manifest and key, the same bytes."""
    return _written(key_id(private.public_key().public_bytes_raw()), private.sign(data))


def unsigned() -> bytes:
    """Return a `signature.json` of the size that one has, for a bundle that is only weighed: it needs no key."""
    return _written("0" * 16, bytes(64))


def _written(identity: str, signature: bytes) -> bytes:
    fields = {"algorithm": ALGORITHM, "key": identity, "signature": base64.b64encode(signature).decode()}
    return json.dumps(fields, indent=1, sort_keys=True).encode() + b"\n"


def check(data: bytes, signature: bytes, keys: Mapping[str, bytes], *, where: str) -> str:
    """Return the id of the key that signed a manifest.

    Raises
    ------
    PreflightError
        None of these keys signed it.
    ConfigError
        `signature.json` is not one.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        fields: dict[str, Any] = json.loads(signature)
        identity, value = str(fields["key"]), base64.b64decode(str(fields["signature"]), validate=True)
        written = _written(identity, value)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError("the bundle's signature cannot be read", where=where, why=type(error).__name__) from error
    if written != signature:
        raise ConfigError("the bundle's signature is not written as Boardcast writes it", where=where)
    if identity not in keys:
        raise PreflightError(
            "the bundle is signed by a key that is not trusted here",
            where=where,
            why=f"signed by {identity}; trusted: {', '.join(sorted(keys)) or 'none'}",
            next_step=f"if you know whose {identity} is: put its public key into board-configs/trusted-keys/NAME.pub",
        )
    try:
        Ed25519PublicKey.from_public_bytes(keys[identity]).verify(value, data)
    except InvalidSignature as error:
        raise PreflightError(
            "the bundle's signature does not fit its manifest",
            where=where,
            why=f"key {identity} signed something else: one of the two was changed or swapped",
            next_step="get the bundle again from where it was made",
        ) from error
    return identity


def _create(path: Path) -> None:
    """Make the user's key, whole or not at all; where two runs do so at once the first one's stays."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private = Ed25519PrivateKey.generate()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.chmod(0o700)
        descriptor, name = tempfile.mkstemp(prefix=".signing-key.", dir=path.parent)  # 0600 from its first moment on
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            with contextlib.suppress(FileExistsError):
                os.link(name, path)
                console.say(f"made a key to sign bundles with: {path}; machines that deploy need its .pub")
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise paths.disk_error(error, path) from error


def _private(path: Path) -> Ed25519PrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        with path.open("rb") as file:
            mode, data = os.fstat(file.fileno()).st_mode & 0o777, file.read(1 << 16)
    except OSError as error:
        raise ConfigError("the signing key cannot be read", where=str(path), why=error.strerror or "") from error
    if mode & 0o077:
        raise ConfigError(
            "the signing key may be read or changed by others",
            where=str(path),
            why=f"its mode is {mode:04o}",
            next_step=f"chmod 600 {path}; where somebody else had access, make another key and trust that one instead",
        )
    try:
        private = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        # The library's own words are left out: what a parser says of a secret does not belong into a log.
        why = "it has a passphrase" if isinstance(error, TypeError) else "it is not PEM, or is damaged"
        raise ConfigError("the signing key cannot be used", where=str(path), why=why, next_step=_ADVICE) from None
    if not isinstance(private, Ed25519PrivateKey):
        raise ConfigError("the signing key is not an Ed25519 key", where=str(path), next_step=_ADVICE)
    return private


_ADVICE = "openssl genpkey -algorithm ed25519 -out KEY.pem makes one"


def _public(path: Path) -> bytes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        public = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError("this is not a public key", where=str(path), next_step=_PUBLIC_ADVICE) from error
    if not isinstance(public, Ed25519PublicKey):
        raise ConfigError("this public key is not an Ed25519 key", where=str(path), next_step=_PUBLIC_ADVICE)
    return public.public_bytes_raw()


_PUBLIC_ADVICE = "openssl pkey -in KEY.pem -pubout prints the public half of a key"

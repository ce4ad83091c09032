"""Keys that bundles are signed with: the user's own, made on first use, and whose are trusted here.

A private key never leaves its file.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from recipes import console, paths
from recipes.errors import ConfigError
from recipes.files import disk_error, whole_file, write_whole

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY_VARIABLE = "BOARDCAST_SIGNING_KEY"


def key_id(public: bytes) -> str:
    """Return the name of a key: the first 16 hexadecimal digits of the sha256 of the raw public key."""
    return hashlib.sha256(public).hexdigest()[:16]


def key_path() -> Path:
    """Return where the private key is: BOARDCAST_SIGNING_KEY, or a file in the user's configuration folder."""
    if given := os.environ.get(KEY_VARIABLE):
        return Path(given)
    from platformdirs import user_config_path

    return user_config_path("boardcast") / "signing-key.pem"


def signing_key() -> Ed25519PrivateKey:
    """Return the key that bundles are signed with; the user's own is made on first use.

    Raises
    ------
    ConfigError
        BOARDCAST_SIGNING_KEY names no file, others may read the key, it is not an Ed25519 key, or the public key
        beside it belongs to another one.
    """
    path = key_path()
    if not path.exists():
        if KEY_VARIABLE in os.environ:
            make = f"openssl genpkey -algorithm ed25519 -out {path} && chmod 600 {path}"
            raise ConfigError(f"{KEY_VARIABLE} names no file", where=str(path), next_step=make)
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
    elif KEY_VARIABLE not in os.environ:
        write_whole(beside, public_pem(private))
    return private


def public_pem(private: Ed25519PrivateKey) -> bytes:
    """Return the public half as PEM: what goes into board-configs/trusted-keys/NAME.pub."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def trusted_keys() -> dict[str, bytes]:
    """Return key id to raw public key: the project's board-configs/trusted-keys/*.pub, and the user's own.

    No private key is read where its public half is beside it.

    Raises
    ------
    ConfigError
        One of the files is not an Ed25519 public key, or the user's own key cannot be used.
    """
    found = [_public(path) for path in sorted((paths.BOARDS / "trusted-keys").glob("*.pub"))]
    own = key_path()
    if own.with_suffix(".pub").exists():
        found.append(_public(own.with_suffix(".pub")))
    elif own.exists():
        found.append(_private(own).public_key().public_bytes_raw())
    return {key_id(raw): raw for raw in found}


def _create(path: Path) -> None:
    """Make the user's key, whole or not at all; where two runs do so at once the first one's stays."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private = Ed25519PrivateKey.generate()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.chmod(0o700)
    except OSError as error:
        raise disk_error(error, path) from error
    made = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with whole_file(path, mode=0o600, replace=False) as file:
        file.write(made)
    if path.read_bytes() == made:
        console.say(f"made a key to sign bundles with: {path}; machines that deploy need its .pub")


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
        # The library's own words are left out: what a parser says of a secret does not belong in a log.
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

"""Keys that bundles and entries of a store are signed with: the user's own, made on first use, and whose are trusted.

A private key never leaves its file. A file of a key counts only where nobody else can have put it there: `_safe`.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from recipes import console, paths
from recipes.errors import ConfigError, unknown
from recipes.files import disk_error, whole_file, write_whole

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY_VARIABLE = "BOARDCAST_SIGNING_KEY"
_MOST = 1 << 16
"""Bytes of a key's file that are read."""


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
    """Return the key that is signed with here; the user's own is made on first use.

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


def trusted_keys(names: Iterable[str] | None = None) -> dict[str, bytes]:
    """Return key id to raw public key: the project's board-configs/trusted-keys/*.pub, and the user's own.

    The user's own comes out of the private key, where that is on this machine, whatever is beside it.

    Parameters
    ----------
    names:
        The files of board-configs/trusted-keys that count, without `.pub`; then nobody else's key does, and the user's
        own only where it is one of them. Without it all do.

    Raises
    ------
    ConfigError
        A name has no file, a file is not an Ed25519 public key, others can change it or its folder, or the user's own
        key cannot be used.
    """
    folder = paths.BOARDS / "trusted-keys"
    known = {path.stem: path for path in sorted(folder.glob("*.pub"))}
    if names is not None:
        wanted = list(names)
        if missing := [name for name in wanted if name not in known]:
            raise unknown("trusted key", missing[0], known, where=str(folder))
        found = [_public(known[name]) for name in wanted]
    else:
        found = [*map(_public, known.values()), *_own_public()]
    return {key_id(raw): raw for raw in found}


def _own_public() -> list[bytes]:
    private = key_path()
    if private.exists():
        return [_private(private).public_key().public_bytes_raw()]
    beside = private.with_suffix(".pub")
    return [_public(beside)] if beside.exists() else []


def is_signed(data: bytes, signature: bytes, public: bytes) -> bool:
    """Tell whether the owner of a raw Ed25519 public key signed just these bytes."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, data)
    except InvalidSignature:
        return False
    return True


def _safe(path: Path, opened: os.stat_result) -> None:
    """Raise ConfigError where somebody else can have put a file there, or can change it.

    Its owner has to be this user, root, or whoever owns the program that runs here (who could change that too); with
    `sudo` these differ. Nobody else may write to it, nor to its folder; a sticky one, as /tmp is, keeps what is there.
    """
    owners = {0, os.geteuid(), paths.CHECKOUT.stat().st_uid}
    for place in (path, *dict.fromkeys((path.parent, path.resolve().parent))):
        state = opened if place == path else place.stat()
        sticky = stat.S_ISDIR(state.st_mode) and state.st_mode & stat.S_ISVTX
        if state.st_uid not in owners:
            why = f"{place} belongs to user {state.st_uid}"
        elif not sticky and (state.st_mode & 0o002 or (state.st_mode & 0o020 and not _private_group(state.st_gid))):
            why = f"others may write to {place}, its mode is {state.st_mode & 0o7777:04o}"
        else:
            continue
        cure = f"look whose key it is; then chown $(id -u) {place} && chmod go-w {place}"
        raise ConfigError("others can change this key", where=str(path), why=why, next_step=cure)


def _private_group(number: int) -> bool:
    """Tell whether a group is root's, or of this user alone, as many systems give each user one of the same name."""
    import grp
    import pwd

    try:
        group, user = grp.getgrgid(number), pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return number == 0 or (group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name})


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
            opened, data = os.fstat(file.fileno()), file.read(_MOST)
    except OSError as error:
        raise ConfigError("the signing key cannot be read", where=str(path), why=error.strerror or "") from error
    mode = opened.st_mode & 0o777
    if mode & 0o077:
        raise ConfigError(
            "the signing key may be read or changed by others",
            where=str(path),
            why=f"its mode is {mode:04o}",
            next_step=f"chmod 600 {path}; where somebody else had access, make another key and trust that one instead",
        )
    _safe(path, opened)
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
        with path.open("rb") as file:
            opened, data = os.fstat(file.fileno()), file.read(_MOST)
        _safe(path, opened)
        public = load_pem_public_key(data)
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError("this is not a public key", where=str(path), next_step=_PUBLIC_ADVICE) from error
    if not isinstance(public, Ed25519PublicKey):
        raise ConfigError("this public key is not an Ed25519 key", where=str(path), next_step=_PUBLIC_ADVICE)
    return public.public_bytes_raw()


_PUBLIC_ADVICE = "openssl pkey -in KEY.pem -pubout prints the public half of a key"

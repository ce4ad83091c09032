"""Keys of SSH as people write them: a board's host key in the inventory, and the file of the key that logs in.

A host key may be a line of `ssh-keyscan`, of known_hosts or of a .pub file, or several of them; type and base64 are
taken. Of a key file only its kind is looked at, to say what is wrong with it before anybody waits for a board.
Formats: RFC 4253, 6.6, for the blob; https://cvsweb.openbsd.org/src/usr.bin/ssh/PROTOCOL.key for OpenSSH's key files.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import itertools
import re
from enum import Enum
from pathlib import Path

from recipes.errors import ConfigError
from recipes.text import one_line

TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")
"""Types of host keys that are taken, the preferred first."""
_SHOULD = "it should be the type and the base64 of a key, such as `ssh-ed25519 AAAA…`: what `ssh-keyscan` prints"
_LARGEST = 64 << 10  # bytes of a key file; real ones have a few thousand


def pick_host_key(text: str) -> str:
    """Return the best host key of a text as `TYPE BASE64`; empty for a text without any words.

    Raises
    ------
    ValueError
        It has none; says what it is instead, where that can be told.
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        words = line.split()
        for kind, blob in itertools.pairwise(words):
            if kind in TYPES and _type_of(blob) == kind:
                found.setdefault(kind, f"{kind} {blob}")
        if words and words[0] in ("@cert-authority", "@revoked"):
            raise ValueError(f"{words[0]} lines are not taken; {_SHOULD}")
    if found:
        return found[min(found, key=TYPES.index)]
    if not text.strip():
        return ""
    raise ValueError(f"{_instead(text)}; {_SHOULD}")


def _type_of(blob: str) -> str:
    """Return the type that a key's base64 says of itself; empty where it is no whole key."""
    try:
        data = base64.b64decode(blob, validate=True)
    except (binascii.Error, ValueError):
        return ""
    fields: list[bytes] = []
    while len(data) >= 4 and len(fields) < 4:
        size = int.from_bytes(data[:4], "big")
        fields, data = [*fields, data[4 : 4 + size]], data[4 + size :]
        if len(fields[-1]) < size:
            return ""
    kind = fields[0].decode("ascii", "replace") if fields else ""
    # Ed25519 has one number behind its name, the others have two parts: RFC 8709, 4; RFC 5656, 3.1; RFC 4253, 6.6.
    whole = not data and len(fields) == (2 if kind == "ssh-ed25519" else 3)
    return kind if whole and all(fields) else ""


def _instead(text: str) -> str:
    if "PRIVATE KEY" in text or text.startswith("PuTTY-User-Key-File"):
        return "this is a private key: it belongs to nobody else, and in no file of a repository"
    if re.match(r"\s*(SHA256:|MD5:|(\d+ )?([0-9a-f]{2}:){15})", text) or " SHA256:" in text:
        return "this is the fingerprint of a key, not the key"
    for word in text.split():
        if word in TYPES:
            return f"the base64 behind {word} is cut or damaged"
        if re.fullmatch(r"(ssh|ecdsa|sk)-[\w@.-]+", word):
            return f"keys of type {one_line(word, most=40)} are not taken (known: {', '.join(TYPES)})"
    return f"{one_line(text, most=40)!r} is no key"


def fingerprint(host_key: str) -> str:
    """Return what `ssh-keygen -l` shows of a key `TYPE BASE64`: `SHA256:…`."""
    digest = hashlib.sha256(base64.b64decode(host_key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


class KeyFile(Enum):
    """What a file that logs in is."""

    PLAIN = "plain"
    LOCKED = "locked"
    """It has a passphrase: only an agent can use it, nobody is asked here."""


def check_key_file(path: Path) -> KeyFile:
    """Say what kind of private key a file is.

    Raises
    ------
    ConfigError
        It is missing, may not be read, or is something else than a private key that OpenSSH takes.
    """
    where = str(path)
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST)
    except FileNotFoundError as error:
        raise ConfigError(
            "the private key is missing",
            where=where,
            why="`key` in hosts.toml names this file",
            next_step="correct `key`, or leave it out: then the SSH agent and your own keys are tried",
        ) from error
    except OSError as error:
        raise ConfigError("the private key cannot be read", where=where, why=error.strerror or str(error)) from error
    if data.startswith(b"PuTTY-User-Key-File"):
        raise ConfigError(
            "the private key is one of PuTTY's",
            where=where,
            why="OpenSSH's format is needed",
            next_step=f"puttygen {path} -O private-openssh -o {path.with_suffix('')}.openssh, and name that one",
        )
    if re.match(rb"\s*(ssh-|ecdsa-|sk-|---- BEGIN SSH2 PUBLIC|-----BEGIN [A-Z ]*PUBLIC)", data):
        private = path.with_suffix("") if path.suffix == ".pub" else path
        raise ConfigError(
            "`key` names a public key",
            where=where,
            why="the private half logs in",
            next_step=f'write key = "{private}" in hosts.toml',
        )
    if b"PRIVATE KEY-----" not in data:
        raise ConfigError("`key` names a file that is no private key", where=where, next_step="ssh-keygen -t ed25519")
    return KeyFile.LOCKED if _locked(data) else KeyFile.PLAIN


def _locked(data: bytes) -> bool:
    if b"BEGIN ENCRYPTED PRIVATE KEY" in data or b"Proc-Type: 4,ENCRYPTED" in data:
        return True
    inner = re.search(rb"BEGIN OPENSSH PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END", data)
    if not inner:
        return False
    try:
        blob = base64.b64decode(b"".join(inner[1].split()))
    except binascii.Error:
        return False
    # The magic and a NUL, then the name of the cipher with its length before it.
    return blob.startswith(b"openssh-key-v1\0") and blob[19:23] != b"none"

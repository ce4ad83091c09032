"""Key pairs for simulated boards, made without a terminal."""

from __future__ import annotations


def ed25519_pair() -> tuple[bytes, str]:
    """Make an Ed25519 pair: the private half as OpenSSH writes it, the public half as one line."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private, public.decode()

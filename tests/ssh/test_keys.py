"""Keys as people write them: every usual form of a host key is taken, every wrong key file is told by what it is."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.sim.keys import ed25519_pair
from deploy.ssh.keys import KeyFile, check_key_file, fingerprint, pick_host_key
from recipes.errors import ConfigError

ED = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIkQvd3Ob2ZwZb4yAPkvXJIWYqzLKq1sHAt8QWm6mMPa"


def blob(*fields: bytes) -> str:
    return base64.b64encode(b"".join(len(field).to_bytes(4, "big") + field for field in fields)).decode()


RSA = f"ssh-rsa {blob(b'ssh-rsa', b'abc', b'x' * 257)}"


@pytest.mark.parametrize(
    "text",
    [
        ED,
        f"  {ED} root@camera\n",
        f"192.0.2.17 {ED}",
        f"[192.0.2.17]:2222 {ED}",
        f"|1|c2FsdA==|aGFzaA== {ED}",
        f"# 192.0.2.17:22 SSH-2.0-dropbear\n192.0.2.17 {RSA}\n192.0.2.17 {ED}\n",
        f"{RSA}\n{ED}",
    ],
)
def test_a_host_key_is_taken_from_what_ssh_keyscan_prints(text: str) -> None:
    assert pick_host_key(text) == ED


def test_an_rsa_key_alone_is_taken() -> None:
    assert pick_host_key(f"cam {RSA}") == RSA
    assert pick_host_key(" \n") == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU", "the fingerprint of a key, not the key"),
        ("256 SHA256:47DEQpj8HBSa root@cam (ED25519)", "the fingerprint of a key, not the key"),
        (ED[:40], "cut or damaged"),
        (ED.replace("ssh-ed25519", "ssh-rsa"), "cut or damaged"),
        ("ssh-dss AAAAB3NzaC1kc3M=", "keys of type ssh-dss are not taken"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "private key"),
        (f"@cert-authority *.example {ED}", "@cert-authority lines are not taken"),
        ("~/.ssh/known_hosts", "is no key"),
    ],
)
def test_what_is_no_host_key_is_told_by_what_it_is(text: str, says: str) -> None:
    with pytest.raises(ValueError, match="it should be the type and the base64 of a key") as caught:
        pick_host_key(text)
    assert says in str(caught.value)


@given(st.text())
def test_no_text_at_all_ends_otherwise(text: str) -> None:
    try:
        found = pick_host_key(text)
    except ValueError as error:
        assert "it should be" in str(error)
    else:
        assert found == "" or len(found.split()) == 2


def test_the_fingerprint_is_what_ssh_keygen_prints() -> None:
    assert fingerprint(ED) == "SHA256:ld8ev8KRj6QE5CSTzh15xpH1pktQw/366S0bb9Kf8Ys"


def locked_key(form: str) -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

    return generate_private_key(SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        getattr(serialization.PrivateFormat, form),
        serialization.BestAvailableEncryption(b"word"),
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "the private key is missing"),
        (b"PuTTY-User-Key-File-3: ssh-ed25519\n", "one of PuTTY's"),
        (f"{ED} me@here\n".encode(), "names a public key"),
        (b"---- BEGIN SSH2 PUBLIC KEY ----\n", "names a public key"),
        (b"hello\n", "no private key"),
        (b"", "no private key"),
    ],
)
def test_a_file_that_cannot_log_in_is_told_by_what_it_is(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "id"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=says) as caught:
        check_key_file(path)
    assert caught.value.where == str(path)


def test_a_public_key_leads_to_its_private_half(tmp_path: Path) -> None:
    (tmp_path / "id.pub").write_text(ED)
    with pytest.raises(ConfigError) as caught:
        check_key_file(tmp_path / "id.pub")
    assert caught.value.next_step == f'write key = "{tmp_path / "id"}" in hosts.toml'


@pytest.mark.parametrize("form", ["PKCS8", "OpenSSH", "TraditionalOpenSSL"])
def test_a_passphrase_is_seen_without_asking_for_it(tmp_path: Path, form: str) -> None:
    path = tmp_path / "id"
    path.write_bytes(ed25519_pair()[0])
    assert check_key_file(path) is KeyFile.PLAIN
    path.write_bytes(locked_key(form))
    assert check_key_file(path) is KeyFile.LOCKED

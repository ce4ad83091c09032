"""Keys: how they are made, what is refused, and that nothing but the right one verifies."""

from __future__ import annotations

import base64
import json
import os
import re
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from deploy.bundle.sign import check_signature, sign_manifest, unsigned_signature
from recipes import paths
from recipes.errors import ConfigError, PreflightError
from recipes.stage.keys import KEY_VARIABLE, key_id, public_pem, signing_key, trusted_keys

DATA = b'{"board":"cam"}\n'


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a user and a project of its own; return the folder of the user's key."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    monkeypatch.setattr(paths, "BOARDS", tmp_path / "boards")
    return tmp_path / "config" / "boardcast"


def write(path: Path, private: Ed25519PrivateKey, *, mode: int = 0o600, password: bytes = b"") -> Path:
    how = BestAvailableEncryption(password) if password else NoEncryption()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how))
    path.chmod(mode)
    return path


def trust(private: Ed25519PrivateKey, name: str = "ci") -> Path:
    path = paths.BOARDS / "trusted-keys" / f"{name}.pub"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(public_pem(private))
    return path


def identity(private: Ed25519PrivateKey) -> str:
    return key_id(private.public_key().public_bytes_raw())


def test_the_first_use_makes_a_key_that_only_the_user_reads(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = os.umask(0)
    try:
        made = signing_key()
    finally:
        os.umask(old)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "signing-key.pem").stat().st_mode) == 0o600
    assert sorted(path.name for path in home.iterdir()) == ["signing-key.pem", "signing-key.pub"]
    assert identity(signing_key()) == identity(made), "the second use takes the same key"
    assert trusted_keys() == {identity(made): made.public_key().public_bytes_raw()}
    printed = "".join(capsys.readouterr())
    assert "signing-key.pem" in printed
    assert "PRIVATE" not in printed


def test_runs_at_the_same_time_make_one_key(home: Path) -> None:
    with ThreadPoolExecutor(max_workers=16) as pool:
        found = {identity(made) for made in pool.map(lambda _: signing_key(), range(64))}
    assert len(found) == 1
    assert not list(home.glob(".signing-key.*"))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o666])
def test_a_key_that_others_may_read_is_refused_with_the_cure(tmp_path: Path, home: Path, mode: int) -> None:
    path = write(home / "signing-key.pem", Ed25519PrivateKey.generate(), mode=mode)
    with pytest.raises(ConfigError, match="may be read or changed by others") as caught:
        signing_key()
    assert f"{mode:04o}" in caught.value.why
    assert f"chmod 600 {path}" in caught.value.next_step


def test_a_key_of_ones_own_is_taken_and_nothing_is_written_beside_it(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = Ed25519PrivateKey.generate()
    path = write(tmp_path / "secrets" / "ci.pem", private)
    monkeypatch.setenv(KEY_VARIABLE, str(path))
    assert identity(signing_key()) == identity(private)
    assert list(trusted_keys()) == [identity(private)]
    assert [one.name for one in path.parent.iterdir()] == ["ci.pem"]
    assert not home.exists()


def test_a_variable_that_names_no_file_makes_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "typo.pem"))
    with pytest.raises(ConfigError, match="names no file") as caught:
        signing_key()
    assert "openssl genpkey" in caught.value.next_step
    assert not (tmp_path / "typo.pem").exists()
    assert trusted_keys() == {}


def test_other_kinds_of_keys_and_passphrases_are_refused(home: Path) -> None:
    path = write(home / "signing-key.pem", Ed25519PrivateKey.generate(), password=b"secret words")
    with pytest.raises(ConfigError) as caught:
        signing_key()
    assert caught.value.why == "it has a passphrase"
    curve = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(ConfigError, match="not an Ed25519 key"):
        signing_key()
    path.write_bytes(b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0IHdvcmRz\n-----END PRIVATE KEY-----\n")
    with pytest.raises(ConfigError) as caught:
        signing_key()
    assert "c2VjcmV0" not in f"{caught.value} {caught.value.__cause__}", "a damaged key's bytes stay out of the log"
    public = trust(Ed25519PrivateKey.generate())
    public.write_bytes(curve.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(ConfigError, match="not an Ed25519 key") as caught:
        trusted_keys()
    assert caught.value.where == str(public)
    public.write_bytes(b"ssh-ed25519 AAAA\n")
    with pytest.raises(ConfigError, match="this is not a public key"):
        trusted_keys()


def test_a_public_half_of_another_key_is_found_before_anything_is_signed(home: Path) -> None:
    signing_key()
    (home / "signing-key.pub").write_bytes(public_pem(Ed25519PrivateKey.generate()))
    with pytest.raises(ConfigError, match="does not belong to the private one"):
        signing_key()


def test_a_machine_that_only_deploys_needs_no_private_key(home: Path) -> None:
    private = Ed25519PrivateKey.generate()
    signature = sign_manifest(DATA, private)
    trust(private)
    assert check_signature(DATA, signature, trusted_keys(), where="x") == identity(private)
    assert not home.exists()


@pytest.mark.hostile(kind="bundle")
def test_what_is_not_signed_by_a_trusted_key_is_refused_with_the_ids() -> None:
    mine, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    trust(mine)
    with pytest.raises(PreflightError, match="not trusted here") as caught:
        check_signature(DATA, sign_manifest(DATA, other), trusted_keys(), where="x")
    assert caught.value.code == 5
    assert identity(other) in caught.value.why
    assert identity(mine) in caught.value.why
    with pytest.raises(PreflightError, match="does not fit its manifest"):
        check_signature(DATA + b" ", sign_manifest(DATA, mine), trusted_keys(), where="x")
    claimed = json.loads(sign_manifest(DATA, other)) | {"key": identity(mine)}
    with pytest.raises(PreflightError, match="does not fit its manifest"):
        text = json.dumps(claimed, indent=1, sort_keys=True).encode() + b"\n"
        check_signature(DATA, text, trusted_keys(), where="x")


@pytest.mark.hostile(kind="bundle")
def test_a_signature_has_one_form() -> None:
    private = Ed25519PrivateKey.generate()
    trust(private)
    good = sign_manifest(DATA, private)
    assert good == sign_manifest(DATA, private)
    assert len(good) == len(unsigned_signature())
    fields = json.loads(good)
    assert set(fields) == {"algorithm", "key", "signature"}
    assert re.fullmatch("[0-9a-f]{16}", fields["key"])
    for odd in (
        b"",
        b"{}",
        b"[]",
        b"null",
        good[:-1],
        good + b"\n",
        json.dumps(fields).encode(),
        json.dumps(fields | {"more": 1}, indent=1, sort_keys=True).encode() + b"\n",
        good.replace(b"ed25519", b"none"),
        unsigned_signature(),
    ):
        with pytest.raises((ConfigError, PreflightError)):
            check_signature(DATA, odd, trusted_keys(), where="x")


def test_the_published_vector_of_the_algorithm() -> None:
    """RFC 8032, 7.1, test 3."""
    secret = bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7")
    fields = json.loads(sign_manifest(bytes.fromhex("af82"), Ed25519PrivateKey.from_private_bytes(secret)))
    assert base64.b64decode(fields["signature"]).hex() == (
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
    )


@pytest.mark.process
def test_openssl_agrees(tmp_path: Path, home: Path) -> None:
    """The second opinion, and the command that the module's docstring names."""
    signature = json.loads(sign_manifest(DATA, signing_key()))["signature"]
    (tmp_path / "manifest.json").write_bytes(DATA)
    (tmp_path / "sig").write_bytes(base64.b64decode(signature))
    argv = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", str(home / "signing-key.pub")]
    argv += ["-in", str(tmp_path / "manifest.json"), "-sigfile", str(tmp_path / "sig")]
    assert subprocess.run(argv, check=False, capture_output=True).returncode == 0
    (tmp_path / "manifest.json").write_bytes(DATA + b" ")
    assert subprocess.run(argv, check=False, capture_output=True).returncode != 0

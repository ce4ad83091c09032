"""Whose key counts: only a file that nobody else can have put there, and for a board that names keys only those."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recipes import paths
from recipes.errors import ConfigError
from recipes.stage.keys import KEY_VARIABLE, is_signed, key_id, public_pem, signing_key, trusted_keys

pytestmark = [pytest.mark.usefixtures("home"), pytest.mark.hostile(kind="store")]


def trust(private: Ed25519PrivateKey, name: str = "ci") -> Path:
    path = paths.BOARDS / "trusted-keys" / f"{name}.pub"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(public_pem(private))
    return path


def identity(private: Ed25519PrivateKey) -> str:
    return key_id(private.public_key().public_bytes_raw())


def test_a_public_key_planted_beside_the_private_one_is_not_trusted(home: Path) -> None:
    own = signing_key()
    (home / "signing-key.pub").write_bytes(public_pem(Ed25519PrivateKey.generate()))
    assert list(trusted_keys()) == [identity(own)]


@pytest.mark.parametrize("mode", [0o666, 0o646, 0o602])
def test_a_key_that_others_may_write_is_refused(mode: int) -> None:
    path = trust(Ed25519PrivateKey.generate())
    path.chmod(mode)
    with pytest.raises(ConfigError, match="others can change this key") as caught:
        trusted_keys()
    assert f"{mode:04o}" in caught.value.why
    assert f"chmod go-w {path}" in caught.value.next_step


def test_a_folder_that_others_may_write_to_is_refused_and_a_sticky_one_is_not() -> None:
    private = Ed25519PrivateKey.generate()
    path = trust(private)
    path.parent.chmod(0o777)
    with pytest.raises(ConfigError, match="others can change this key") as caught:
        trusted_keys()
    assert str(path.parent) in caught.value.why
    path.parent.chmod(0o1777)
    assert list(trusted_keys()) == [identity(private)]


def test_a_link_is_as_good_as_the_folder_that_it_leads_to(tmp_path: Path) -> None:
    path = trust(Ed25519PrivateKey.generate())
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    path.rename(tmp_path / "open" / "x.pub")
    path.symlink_to(tmp_path / "open" / "x.pub")
    with pytest.raises(ConfigError, match="others can change this key"):
        trusted_keys()


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_key_of_another_user_is_refused(what: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    path = trust(Ed25519PrivateKey.generate())
    os.chown(path if what == "file" else path.parent, 4242, 0)
    with pytest.raises(ConfigError, match="others can change this key") as caught:
        trusted_keys()
    assert "belongs to user 4242" in caught.value.why


def test_the_private_key_and_its_public_half_alone_are_held_to_the_same(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signing_key()
    home.chmod(0o777)
    with pytest.raises(ConfigError, match="others can change this key"):
        signing_key()
    monkeypatch.setenv(KEY_VARIABLE, str(home / "elsewhere.pem"))
    (home / "elsewhere.pub").write_bytes(public_pem(Ed25519PrivateKey.generate()))
    with pytest.raises(ConfigError, match="others can change this key"):
        trusted_keys()


def test_the_named_keys_alone_count_and_not_the_users_own() -> None:
    own, ci = signing_key(), Ed25519PrivateKey.generate()
    trust(ci)
    assert set(trusted_keys()) == {identity(own), identity(ci)}
    assert set(trusted_keys(["ci"])) == {identity(ci)}
    assert trusted_keys([]) == {}
    trust(own, "me")
    assert set(trusted_keys(["ci", "me"])) == {identity(own), identity(ci)}
    with pytest.raises(ConfigError, match="no trusted key 'cl'") as caught:
        trusted_keys(["cl"])
    assert "known: ci, me" in caught.value.why


def test_a_signature_is_of_these_bytes_by_this_key() -> None:
    private, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    assert is_signed(b"x", private.sign(b"x"), public)
    assert not is_signed(b"y", private.sign(b"x"), public)
    assert not is_signed(b"x", other.sign(b"x"), public)
    assert not is_signed(b"x", b"", public)

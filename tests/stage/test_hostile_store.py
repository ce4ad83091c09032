"""Stores that somebody else can write to: nothing of an entry is used, nor unpacked, unless a trusted key signed it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recipes.errors import BuildError, ConfigError
from recipes.stage.entry import check_entry, sign_entry, unpack_entry
from recipes.stage.keys import key_id, signing_key
from recipes.stage.manifest import STAGE_MANIFEST
from recipes.stage.places import FolderPlace, HttpPlace
from recipes.stage.store import Store, open_store
from tests.stage.test_store import KEY, entry, passes
from tests.support.linkchain import Part, link_chain, tar_of
from tests.support.objectserver import serving

pytestmark = [pytest.mark.usefixtures("home"), pytest.mark.hostile(kind="store")]
"""Name, kind, target and content of a member."""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def shared(folder: Path) -> Store:
    return Store("x", FolderPlace(folder), writable=True)


def forge(
    folder: Path, name: str, archive: bytes, manifest: bytes = b"{}", by: Ed25519PrivateKey | None = None
) -> None:
    """Put an archive into a store with a signature that is right: by a key that is trusted, or another one."""
    built = folder / "forged" / name
    built.mkdir(parents=True, exist_ok=True)
    (built / STAGE_MANIFEST).write_bytes(manifest)
    (folder / f"{name}.tar.gz").write_bytes(archive)
    signature = sign_entry(built, hashlib.sha256(archive).hexdigest(), by or signing_key())
    (folder / f"{name}.sig").write_bytes(signature)


def test_an_unsigned_entry_is_not_used_and_that_is_one_line(
    cache: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built = entry(cache)
    shared(store).put(built)
    (store / f"{built.name}.sig").unlink()
    capsys.readouterr()
    assert not shared(store).get(built.with_name(built.name), passes)
    (line,) = capsys.readouterr().err.splitlines()
    assert "the store's entry is not used (it is not signed); it is built here" in line


def test_an_entry_that_somebody_else_signed_is_not_used(
    cache: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A changed program with a manifest made anew for it: consistent in itself, which was all that was asked once."""
    built = entry(cache)
    (built / "tree" / "bin" / "demo").write_bytes(b"evil")
    shared(store).put(built)
    other = Ed25519PrivateKey.generate()
    archive = (store / f"{built.name}.tar.gz").read_bytes()
    forge(store, built.name, archive, (built / STAGE_MANIFEST).read_bytes(), other)
    assert not shared(store).get(built, passes)
    assert f"{key_id(other.public_key().public_bytes_raw())}', a key that is not trusted" in capsys.readouterr().err
    fields = json.loads((store / f"{built.name}.sig").read_bytes())
    fields["key"] = key_id(signing_key().public_key().public_bytes_raw())
    (store / f"{built.name}.sig").write_text(json.dumps(fields))
    assert not shared(store).get(built, passes)
    assert "its signature is not one of" in capsys.readouterr().err


def test_nothing_is_unpacked_before_its_signature_is_known_to_be_right(
    cache: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("unpacked")

    built = entry(cache)
    shared(store).put(built)
    monkeypatch.setattr("recipes.stage.store.unpack_entry", refuse)
    with pytest.raises(AssertionError, match="unpacked"):
        shared(store).get(built, passes)
    archive = store / f"{built.name}.tar.gz"
    archive.write_bytes(archive.read_bytes() + b"\0")
    assert not shared(store).get(built, passes)


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        b"{}",
        b"[]",
        b"[" * 4000,
        b'{"statement": [], "key": 1, "signature": 2}',
        b'{"statement": {}, "key": "\\u001b[2J", "signature": ""}',
        b"\xff",
        bytes(5000),
    ],
)
def test_a_signature_that_is_none_is_told_in_one_plain_line(
    cache: Path, store: Path, signature: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    built = entry(cache)
    shared(store).put(built)
    (store / f"{built.name}.sig").write_bytes(signature)
    capsys.readouterr()
    assert not shared(store).get(built, passes)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()


WAYS_OUT: dict[str, Callable[[Path], list[Part]]] = {
    "a chain of links longer than PATH_MAX": lambda outside: link_chain(f"../..{outside}"),
    "a hard link to a host file": lambda outside: [
        ("tree/x", tarfile.LNKTYPE, str(outside / "kept"), b""),
        ("tree/x", tarfile.REGTYPE, "", b"overwritten"),
    ],
    "a hard link upwards": lambda _: [("tree/x", tarfile.LNKTYPE, "../../outside/kept", b"")],
    "a link, and a file through it": lambda outside: [
        ("tree/d", tarfile.SYMTYPE, str(outside), b""),
        ("tree/d/written", tarfile.REGTYPE, "", b"x"),
    ],
    "a relative link, and a file through it": lambda _: [
        ("tree/d", tarfile.SYMTYPE, "../../../../outside", b""),
        ("tree/d/written", tarfile.REGTYPE, "", b"x"),
    ],
    "a link out": lambda _: [("tree/d", tarfile.SYMTYPE, "../../etc", b"")],
    "a link from the tree into what is beside it": lambda _: [
        ("tree/d", tarfile.SYMTYPE, "../debug", b""),
        ("debug/x", tarfile.REGTYPE, "", b"x"),
    ],
    "an absolute name": lambda outside: [(f"{outside}/written", tarfile.REGTYPE, "", b"x")],
    "a name upwards": lambda _: [("tree/../../outside/written", tarfile.REGTYPE, "", b"x")],
    "a device": lambda _: [("tree/zero", tarfile.CHRTYPE, "", b"")],
    "a FIFO": lambda _: [("tree/pipe", tarfile.FIFOTYPE, "", b"")],
    "another place": lambda _: [("elsewhere/x", tarfile.REGTYPE, "", b"x")],
    "another empty place": lambda _: [("elsewhere", tarfile.DIRTYPE, "", b"")],
    "a name twice": lambda _: [("tree/x", tarfile.REGTYPE, "", b"1"), ("tree/x", tarfile.REGTYPE, "", b"2")],
}


@pytest.mark.parametrize("way", WAYS_OUT)
def test_an_archive_writes_nowhere_but_into_its_folder(way: str, cache: Path, store: Path, tmp_path: Path) -> None:
    """With a signature that is right: a builder whose key is trusted may still have been taken over."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_bytes(b"kept")
    store.mkdir()
    built = cache / "built" / f"demo-{KEY}"
    forge(store, built.name, gzip.compress(tar_of(WAYS_OUT[way](outside))))
    assert not shared(store).get(built, passes)
    assert not built.exists()
    assert [path.name for path in outside.iterdir()] == ["kept"]
    assert (outside / "kept").read_bytes() == b"kept"


@pytest.mark.parametrize("way", WAYS_OUT)
def test_unpacking_itself_refuses_it(way: str, tmp_path: Path) -> None:
    outside, into = tmp_path / "outside", tmp_path / "part"
    outside.mkdir()
    into.mkdir()
    packed = gzip.compress(tar_of(WAYS_OUT[way](outside)))
    with pytest.raises((ConfigError, BuildError)):
        unpack_entry(io.BytesIO(packed), len(packed), into)
    assert not list(outside.iterdir())


def test_a_bomb_ends_at_a_stated_factor(cache: Path, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store.mkdir()
    built = cache / "built" / f"demo-{KEY}"
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as file:
        head = tarfile.TarInfo("tree/zeros")
        head.size = 1 << 30
        file.write(head.tobuf(tarfile.USTAR_FORMAT))
        for _ in range(64):
            file.write(bytes(1 << 20))
    forge(store, built.name, packed.getvalue())
    assert not shared(store).get(built, passes)
    assert "it unpacks to more than" in capsys.readouterr().err
    assert not list(built.parent.iterdir())


def test_an_archive_without_end_is_cut_off(
    cache: Path, store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("recipes.stage.store.ARCHIVE_LIMIT", 1 << 20)
    built = entry(cache)
    shared(store).put(built)
    os.truncate(store / f"{built.name}.tar.gz", 1 << 40)
    assert not shared(store).get(built, passes)
    assert "is larger than 1,048,576 bytes" in capsys.readouterr().err


def test_what_does_not_pass_the_gate_is_not_used(cache: Path, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    built = entry(cache)
    shared(store).put(built)
    seen: list[list[str]] = []

    def faults(tree: Path) -> list[str]:
        seen.append(sorted(path.name for path in tree.rglob("*")))
        return ["bin/demo: is for another machine\x1b[2J"]

    assert not shared(store).get(built, faults)
    assert seen == [["alias", "bin", "demo"]]
    printed = capsys.readouterr().err
    assert "does not pass the gate: bin/demo: is for another machine" in printed
    assert "\x1b" not in printed


def test_plain_http_is_refused_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOARDCAST_STORE", "http://store.example/x")
    with pytest.raises(ConfigError, match="without encryption") as caught:
        open_store()
    assert "BOARDCAST_STORE_INSECURE=1" in caught.value.next_step
    monkeypatch.setenv("BOARDCAST_STORE_INSECURE", "1")
    assert open_store() is not None
    monkeypatch.setenv("BOARDCAST_STORE_INSECURE", "")
    monkeypatch.setenv("BOARDCAST_STORE", "https://store.example/x")
    assert open_store() is not None


@pytest.mark.loopback
def test_an_encoding_that_the_server_names_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(64 << 20))
    with serving() as (address, handler):
        handler.encoding = "gzip"
        handler.kept["/x"] = bomb
        with HttpPlace(address, insecure=True).chunks("x") as parts:
            assert parts is not None
            assert b"".join(parts) == bomb


def test_a_statement_holds_for_its_entry_alone(cache: Path) -> None:
    built = entry(cache)
    private = signing_key()
    raw = private.public_key().public_bytes_raw()
    keys = {key_id(raw): raw}
    good = sign_entry(built, "a" * 64, private)
    assert check_entry(built.name, good, keys)["archive"] == "a" * 64
    with pytest.raises(ConfigError, match="of another entry"):
        check_entry("demo-ffffffffffffffffffffffff", good, keys)
    fields = json.loads(good)
    assert base64.b64decode(fields["signature"])
    for key, value in (("archive", "b" * 64), ("manifest", "b" * 64), ("entry", "demo-x"), ("what", "a bundle")):
        changed = fields | {"statement": fields["statement"] | {key: value}}
        with pytest.raises(ConfigError, match="is not one of"):
            check_entry(built.name, json.dumps(changed).encode(), keys)

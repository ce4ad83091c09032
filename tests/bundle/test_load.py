"""P-09: whatever is done to a bundle, it is refused; P-37 on a whole one; the same content is the same bytes."""

from __future__ import annotations

import base64
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.bundle import archive
from deploy.bundle.archive import SUFFIXES, Suffix, pack_archive
from deploy.bundle.assemble import pack_bundle
from deploy.bundle.audit import unaccounted
from deploy.bundle.load import bundle_path, bundles_folder, latest_bundle, load_bundle, verify_bundle
from deploy.bundle.sign import sign_manifest
from deploy.release.deployment import bundle_for
from recipes import paths
from recipes.errors import ConfigError, PreflightError, ProofError
from recipes.stage.keys import key_id, signing_key, trusted_keys
from tests.support.bundles import (
    EACH_SUFFIX,
    LIBC,
    ROOT,
    compress,
    contents,
    decompressed,
    make,
    manifest,
    members,
    refused,
    seal,
)
from tests.support.facts import proof_row
from tests.support.smallelf import small_elf

pytestmark = pytest.mark.usefixtures("home")
Record = Callable[[str, object], None]


@EACH_SUFFIX
def test_a_bundle_is_verified_offline_to_its_last_byte(suffix: Suffix) -> None:
    made = make(suffix)
    found = verify_bundle(made.path)
    assert found.bundle == made == load_bundle(made.path) == latest_bundle("sim-tiny")
    assert found.as_dict() == {
        "id": made.id,
        "board": "sim-tiny",
        "arch": "armv7",
        "key": next(iter(trusted_keys())),
        "files": 4,
        "proofs": 1,
        "components": 7,
    }
    assert list(members(made)) == [
        *("manifest.json", "signature.json", "sbom.cdx.json"),
        *("bin/app", "lib/libx.so.1", "licences/app.txt", "run/app", "share/app.conf"),
    ]
    assert unaccounted(made.manifest, members(made)["sbom.cdx.json"][0]) == []
    assert made.blobs() == {file.blob: contents()[file.path][0] for file in made.manifest.files}
    assert made.path.name == f"{made.id}{suffix}"
    assert bundle_path("sim-tiny", made.id) == made.path


def test_the_form_of_the_file_does_not_change_the_id() -> None:
    assert make(".tar.zst").id == make(".tar.gz").id


@pytest.mark.hostile(kind="bundle")
@EACH_SUFFIX
def test_a_thousand_flipped_bytes_are_refused(suffix: Suffix, record_property: Record) -> None:
    made = make(suffix)
    data = bytearray(made.path.read_bytes())
    chance, count = random.Random(9), 0
    for _ in range(1000):
        at, bits = chance.randrange(len(data)), chance.randrange(1, 256)
        data[at] ^= bits
        count += refused(made.path, bytes(data)) is not None
        data[at] ^= bits
    record_property("inputs", 1000)
    print(f"{count} of 1000 flips in {len(data)} bytes of {suffix} refused")
    assert count == 1000
    assert refused(made.path, bytes(data)) is None


@EACH_SUFFIX
def test_flips_under_a_seal_made_anew_are_refused_or_change_nothing(suffix: Suffix) -> None:
    """Both formats have bits that unpackers ignore; a flip of one leaves the signed content as it was."""
    made = make(suffix)
    data, content = made.path.read_bytes(), members(made)
    body = bytearray(data[: -len(seal(b"", suffix))])
    chance, same = random.Random(11), 0
    flips = [(at, 1 << bit) for at in range(20) for bit in range(8)]
    flips += [(chance.randrange(len(body)), 1 << chance.randrange(8)) for _ in range(1000)]
    for at, bits in flips:
        body[at] ^= bits
        if refused(made.path, bytes(body) + seal(bytes(body), suffix)) is None:
            same += 1
            assert members(made) == content
        body[at] ^= bits
    print(f"{same} of {len(flips)} flips of {suffix} fell on bits that no unpacker looks at")
    assert same < 60


@pytest.mark.hostile(kind="bundle")
def test_every_byte_of_the_tar_inside_is_covered(record_property: Record) -> None:
    made = make()
    tar = bytearray(decompressed(made.path.read_bytes()[:-40], ".tar.zst"))
    chance, count = random.Random(13), 0
    for _ in range(1000):
        at, bits = chance.randrange(len(tar)), chance.randrange(1, 256)
        tar[at] ^= bits
        count += refused(made.path, compress(bytes(tar))) is not None
        tar[at] ^= bits
    record_property("inputs", 1000)
    print(f"{count} of 1000 flips in the {len(tar)} bytes of the tar refused")
    assert count == 1000


@EACH_SUFFIX
def test_cut_and_lengthened_files_are_refused(suffix: Suffix) -> None:
    made = make(suffix)
    data = made.path.read_bytes()
    offsets = sorted({0, 1, len(data) - 1, *random.Random(5).sample(range(len(data)), 47)})
    for offset in offsets:
        assert refused(made.path, data[:offset]) is not None
    body = data[: -len(seal(b"", suffix))]
    tar = decompressed(body, suffix)
    for longer in (data + b"\0", data + data, body + body + seal(body + body, suffix)):
        assert refused(made.path, longer) is not None
    assert refused(made.path, compress(tar, suffix)) is None, "another compressor's file of the same tar is the bundle"
    for changed in (tar + b"\0", tar + bytes(10240), tar[:-512], tar + tar, tar[:-10240], b"", bytes(10240)):
        assert refused(made.path, compress(changed, suffix)) is not None


def test_another_key_is_refused_and_so_is_one_that_is_trusted_no_more(home: Path) -> None:
    made = make()
    mine = trusted_keys()
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    with pytest.raises(PreflightError, match="not trusted here") as caught:
        verify_bundle(made.path, {key_id(other): other})
    assert caught.value.code == 5
    with pytest.raises(PreflightError, match="does not fit"):
        verify_bundle(made.path, {next(iter(mine)): other})
    assert verify_bundle(made.path, mine).key in mine
    for path in home.iterdir():
        path.unlink()
    with pytest.raises(PreflightError, match="not trusted here"):
        load_bundle(made.path)
    assert verify_bundle(make().path).key not in mine, "a new key signs from now on"
    with pytest.raises(PreflightError, match="not trusted here"):
        verify_bundle(made.path, {})


def test_nothing_is_packed_that_would_not_be_verified() -> None:
    with pytest.raises(ProofError, match="could not account") as caught:
        pack_bundle(manifest(proofs=()), contents())
    assert "libc.so.6 is left to the board without a proof" in caught.value.why
    with pytest.raises(ProofError, match="could not account"):
        pack_bundle(manifest(), contents() | {"lib/liby.so": (small_elf("libz.so"), 0o755)})
    for name in ("manifest.json", "licences/app.txt", "../evil", "/etc/passwd", "", "a//b", "bin/"):
        with pytest.raises(ConfigError, match="cannot be the name of a file"):
            pack_bundle(manifest(), contents() | {name: (b"", 0o644)})
    assert not bundles_folder("sim-tiny").exists()


def test_a_file_that_claims_to_be_huge_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "UNPACKED_LIMIT", 1 << 20)
    for suffix in SUFFIXES:
        made = make(suffix)
        error = refused(made.path, compress(bytes(50 << 20), suffix))
        assert error is not None
        assert error.what == "not a bundle"


def test_a_bundle_that_was_changed_after_it_was_read_does_not_reach_a_board() -> None:
    made, other = make(), make(tag="other")
    made.path.write_bytes(other.path.read_bytes())
    with pytest.raises(ConfigError, match="changed since it was read"):
        made.blobs()


def test_deploy_refuses_before_it_opens_a_connection() -> None:
    """The board answers nowhere in this test: a connection would fail it."""
    shutil.copytree(ROOT / "board-configs", paths.BOARDS, ignore=shutil.ignore_patterns("trusted-keys", "*.tar"))
    made = make()
    assert bundle_for("sim-tiny", str(made.path)).id == made.id
    assert bundle_for("sim-tiny", made.id[:12]).id == made.id
    with pytest.raises(ConfigError, match="is older than what it was made of"):
        bundle_for("sim-tiny")
    found = members(made)
    found["signature.json"] = (sign_manifest(found["manifest.json"][0], Ed25519PrivateKey.generate()), 0o644)
    made.path.write_bytes(pack_archive(found, ".tar.zst"))
    for given in (str(made.path), ""):
        with pytest.raises(PreflightError, match="not trusted here") as caught:
            bundle_for("sim-tiny", given)
        assert caught.value.code == 5
        assert "board-configs/trusted-keys/" in caught.value.next_step


def test_looking_writes_nothing_and_makes_no_key(home: Path) -> None:
    seen = pack_bundle(manifest(), contents(), write=False)
    assert not home.exists()
    assert not seen.path.exists()
    made = make()
    assert seen.id == made.id
    assert abs(seen.packed - made.packed) < 100


def test_nothing_of_the_key_is_in_a_bundle(home: Path) -> None:
    made = make()
    everything = b"".join(data for data, _ in members(made).values()) + made.path.read_bytes()
    raw = signing_key().private_bytes_raw()
    body = (home / "signing-key.pem").read_text().splitlines()[1]
    for form in (raw, raw.hex().encode(), base64.b64encode(raw), body.encode(), str(home).encode()):
        assert form not in everything


PACK = """
import hashlib, os, sys
sys.path.insert(0, sys.argv[1])
os.umask(int(sys.argv[2], 8))
from deploy.bundle.archive import SUFFIXES
from tests.support.bundles import make
for suffix in SUFFIXES:
    print(hashlib.sha256(make(suffix).path.read_bytes()).hexdigest())
"""


@pytest.mark.process
def test_the_same_content_is_the_same_bytes_wherever_it_is_packed(tmp_path: Path) -> None:
    """Another folder, umask, time zone, locale and hash seed; the key is the same, and Ed25519 is deterministic."""
    signing_key()
    seen = set()
    for number, (umask, zone) in enumerate((("022", "UTC"), ("077", "Asia/Kathmandu"), ("000", "America/New_York"))):
        folder = tmp_path / f"at{number}"
        folder.mkdir()
        changed = {"TZ": zone, "PYTHONHASHSEED": str(number), "LC_ALL": "C", "BOARDCAST_WORK": str(folder / "work")}
        argv = [sys.executable, "-c", PACK, str(ROOT), umask]
        done = subprocess.run(argv, cwd=folder, env=os.environ | changed, check=True, capture_output=True, text=True)
        seen.add(done.stdout)
    assert len(seen) == 1


@pytest.mark.process
@EACH_SUFFIX
def test_other_programs_unpack_a_bundle(suffix: Suffix, tmp_path: Path) -> None:
    """The seal at the end is a part that gzip and zstd pass over."""
    made = make(suffix)
    tool = "zstd" if suffix == ".tar.zst" else "gzip"
    tar = tmp_path / "plain.tar"
    try:
        done = subprocess.run([tool, "-dc", str(made.path)], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip(f"no {tool} here")
    assert done.stderr == b""
    tar.write_bytes(done.stdout)
    listed = subprocess.run(["tar", "-tf", str(tar)], check=True, capture_output=True, text=True)
    assert listed.stdout.split() == list(members(made))


def test_a_proof_that_fails_is_packed_only_with_the_reason_for_using_it_all_the_same() -> None:
    failing = {"symbols": ["puts@GLIBC_2.4"], "missing": ["puts@GLIBC_2.4"]}
    with pytest.raises(ProofError, match="could not account"):
        pack_bundle(manifest(proofs=(proof_row("libc.so.6", LIBC, **failing),)), contents())
    row = proof_row("libc.so.6", LIBC, **failing, overridden="it is never called")
    made = pack_bundle(manifest(proofs=(row,)), contents())
    facts = verify_bundle(made.path).as_dict()
    assert facts["used without a proof"] == "libc.so.6: it is never called"

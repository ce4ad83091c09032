"""P-09: whatever is done to a bundle, it is refused; P-37 on a whole one; the same content is the same bytes."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy import archive, sbom, sign
from deploy import bundle as bundles
from deploy import host as hosts
from deploy.archive import Members, Source, Suffix
from deploy.bundle import Bundle, Manifest
from recipes import paths
from recipes.errors import ConfigError, PreflightError, ProofError, UserError
from tests.support.facts import proof_row

ROOT = Path(__file__).parent.parent.parent
SUFFIXES = pytest.mark.parametrize("suffix", archive.SUFFIXES)
LIBC = "/lib/libc.so.6"


def elf(*needed: str) -> bytes:
    """Write a small 32-bit ARM ELF file that has a dynamic section and nothing else."""
    strings, offsets = b"\0", []
    for name in needed:
        offsets.append(len(strings))
        strings += name.encode() + b"\0"
    start = 52 + 2 * 32
    entries = [(1, offset) for offset in offsets] + [(5, 0), (10, len(strings)), (0, 0)]
    table = start + 8 * len(entries)
    dynamic = b"".join(struct.pack("<II", tag, table if tag == 5 else value) for tag, value in entries)
    size = table + len(strings)
    header = b"\x7fELF\x01\x01\x01" + bytes(9)
    header += struct.pack("<HHIIIIIHHHHHH", 3, 40, 1, 0, 52, 0, 0x05000400, 52, 32, 2, 0, 0, 0)
    load = struct.pack("<IIIIIIII", 1, 0, 0, 0, size, size, 5, 4096)
    return header + load + struct.pack("<IIIIIIII", 2, start, start, start, len(dynamic), 0, 6, 4) + dynamic + strings


def manifest(**changes: Any) -> Manifest:
    row = {"because": "", "size": 0}
    values: dict[str, Any] = {
        "schema_": 1,
        "board": "sim-tiny",
        "arch": "armv7",
        "machines": ("armv7l",),
        "root": "/opt/boardcast",
        "keep": 3,
        "stage_keys": {"app": "k"},
        "entries": ("bin/app",),
        "files": (),
        "decisions": (
            {"library": "libc.so.6", "action": "use-board", "provider": LIBC, **row},
            {"library": "libx.so.1", "action": "keep", "provider": "bundle:lib/libx.so.1", **row},
        ),
        "proofs": (proof_row("libc.so.6", LIBC, symbols=["puts@GLIBC_2.4"]),),
        "refused": (proof_row("libx.so.1", "", faults=["board has none"]),),
        "providers": {"bin/app": {"libx.so.1": "bundle:lib/libx.so.1", "libc.so.6": LIBC}},
        "notes": (),
        "build_ids": {LIBC: "ab" * 20},
        "sources": (Source(name="app", version="1", licence="MIT"),),
    }
    return Manifest.model_validate(values | changes)


def contents(tag: str = "") -> dict[str, tuple[bytes, int]]:
    noise = random.Random(7).randbytes(6000)
    return {
        "bin/app": (elf("libx.so.1", "libc.so.6"), 0o755),
        "lib/libx.so.1": (elf("libc.so.6") + noise, 0o755),
        "run/app": (f"#!/bin/sh\n# {tag}\nexec bin/app\n".encode() * 40, 0o755),
        "share/app.conf": (b"level = info\n" * 300, 0o644),
    }


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a workstation of its own; return the user's configuration folder."""
    for name in ("work", "cache"):
        monkeypatch.setenv(f"BOARDCAST_{name.upper()}", str(tmp_path / name))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv(sign.VARIABLE, raising=False)
    monkeypatch.setattr(paths, "BOARDS", tmp_path / "boards")
    return tmp_path / "config" / "boardcast"


def make(suffix: Suffix = ".tar.zst", tag: str = "") -> Bundle:
    return bundles.pack(manifest(), contents(tag), suffix=suffix)


def members(bundle: Bundle) -> Members:
    suffix: Suffix = ".tar.gz" if bundle.path.name.endswith(".gz") else ".tar.zst"
    return archive.unpack(bundle.path.read_bytes(), suffix, where="")


def compress(tar: bytes, suffix: Suffix = ".tar.zst") -> bytes:
    """Pack any bytes as `archive.pack` packs a tar, seal and all: an attacker can do that."""
    if suffix == ".tar.gz":
        body = gzip.compress(tar, mtime=0)
    else:
        body = zstandard.ZstdCompressor(level=3, write_checksum=True).compress(tar)
    return body + archive._seal(body, suffix)


def refused(path: Path, data: bytes) -> UserError | None:
    """Verify these bytes under this name; the answer is the refusal, or None. Anything but a UserError is a fault."""
    path.write_bytes(data)
    try:
        bundles.verify(path)
    except UserError as error:
        return error
    return None


@SUFFIXES
def test_a_bundle_is_verified_offline_to_its_last_byte(suffix: Suffix) -> None:
    made = make(suffix)
    found = bundles.verify(made.path)
    assert found.bundle == made == bundles.load(made.path) == bundles.latest("sim-tiny")
    assert found.as_dict() == {
        "id": made.id,
        "board": "sim-tiny",
        "arch": "armv7",
        "key": next(iter(sign.trusted())),
        "files": 4,
        "proofs": 1,
        "components": 7,
    }
    assert list(members(made)) == [
        *("manifest.json", "signature.json", "sbom.cdx.json"),
        *("bin/app", "lib/libx.so.1", "licences/app.txt", "run/app", "share/app.conf"),
    ]
    assert sbom.unaccounted(made.manifest, members(made)["sbom.cdx.json"][0]) == []
    assert made.blobs() == {file.blob: contents()[file.path][0] for file in made.manifest.files}
    assert made.path.name == f"{made.id}{suffix}"
    assert bundles.find("sim-tiny", made.id) == made.path


def test_the_form_of_the_file_does_not_change_the_id() -> None:
    assert make(".tar.zst").id == make(".tar.gz").id


@SUFFIXES
def test_a_thousand_flipped_bytes_are_refused(suffix: Suffix) -> None:
    made = make(suffix)
    data = bytearray(made.path.read_bytes())
    chance, count = random.Random(9), 0
    for _ in range(1000):
        at, bits = chance.randrange(len(data)), chance.randrange(1, 256)
        data[at] ^= bits
        count += refused(made.path, bytes(data)) is not None
        data[at] ^= bits
    print(f"{count} of 1000 flips in {len(data)} bytes of {suffix} refused")
    assert count == 1000
    assert refused(made.path, bytes(data)) is None


@SUFFIXES
def test_flips_under_a_seal_made_anew_are_refused_or_change_nothing(suffix: Suffix) -> None:
    """Both formats have bits that unpackers ignore; a flip of one leaves the signed content as it was."""
    made = make(suffix)
    data, content = made.path.read_bytes(), members(made)
    body = bytearray(data[: -len(archive._seal(b"", suffix))])
    chance, same = random.Random(11), 0
    flips = [(at, 1 << bit) for at in range(20) for bit in range(8)]
    flips += [(chance.randrange(len(body)), 1 << chance.randrange(8)) for _ in range(1000)]
    for at, bits in flips:
        body[at] ^= bits
        if refused(made.path, bytes(body) + archive._seal(bytes(body), suffix)) is None:
            same += 1
            assert members(made) == content
        body[at] ^= bits
    print(f"{same} of {len(flips)} flips of {suffix} fell on bits that no unpacker looks at")
    assert same < 60


def test_every_byte_of_the_tar_inside_is_covered() -> None:
    made = make()
    tar = bytearray(archive._decompressed(made.path.read_bytes()[:-40], ".tar.zst"))
    chance, count = random.Random(13), 0
    for _ in range(1000):
        at, bits = chance.randrange(len(tar)), chance.randrange(1, 256)
        tar[at] ^= bits
        count += refused(made.path, compress(bytes(tar))) is not None
        tar[at] ^= bits
    print(f"{count} of 1000 flips in the {len(tar)} bytes of the tar refused")
    assert count == 1000


@SUFFIXES
def test_cut_and_lengthened_files_are_refused(suffix: Suffix) -> None:
    made = make(suffix)
    data = made.path.read_bytes()
    offsets = sorted({0, 1, len(data) - 1, *random.Random(5).sample(range(len(data)), 47)})
    for offset in offsets:
        assert refused(made.path, data[:offset]) is not None
    body = data[: -len(archive._seal(b"", suffix))]
    tar = archive._decompressed(body, suffix)
    for longer in (data + b"\0", data + data, body + body + archive._seal(body + body, suffix)):
        assert refused(made.path, longer) is not None
    assert refused(made.path, compress(tar, suffix)) is None, "another compressor's file of the same tar is the bundle"
    for changed in (tar + b"\0", tar + bytes(10240), tar[:-512], tar + tar, tar[:-10240], b"", bytes(10240)):
        assert refused(made.path, compress(changed, suffix)) is not None


def test_another_key_is_refused_and_so_is_one_that_is_trusted_no_more(home: Path) -> None:
    made = make()
    mine = sign.trusted()
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    with pytest.raises(PreflightError, match="not trusted here") as caught:
        bundles.verify(made.path, {sign.key_id(other): other})
    assert caught.value.code == 5
    with pytest.raises(PreflightError, match="does not fit"):
        bundles.verify(made.path, {next(iter(mine)): other})
    assert bundles.verify(made.path, mine).key in mine
    for path in home.iterdir():
        path.unlink()
    with pytest.raises(PreflightError, match="not trusted here"):
        bundles.load(made.path)
    assert bundles.verify(make().path).key not in mine, "a new key signs from now on"
    with pytest.raises(PreflightError, match="not trusted here"):
        bundles.verify(made.path, {})


Change = Callable[[Members, Members], Members]


def renamed(mine: Members, _: Members) -> Members:
    return {name.replace("share/app.conf", "share/other.conf"): data for name, data in mine.items()}


def without(name: str) -> Change:
    return lambda mine, _: {one: data for one, data in mine.items() if one != name}


def taking(*names: str) -> Change:
    return lambda mine, other: mine | {name: other[name] for name in names}


def adding(name: str, content: bytes = b"x") -> Change:
    return lambda mine, _: mine | {name: (content, 0o644)}


def executable(mine: Members, _: Members) -> Members:
    return mine | {"share/app.conf": (mine["share/app.conf"][0], 0o755)}


def swapped(mine: Members, _: Members) -> Members:
    return mine | {"bin/app": mine["lib/libx.so.1"], "lib/libx.so.1": mine["bin/app"]}


CHANGES: dict[str, tuple[Change, str]] = {
    "manifest of another bundle": (taking("manifest.json"), "does not belong to its name"),
    "manifest and signature of another bundle": (taking("manifest.json", "signature.json"), "does not belong"),
    "signature of another bundle": (taking("signature.json"), "does not fit its manifest"),
    "no signature": (without("signature.json"), "signature cannot be read"),
    "empty signature": (adding("signature.json", b""), "signature cannot be read"),
    "no manifest": (without("manifest.json"), "not a bundle"),
    "content of another bundle": (taking("run/app"), "run/app in the bundle is not what its manifest says"),
    "bill of another bundle": (taking("sbom.cdx.json"), "sbom.cdx.json in the bundle is not what"),
    "no bill": (without("sbom.cdx.json"), "sbom.cdx.json is missing"),
    "no licences": (without("licences/app.txt"), "licences/app.txt is missing"),
    "other licence": (adding("licences/app.txt"), "licences/app.txt in the bundle is not what"),
    "extra licence": (adding("licences/b.txt"), "licences/b.txt is in the bundle, and its manifest does not name it"),
    "extra file": (adding("bin/more"), "bin/more is in the bundle, and its manifest does not name it"),
    "removed file": (without("share/app.conf"), "share/app.conf is missing"),
    "renamed file": (renamed, "share/app.conf is missing"),
    "other mode": (executable, "share/app.conf in the bundle is not what its manifest says"),
    "two files swapped": (swapped, "is not what its manifest says"),
    "way out": (adding("../evil"), "not a bundle"),
    "way out within": (adding("lib/../../evil"), "not a bundle"),
    "absolute": (adding("/etc/passwd"), "not a bundle"),
    "dot": (adding("./bin/app"), "not a bundle"),
    "line break": (adding("bin/a\nb"), "not a bundle"),
}


@SUFFIXES
@pytest.mark.parametrize("case", CHANGES)
def test_a_bundle_with_changed_members_is_refused(case: str, suffix: Suffix) -> None:
    other = members(make(suffix, "other"))
    made = make(suffix)
    change, words = CHANGES[case]
    error = refused(made.path, archive.pack(change(members(made), other), suffix))
    assert error is not None
    assert words in f"{error}"


def test_a_bundle_under_another_name_is_refused() -> None:
    made, other = make(), make(tag="other")
    for name in (other.path.name, "x.tar.zst", f"{made.id}.x.tar.zst", f"{made.id}.tar", f"{made.id}.tar.gz"):
        made.path.with_name(name).write_bytes(made.path.read_bytes())
        with pytest.raises(ConfigError):
            bundles.verify(made.path.with_name(name))
    with pytest.raises(ConfigError, match="no such bundle"):
        bundles.verify(made.path.with_name("gone.tar.zst"))


def headers(content: Members) -> list[tuple[tarfile.TarInfo, bytes]]:
    found = []
    for name, (data, mode) in content.items():
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(data), mode
        found.append((info, data))
    return found


def written(parts: list[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.USTAR_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for info, content in parts:
            tar.addfile(info, io.BytesIO(content))
    return compress(buffer.getvalue())


def odd(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def test_links_devices_duplicates_and_other_orders_are_refused() -> None:
    made = make()
    content = members(made)
    parts = headers(content)
    assert refused(made.path, written(parts)) is None, "this test writes bundles as they are, but for its changes"
    link = odd("share/app.conf", tarfile.SYMTYPE, "../../etc/passwd")
    cases = {
        "a link in place of a file": [*parts[:-1], link],
        "a link more": [*parts, odd("lib/x", tarfile.SYMTYPE, "libx.so.1")],
        "a hard link": [*parts, odd("lib/x", tarfile.LNKTYPE, "lib/libx.so.1")],
        "a folder": [odd("bin", tarfile.DIRTYPE), *parts],
        "a device": [*parts, odd("dev/null", tarfile.CHRTYPE)],
        "a pipe": [*parts, odd("pipe", tarfile.FIFOTYPE)],
        "the same twice": [*parts, parts[-1]],
        "two manifests": [parts[0], *parts],
        "another of the same name": [*parts, (parts[-1][0], parts[-1][1][::-1])],
        "the manifest last": [*parts[1:], parts[0]],
        "two in another order": [*parts[:-2], parts[-1], parts[-2]],
        "nothing": [],
    }
    for name, changed in cases.items():
        assert refused(made.path, written(changed)) is not None, name
    for attribute, value in {"mtime": 1, "uid": 1000, "gid": 5, "uname": "me", "gname": "us", "mode": 0o4755}.items():
        changed = headers(content)
        setattr(changed[4][0], attribute, value)
        assert refused(made.path, written(changed)) is not None, attribute
    changed = headers(content)
    changed[4][0].pax_headers = {"comment": "more"}
    assert refused(made.path, written(changed, tarfile.PAX_FORMAT)) is not None
    assert refused(made.path, written(parts, tarfile.GNU_FORMAT)) is not None


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b'"keep":3', b'"keep": 3'),
        lambda text: text.replace(b'"keep":3', b'"keep":3,"keep":3'),
        lambda text: text.replace(b'"keep":3', b'"keep":3,"more":1'),
        lambda text: text.replace(b'"keep":3', b'"keep":"3"'),
        lambda text: text.replace(b'"loader":"",', b""),
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: b"[" * 100_000,
        lambda text: b"\xff",
    ],
)
def test_a_manifest_has_one_form_even_if_a_trusted_key_signed_another(change: Callable[[bytes], bytes]) -> None:
    made = make()
    found = members(made)
    text = change(found["manifest.json"][0])
    assert text != found["manifest.json"][0]
    found["manifest.json"] = (text, 0o644)
    found["signature.json"] = (sign.sign(text, sign.key()), 0o644)
    path = made.path.with_name(f"{hashlib.sha256(text).hexdigest()[:32]}.tar.zst")
    error = refused(path, archive.pack(found, ".tar.zst"))
    assert error is not None
    assert error.what == "not a bundle"


def signed(found: Members, **changes: Any) -> tuple[Path, bytes]:
    """Return a bundle whose manifest was changed by somebody who has a trusted key."""
    changed = Manifest.model_validate(json.loads(found["manifest.json"][0])).model_copy(update=changes)
    text = changed.canonical()
    found = found | {"manifest.json": (text, 0o644), "signature.json": (sign.sign(text, sign.key()), 0o644)}
    return bundles.folder("sim-tiny") / f"{changed.identity}.tar.zst", archive.pack(found, ".tar.zst")


def test_a_trusted_key_does_not_make_up_for_a_wrong_account() -> None:
    made = make()
    found, first = members(made), made.manifest
    row, kept = first.decisions
    proof = first.proofs[0]
    no_needs = tuple(file.model_copy(update={"needed": ()}) for file in first.files)
    cases: dict[str, dict[str, Any]] = {
        "without a proof": {"proofs": ()},
        "its proof does not hold": {"proofs": ({**proof, "missing": ["puts"]},)},
        "proof does not hold": {"proofs": ({**proof, "sha256": ""},)},
        "and its proof": {"proofs": ({**proof, "provider": "/usr/lib/libc.so.6"},)},
        "nothing was decided": {"decisions": (row,)},
        "was decided without any proof": {"refused": ()},
        "libx.so.1 is keep; by its proof it is use-board": {"refused": (proof_row("libx.so.1", "/lib/libx.so.1"),)},
        "libc.so.6 is use-board; by its proof it is keep-private": {
            "proofs": ({**proof, "objects": {"puts@GLIBC_2.4": ["o:16", "o:8"]}},)
        },
        "its proofs cannot be read": {"proofs": ({**proof, "objects": {"puts": ["o"]}},)},
        "is kept, and is not there": {"decisions": (row, {**kept, "provider": "bundle:lib/liby.so"})},
        "the entries are not those": {"entries": ()},
        "nobody is named who brings it": {"providers": {"bin/app": {"libc.so.6": LIBC}}},
        "which is not what was proved": {
            "providers": {"bin/app": {"libx.so.1": "bundle:lib/libx.so.1", "libc.so.6": "/tmp/libc.so.6"}}
        },
        "bundle:lib/liby.so is not in the bundle": {
            "providers": {"bin/app": {"libx.so.1": "bundle:lib/liby.so", "libc.so.6": LIBC}}
        },
        "is an entry, and is not there": {
            "entries": ("bin/app", "bin/b"),
            "providers": {**first.providers, "bin/b": {}},
        },
        "needs other libraries": {"files": no_needs},
    }
    assert refused(*signed(found)) is None
    for words, changes in cases.items():
        error = refused(*signed(found, **changes))
        assert error is not None, words
        assert words in error.why


def test_nothing_is_packed_that_would_not_be_verified() -> None:
    with pytest.raises(ProofError, match="could not account") as caught:
        bundles.pack(manifest(proofs=()), contents())
    assert "libc.so.6 is left to the board without a proof" in caught.value.why
    with pytest.raises(ProofError, match="could not account"):
        bundles.pack(manifest(), contents() | {"lib/liby.so": (elf("libz.so"), 0o755)})
    for name in ("manifest.json", "licences/app.txt", "../evil", "/etc/passwd", "", "a//b", "bin/"):
        with pytest.raises(ConfigError, match="cannot be the name of a file"):
            bundles.pack(manifest(), contents() | {name: (b"", 0o644)})
    assert not bundles.folder("sim-tiny").exists()


def test_a_file_that_claims_to_be_huge_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "LIMIT", 1 << 20)
    for suffix in archive.SUFFIXES:
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
    assert hosts.bundle_for("sim-tiny", str(made.path)).id == made.id
    assert hosts.bundle_for("sim-tiny").id == made.id
    found = members(made)
    found["signature.json"] = (sign.sign(found["manifest.json"][0], Ed25519PrivateKey.generate()), 0o644)
    made.path.write_bytes(archive.pack(found, ".tar.zst"))
    for given in (str(made.path), ""):
        with pytest.raises(PreflightError, match="not trusted here") as caught:
            hosts.bundle_for("sim-tiny", given)
        assert caught.value.code == 5
        assert "board-configs/trusted-keys/" in caught.value.next_step


def test_looking_writes_nothing_and_makes_no_key(home: Path) -> None:
    seen = bundles.pack(manifest(), contents(), write=False)
    assert not home.exists()
    assert not seen.path.exists()
    made = make()
    assert seen.id == made.id
    assert abs(seen.packed - made.packed) < 100


def test_nothing_of_the_key_is_in_a_bundle(home: Path) -> None:
    made = make()
    everything = b"".join(data for data, _ in members(made).values()) + made.path.read_bytes()
    raw = sign.key().private_bytes_raw()
    body = (home / "signing-key.pem").read_text().splitlines()[1]
    for form in (raw, raw.hex().encode(), base64.b64encode(raw), body.encode(), str(home).encode()):
        assert form not in everything


PACK = """
import hashlib, os, sys
sys.path.insert(0, sys.argv[1])
os.umask(int(sys.argv[2], 8))
from tests.unit import test_bundle
for suffix in test_bundle.archive.SUFFIXES:
    print(hashlib.sha256(test_bundle.make(suffix).path.read_bytes()).hexdigest())
"""


@pytest.mark.process
def test_the_same_content_is_the_same_bytes_wherever_it_is_packed(tmp_path: Path) -> None:
    """Another folder, umask, time zone, locale and hash seed; the key is the same, and Ed25519 is deterministic."""
    sign.key()
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
@SUFFIXES
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
        bundles.pack(manifest(proofs=(proof_row("libc.so.6", LIBC, **failing),)), contents())
    row = proof_row("libc.so.6", LIBC, **failing, overridden="it is never called")
    made = bundles.pack(manifest(proofs=(row,)), contents())
    facts = bundles.verify(made.path).as_dict()
    assert facts["used without a proof"] == "libc.so.6: it is never called"

"""Files that are small and unpack to much: what is read before the signature is bounded, and by it all the rest."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from pydantic import ValidationError

from deploy.bundle.archive import MANIFEST_LIMIT, Suffix, pack_archive
from deploy.bundle.assemble import pack_bundle
from deploy.bundle.load import verify_bundle
from deploy.bundle.sign import sign_manifest
from recipes.config import is_one_line
from recipes.errors import ConfigError, PreflightError, UserError
from recipes.stage.keys import signing_key
from tests.support.bundles import EACH_SUFFIX, ROOT, compress, contents, make, manifest, members, refused, seal

pytestmark = [pytest.mark.usefixtures("home"), pytest.mark.hostile(kind="bundle")]
Record = Callable[[str, object], None]
MEASURE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import cryptography.hazmat.primitives.asymmetric.ed25519, zstandard
from deploy.bundle.load import verify_bundle
from recipes.errors import UserError
try:
    verify_bundle(Path(sys.argv[2]))
except UserError:
    pass
def kib(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))
Path("/proc/self/clear_refs").write_text("5")  # proc(5): the peak is what is resident now
before = kib("VmRSS")
try:
    verify_bundle(Path(sys.argv[3]))
    print("fine")
except UserError as error:
    print(error.what, error.why)
print(kib("VmHWM") - before)
"""


def grown(path: Path, first: Path) -> tuple[str, int]:
    """Verify a bundle in a process of its own, after a small one; return its words and by how many KiB it grew."""
    argv = [sys.executable, "-c", MEASURE, str(ROOT), str(first), str(path)]
    done = subprocess.run(argv, env=dict(os.environ), check=True, capture_output=True, text=True)
    words, kib = done.stdout.strip().rsplit("\n", 1)
    return words, int(kib)


def header(name: str, size: int, mode: int = 0o644) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, mode
    return info.tobuf(tarfile.USTAR_FORMAT)


def packed(parts: Iterable[bytes], total: int, suffix: Suffix) -> bytes:
    """Pack a tar that is never in memory as a whole."""
    buffer = io.BytesIO()
    if suffix == ".tar.gz":
        import gzip

        with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, filename="", compresslevel=1) as file:
            for part in parts:
                file.write(part)
    else:
        writer = zstandard.ZstdCompressor(level=3, write_checksum=True).stream_writer(buffer, size=total, closefd=False)
        with writer as file:
            for part in parts:
                file.write(part)
    return buffer.getvalue() + seal(buffer.getvalue(), suffix)


def zeros(size: int) -> Iterable[bytes]:
    for _ in range(size >> 20):
        yield bytes(1 << 20)


def unsigned(first: str, size: int, suffix: Suffix) -> bytes:
    return packed([header(first, size), *zeros(size)], 512 + size, suffix)


@pytest.mark.process
@EACH_SUFFIX
@pytest.mark.parametrize("name", ["manifest.json", "bin/app"])
def test_a_small_file_of_a_gigabyte_takes_no_memory(name: str, suffix: Suffix, record_property: Record) -> None:
    made = make()
    bomb = made.path.with_name(f"{'0' * 32}{suffix}")
    bomb.write_bytes(unsigned(name, (1 << 30) - (1 << 20), suffix))
    words, kib = grown(bomb, made.path)
    if name == "manifest.json":
        record_property(
            "figure", f"{bomb.stat().st_size:,} bytes of {suffix} that unpack to 1 GiB: {kib:,} KiB of memory"
        )
    assert words.startswith("not a bundle")
    assert kib < 8 << 10


@pytest.mark.process
@EACH_SUFFIX
def test_behind_a_manifest_that_somebody_else_signed_nothing_is_read(suffix: Suffix) -> None:
    made = make()
    found = members(made)
    text = found["manifest.json"][0]
    size = (1 << 30) - (1 << 20)
    head = [header("manifest.json", len(text)), text, bytes(-len(text) % 512)]
    head += [header("signature.json", 2), b"{}", bytes(510), header("bin/app", size, 0o755)]
    bomb = made.path.with_name(f"{made.id}{'.tar.gz' if suffix == '.tar.gz' else '.tar.zst'}")
    first = make(tag="first")
    bomb.write_bytes(packed([*head, *zeros(size)], sum(map(len, head)) + size, suffix))
    words, kib = grown(bomb, first.path)
    assert "signature cannot be read" in words
    assert kib < 8 << 10


def lengthened(size: int, name: str = "bin/app") -> tuple[Path, bytes]:
    """Return a bundle with a good signature whose member has other content than the signed manifest says."""
    made = make()
    found = members(made)
    order = list(found)
    parts: list[bytes] = []
    for member in order:
        data, mode = found[member]
        if member == name:
            parts += [header(member, size, mode), *zeros(size)]
        else:
            parts += [header(member, len(data), mode), data, bytes(-len(data) % 512)]
    return made.path, packed(parts, sum(map(len, parts)), ".tar.zst")


@pytest.mark.process
def test_a_signed_manifest_bounds_all_that_comes_behind_it(tmp_path: Path) -> None:
    path, data = lengthened(512 << 20)
    first = make(tag="first")
    path.write_bytes(data)
    words, kib = grown(path, first.path)
    assert "its manifest allows" in words
    assert kib < 8 << 10


def test_a_member_of_another_size_is_refused_before_it_is_read() -> None:
    path, data = lengthened(1 << 20)
    error = refused(path, data)
    assert error is not None
    assert error.what == "bin/app in the bundle is not what its manifest says"


@pytest.mark.process
@EACH_SUFFIX
def test_a_whole_bundle_is_in_memory_once(suffix: Suffix, record_property: Record) -> None:
    large = pack_bundle(manifest(), contents() | {"share/large": (os.urandom(1 << 20) * 48, 0o644)}, suffix=suffix)
    words, kib = grown(large.path, make().path)
    record_property("figure", f"a whole {suffix} of 48 MiB: {kib:,} KiB of memory")
    assert words == "fine"
    assert kib < (48 + 8) << 10


def test_a_manifest_has_a_limit_that_is_checked_before_it_is_read() -> None:
    made = make()
    error = refused(made.path, unsigned("manifest.json", MANIFEST_LIMIT + (1 << 20), ".tar.zst"))
    assert error is not None
    assert "more than 8,388,608" in error.why


def test_a_frame_that_wants_much_memory_to_look_back_is_refused() -> None:
    made = make()
    parameters = zstandard.ZstdCompressionParameters(window_log=27, compression_level=3)
    writer = zstandard.ZstdCompressor(compression_params=parameters).compressobj(size=64 << 20)
    body = writer.compress(bytes(64 << 20)) + writer.flush()
    error = refused(made.path, body + seal(body, ".tar.zst"))
    assert error is not None
    assert "too much memory" in error.why


@EACH_SUFFIX
def test_every_cut_under_a_seal_made_anew_is_refused(suffix: Suffix, record_property: Record) -> None:
    """Neither a checksum that is missing nor a byte behind the end: the file is one whole stream."""
    made = make(suffix)
    body = made.path.read_bytes()[: -len(seal(b"", suffix))]
    record_property("inputs", 62)
    for length in (*range(1, 30), *range(len(body) - 30, len(body))):
        assert refused(made.path, body[:length] + seal(body[:length], suffix)) is not None
    for tail in (b"\0", b"\x5b\x2a\x4d\x18\0\0\0\0", body):
        assert refused(made.path, body + tail + seal(body + tail, suffix)) is not None


def test_what_is_in_the_padding_of_the_tar_is_seen() -> None:
    made = make()
    body = zstandard.ZstdDecompressor().decompress(made.path.read_bytes()[:-40])
    for at in (len(body) - 1, len(body) - 10240 + 1024, body.index(b"\0" * 8, 512)):
        tar = bytearray(body)
        tar[at] |= 1
        assert refused(made.path, compress(bytes(tar))) is not None


def test_a_board_names_the_keys_that_may_sign_for_it(home: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from recipes import paths
    from recipes.stage.keys import key_id, public_pem

    made = make()
    board = paths.BOARDS / "sim-tiny" / "board.toml"
    board.parent.mkdir(parents=True)
    text = 'schema = 1\narch = "armv7"\nsysroot = "s"\nrecipes = []\n'
    board.write_text(text)
    assert verify_bundle(made.path).key
    board.write_text(f'{text}trusted_keys = ["release"]\n')
    with pytest.raises(ConfigError, match="no trusted key 'release'"):
        verify_bundle(made.path)
    release = Ed25519PrivateKey.generate()
    folder = paths.BOARDS / "trusted-keys"
    folder.mkdir()
    (folder / "release.pub").write_bytes(public_pem(release))
    with pytest.raises(PreflightError, match="may not sign for sim-tiny") as caught:
        verify_bundle(made.path)
    assert key_id(release.public_key().public_bytes_raw()) in caught.value.why
    (folder / "me.pub").write_bytes(public_pem(signing_key()))
    board.write_text(f'{text}trusted_keys = ["release", "me"]\n')
    assert verify_bundle(made.path).key
    board.write_text(f'{text}trusted_keys = ["release"]\n')
    found = members(made)
    found["signature.json"] = (sign_manifest(found["manifest.json"][0], release), 0o644)
    assert refused(made.path, pack_archive(found, ".tar.zst")) is None


def plain(error: UserError) -> bool:
    return all(is_one_line(line) for line in str(error).split("\n"))


@pytest.mark.parametrize("text", ["\x1b[2Jgreen", "a\nb: green", "\u202energ", "\x9b2J", "\u200b"])
def test_nothing_of_a_bundle_is_printed_as_it_came(text: str) -> None:
    """A name or a reason that moves the cursor or forges a line is a fault, even if a trusted key signed it."""
    made = make()
    found = members(made)
    claimed = json.loads(found["signature.json"][0]) | {"key": text}
    changed = found | {"signature.json": (json.dumps(claimed, indent=1, sort_keys=True).encode() + b"\n", 0o644)}
    error = refused(made.path, pack_archive(changed, ".tar.zst"))
    assert error is not None
    assert plain(error)
    data = json.loads(found["manifest.json"][0])
    places: list[Callable[[dict[str, Any]], None]] = [
        lambda fields: fields.update(board=text),
        lambda fields: fields.update(notes=[text]),
        lambda fields: fields["decisions"][0].update(because=text),
        lambda fields: fields["decisions"][0].update(provider=f"bundle:{text}"),
        lambda fields: fields["proofs"][0].update(overridden=text),
        lambda fields: fields["sources"][0].update(licence=text),
        lambda fields: fields["files"][0].update(path=text),
        lambda fields: fields["providers"].update({text: {}}),
    ]
    for change in places:
        fields = copy.deepcopy(data)
        change(fields)
        body = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode() + b"\n"
        signed = found | {
            "manifest.json": (body, 0o644),
            "signature.json": (sign_manifest(body, signing_key()), 0o644),
        }
        path = made.path.with_name(f"{hashlib.sha256(body).hexdigest()[:32]}.tar.zst")
        error = refused(path, pack_archive(signed, ".tar.zst"))
        assert error is not None
        assert error.what == "not a bundle"
        assert plain(error)


def test_a_root_of_the_board_is_a_plain_absolute_path() -> None:
    for root in ("/opt/../etc", "//opt", "/", "opt", "/opt/a b", "/opt/$(x)", "/opt/x/"):
        with pytest.raises(ValidationError):
            manifest(root=root)

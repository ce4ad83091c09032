"""A small bundle whose every byte is known, for the tests that change it."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import tarfile
from pathlib import Path
from typing import Any

import pytest
import zstandard

from deploy.bundle.archive import SUFFIXES, Members, Suffix, _seal
from deploy.bundle.assemble import pack_bundle
from deploy.bundle.load import Bundle, verify_bundle
from deploy.bundle.manifest import Manifest, SourceRecipe
from deploy.dedupe.decision import Action
from recipes.errors import UserError
from tests.support.facts import decision_row, proof_row
from tests.support.smallelf import small_elf

ROOT = Path(__file__).parent.parent.parent
EACH_SUFFIX = pytest.mark.parametrize("suffix", SUFFIXES)
LIBC = "/lib/libc.so.6"


def manifest(**changes: Any) -> Manifest:
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
            decision_row("libc.so.6", Action.USE_BOARD, LIBC),
            decision_row("libx.so.1", Action.KEEP, "bundle:lib/libx.so.1"),
        ),
        "proofs": (proof_row("libc.so.6", LIBC, symbols=["puts@GLIBC_2.4"]),),
        "refused": (proof_row("libx.so.1", "", faults=["board has none"]),),
        "providers": {"bin/app": {"libx.so.1": "bundle:lib/libx.so.1", "libc.so.6": LIBC}},
        "notes": (),
        "build_ids": {LIBC: "ab" * 20},
        "sources": (SourceRecipe(name="app", version="1", licence="MIT"),),
    }
    return Manifest.model_validate(values | changes)


def contents(tag: str = "") -> dict[str, tuple[bytes, int]]:
    noise = random.Random(7).randbytes(6000)
    return {
        "bin/app": (small_elf("libx.so.1", "libc.so.6"), 0o755),
        "lib/libx.so.1": (small_elf("libc.so.6") + noise, 0o755),
        "run/app": (f"#!/bin/sh\n# {tag}\nexec bin/app\n".encode() * 40, 0o755),
        "share/app.conf": (b"level = info\n" * 300, 0o644),
    }


def make(suffix: Suffix = ".tar.zst", tag: str = "") -> Bundle:
    return pack_bundle(manifest(), contents(tag), suffix=suffix)


def members(bundle: Bundle) -> Members:
    """Read a bundle with Python's own tar: whole, unchecked, and not by the reader that is tested."""
    suffix: Suffix = ".tar.gz" if bundle.path.name.endswith(".gz") else ".tar.zst"
    found: Members = {}
    with tarfile.open(
        fileobj=io.BytesIO(decompressed(bundle.path.read_bytes()[: -len(seal(b"", suffix))], suffix))
    ) as tar:
        for member in tar:
            content = tar.extractfile(member)
            assert content is not None
            found[member.name] = (content.read(), member.mode)
    return found


def seal(body: bytes, suffix: Suffix) -> bytes:
    return _seal(hashlib.sha256(body).digest(), suffix)


def decompressed(body: bytes, suffix: Suffix) -> bytes:
    if suffix == ".tar.gz":
        return gzip.decompress(body)
    return zstandard.ZstdDecompressor().decompress(body, allow_extra_data=False)


def compress(tar: bytes, suffix: Suffix = ".tar.zst") -> bytes:
    """Pack any bytes as `archive.pack` packs a tar, seal and all: an attacker can do that."""
    if suffix == ".tar.gz":
        body = gzip.compress(tar, mtime=0)
    else:
        body = zstandard.ZstdCompressor(level=3, write_checksum=True).compress(tar)
    return body + seal(body, suffix)


def refused(path: Path, data: bytes) -> UserError | None:
    """Verify these bytes under this name; the answer is the refusal, or None. Anything but a UserError is a fault."""
    path.write_bytes(data)
    try:
        verify_bundle(path)
    except UserError as error:
        return error
    return None

"""A bundle's archive: the one form in which the manifest and all that it names are packed.

Bytes in, bytes out. The tar inside has exactly one form for a given content: what is read is packed again, and
anything but the same bytes is refused. So a link, a time, another order or a byte after the end cannot get in.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import tarfile
import zlib
from collections.abc import Mapping
from typing import Literal, get_args

from deploy.bundle.manifest import MANIFEST_NAME, SBOM_NAME, SIGNATURE_NAME
from recipes.errors import ConfigError
from recipes.tarfiles import USTAR, TarEntry, tar_bytes

# A board never gets the archive, deploy sends it the contents one by one: what it can unpack does not matter here.
# .tar.gz is for people who unpack a bundle by hand where there is no zstd.
Suffix = Literal[".tar.zst", ".tar.gz"]
SUFFIXES: tuple[Suffix, ...] = get_args(Suffix)
ZSTD_LEVEL = 12
"""Of zstd. The id of a bundle is its content's, so another level or zstd makes another file, never another id."""
UNPACKED_LIMIT = 1 << 30
"""Bytes of an unpacked bundle; a file that claims more must not make us allocate it."""
Members = dict[str, tuple[bytes, int]]
"""Name to content and mode."""


def pack_archive(members: Mapping[str, tuple[bytes, int]], suffix: Suffix) -> bytes:
    """Pack members: neither names nor times of the build machine, one thread, one level, sealed."""
    tar = _tar(members)
    if suffix == ".tar.gz":
        buffer = io.BytesIO()
        with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=9, mtime=0, filename="") as zipped:
            zipped.write(tar)
        body = buffer.getvalue()
    else:
        import zstandard

        body = zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True, write_content_size=True).compress(tar)
    return body + _seal(body, suffix)


def unpack_archive(data: bytes, suffix: Suffix, *, where: str) -> Members:
    """Read an archive back.

    Raises
    ------
    ConfigError
        It is damaged, or is not exactly what `pack_archive` makes of its members.
    """
    length = len(_seal(b"", suffix))
    body = data[:-length]
    if not body or data[-length:] != _seal(body, suffix):
        raise _refused(where, "the file is damaged, cut or was changed: its hash is not the one at its end")
    try:
        tar = _decompressed(body, suffix)
        members = _members(tar, where)
    except (tarfile.TarError, ValueError, OverflowError, EOFError) as error:
        raise _refused(where, str(error).splitlines()[0]) from error
    if _tar(members) != tar:
        raise _refused(where, "its members are not in the order and the form that a bundle has")
    return members


def _refused(where: str, why: str) -> ConfigError:
    return ConfigError("not a bundle", where=where, why=why, next_step="copy it again, or invoke bundle --board BOARD")


def _tar(members: Mapping[str, tuple[bytes, int]]) -> bytes:
    head = (MANIFEST_NAME, SIGNATURE_NAME, SBOM_NAME)
    names = sorted(members, key=lambda name: (head.index(name) if name in head else len(head), name))
    entries = (TarEntry(name=name, content=members[name][0], mode=members[name][1]) for name in names)
    return tar_bytes(entries, form=USTAR)


def _members(tar: bytes, where: str) -> Members:
    found: Members = {}
    with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as archive:
        for member in archive:
            if not member.isreg():
                raise _refused(where, f"{member.name!r} is a link or no file at all")
            if not is_plain_name(member.name):
                raise _refused(where, f"{member.name!r} would be outside of the bundle")
            if member.name in found:
                raise _refused(where, f"{member.name!r} is there twice")
            reader = archive.extractfile(member)
            found[member.name] = (reader.read() if reader else b"", member.mode)
    return found


def is_plain_name(name: str) -> bool:
    """Tell whether a member's name stays below the folder that it is unpacked into."""
    parts = name.split("/")
    return name.isprintable() and "\\" not in name and not {"", ".", ".."} & set(parts)


def _decompressed(body: bytes, suffix: Suffix) -> bytes:
    """Return the tar; raises ValueError for a damaged stream, and before it would grow over the limit."""
    if suffix == ".tar.gz":
        stream = zlib.decompressobj(wbits=31)
        try:
            tar = stream.decompress(body, UNPACKED_LIMIT)
        except zlib.error as error:
            raise ValueError(str(error)) from error
        if not stream.eof or stream.unused_data:
            raise ValueError("its gzip stream does not end where the file does")
        return tar
    import zstandard

    try:
        if not 0 < zstandard.frame_content_size(body) <= UNPACKED_LIMIT:
            raise ValueError("it does not say how large it is, or is too large")
        return zstandard.ZstdDecompressor().decompress(body, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error


def _seal(body: bytes, suffix: Suffix) -> bytes:
    """Return what ends the file: the hash of all before it, in a part that every unpacker passes over.

    Both formats have bits that no unpacker looks at (padding, reserved flags). They cannot change the content, which is
    signed, but a file with one of them flipped is not the file that was made; with the seal that is seen, and first.
    """
    digest = hashlib.sha256(body).digest()
    if suffix == ".tar.zst":
        return struct.pack("<II", 0x184D2A5B, len(digest)) + digest  # RFC 8878, 3.1.2: a skippable frame
    extra = b"bc" + struct.pack("<H", len(digest)) + digest  # RFC 1952, 2.3.1.1: an empty member with an extra field
    return b"\x1f\x8b\x08\x04\0\0\0\0\0\xff" + struct.pack("<H", len(extra)) + extra + b"\x03\0" + bytes(8)

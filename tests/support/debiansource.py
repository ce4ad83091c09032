"""Source packages of a distribution, made for tests: the file that holds its patches."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping


def patch_of(file: str, old: str, new: str, *, described: str = "") -> str:
    """Return a patch of one line between two that stay, `x` and `y`."""
    return f"{described}--- a/{file}\n+++ b/{file}\n@@ -1,3 +1,3 @@\n x\n-{old}\n+{new}\n y\n"


ONE = patch_of("src/one.c", "a", "A")


def debian_tar(files: Mapping[str, str | bytes], series: str | None = None) -> bytes:
    """Return a `.debian.tar.xz` with these patches; in their order where no series is given."""
    listed = "".join(f"{name}\n" for name in files) if series is None else series
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as made:
        for name, text in {**files, "series": listed}.items():
            data = text.encode() if isinstance(text, str) else text
            member = tarfile.TarInfo(f"debian/patches/{name}")
            member.size = len(data)
            made.addfile(member, io.BytesIO(data))
    return buffer.getvalue()

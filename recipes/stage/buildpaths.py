"""Texts in an output that name a folder of the build's container: a board has none of them."""

from __future__ import annotations

import re

from recipes.engine.layout import PREFIX, SOURCE, SYSROOT, WORK

_BUILD_PATH = re.compile(b"|".join(re.escape(str(folder).encode()) for folder in (WORK, PREFIX, SYSROOT)))
# The SDKs compile in where their own checkout keeps its CA certificates. It is a default that no board uses:
# AWS_KVS_CACERT_PATH takes its place at run time. Only this very text may be there, not one that contains it: the byte
# before is no text (`?` and `@` may be: they end the doubles 1.0 and 2.0, which the linker puts before texts).
_CA_DEFAULT = re.compile(rb"(?<![ ->A-~])" + re.escape(f"{SOURCE}/certs/cert.pem".encode()) + rb"\0")


def build_paths(data: bytes) -> list[str]:
    """Return the texts in which a folder of the build's container is named, each once, the known default left out."""
    found: list[str] = []
    position = 0
    while hit := _BUILD_PATH.search(data, position):
        position = hit.end()
        if _CA_DEFAULT.match(data, hit.start()):
            continue
        before = re.search(rb"[ -~]*\Z", data[max(0, hit.start() - 40) : hit.start()])
        after = re.match(rb"[ -~]*", data[hit.start() : hit.start() + 80])
        text = (before[0] if before else b"") + (after[0] if after else b"")
        position = max(position, hit.start() + (len(after[0]) if after else 0))
        found.append(text.decode("ascii"))
    return list(dict.fromkeys(found))

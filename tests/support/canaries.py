"""Secrets that are looked for: in command lines while programs run, and in everything that is left behind."""

from __future__ import annotations

import base64
import bz2
import gzip
import lzma
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Self
from urllib.parse import quote

from recipes.archives.packed import unpacked

_MOST = 64 << 20
_SHORTEST = 12


def forms(secret: str) -> dict[str, bytes]:
    """Return how a secret may be written: plain, for an address, in base64 from three places, in hexadecimal."""
    data = secret.encode()
    found = {"plain": data, "URL": quote(secret, safe="").encode()}
    for at in range(3):
        text = base64.b64encode(b"x" * at + data)
        found[f"base64, {at}"] = text[4 if at else 0 : len(text) // 4 * 4 - 4]
    pairs = [f"{byte:02x}" for byte in data]
    found |= {"hex": "".join(pairs).encode(), "hex, apart": " ".join(pairs).encode()}
    found["hex, xxd"] = " ".join("".join(pairs[at : at + 2]) for at in range(0, len(pairs) // 2 * 2, 2)).encode()
    found |= {f"{name}, capitals": form.upper() for name, form in found.items() if name.startswith("hex")}
    return {name: form for name, form in found.items() if len(form) >= _SHORTEST}


class Canaries:
    """Named secrets, and the search for them."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self.forms = [(name, form, text) for name, secret in secrets.items() for form, text in forms(secret).items()]

    def within(self, data: bytes) -> list[str]:
        """Return which of them are in some bytes, and how."""
        return [f"{name} ({form})" for name, form, text in self.forms if text in data]

    def below(self, folders: Iterable[Path], since: float, apart: Iterable[Path] = ()) -> dict[str, list[str]]:
        """Return, by path, what files have that were written since a moment; packed ones are looked into."""
        left_out = tuple(str(path) for path in apart)
        found = {}
        for path in (path for folder in folders for path in folder.rglob("*")):
            if (str(path).startswith(left_out) and left_out) or path.is_symlink() or not path.is_file():
                continue
            state = path.stat()
            if state.st_mtime < since or state.st_size > _MOST:
                continue
            data = path.read_bytes()
            if hits := self.within(data) + self.within(opened(data)) + self.within(str(path).encode()):
                found[str(path)] = hits
        return found


def opened(data: bytes) -> bytes:
    """Return what is packed in a file; empty for one that is not."""
    try:
        if data.startswith(b"\x1f\x8b"):
            return gzip.decompress(data)
        if data.startswith(b"BZh"):
            return bz2.decompress(data)
        if data.startswith(b"\xfd7zXZ\0"):
            return lzma.decompress(data)
        if data.startswith(b"\x28\xb5\x2f\xfd"):
            from io import BytesIO

            return b"".join(unpacked(BytesIO(data), len(data), limit=_MOST))
    except (OSError, EOFError, ValueError):
        return b""
    return b""


class CommandLines:
    """The command lines of all processes of this machine, containers' too, looked at again and again.

    A look costs a few milliseconds; the pause behind it is as long, or 5 ms.
    """

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self.looks = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="command-lines")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.is_set():
            begun = time.monotonic()
            self.seen.update(_command_lines())
            self.looks += 1
            self._over.wait(max(0.005, time.monotonic() - begun))


def _command_lines() -> Iterator[bytes]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                yield (entry / "cmdline").read_bytes()
            except OSError:
                continue  # it has ended

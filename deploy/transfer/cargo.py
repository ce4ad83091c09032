"""What travels: contents by their names in a board's store, whole or from the byte on where a cut ended one. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from deploy.transfer.delta import make_delta
from recipes.archives.tarfiles import TarEntry, tar_parts

RESUME = 1 << 13
"""Bytes of a file from which on the rest of it is sent, and not all of it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A content, or what is missing of it."""

    blob: str
    """Its name in the store: its sha256, with `.x` for what is executed."""
    content: bytes
    offset: int = 0
    """Bytes of it that are there already."""
    delta: bytes = b""
    """What makes it of another content in the store, where that travels in its place."""
    path: str = ""
    """Of the file in its release; empty where nobody asks."""

    @property
    def name(self) -> str:
        """Return the name that it travels by."""
        if self.delta:
            return f"{self.blob}~"
        return f"{self.blob}@{self.offset}" if self.offset else self.blob

    @property
    def data(self) -> bytes:
        """Return the bytes that travel."""
        return self.delta or self.content[self.offset :]

    @property
    def mode(self) -> int:
        return 0o755 if self.blob.endswith(".x") else 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """What a board lacks of a release."""

    blobs: tuple[str, ...]
    """To be sent, in this order."""
    offsets: Mapping[str, int]
    """Of those that a cut left a part of: the bytes that are there."""
    arrived: tuple[str, ...]
    """Whole in `incoming`, by their size: they are hashed there, and do not travel again."""


def find_missing(sizes: Mapping[str, int], store: Iterable[str], incoming: Mapping[str, int]) -> Missing:
    """Compare what a release needs with what is on the board.

    Parameters
    ----------
    sizes:
        Store name of each content to its bytes.
    incoming:
        Name of each file in `incoming` to its bytes.
    """
    there = frozenset(store)
    wanted = [blob for blob in sizes if blob not in there]
    found = {blob: _joined(blob, incoming) for blob in wanted}
    arrived = tuple(blob for blob in wanted if found[blob] == sizes[blob] and blob in incoming)
    return Missing(
        blobs=tuple(blob for blob in wanted if blob not in arrived),
        offsets={blob: size for blob, size in found.items() if RESUME <= size < sizes[blob]},
        arrived=arrived,
    )


def _joined(blob: str, incoming: Mapping[str, int]) -> int:
    """Return the bytes of a content that are there once the board has put its parts together."""
    size = incoming.get(blob, 0)
    return size + incoming.get(f"{blob}@{size}", 0) if size else 0


def parts_of(
    blobs: Sequence[str],
    contents: Mapping[str, bytes],
    offsets: Mapping[str, int],
    paths: Mapping[str, str] | None = None,
) -> list[Part]:
    paths = paths or {}
    return [
        Part(blob=blob, content=contents[blob], offset=offsets.get(blob, 0), path=paths.get(blob, "")) for blob in blobs
    ]


def with_deltas(parts: Iterable[Part], bases: Mapping[str, tuple[str, bytes]]) -> list[Part]:
    """Return parts of which those that changed a little travel as a difference.

    Parameters
    ----------
    bases:
        Store name of a content to that of an older one of the same file, which is on the board, and its bytes.
    """
    made = []
    for part in parts:
        base, old = bases.get(part.blob, ("", b""))
        delta = _delta(_Named(base, old), _Named(part.blob, part.content)) if base and not part.offset else None
        made.append(replace(part, delta=delta) if delta else part)
    return made


@dataclass(frozen=True, slots=True)
class _Named:
    """A content that its name tells from all others."""

    name: str
    content: bytes = field(compare=False)


@lru_cache(maxsize=64)
def _delta(old: _Named, new: _Named) -> bytes | None:
    """Make a difference once for all boards that get it."""
    return make_delta(old.name, old.content, new.content)


def tar_of_parts(parts: Iterable[Part]) -> Iterator[bytes]:
    """Return the tar that `incoming` unpacks, as it is produced."""
    return tar_parts(TarEntry(name=part.name, content=part.data, mode=part.mode) for part in parts)


def tar_of_links(listing: bytes, rows: Iterable[tuple[str, str]], folder: str) -> Iterator[bytes]:
    """Return the tar that makes a release of the store: its list, then one hard link for each file that `fits`.

    Parameters
    ----------
    rows:
        Store name and path of each file.
    folder:
        Of the release, below our root; so are the targets of the links, for tar takes no `..` and no leading `/`.
    """
    yield from tar_parts(_links(listing, rows, folder))


Rows = Sequence[tuple[str, str]]
"""What a release is made of: store name and path of each file, in the order of its list on the board."""
EDIT_LEAST = 256
"""Rows of a release from which on it is made of the one before: to look at that costs a dozen processes, and the whole
list of a smaller one is 10 KB."""
EDIT_MOST = 64
"""Rows that may be others in a release that is made of the one before: each costs the board a process or two."""
_MOST_LINES = 512
"""Bytes of a command for the lines of what was hashed: dropbear takes 9,000 in all."""


def edit_of_rows(old: Rows, new: Rows) -> bytes | None:
    """Return what makes the list of a release of that of another: a script for `sed`; None where too much is new. Pure.

    Comments in it say what that is for the files: `#-PATH` goes, `#+BLOB PATH` is linked anew.
    """
    before, after = set(old), set(new)
    gone = [row for row in old if row not in after]
    come = [row for row in new if row not in before]
    if len(gone) + len(come) > EDIT_MOST or [row for row in old if row in after] != [
        row for row in new if row in before
    ]:
        return None
    notes = [f"#-{path}" for _, path in gone] + [f"#+{blob} {path}" for blob, path in come]
    edits, waiting = [], list(new)
    for number, row in enumerate(old, 1):
        text: list[str] = []
        while waiting and waiting[0] not in before:
            text.append("{} {}".format(*waiting.pop(0)))
        if text:
            edits.append(f"{number}i\\\n" + "\\\n".join(text))
        if row in after:
            waiting.pop(0)
        else:
            edits.append(f"{number}d")
    if waiting:
        edits.append("$a\\\n" + "\\\n".join(f"{blob} {path}" for blob, path in waiting))
    return "\n".join([*notes, *edits, ""]).encode()


def lines_of(rows: Rows, blobs: Collection[str]) -> str:
    """Return what takes the lines of some contents out of a release's list: a script for `sed`, such as `1,9d;12d`.

    Nothing where that has no room in a command: the board then reads all of the release. Pure.
    """
    known = frozenset(blobs)
    numbers = [number for number, (blob, _) in enumerate(rows, 1) if blob in known]
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    script = ";".join(f"{first}d" if first == last else f"{first},{last}d" for first, last in runs)
    return script if len(script) <= _MOST_LINES else ""


def fits(path: str) -> bool:
    """Tell whether a path has room in a header; the board's script itself links the others."""
    head, _, tail = path.rpartition("/")
    return len(tail.encode()) <= 100 and len(head.encode()) <= 155


def _links(listing: bytes, rows: Iterable[tuple[str, str]], folder: str) -> Iterator[TarEntry]:
    yield TarEntry(name=f"{folder}/.list", content=listing)
    for blob, path in rows:
        if fits(name := f"{folder}/{path}"):
            yield TarEntry(name=name, same_as=f"store/{blob}", mode=0o755 if blob.endswith(".x") else 0o644)

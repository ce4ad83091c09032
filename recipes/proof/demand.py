"""What our files ask of a library, and what was found: data that goes with a bundle, to check other copies by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from recipes.arch import Identity
from recipes.elf import SymbolKind
from recipes.proof.binding import Exports, kind_words

ADDRESS_FIXED: Final = "f"
"""How `ElfFile.fixed`, and a manifest after it, marks a function whose address a program fixed as one of its own."""
# Looking up a member in its enum costs as much as the rest of a question, and these are asked for every symbol.
_FUNCTION, _ADDRESS, _OWN_OBJECT = SymbolKind.FUNCTION, SymbolKind.ADDRESS, SymbolKind.OWN_OBJECT
_SIZED: Final = (SymbolKind.OBJECT, _OWN_OBJECT, SymbolKind.UNIQUE, SymbolKind.THREAD_LOCAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """What one symbol has to be.

    Parameters
    ----------
    size:
        Bytes of an object where it was linked.
    copied:
        Bytes of the copies of it that programs hold.
    address:
        True where a program gave the function an address of its own.
    """

    kind: SymbolKind = _FUNCTION
    size: str = "0"
    copied: tuple[str, ...] = ()
    address: bool = False

    @classmethod
    def of(cls, name: str, node: str, ours: Exports | None, uses: set[str]) -> Want:
        """Return what is wanted of a symbol by how files of ours use it, and by what they were linked with."""
        copied, address = tuple(sorted(uses - {"", ADDRESS_FIXED})), ADDRESS_FIXED in uses
        kind, size = _ADDRESS if address else _FUNCTION, "0"
        if copied:
            kind, size = SymbolKind.OBJECT, copied[0]
        if ours is not None and ours.has(name, node):
            kind, size = ours.kind(name, node)
        return cls(kind=kind, size=size, copied=copied, address=address)

    def text(self) -> str:
        """Return it as a manifest has it: `o:16:16`, the last numbers those of the copies; `f:0:f`."""
        return ":".join([self.kind, self.size, *self.copied, *([ADDRESS_FIXED] if self.address else [])])

    @classmethod
    def parse(cls, text: str) -> Want:
        """Read it back; raises ValueError for anything else."""
        kind, size, *more = text.split(":")
        return cls(
            kind=SymbolKind(kind),
            size=size,
            copied=tuple(use for use in more if use != ADDRESS_FIXED),
            address=bool(more) and more[-1] == ADDRESS_FIXED,
        )

    def differences(self, symbol: str, kind: SymbolKind, size: str) -> list[str]:
        """Say where a symbol of the board's copy, of this kind and size, is not what is wanted."""
        if kind_words(kind) != kind_words(self.kind):
            return [f"{symbol} is {kind_words(kind)}, ours is {kind_words(self.kind)}"]
        if kind in _SIZED and {self.size, *self.copied} != {size}:
            return [f"{symbol} has {size} bytes, ours has {self.size}"]
        if self.copied and kind is _OWN_OBJECT and self.kind is not _OWN_OBJECT:
            return [f"{symbol} would be one object in the program and another in the library"]
        if self.address and kind is not _ADDRESS and self.kind is _ADDRESS:
            return [f"{symbol} would have one address in the program and another in the library"]
        return []


PLAIN = Want()


class RecordedProof(Protocol):
    """What a demand is recalled from: a `recipes.proof.result.Proof`, or one that was read from a manifest."""

    @property
    def library(self) -> str: ...

    @property
    def symbols(self) -> tuple[str, ...]: ...

    @property
    def nodes(self) -> tuple[str, ...]: ...

    @property
    def objects(self) -> Mapping[str, tuple[str, str]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """All that files of ours ask of one library.

    Parameters
    ----------
    wants:
        (name, node) to what it has to be.
    nodes:
        Version nodes that must be defined.
    identities:
        Of the files that ask.
    """

    library: str
    wants: Mapping[tuple[str, str], Want]
    nodes: tuple[str, ...]
    identities: tuple[Identity, ...]

    @classmethod
    def recall(cls, proof: RecordedProof, identity: Identity) -> Demand:
        """Return what a proof was about; raises ValueError where what it wants of a symbol cannot be read."""
        wants = {}
        for symbol in proof.symbols:
            name, _, node = symbol.partition("@")
            wants[name, node] = Want.parse(proof.objects[symbol][0]) if symbol in proof.objects else PLAIN
        return cls(library=proof.library, wants=wants, nodes=proof.nodes, identities=(identity,))

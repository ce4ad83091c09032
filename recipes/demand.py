"""What our files ask of a library, and what was found: data that goes with a bundle, for other copies too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from recipes.arch import Identity
from recipes.symbols import Exports, words

WEAKER = "names only: the board's copy has no version nodes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """What one symbol has to be.

    Parameters
    ----------
    kind:
        As in `ElfFile.objects`, or `f` for a function that is only called.
    size:
        Bytes of an object where it was linked.
    copied:
        Bytes of the copies of it that programs hold.
    address:
        True where a program gave the function an address of its own.
    """

    kind: str = "f"
    size: str = "0"
    copied: tuple[str, ...] = ()
    address: bool = False

    @classmethod
    def of(cls, name: str, node: str, ours: Exports | None, uses: set[str]) -> Want:
        """Return what is wanted of a symbol by how files of ours use it, and by what they were linked with."""
        copied, address = tuple(sorted(uses - {"", "f"})), "f" in uses
        kind, size = ("o", copied[0]) if copied else ("a" if address else "f", "0")
        if ours is not None and ours.has(name, node):
            kind, size = ours.kind(name, node)
        return cls(kind=kind, size=size, copied=copied, address=address)

    def text(self) -> str:
        """Return it as it stands in a manifest: `o:16:16`, the last numbers those of the copies; `f:0:f`."""
        return ":".join([self.kind, self.size, *self.copied, *(["f"] if self.address else [])])

    @classmethod
    def parse(cls, text: str) -> Want:
        """Read it back; raises ValueError for anything else."""
        kind, size, *more = text.split(":")
        return cls(
            kind=kind,
            size=size,
            copied=tuple(one for one in more if one != "f"),
            address=bool(more) and more[-1] == "f",
        )

    def differences(self, symbol: str, kind: str, size: str) -> list[str]:
        """Say where a symbol of the board's copy, of this kind and size, is not what is wanted."""
        if words(kind) != words(self.kind):
            return [f"{symbol} is {words(kind)}, ours is {words(self.kind)}"]
        if kind in "olut" and {self.size, *self.copied} != {size}:
            return [f"{symbol} has {size} bytes, ours has {self.size}"]
        if self.copied and kind == "l" and self.kind != "l":
            return [f"{symbol} would be one object in the program and another in the library"]
        if self.address and kind != "a" and self.kind == "a":
            return [f"{symbol} would have one address in the program and another in the library"]
        return []


PLAIN = Want()


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
    def recall(cls, proof: Mapping[str, object], identity: Identity) -> Demand:
        """Return what a proof in a manifest was about; raises KeyError, TypeError or ValueError for any other."""
        objects, symbols, nodes = proof["objects"], proof["symbols"], proof["nodes"]
        if (
            not isinstance(objects, Mapping)
            or not isinstance(symbols, list | tuple)
            or not isinstance(nodes, list | tuple)
        ):
            raise TypeError("not a proof")
        wants = {}
        for symbol in symbols:
            name, _, node = str(symbol).partition("@")
            wants[name, node] = Want.parse(objects[symbol][0]) if symbol in objects else PLAIN
        return cls(
            library=str(proof["library"]), wants=wants, nodes=tuple(str(node) for node in nodes), identities=(identity,)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One library of the board, and everything that was checked against it.

    Parameters
    ----------
    library:
        The SONAME.
    provider:
        Path on the board; empty where it has none.
    symbols:
        Every `name` or `name@NODE` that files of ours bind to it.
    nodes:
        Version nodes that they name.
    missing:
        Symbols and nodes that it lacks; empty for a proof that holds.
    weaker:
        True where the board's copy has no version nodes, so that names are all there is to compare.
    faults:
        What else speaks against it, in words: another type or size, another machine, its own needs not met.
    objects:
        Symbol to what was wanted and what the board's copy has, where either is more than a function to call.
    """

    library: str
    provider: str
    build_id: str
    symbols: tuple[str, ...]
    missing: tuple[str, ...]
    weaker: bool
    sha256: str = ""
    """Of the board's copy; compared with the live board before a release is switched on."""
    faults: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    objects: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    opened: str = ""
    """The path by which the board's loader gets to the provider."""
    earlier: tuple[str, ...] = ()
    """Paths that the loader tries before it, where nothing may appear."""
    range: str = ""
    """For names only: the versions that a recipe asks for, and how it is known that this is one; empty: none asks."""
    types: str = ""
    """libabigail's verdict, a stronger kind than the symbols'; empty where nobody asked for it."""
    overridden: str = ""
    """Why the board's copy is used though this proof fails; empty for none."""

    @property
    def holds(self) -> bool:
        return not self.missing and not self.faults

    def as_dict(self) -> dict[str, object]:
        return {
            "library": self.library,
            "provider": self.provider,
            "opened": self.opened,
            "earlier": list(self.earlier),
            "build_id": self.build_id,
            "sha256": self.sha256,
            "symbols": list(self.symbols),
            "nodes": list(self.nodes),
            "objects": {symbol: list(pair) for symbol, pair in self.objects.items()},
            "missing": list(self.missing),
            "faults": list(self.faults),
            "range": self.range,
            "types": self.types,
            "overridden": self.overridden,
            "kind": WEAKER if self.weaker else "names and version nodes",
        }

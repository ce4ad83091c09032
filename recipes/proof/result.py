"""What a proof found out about one library of a board: data that goes with a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

WEAKER = "names only: the board's copy has no version nodes"


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

"""What a user wants built, as one value: from the command line, or from a board's file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from recipes.resolve import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is wanted, beyond the architecture.

    Parameters
    ----------
    names:
        Recipes; the default ones where it is empty.
    sysroot:
        What is compiled against; the architecture's default where it is empty.
    policies:
        Per dependency a policy, or the version that is pinned.
    jobs:
        Compiler processes per recipe; one per processor for 0.
    """

    names: tuple[str, ...] = ()
    sysroot: str = ""
    policies: Mapping[str, Policy | str] = field(default_factory=dict)
    variants: tuple[str, ...] = ()
    patches: tuple[str, ...] = ()
    jobs: int = 0
    verbose: bool = False

"""What a user wants built, as one value: from the command line, or from a board's file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
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
    policies: Mapping[str, SourcePolicy | str] = field(default_factory=dict)
    variants: tuple[str, ...] = ()
    patches: tuple[str, ...] = ()
    jobs: int = 0
    verbose: bool = False


class SourcePolicy(Enum):
    """What the user wants for a dependency; beside these, a version text pins one and builds it from source."""

    AUTO = "auto"
    BOARD = "board"
    SOURCE = "source"

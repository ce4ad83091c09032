"""Where a file is: in a bundle, in a Stage, in a sysroot or on a board; one text, as manifests and messages show it.

`bundle:PATH`, `stage:PATH` and `sysroot:PATH`; a path of a board begins with `/` and has no word before it. Pure.
"""

from __future__ import annotations

import posixpath
from enum import Enum
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pydantic_core import CoreSchema


class OriginKind(Enum):
    """In what a file is."""

    BUNDLE = "bundle"
    STAGE = "stage"
    SYSROOT = "sysroot"
    BOARD = "board"


_KINDS = {kind.value: kind for kind in OriginKind if kind is not OriginKind.BOARD}
_OURS = f"{OriginKind.BUNDLE.value}:"


class Origin(str):
    """Where a file is. It is its own text: it compares, hashes and becomes JSON as that text does."""

    __slots__ = ()

    @classmethod
    def bundle(cls, path: str) -> Self:
        """Return the place of a file of a bundle, by its path in it (`lib/libz.so.1`)."""
        return cls(_OURS + path)

    @classmethod
    def stage(cls, path: str) -> Self:
        """Return the place of a file of a Stage, by its path in its tree (`lib/libz.so.1`)."""
        return cls(f"{OriginKind.STAGE.value}:{path}")

    @classmethod
    def sysroot(cls, path: str) -> Self:
        """Return the place of a file of a sysroot, by its path in it (`/usr/lib/libz.so.1`)."""
        return cls(f"{OriginKind.SYSROOT.value}:{path}")

    @property
    def kind(self) -> OriginKind:
        """What the file is in; a text without one of the three words is a path of a board."""
        return _KINDS.get(self.partition(":")[0], OriginKind.BOARD) if ":" in self else OriginKind.BOARD

    @property
    def path(self) -> str:
        """The path without the word before it."""
        return str(self) if self.kind is OriginKind.BOARD else self.partition(":")[2]

    @property
    def ours(self) -> bool:
        """True for a file of the bundle, which travels; all else that a process of a board gets is the board's."""
        return self.startswith(_OURS)

    def tidied(self) -> Self:
        """Return the same place without detours (`bundle:lib/../lib/deep`)."""
        if self.startswith("/"):
            return type(self)(posixpath.normpath(self))
        word, colon, path = self.partition(":")
        return type(self)(word + colon + posixpath.normpath(path))

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> CoreSchema:
        """Let a model have fields of this type: a text in a file, an Origin in the program."""
        # Here, not above: who only asks whose a file is need not wait for pydantic.
        from pydantic_core import core_schema

        from recipes.config import ONE_LINE

        return core_schema.no_info_after_validator_function(lambda text: cls(ONE_LINE(text)), core_schema.str_schema())

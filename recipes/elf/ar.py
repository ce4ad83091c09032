"""Static archives (`!<arch>`): their members, names resolved."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from recipes.elf import ElfError

AR_MAGIC: Final = b"!<arch>\n"
THIN_AR_MAGIC: Final = b"!<thin>\n"


def ar_members(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of each member of a static archive, its tables included; raises ElfError when damaged.

    The format is that of System V and GNU, with BSD's long names: https://man.freebsd.org/cgi/man.cgi?query=ar&sektion=5.
    """
    position, names = len(AR_MAGIC), b""
    while position < len(data):
        head = data[position : position + 60]
        if len(head) < 60 or head[58:] != b"`\n" or not (digits := head[48:58].strip()).isdigit():
            raise ElfError(f"damaged archive: no member begins at {position}")
        name, content = head[:16].rstrip(), data[position + 60 : position + 60 + int(digits)]
        if len(content) != int(digits):
            raise ElfError("damaged archive: it ends within a member")
        position += 60 + len(content) + len(content) % 2
        if name == b"//":
            names = content
        elif name[:1] == b"/" and name[1:].isdigit():
            name = names[int(name[1:]) :].partition(b"\n")[0]
        elif name[:3] == b"#1/" and name[3:].isdigit():
            name, content = content[: int(name[3:])].rstrip(b"\0"), content[int(name[3:]) :]
        label = name.decode("utf-8", "replace")
        yield label if set(label) <= {"/"} else label.rstrip("/"), content

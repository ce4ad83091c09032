"""ELF facts, and no decisions: identity, SONAME, NEEDED, search paths, version nodes and dynamic symbols.

Only what the dynamic loader itself reads is read here: the program headers, the dynamic section and what it points
at. A struct-based reader was chosen by measurement (`invoke bench elf`): the same facts through pyelftools cost tens of
times more, and lief decodes parts that no decision of ours looks at. Formats: ELF gABI chapters 4 and 5, GNU symbol
versioning (https://refspecs.linuxfoundation.org/LSB_5.0.0/LSB-Core-generic/LSB-Core-generic/symversion.html).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from recipes.arch import Identity
from recipes.elf.abi import read_abi
from recipes.elf.asks import asks_of
from recipes.elf.dynsym import read_symbols, relocation_kinds
from recipes.elf.header import ElfError
from recipes.elf.image import DT_HASH, DT_SONAME, PT_INTERP, ElfImage

_DT_NEEDED, _DT_RPATH, _DT_RUNPATH = 1, 15, 29
_DT_VERDEF, _DT_VERDEFNUM, _DT_VERNEED, _DT_VERNEEDNUM = 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF
_NOTE_BUILD_ID: Final = 3
_NODES: Final = 1 << 12  # version nodes of one file; the C library has fewer than a hundred
_NOTES: Final = 1 << 16  # bytes of notes that are looked through for the build id, which has 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfFile:
    """The facts of one ELF file.

    Parameters
    ----------
    identity:
        Class, endianness, machine and float ABI.
    executable:
        True when the file names an interpreter or is ET_EXEC.
    version_needs:
        `library:NODE` for every version node asked for; a leading `?` marks a weak need.
    version_defs:
        Version nodes that the file defines, its own base name left out.
    exports:
        Space-joined defined global symbols: `name` (no version), `name@@NODE` (default) or `name@NODE` (old).
    imports:
        Space-joined undefined symbols: `name` or `name@library:NODE`; a leading `?` marks a weak reference.
    size:
        Bytes on disk.
    objects:
        Space-joined `EXPORT:BYTES:KIND` of the exports that are more than a function to call, EXPORT as in `exports`,
        KIND the letter of a `SymbolKind`.
    fixed:
        Space-joined `IMPORT:BYTES` of the objects that an executable holds a copy of (R_*_COPY), and `IMPORT:f` of the
        functions whose address it fixed as one of its own; IMPORT as in `imports`.
    mappable:
        False where a segment does not begin at a page: no loader takes the file.
    sysv:
        True with the older table of symbols (DT_HASH), beside GNU's or alone: uClibc's loader may read no other.
    asks:
        What else it asks of a loader (`recipes.elf.asks`); a file of the usual kind asks nothing.
    """

    identity: Identity
    executable: bool
    soname: str
    needed: tuple[str, ...]
    rpath: tuple[str, ...]
    runpath: tuple[str, ...]
    interpreter: str
    build_id: str
    version_needs: tuple[str, ...]
    version_defs: tuple[str, ...]
    exports: str
    imports: str
    size: int
    objects: str = ""
    fixed: str = ""
    mappable: bool = True
    sysv: bool = False
    asks: tuple[str, ...] = ()

    def __hash__(self) -> int:
        """Hash a few of the fields: what is known of a file is kept by it, and hashing all took longer than a proof."""
        return hash((self.build_id, self.size, self.soname, self.exports))


def read(path: Path) -> ElfFile:
    """Read the facts of a file on disk; raises ElfError, or OSError where it cannot be opened."""
    return parse(path.read_bytes())


def parse(data: bytes | memoryview) -> ElfFile:
    """Read the facts from the bytes of a file; raises ElfError for anything that is not a usable ELF file."""
    try:
        return _facts(ElfImage(data))
    except (struct.error, IndexError, OverflowError, MemoryError, UnicodeDecodeError) as error:
        raise ElfError(f"damaged ELF: {error}") from error


def _facts(image: ElfImage) -> ElfFile:
    needs, need_names = _version_needs(image)
    defs, def_names = _version_defs(image)
    symbols = read_symbols(image, need_names, def_names)
    floats, abi = read_abi(image)
    return ElfFile(
        identity=Identity(
            bits=64 if image.wide else 32,
            little=image.order == "<",
            machine=image.machine,
            float_abi=floats,
            abi=abi,
        ),
        executable=image.executable,
        soname=image.text(image.first(DT_SONAME)),
        needed=tuple(image.text(value) for value in image.dynamic.get(_DT_NEEDED, ())),
        rpath=image.paths(_DT_RPATH),
        runpath=image.paths(_DT_RUNPATH),
        interpreter=_interpreter(image),
        build_id=_build_id(image),
        version_needs=needs,
        version_defs=defs,
        exports=symbols.exports,
        imports=symbols.imports,
        size=len(image.data),
        objects=symbols.objects,
        fixed=symbols.fixed,
        mappable=image.mappable,
        sysv=image.first(DT_HASH) is not None,
        asks=asks_of(image, relocation_kinds(image)),
    )


def _interpreter(image: ElfImage) -> str:
    offset, size = image.parts.get(PT_INTERP, (0, 0))
    return bytes(image.data[offset : offset + min(size, _NOTES)]).rstrip(b"\0").decode("utf-8", "replace")


def _build_id(image: ElfImage) -> str:
    return next((desc.hex() for kind, desc in image.gnu_notes(_NOTES) if kind == _NOTE_BUILD_ID), "")


def _version_needs(image: ElfImage) -> tuple[tuple[str, ...], dict[int, str]]:
    address, count = image.first(_DT_VERNEED), image.first(_DT_VERNEEDNUM)
    listed: list[str] = []
    names: dict[int, str] = {}
    if address is None or count is None:
        return (), names
    position = image.offset(address)
    for _ in range(count):
        form, aux_count, file, aux, step = image.unpack("HHIII", position)
        if form != 1:
            raise ElfError(f"version {form} of DT_VERNEED")
        library, entry = image.text(file), position + aux
        for _ in range(aux_count):
            _, flags, index, name, aux_step = image.unpack("IHHII", entry)
            node = f"{library}:{image.text(name)}"
            names[index & 0x7FFF] = node
            listed.append("?" + node if flags & 2 else node)
            _bounded(listed)
            entry += aux_step
        if not step:
            break
        position += step
    return tuple(listed), names


def _version_defs(image: ElfImage) -> tuple[tuple[str, ...], dict[int, str]]:
    address, count = image.first(_DT_VERDEF), image.first(_DT_VERDEFNUM)
    listed: list[str] = []
    names: dict[int, str] = {}
    if address is None or count is None:
        return (), names
    position = image.offset(address)
    for _ in range(count):
        _, flags, index, _, _, aux, step = image.unpack("HHHHIII", position)
        (name,) = image.unpack("I", position + aux)
        if not flags & 1:  # VER_FLG_BASE names the file itself, not a node
            names[index & 0x7FFF] = image.text(name)
            listed.append(names[index & 0x7FFF])
            _bounded(listed)
        if not step:
            break
        position += step
    return tuple(listed), names


def _bounded(nodes: list[str]) -> None:
    if len(nodes) > _NODES:
        raise ElfError(f"more than {_NODES} version nodes")

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

from recipes.arch import FloatAbi, Identity

MAGIC: Final = b"\x7fELF"
_EM_ARM: Final = 40
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP, _PT_NOTE, _PT_ARM_ATTRIBUTES = 1, 2, 3, 4, 0x70000003
_DT_NEEDED, _DT_HASH, _DT_STRTAB, _DT_SYMTAB, _DT_STRSZ, _DT_SYMENT = 1, 4, 5, 6, 10, 11
_DT_SONAME, _DT_RPATH, _DT_RUNPATH, _DT_GNU_HASH, _DT_VERSYM = 14, 15, 29, 0x6FFFFEF5, 0x6FFFFFF0
_DT_VERDEF, _DT_VERDEFNUM, _DT_VERNEED, _DT_VERNEEDNUM = 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF
_EF_ARM_SOFT, _EF_ARM_HARD = 0x200, 0x400
_LIMIT: Final = 1 << 21  # entries of any one table: a hostile header must not make us allocate more


class ElfError(ValueError):
    """The file is not ELF, or so damaged that nothing may be concluded from it."""


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


def read(path: Path) -> ElfFile:
    """Read the facts of a file on disk; raises ElfError, or OSError where it cannot be opened."""
    return parse(path.read_bytes())


def parse(data: bytes) -> ElfFile:
    """Read the facts from the bytes of a file; raises ElfError for anything that is not a usable ELF file."""
    try:
        return _Reader(data).facts()
    except (struct.error, IndexError, OverflowError, MemoryError, UnicodeDecodeError) as error:
        raise ElfError(f"damaged ELF: {error}") from error


class _Reader:
    def __init__(self, data: bytes) -> None:
        if len(data) < 52 or data[:4] != MAGIC:
            raise ElfError("not an ELF file")
        if data[4] not in (1, 2) or data[5] not in (1, 2):
            raise ElfError(f"class {data[4]} or encoding {data[5]} is not ELF's")
        self.data = data
        self.wide = data[4] == 2
        self.order = "<" if data[5] == 1 else ">"
        header = struct.unpack_from(self.order + ("HHIQQQIHHHHHH" if self.wide else "HHIIIIIHHHHHH"), data, 16)
        self.type, self.machine, self.flags = header[0], header[1], header[6]
        self._segments(phoff=header[4], phentsize=header[8], phnum=header[9])
        self._sections = (header[5], header[10], header[11])
        self.dynamic = self._dynamic()

    def _segments(self, *, phoff: int, phentsize: int, phnum: int) -> None:
        layout = self.order + ("IIQQQQQQ" if self.wide else "IIIIIIII")
        self.loads: list[tuple[int, int, int]] = []
        self.parts: dict[int, tuple[int, int]] = {}
        self.notes: list[tuple[int, int]] = []
        for number in range(phnum):
            fields = struct.unpack_from(layout, self.data, phoff + number * phentsize)
            if self.wide:
                kind, _, offset, vaddr, _, filesz = fields[:6]
            else:
                kind, offset, vaddr, _, filesz = fields[:5]
            if kind == _PT_LOAD:
                self.loads.append((vaddr, vaddr + filesz, offset - vaddr))
            elif kind == _PT_NOTE:
                self.notes.append((offset, filesz))
            else:
                self.parts.setdefault(kind, (offset, filesz))

    def _dynamic(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        if _PT_DYNAMIC not in self.parts:
            return found
        offset, size = self.parts[_PT_DYNAMIC]
        unit = 16 if self.wide else 8
        table = self.data[offset : offset + size - size % unit]
        for tag, value in struct.iter_unpack(self.order + ("QQ" if self.wide else "II"), table):
            if tag == 0:
                break
            found.setdefault(tag, []).append(value)
        return found

    def _first(self, tag: int) -> int | None:
        values = self.dynamic.get(tag)
        return values[0] if values else None

    def _offset(self, address: int) -> int:
        for start, end, delta in self.loads:
            if start <= address < end:
                return address + delta
        raise ElfError(f"address {address:#x} lies in no loaded segment")

    def facts(self) -> ElfFile:
        self._load_strings()
        needs, need_names = self._version_needs()
        defs, def_names = self._version_defs()
        exports, imports = self._symbols(need_names, def_names)
        return ElfFile(
            identity=Identity(
                bits=64 if self.wide else 32,
                little=self.order == "<",
                machine=self.machine,
                float_abi=self._float_abi(),
            ),
            executable=self.type == 2 or _PT_INTERP in self.parts,
            soname=self._text(self._first(_DT_SONAME)),
            needed=tuple(self._text(value) for value in self.dynamic.get(_DT_NEEDED, ())),
            rpath=self._paths(_DT_RPATH),
            runpath=self._paths(_DT_RUNPATH),
            interpreter=self._interpreter(),
            build_id=self._build_id(),
            version_needs=needs,
            version_defs=defs,
            exports=exports,
            imports=imports,
            size=len(self.data),
        )

    def _load_strings(self) -> None:
        address, size = self._first(_DT_STRTAB), self._first(_DT_STRSZ)
        if address is None or size is None:
            self.strings = b"\0"
            return
        start = self._offset(address)
        self.strings = self.data[start : start + size]
        if len(self.strings) != size:
            raise ElfError("the string table ends after the file does")

    def _text(self, offset: int | None) -> str:
        if offset is None:
            return ""
        end = self.strings.find(b"\0", offset)
        if end < 0:
            raise ElfError(f"string at {offset} has no end")
        return self.strings[offset:end].decode("utf-8", "surrogateescape")

    def _paths(self, tag: int) -> tuple[str, ...]:
        return tuple(part for part in self._text(self._first(tag)).split(":") if part)

    def _interpreter(self) -> str:
        offset, size = self.parts.get(_PT_INTERP, (0, 0))
        return self.data[offset : offset + size].rstrip(b"\0").decode("utf-8", "replace")

    def _build_id(self) -> str:
        for offset, size in self.notes:
            position, end = offset, min(offset + size, len(self.data))
            while position + 12 <= end:
                namesz, descsz, kind = struct.unpack_from(self.order + "III", self.data, position)
                name_end = position + 12 + (namesz + 3) // 4 * 4
                if kind == 3 and self.data[position + 12 : position + 15] == b"GNU":
                    return self.data[name_end : name_end + descsz].hex()
                position = name_end + (descsz + 3) // 4 * 4
        return ""

    def _float_abi(self) -> FloatAbi:
        if self.machine != _EM_ARM:
            return FloatAbi.NONE
        if self.flags & _EF_ARM_HARD:
            return FloatAbi.HARD
        return FloatAbi.SOFT if self.flags & _EF_ARM_SOFT else FloatAbi.NONE

    def _version_needs(self) -> tuple[tuple[str, ...], dict[int, str]]:
        address, count = self._first(_DT_VERNEED), self._first(_DT_VERNEEDNUM)
        listed: list[str] = []
        names: dict[int, str] = {}
        if address is None or count is None:
            return (), names
        position = self._offset(address)
        for _ in range(min(count, _LIMIT)):
            _, aux_count, file, aux, step = struct.unpack_from(self.order + "HHIII", self.data, position)
            library, entry = self._text(file), position + aux
            for _ in range(aux_count):
                _, flags, index, name, aux_step = struct.unpack_from(self.order + "IHHII", self.data, entry)
                node = f"{library}:{self._text(name)}"
                names[index & 0x7FFF] = node
                listed.append("?" + node if flags & 2 else node)
                entry += aux_step
            if not step:
                break
            position += step
        return tuple(listed), names

    def _version_defs(self) -> tuple[tuple[str, ...], dict[int, str]]:
        address, count = self._first(_DT_VERDEF), self._first(_DT_VERDEFNUM)
        listed: list[str] = []
        names: dict[int, str] = {}
        if address is None or count is None:
            return (), names
        position = self._offset(address)
        for _ in range(min(count, _LIMIT)):
            _, flags, index, _, _, aux, step = struct.unpack_from(self.order + "HHHHIII", self.data, position)
            (name,) = struct.unpack_from(self.order + "I", self.data, position + aux)
            if not flags & 1:  # VER_FLG_BASE names the file itself, not a node
                names[index & 0x7FFF] = self._text(name)
                listed.append(names[index & 0x7FFF])
            if not step:
                break
            position += step
        return tuple(listed), names

    def _symbol_count(self, start: int) -> int:
        if (address := self._first(_DT_HASH)) is not None:
            return int(struct.unpack_from(self.order + "II", self.data, self._offset(address))[1])
        shoff, shentsize, shnum = self._sections
        if shoff and shoff + shentsize * shnum <= len(self.data):
            layout = self.order + ("IIQQQQIIQQ" if self.wide else "IIIIIIIIII")
            for number in range(shnum):
                section = struct.unpack_from(layout, self.data, shoff + number * shentsize)
                if section[1] == 11 and section[4] == start:  # SHT_DYNSYM
                    return int(section[5]) // (24 if self.wide else 16)
        return self._gnu_hash_count()

    def _gnu_hash_count(self) -> int:
        address = self._first(_DT_GNU_HASH)
        if address is None:
            return 0
        position = self._offset(address)
        buckets, first, bloom, _ = struct.unpack_from(self.order + "IIII", self.data, position)
        table = position + 16 + bloom * (8 if self.wide else 4)
        if buckets > _LIMIT:
            raise ElfError(f"{buckets} hash buckets")
        last = max(struct.unpack_from(f"{self.order}{buckets}I", self.data, table), default=0)
        if last < first:
            return int(first)
        chain = table + 4 * buckets
        while not struct.unpack_from(self.order + "I", self.data, chain + 4 * (last - first))[0] & 1:
            last += 1
        return int(last) + 1

    def _symbols(self, needs: dict[int, str], defs: dict[int, str]) -> tuple[str, str]:
        address = self._first(_DT_SYMTAB)
        if address is None:
            return "", ""
        start = self._offset(address)
        count = self._symbol_count(start)
        if count > _LIMIT:
            raise ElfError(f"{count} symbols")
        unit = 24 if self.wide else 16
        table = self.data[start : start + count * unit]
        if len(table) != count * unit:
            raise ElfError("the symbol table ends after the file does")
        versions = self._symbol_versions(count)
        exports: list[str] = []
        imports: list[str] = []
        strings, find = self.strings, self.strings.find
        layout = self.order + ("IBBHQQ" if self.wide else "IIIBBH")
        info_at, other_at, section_at = (1, 2, 3) if self.wide else (3, 4, 5)
        for symbol, version in zip(struct.iter_unpack(layout, table), versions, strict=True):
            info, section = symbol[info_at], symbol[section_at]
            if info < 16 or not symbol[0]:  # local, or nameless
                continue
            name = strings[symbol[0] : find(b"\0", symbol[0])].decode("ascii")
            if " " in name:
                raise ElfError(f"symbol name with a space: {name!r}")
            if section == 0:
                node = needs.get(version & 0x7FFF)
                text = f"{name}@{node}" if node else name
                imports.append("?" + text if info >> 4 == 2 else text)
            elif symbol[other_at] & 3 in (0, 3):  # default or protected visibility
                node = defs.get(version & 0x7FFF)
                if node is None:
                    if version == 0:  # VER_NDX_LOCAL: not exported
                        continue
                    exports.append(name)
                else:
                    exports.append(f"{name}@{node}" if version & 0x8000 else f"{name}@@{node}")
        return " ".join(exports), " ".join(imports)

    def _symbol_versions(self, count: int) -> tuple[int, ...]:
        address = self._first(_DT_VERSYM)
        if address is None:
            return (1,) * count
        return struct.unpack_from(f"{self.order}{count}H", self.data, self._offset(address))

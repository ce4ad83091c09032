"""The gate after a build: every ELF file is for the right machine, can be mapped, finds its libraries, and is named."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from recipes import elf
from recipes.arch import Arch, Libc
from recipes.console import first_few
from recipes.elf import ElfFile
from recipes.elf.ar import AR_MAGIC, THIN_AR_MAGIC, ar_members
from recipes.elf.layout import ET_DYN, ET_EXEC, ET_REL, Layout, read_layout
from recipes.rootfs.index import Index
from recipes.sources.recipe import Output, Recipe
from recipes.stage.buildpaths import build_paths
from recipes.stage.links import link_faults

_EM_MIPS = 8
_PF_X = 1
_PAGE = 4096
# Later builds look there for our prefix; neither reaches a board.
_FOR_BUILDS = ("include/", "lib/cmake/", "lib/pkgconfig/")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Linked:
    """One program or shared object of the tree."""

    facts: ElfFile
    layout: Layout


@dataclass(slots=True, kw_only=True)
class _Tree:
    """A tree while it is read: its linked files by name, and what is wrong so far."""

    root: Path
    linked: dict[str, _Linked] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)

    def resolve(self, name: str) -> str | None:
        """Return the file behind a name; None where there is none, or where links lead out of the tree."""
        try:
            there = (self.root / name).resolve(strict=True)
        except (OSError, RuntimeError):  # RuntimeError: links in a circle
            return None
        return there.relative_to(self.root).as_posix() if there.is_relative_to(self.root) else None


def gate_faults(
    recipe: Recipe,
    arch: Arch,
    tree: Path,
    floor: Index | None = None,
    brought: Collection[str] = (),
    depends: Sequence[Index] = (),
) -> list[str]:
    """Return all that is wrong with an installed tree; an empty list lets it pass.

    PT_LOAD must be aligned to a power of two that is at least 4096, the smallest page of any board, and be at the same
    place of a page in the file and in memory. (Debian's linker aligns AArch64 to 65536, the largest page there; a
    vendor's may not, and its boards then have smaller pages.)

    Parameters
    ----------
    floor:
        The sysroot: a version node that its libraries lack is one that boards lack, and a library or a symbol that
        neither it, nor the tree, nor `depends` has is nowhere.
    brought:
        SONAMEs that recipes built before this one bring; the sysroot's copies of them are not the ones used.
    depends:
        The installed trees of what it depends on, as far as that was built.
    """
    seen = _Tree(root=tree.resolve())
    shipped = {seen.resolve(output.path) for output in recipe.outputs}
    for path in sorted(seen.root.rglob("*")):
        name = path.relative_to(seen.root).as_posix()
        if path.is_symlink():
            seen.faults += _path_faults(name, os.readlink(path).encode("utf-8", "surrogateescape"))
        elif path.is_file():
            _read(seen, name, path.read_bytes(), arch, shipped=name in shipped)
    if floor is not None and floor.libc is Libc.UCLIBC:
        for name, file in seen.linked.items():
            seen.faults += _uclibc_faults(name, file.facts)
    if floor is not None:
        ours = {*brought, *(file.facts.soname for file in seen.linked.values())}
        ours |= {path.name for path in (seen.root / "lib").glob("*")}
        for name, file in seen.linked.items():
            seen.faults += _floor_faults(name, file.facts, floor, ours)
        facts = {name: file.facts for name, file in seen.linked.items() if arch.matches(file.facts.identity)}
        programs = [name for name, file in seen.linked.items() if file.layout.type == ET_EXEC or file.layout.pie]
        seen.faults += link_faults(facts, programs, depends, floor)
    return seen.faults + list(_recipe_faults(recipe, seen))


def _read(seen: _Tree, name: str, data: bytes, arch: Arch, *, shipped: bool) -> None:
    """Check one file for all that can be said of it alone."""
    if data.startswith(elf.MAGIC):
        try:
            facts, layout = elf.parse(data), read_layout(data)
        except elf.ElfError as error:
            seen.faults.append(f"{name}: {error}")
            seen.unreadable.add(name)
            return
        seen.faults += _identity_faults(name, facts, arch)
        strange = _strange_search(layout)
        for text in strange:
            seen.faults.append(f"{name}: looks for libraries in {text}, a path of the build machine")
            # One fault, one line: the same text is not reported again as a build path.
            data = data.replace(b"\0" + text.encode() + b"\0", b"\0\0", 1)
        seen.faults += _path_faults(name, data)
        if layout.type != ET_REL:
            seen.linked[name] = _Linked(facts=facts, layout=layout)
            seen.faults += _layout_faults(name, layout, facts.identity.machine)
    elif data.startswith(AR_MAGIC):
        seen.faults += _archive_faults(name, data, arch)
    elif data.startswith(THIN_AR_MAGIC):
        seen.faults.append(f"{name}: is a thin archive, its members stay on the build machine")
    elif shipped or data.startswith(b"#!"):
        seen.faults += _path_faults(name, data)


def _identity_faults(name: str, facts: ElfFile, arch: Arch) -> list[str]:
    if arch.matches(facts.identity):
        return []
    return [f"{name}: is {facts.identity.describe()}, {arch.name} is {arch.identity.describe()}"]


def _uclibc_faults(name: str, facts: ElfFile) -> list[str]:
    """Check a file for what uClibc's loader does not know, and what our own flags for it see to."""
    found: list[str] = []
    if any("$ORIGIN" in part for part in facts.runpath):
        found.append(f"{name}: its search path is a RUNPATH, uClibc's loader knows $ORIGIN in an RPATH only")
    if facts.exports and not facts.sysv:
        found.append(f"{name}: has no table of symbols but GNU's, which uClibc's loader may not read")
    return found


def _strange_search(layout: Layout) -> list[str]:
    """Return the search paths that have a part outside of `$ORIGIN`; an empty part is the current folder."""
    return [
        text
        for text in layout.search
        if any(part != "$ORIGIN" and not part.startswith("$ORIGIN/") for part in text.split(":"))
    ]


def _path_faults(name: str, data: bytes) -> list[str]:
    if name.startswith(_FOR_BUILDS) and not data.startswith(elf.MAGIC):
        return []
    texts = build_paths(data)
    if not texts:
        return []
    shown = first_few([repr(text) for text in texts])
    return [f"{name}: has {shown} in it, a path of the build that no board has"]


def _archive_faults(name: str, data: bytes, arch: Arch) -> list[str]:
    """Check each member of a static archive: it would go into every program linked with it."""
    found: list[str] = []
    try:
        for member, content in ar_members(data):
            if content.startswith(elf.MAGIC):
                found += _identity_faults(f"{name}({member})", elf.parse(content), arch)
            found += _path_faults(f"{name}({member})", content)
    except elf.ElfError as error:
        found.append(f"{name}: {error}")
    return found


def _layout_faults(name: str, layout: Layout, machine: int) -> Iterator[str]:
    # https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.pheader.html (PT_LOAD): loaders refuse what breaks it.
    for offset, vaddr, align in layout.loads:
        where = f"{name}: the segment at {vaddr:#x}"
        if align < _PAGE or align & (align - 1):
            yield f"{where} is aligned to {align}, which is no size of a page: it cannot be mapped"
            break
        if (offset - vaddr) % align:
            yield f"{where} is at {offset:#x} of the file, elsewhere in a page of {align}: it cannot be mapped"
            break
    # https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.dynamic.html (DT_TEXTREL, DF_TEXTREL)
    if layout.textrel:
        yield f"{name}: has relocations in its code (TEXTREL), which hardened systems refuse: a part is not -fPIC"
    # https://refspecs.linuxfoundation.org/LSB_5.0.0/LSB-Core-generic/LSB-Core-generic/progheader.html (PT_GNU_STACK).
    # Not on MIPS: kernels before 4.8 run parts of their FPU emulation on the stack, so glibc marks its own start files
    # as in need of an executable one, and with them everything that is linked there (https://bugs.debian.org/1025436).
    if machine != _EM_MIPS and not layout.stacks:
        yield f"{name}: does not say what stack it needs (no GNU_STACK), so the kernel makes it executable"
    elif machine != _EM_MIPS and any(flags & _PF_X for flags in layout.stacks):
        yield f"{name}: asks for an executable stack, which hardened systems and glibc 2.41 refuse"


def _floor_faults(name: str, facts: ElfFile, floor: Index, ours: Collection[str]) -> Iterator[str]:
    for need in facts.version_needs:
        library, _, node = need.partition(":")
        if library.startswith("?") or library in ours:
            continue
        found = floor.find(library, facts.identity)
        if found is None or node in found[1].version_defs:
            continue
        family, _ = _version(node)
        same = sorted((known for known in found[1].version_defs if _version(known)[0] == family), key=_version)
        has = f"goes up to {same[-1]}" if same else f"has no {family} at all"
        symbol = next((bound for bound in facts.imports.split() if bound.endswith(f"@{need}")), "")
        because = f" for {symbol.lstrip('?').partition('@')[0]}" if symbol else ""
        yield f"{name}: needs {node} of {library}{because}, the sysroot's {has}: boards could not load it"


def _version(node: str) -> tuple[str, tuple[int, ...]]:
    """Split `GLIBC_2.36` into its family and numbers that compare as such."""
    family, numbers = re.fullmatch(r"(.*?)(?:_v?(\d.*))?", node).groups("")  # type: ignore[union-attr]
    return family, tuple(int(number) for number in re.findall(r"\d+", numbers))


def _recipe_faults(recipe: Recipe, seen: _Tree) -> Iterator[str]:
    """Check the tree against what the recipe says: outputs and their kinds, SONAMEs, and nothing besides."""
    sonames = {library.soname for library in recipe.libraries}
    names = sonames | {PurePosixPath(output.path).name for output in recipe.outputs}
    misnamed: set[str | None] = set()
    for library in recipe.libraries:
        file = seen.resolve(f"lib/lib{library.link}.so")
        built = seen.linked.get(file or "")
        if built is not None and built.facts.soname and built.facts.soname != library.soname:
            misnamed.add(file)
            yield f"lib/lib{library.link}.so: SONAME is {built.facts.soname!r}, the recipe says {library.soname!r}"
    declared = {seen.resolve(output.path): output for output in recipe.outputs}
    for output in recipe.outputs:
        file = seen.resolve(output.path)
        if file is None:
            yield f"{output.path}: the recipe names this output, the build {_made_instead(seen, output.path)}"
        elif file in seen.unreadable:
            continue
        elif wrong := _kind_fault(output, seen.root / file, seen.linked.get(file)):
            yield f"{output.path}: {wrong}"
        elif output.kind == "library" and file not in misnamed and seen.linked[file].facts.soname not in names:
            yield f"{output.path}: SONAME is {seen.linked[file].facts.soname!r}, the recipe names no such library"
    for name, built in seen.linked.items():
        library_like = built.layout.type == ET_DYN and not built.layout.pie
        if name not in declared and name not in misnamed and not (library_like and built.facts.soname in names):
            yield f"{name}: the build made it, the recipe does not name it: it is an output, or to be pruned"


def _made_instead(seen: _Tree, path: str) -> str:
    """Say what the build made in the place of an output: nothing, or a link; and what it made of a like name."""
    there = seen.root / path
    name, shared, _ = there.name.partition(".so")
    stem = name + shared if shared else f"{there.stem}."
    alike = sorted(
        file.relative_to(seen.root).as_posix()
        for file in there.parent.glob("*")
        if file.name.startswith(stem) and file.is_file()
    )
    also = f"; of that name it made {first_few(alike)}" if alike else ""
    if not there.is_symlink():
        return f"did not make it{also}"
    return f"made a link to {os.readlink(there)!r}, which leads nowhere in the tree{also}"


def _kind_fault(output: Output, path: Path, built: _Linked | None) -> str:
    """Return why a file cannot be what the recipe calls it, or nothing."""
    if output.kind == "data":
        return ""
    if output.kind == "program":
        if not path.stat().st_mode & 0o100:
            return "the recipe calls it a program, its mode does not let it run"
        if built is None:
            script = path.is_file() and path.read_bytes().startswith(b"#!")
            return "" if script else "the recipe calls it a program, it is neither ELF nor a script"
        static = not built.facts.needed and (built.layout.type == ET_EXEC or built.layout.pie)
        return "" if built.facts.interpreter or static else "the recipe calls it a program, it names no loader"
    if built is None or built.layout.type != ET_DYN or built.layout.pie:
        return f"the recipe calls it a {output.kind}, it is no shared object"
    if output.kind == "library" and not built.facts.soname:
        return "the recipe calls it a library, it has no SONAME to be found by"
    return ""

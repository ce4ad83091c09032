"""The gate after a build: every ELF file is for the right machine, finds its libraries, and is named as it should."""

from __future__ import annotations

from pathlib import Path

from recipes import elf
from recipes.arch import Arch
from recipes.recipe import Recipe


def faults(recipe: Recipe, arch: Arch, tree: Path) -> list[str]:
    """Return all that is wrong with an installed tree; an empty list lets it pass."""
    found = [fault for path in sorted(tree.rglob("*")) for fault in _file_faults(path, arch, tree)]
    found += [
        f"{output.path}: the recipe names this output, the build did not make it"
        for output in recipe.outputs
        if not (tree / output.path).exists()
    ]
    for library in recipe.libraries:
        path = tree / "lib" / f"lib{library.link}.so"
        if path.exists() and (soname := elf.read(path).soname) != library.soname:
            found.append(f"lib/lib{library.link}.so: SONAME is {soname!r}, boards have {library.soname!r}")
    return found


def _file_faults(path: Path, arch: Arch, tree: Path) -> list[str]:
    if path.is_symlink() or not path.is_file():
        return []
    with path.open("rb") as file:
        if file.read(4) != elf.MAGIC:
            return []
    name = path.relative_to(tree).as_posix()
    try:
        facts = elf.read(path)
    except elf.ElfError as error:
        return [f"{name}: {error}"]
    found = []
    if not arch.matches(facts.identity):
        wanted = arch.identity.describe()
        found.append(f"{name}: is {facts.identity.describe()}, {arch.name} is {wanted}")
    strange = [entry for entry in (*facts.rpath, *facts.runpath) if not entry.startswith("$ORIGIN")]
    if strange:
        found.append(f"{name}: looks for libraries in {':'.join(strange)}, a path of the build machine")
    return found

"""The rest of a Stage: libraries that nothing needs, and files that no board needs, so that every byte has a row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from deploy.dedupe.decision import Action, Decision, Payload
from recipes.elf import ElfFile
from recipes.rootfs.origin import OriginKind
from recipes.stage.manifest import Stage


def unused_files(
    stage: Stage, stage_files: Mapping[str, ElfFile], payload: Iterable[Payload], decided: set[str]
) -> list[Decision]:
    """Account for every other file of the Stage: libraries that nothing needs, and what no board needs."""
    taken = {file.origin.path for file in payload if file.origin.kind is OriginKind.STAGE} | set(stage.manifest.data())
    rows: list[Decision] = []
    groups: dict[str, tuple[int, int]] = {}
    for file in stage.manifest.files:
        library = stage_files.get(file.path)
        if file.path in taken or file.target or (library and library.soname in decided):
            continue
        if library is not None and library.soname:
            because = "no file that travels needs it"
            soname = library.soname
            rows.append(
                Decision(library=soname, action=Action.UNREFERENCED, because=because, provider="", size=file.size)
            )
            continue
        group = _group(file.path)
        count, size = groups.get(group, (0, 0))
        groups[group] = (count + 1, size + file.size)
    rows += [
        Decision(
            library=f"{group} ({count})",
            action=Action.NOT_RUNTIME,
            because="for building against, not for running",
            provider="",
            size=size,
        )
        for group, (count, size) in sorted(groups.items())
    ]
    return rows


def _group(path: str) -> str:
    if path.endswith((".a", ".la")):
        return "static libraries"
    if path.startswith("include/"):
        return "headers"
    if "/pkgconfig/" in path or "/cmake/" in path:
        return "pkg-config, CMake"
    return "tools" if path.startswith("bin/") else "other files"

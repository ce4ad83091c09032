"""The rest of a Stage: libraries that nothing needs, and files that no board needs, so that every byte has a row."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from deploy.dedupe.decision import Action, Decision, Payload
from recipes.elf import ElfFile
from recipes.rootfs.origin import OriginKind
from recipes.stage.manifest import Stage


def unused_files(
    stage: Stage,
    stage_files: Mapping[str, ElfFile],
    payload: Iterable[Payload],
    decided: set[str],
    idle: Collection[str] = (),
) -> list[Decision]:
    """Account for every other file of the Stage: libraries that nothing needs, programs and files that no board needs.

    Parameters
    ----------
    idle:
        Programs that this board does not use.
    """
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
        group = _IDLE if file.path in idle else _group(file.path)
        count, size = groups.get(group, (0, 0))
        groups[group] = (count + 1, size + file.size)
    rows += [
        Decision(
            library=f"{group} ({count})",
            action=Action.UNREFERENCED if group == _IDLE else Action.NOT_RUNTIME,
            because=_IDLE_REASON if group == _IDLE else "for building against, not for running",
            provider="",
            size=size,
        )
        for group, (count, size) in sorted(groups.items())
    ]
    return rows


_IDLE = "programs of the SDKs"
_IDLE_REASON = 'no stream uses them; extras = ["samples"] in the board\'s file brings them'


def _group(path: str) -> str:
    if path.endswith((".a", ".la")):
        return "static libraries"
    if path.startswith("include/"):
        return "headers"
    if "/pkgconfig/" in path or "/cmake/" in path:
        return "pkg-config, CMake"
    return "tools" if path.startswith("bin/") else "other files"

"""What changed between two bundles: files, sizes, symbols that they bind, recipes and licences."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recipes.console import first_few

if TYPE_CHECKING:
    from deploy.bundle.manifest import Manifest


def bundle_differences(old: Manifest, new: Manifest) -> list[tuple[str, str, str]]:
    """Return rows (what, name, change), in a fixed order; nothing for two bundles of the same content."""
    return [
        *_files(old, new),
        *_decisions(old, new),
        *_symbols(old, new),
        *_named("recipe", old.stage_keys, new.stage_keys),
        *_sources(old, new),
    ]


def _files(old: Manifest, new: Manifest) -> Iterable[tuple[str, str, str]]:
    before, after = ({file.path: file for file in manifest.files} for manifest in (old, new))
    for path in sorted(before.keys() | after.keys()):
        if path not in before:
            yield "file", path, f"new, {after[path].size:,} bytes"
        elif path not in after:
            yield "file", path, f"gone, {before[path].size:,} bytes"
        elif before[path].sha256 != after[path].sha256:
            grown = after[path].size - before[path].size
            yield "file", path, f"other content, {grown:+,} bytes"
        elif before[path].mode != after[path].mode:
            yield "file", path, f"mode {before[path].mode:o} → {after[path].mode:o}"


def _decisions(old: Manifest, new: Manifest) -> Iterable[tuple[str, str, str]]:
    before, after = ({row.library: row.action for row in manifest.decisions} for manifest in (old, new))
    for name in sorted(before.keys() | after.keys()):
        first, second = before.get(name, "-"), after.get(name, "-")
        if first != second:
            yield "decision", name, f"{first} → {second}"


def _symbols(old: Manifest, new: Manifest) -> Iterable[tuple[str, str, str]]:
    before, after = ({row.library: set(row.symbols) for row in manifest.proofs} for manifest in (old, new))
    for name in sorted(before.keys() & after.keys()):
        more, less = sorted(after[name] - before[name]), sorted(before[name] - after[name])
        if more or less:
            shown = [*(f"+{symbol}" for symbol in more), *(f"-{symbol}" for symbol in less)]
            yield "symbols", name, first_few(shown, 4)


def _named(what: str, before: dict[str, str], after: dict[str, str]) -> Iterable[tuple[str, str, str]]:
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            state = "new" if name not in before else "gone" if name not in after else "built from something else"
            yield what, name, state


def _sources(old: Manifest, new: Manifest) -> Iterable[tuple[str, str, str]]:
    """Yield what changed in versions and licences: both are read by people who never look at a symbol."""
    before, after = (
        {source.name: (source.patch_level, source.licence) for source in manifest.sources}
        | {f"package {package.name}": (package.version, package.licence) for package in manifest.packages}
        for manifest in (old, new)
    )
    for name in sorted(before.keys() | after.keys()):
        first, second = before.get(name, ("-", "-")), after.get(name, ("-", "-"))
        for what, was, now in zip(("version", "licence"), first, second, strict=True):
            if was != now:
                yield what, name, f"{was} → {now}"
    fixed = [{source.name: source.fixed for source in manifest.sources} for manifest in (old, new)]
    for name in sorted(fixed[0].keys() & fixed[1].keys()):
        before_it, after_it = fixed[0][name], fixed[1][name]
        changed = [f"+{cve}" for cve in sorted(after_it - before_it)]
        changed += [f"-{cve}" for cve in sorted(before_it - after_it)]
        if changed:
            yield "patches", name, " ".join(changed)

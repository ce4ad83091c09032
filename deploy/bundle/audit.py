"""The plan once more, from nothing but the proofs that a bundle carries. Pure: no Stage, no sysroot, no board.

Whoever gets a bundle can check every decision in it against its own evidence; `bundle.verify` does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from deploy.bundle.manifest import DecisionRow, Manifest, ProofRow
from deploy.dedupe.decision import Action
from recipes.elf import SymbolKind
from recipes.proof.demand import Want
from recipes.rootfs.origin import Origin

PROPERTY_PREFIX = "boardcast:"
"""Of our property names in a bill."""


def contradictions(manifest: Manifest) -> list[str]:
    """Return where decisions, proofs and providers do not fit together. Empty for a manifest that holds."""
    paths = {file.path for file in manifest.files}
    decisions = _per_library(manifest)
    proofs = {proof.library: proof for proof in manifest.proofs}
    faults = (
        [] if manifest.entries == tuple(sorted(manifest.providers)) else ["the entries are not those with providers"]
    )
    for name in sorted({name for file in manifest.files for name in file.needed}):
        decision, proof = decisions.get(name), proofs.get(name)
        if decision is None:
            faults.append(f"{name} is needed, and nothing was decided about it")
        elif decision.action is not Action.USE_BOARD:
            there = decision.provider.ours and decision.provider.path in paths
            faults += [] if there else [f"{name} is kept, and is not there"]
        elif proof is None:
            faults.append(f"{name} is left to the board without a proof")
        elif (proof.missing and not proof.overridden) or not proof.sha256 or proof.provider != decision.provider:
            faults.append(f"{name} is left to the board, and its proof does not hold")
    for entry, closure in manifest.providers.items():
        faults += [] if entry in paths else [f"{entry} is an entry, and is not there"]
        for name, provider in closure.items():
            proved = proofs[name].provider if name in proofs else provider
            if provider.ours:
                faults += [] if provider.path in paths else [f"{provider} is not in the bundle"]
            elif not provider.startswith("/") or provider != proved:
                faults.append(f"{entry} would get {name} from {provider}, which is not what was proved")
    return faults


def counterevidence(proof: ProofRow) -> list[str]:
    """Return what speaks against a board's copy by the facts in its proof, judged again."""
    found = [f"it lacks {name}" for name in proof.missing] + list(proof.faults)
    listed = set(proof.symbols)
    for symbol, (wanted, has) in proof.objects.items():
        kind, _, size = has.partition(":")
        found += Want.parse(wanted).differences(symbol, SymbolKind(kind), size)
        found += [] if symbol in listed else [f"{symbol} is described, and is not among its symbols"]
    return found


def derive_actions(proofs: Iterable[ProofRow], refused: Iterable[ProofRow]) -> dict[str, Action]:
    """Return each library's action as it follows from the proofs; ValueError for a proof whose objects say nothing."""
    actions: dict[str, Action] = {}
    for proof in (*proofs, *refused):
        fails = bool(counterevidence(proof))
        if not proof.provider:
            actions[proof.library] = Action.KEEP
        elif fails and not proof.overridden:
            actions[proof.library] = Action.KEEP_PRIVATE
        else:
            actions[proof.library] = Action.USE_BOARD
    return actions


def decision_differences(manifest: Manifest) -> list[str]:
    """Return where the decisions of a bundle are not those that its proofs lead to; empty where all are."""
    try:
        derived = derive_actions(manifest.proofs, manifest.refused)
    except ValueError as error:
        return [f"its proofs cannot be read: {error!r}"]
    written = {name: decision.action for name, decision in _per_library(manifest).items()}
    needed = {name for file in manifest.files for name in file.needed}
    faults = []
    for name in sorted(needed | derived.keys()):
        if name not in derived:
            faults.append(f"{name} was decided without any proof")
        elif derived[name] is not written.get(name):
            faults.append(f"{name} is {written.get(name, 'not decided')}; by its proof it is {derived[name]}")
    return faults


def _per_library(manifest: Manifest) -> dict[str, DecisionRow]:
    """Return the decision about each library; a second copy that was merged into it has a row of its own beside it."""
    return {row.library: row for row in manifest.decisions if row.action is not Action.MERGE}


def board_libraries(manifest: Manifest) -> dict[str, Origin]:
    """Return SONAME to path of every library that a program of the bundle gets from the board."""
    named = {
        decision.library: decision.provider for decision in manifest.decisions if decision.action is Action.USE_BOARD
    }
    return named | {
        name: provider
        for closure in manifest.providers.values()
        for name, provider in closure.items()
        if not provider.ours
    }


def needed_components(manifest: Manifest, path: str, name: str) -> set[str]:
    """Return the components that a file gets one of its DT_NEEDED from: one, or none where no process loads the file.

    Two programs that share a library find its neighbours at the same place unless one of them brought another first.
    """
    providers = {
        closure[name]
        for entry, closure in manifest.providers.items()
        if name in closure and (entry == path or Origin.bundle(path) in closure.values())
    }
    return {f"file:{provider.path}" if provider.ours else f"board:{name}" for provider in providers}


def unaccounted(manifest: Manifest, sbom: bytes) -> list[str]:
    """Return what a bill does not account for: files, recipes, and libraries that files need. Empty for a good one."""
    try:
        bill: dict[str, Any] = json.loads(sbom)
        parts = {str(component["bom-ref"]): component for component in bill["components"]}
        edges = {str(edge["ref"]): set(edge.get("dependsOn", ())) for edge in bill["dependencies"]}
        if len(parts) != len(bill["components"]):
            return ["two components have the same name"]
    except (ValueError, KeyError, TypeError) as error:
        return [f"this is no bill of materials: {type(error).__name__}"]
    digests = {file.path: file.sha256 for file in manifest.files} | manifest.licences
    wanted = {f"file:{path}": digest for path, digest in digests.items()}
    there = {ref: _digest(component) for ref, component in parts.items() if component.get("type") == "file"}
    faults = [f"{ref}: no component of this content" for ref in wanted if there.get(ref) != wanted[ref]]
    faults += [f"{ref}: a component, and no file of the bundle" for ref in there.keys() - wanted.keys()]
    faults += [
        f"recipe {source.name}: no component" for source in manifest.sources if f"recipe:{source.name}" not in parts
    ]
    faults += _unnamed_patches(manifest, parts)
    faults += _unowned(manifest, parts)
    faults += [
        f"{name}, from the board: no component" for name in board_libraries(manifest) if f"board:{name}" not in parts
    ]
    for file in manifest.files:
        for name in file.needed:
            found = needed_components(manifest, file.path, name)
            if not found:
                faults.append(f"{file.path} needs {name}: nobody is named who brings it")
            for ref in found - (edges.get(f"file:{file.path}", set()) & parts.keys()):
                faults.append(f"{file.path} needs {name}: {ref} is not named as its provider")
            for ref in (ref for ref in found & parts.keys() if ref.startswith("board:")):
                if not _digest(parts[ref]) and f"{PROPERTY_PREFIX}build-id" not in str(parts[ref].get("properties")):
                    faults.append(f"{file.path} needs {name}: neither build id nor hash of the board's is named")
    return sorted(faults)


def _unnamed_patches(manifest: Manifest, parts: Mapping[str, Any]) -> list[str]:
    """Return the patches of a distribution, and what they fix, that a bill does not name."""
    faults = []
    for source in manifest.sources:
        if source.distribution is None:
            continue
        named = str(parts.get(f"recipe:{source.name}", {}).get("pedigree"))
        for patch in source.distribution.patches:
            absent = [text for text in (f"/{patch.name}'", *(f"'{cve}'" for cve in patch.cves)) if text not in named]
            faults += [f"recipe {source.name}: {patch.name}, which it was built with, is not named"] if absent else []
    return faults


def _unowned(manifest: Manifest, parts: Mapping[str, Any]) -> list[str]:
    """Return what a bill does not say of the files that were copied from the sysroot."""
    copies = sorted(file.path for file in manifest.files if file.copied)
    owned = sorted(path for package in manifest.packages for path in package.files)
    faults = [f"{path}: nothing says what it came out of" for path in copies if path not in owned]
    faults += [f"{path}: came out of a package, and is no copy" for path in owned if path not in copies]
    faults += [
        f"{path}: came out of two packages" for path in sorted({path for path in owned if owned.count(path) > 1})
    ]
    for package in manifest.packages:
        component = parts.get(f"package:{package.name}", {})
        if not component:
            faults.append(f"package {package.name}: no component")
        elif package.licence and component.get("licenses") != [{"expression": package.licence}]:
            faults.append(f"package {package.name}: its licence is not there")
    return faults


def _digest(component: Mapping[str, Any]) -> str:
    return next(
        (str(digest.get("content")) for digest in component.get("hashes", ()) if digest.get("alg") == "SHA-256"), ""
    )

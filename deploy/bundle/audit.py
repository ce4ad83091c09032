"""The plan once more, from nothing but the proofs that a bundle carries. Pure: no Stage, no sysroot, no board.

Whoever gets a bundle can hold every decision in it against its own evidence; `bundle.verify` does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from deploy.bundle.manifest import Manifest
from deploy.dedupe.decision import Action
from recipes.elf import SymbolKind
from recipes.proof.demand import Want


def contradictions(manifest: Manifest) -> list[str]:
    """Return where decisions, proofs and providers do not fit together. Empty for a manifest that holds."""
    paths = {file.path for file in manifest.files}
    decisions = {str(row["library"]): row for row in manifest.decisions}
    proofs = {str(row["library"]): row for row in manifest.proofs}
    faults = (
        [] if manifest.entries == tuple(sorted(manifest.providers)) else ["the entries are not those with providers"]
    )
    for name in sorted({name for file in manifest.files for name in file.needed}):
        row, proof = decisions.get(name), proofs.get(name)
        if row is None:
            faults.append(f"{name} is needed, and nothing was decided about it")
        elif row["action"] != "use-board":
            faults += [] if row["provider"].removeprefix("bundle:") in paths else [f"{name} is kept, and is not there"]
        elif proof is None:
            faults.append(f"{name} is left to the board without a proof")
        elif (
            (proof["missing"] and not proof["overridden"])
            or not proof["sha256"]
            or proof["provider"] != row["provider"]
        ):
            faults.append(f"{name} is left to the board, and its proof does not hold")
    for entry, closure in manifest.providers.items():
        faults += [] if entry in paths else [f"{entry} is an entry, and is not there"]
        for name, provider in closure.items():
            theirs = proofs[name]["provider"] if name in proofs else provider
            if provider.startswith("bundle:"):
                faults += [] if provider.removeprefix("bundle:") in paths else [f"{provider} is not in the bundle"]
            elif not provider.startswith("/") or provider != theirs:
                faults.append(f"{entry} would get {name} from {provider}, which is not what was proved")
    return faults


PROPERTY_PREFIX = "boardcast:"
"""Of our property names in a bill."""
Row = Mapping[str, Any]


def counterevidence(proof: Row) -> list[str]:
    """Return what speaks against a board's copy by the facts in its proof, judged again."""
    found = [f"it lacks {name}" for name in proof["missing"]] + list(proof["faults"])
    listed = set(proof["symbols"])
    for symbol, (wanted, has) in proof["objects"].items():
        kind, _, size = str(has).partition(":")
        found += Want.parse(wanted).differences(symbol, SymbolKind(kind), size)
        found += [] if symbol in listed else [f"{symbol} is described, and is not among its symbols"]
    return found


def derive_actions(proofs: Iterable[Row], refused: Iterable[Row]) -> dict[str, Action]:
    """Return each library's action as it follows from the proofs."""
    actions: dict[str, Action] = {}
    for row in (*proofs, *refused):
        fails = bool(counterevidence(row))
        if not row["provider"]:
            actions[row["library"]] = Action.KEEP
        elif fails and not row["overridden"]:
            actions[row["library"]] = Action.KEEP_PRIVATE
        else:
            actions[row["library"]] = Action.USE_BOARD
    return actions


def decision_differences(manifest: Manifest) -> list[str]:
    """Return where the decisions of a bundle are not those that its proofs lead to; empty where all are."""
    try:
        derived = derive_actions(manifest.proofs, manifest.refused)
    except (KeyError, TypeError, ValueError) as error:
        return [f"its proofs cannot be read: {error!r}"]
    written = {str(row["library"]): str(row["action"]) for row in manifest.decisions}
    needed = {name for file in manifest.files for name in file.needed}
    faults = []
    for name in sorted(needed | derived.keys()):
        if name not in derived:
            faults.append(f"{name} was decided without any proof")
        elif derived[name].value != written.get(name):
            faults.append(f"{name} is {written.get(name, 'not decided')}; by its proof it is {derived[name].value}")
    return faults


def board_libraries(manifest: Manifest) -> dict[str, str]:
    """Return SONAME to path of every library that a program of the bundle gets from the board."""
    named = {str(row["library"]): str(row["provider"]) for row in manifest.decisions if row["action"] == "use-board"}
    return named | {
        name: provider
        for closure in manifest.providers.values()
        for name, provider in closure.items()
        if not provider.startswith("bundle:")
    }


def needed_components(manifest: Manifest, path: str, name: str) -> set[str]:
    """Return the components that a file gets one of its DT_NEEDED from: one, or none where no process loads the file.

    Two programs that share a library find its neighbours at the same place unless one of them brought another first.
    """
    found = {
        closure[name]
        for entry, closure in manifest.providers.items()
        if name in closure and (entry == path or f"bundle:{path}" in closure.values())
    }
    return {f"file:{one.removeprefix('bundle:')}" if one.startswith("bundle:") else f"board:{name}" for one in found}


def unaccounted(manifest: Manifest, sbom: bytes) -> list[str]:
    """Return what a bill does not account for: files, recipes, and libraries that files need. Empty for a good one."""
    try:
        bill: dict[str, Any] = json.loads(sbom)
        parts = {str(one["bom-ref"]): one for one in bill["components"]}
        edges = {str(one["ref"]): set(one.get("dependsOn", ())) for one in bill["dependencies"]}
        if len(parts) != len(bill["components"]):
            return ["two components have the same name"]
    except (ValueError, KeyError, TypeError) as error:
        return [f"this is no bill of materials: {type(error).__name__}"]
    digests = {file.path: file.sha256 for file in manifest.files} | manifest.licences
    wanted = {f"file:{path}": digest for path, digest in digests.items()}
    there = {ref: _digest(one) for ref, one in parts.items() if one.get("type") == "file"}
    faults = [f"{ref}: no component of this content" for ref in wanted if there.get(ref) != wanted[ref]]
    faults += [f"{ref}: a component, and no file of the bundle" for ref in there.keys() - wanted.keys()]
    faults += [f"recipe {one.name}: no component" for one in manifest.sources if f"recipe:{one.name}" not in parts]
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
            for ref in (one for one in found & parts.keys() if one.startswith("board:")):
                if not _digest(parts[ref]) and f"{PROPERTY_PREFIX}build-id" not in str(parts[ref].get("properties")):
                    faults.append(f"{file.path} needs {name}: neither build id nor hash of the board's is named")
    return sorted(faults)


def _unowned(manifest: Manifest, parts: Mapping[str, Any]) -> list[str]:
    """Return what a bill does not say of the files that were copied from the sysroot."""
    copies = sorted(file.path for file in manifest.files if file.origin.startswith("sysroot:"))
    owned = sorted(path for one in manifest.packages for path in one.files)
    faults = [f"{path}: nothing says what it came out of" for path in copies if path not in owned]
    faults += [f"{path}: came out of a package, and is no copy" for path in owned if path not in copies]
    faults += [f"{path}: came out of two packages" for path in sorted({one for one in owned if owned.count(one) > 1})]
    for one in manifest.packages:
        said = parts.get(f"package:{one.name}", {})
        if not said:
            faults.append(f"package {one.name}: no component")
        elif one.licence and said.get("licenses") != [{"expression": one.licence}]:
            faults.append(f"package {one.name}: its licence is not there")
    return faults


def _digest(component: Mapping[str, Any]) -> str:
    return next((str(one.get("content")) for one in component.get("hashes", ()) if one.get("alg") == "SHA-256"), "")

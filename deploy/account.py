"""Whether a bill of materials accounts for all of a bundle: its files, what they came out of, what they need. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from deploy.archive import Manifest

PREFIX = "boardcast:"
"""Of our property names in a bill."""


def from_board(manifest: Manifest) -> dict[str, str]:
    """Return SONAME to path of every library that a program of the bundle gets from the board."""
    named = {str(row["library"]): str(row["provider"]) for row in manifest.decisions if row["action"] == "use-board"}
    return named | {
        name: provider
        for closure in manifest.providers.values()
        for name, provider in closure.items()
        if not provider.startswith("bundle:")
    }


def references(manifest: Manifest, path: str, name: str) -> set[str]:
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
    faults += [f"{name}, from the board: no component" for name in from_board(manifest) if f"board:{name}" not in parts]
    for file in manifest.files:
        for name in file.needed:
            found = references(manifest, file.path, name)
            if not found:
                faults.append(f"{file.path} needs {name}: nobody is named who brings it")
            for ref in found - (edges.get(f"file:{file.path}", set()) & parts.keys()):
                faults.append(f"{file.path} needs {name}: {ref} is not named as its provider")
            for ref in (one for one in found & parts.keys() if one.startswith("board:")):
                if not _digest(parts[ref]) and f"{PREFIX}build-id" not in str(parts[ref].get("properties")):
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

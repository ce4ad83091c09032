"""The plan once more, from nothing but the proofs that a bundle carries. Pure: no Stage, no sysroot, no board.

Whoever gets a bundle can hold every decision in it against its own evidence; `bundle.verify` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from deploy.archive import Manifest
from deploy.decision import Action
from recipes.demand import Want

Row = Mapping[str, Any]


def against(proof: Row) -> list[str]:
    """Return what speaks against a board's copy by the facts in its proof, judged again."""
    found = [f"it lacks {name}" for name in proof["missing"]] + list(proof["faults"])
    listed = set(proof["symbols"])
    for symbol, (wanted, has) in proof["objects"].items():
        kind, _, size = str(has).partition(":")
        found += Want.parse(wanted).differences(symbol, kind, size)
        found += [] if symbol in listed else [f"{symbol} is described, and is not among its symbols"]
    return found


def decide(proofs: Iterable[Row], refused: Iterable[Row]) -> dict[str, Action]:
    """Return each library's action as it follows from the proofs."""
    actions: dict[str, Action] = {}
    for row in (*proofs, *refused):
        fails = bool(against(row))
        if not row["provider"]:
            actions[row["library"]] = Action.KEEP
        elif fails and not row["overridden"]:
            actions[row["library"]] = Action.KEEP_PRIVATE
        else:
            actions[row["library"]] = Action.USE_BOARD
    return actions


def differences(manifest: Manifest) -> list[str]:
    """Return where the decisions of a bundle are not those that its proofs lead to; empty where all are."""
    try:
        derived = decide(manifest.proofs, manifest.refused)
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

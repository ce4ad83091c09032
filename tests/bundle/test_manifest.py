"""One way to write a manifest: the same content is the same bytes, and rows are what decisions and proofs write."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from pydantic import ValidationError

from deploy.bundle.manifest import DecisionRow, Manifest, ProofRow
from deploy.dedupe.decision import Action, Decision
from recipes.arch import ARCHES
from recipes.elf import SymbolKind
from recipes.proof.demand import Demand, Want
from recipes.proof.result import WEAKER, Proof
from tests.support import bundles

PROOF = Proof(
    library="libz.so.1",
    provider="/usr/lib/libz.so.1.2.13",
    build_id="ab" * 20,
    symbols=("inflate", "z_errmsg@ZLIB_1.2"),
    missing=("deflate",),
    weaker=True,
    sha256="c" * 64,
    faults=("z_errmsg has 8 bytes, ours has 16",),
    nodes=("ZLIB_1.2",),
    objects={"z_errmsg@ZLIB_1.2": ("o:16:16", "o:8")},
    opened="/usr/lib/libz.so.1",
    earlier=("/usr/local/lib/libz.so.1",),
    range=">=1.2.9: the same build as the sysroot's",
    types="compatible: the debug information of both copies describes the same types",
    overridden="deflate is never called here",
)
DECISION = Decision(
    library="libz.so.1", action=Action.USE_BOARD, because="2 symbols checked", provider=PROOF.provider, size=90_000
)


def by_hand() -> dict[str, Any]:
    """Return a manifest as JSON has it, every part of it given, without a class of ours."""
    proof = {
        "library": "libz.so.1",
        "provider": "/usr/lib/libz.so.1.2.13",
        "opened": "/usr/lib/libz.so.1",
        "earlier": ["/usr/local/lib/libz.so.1"],
        "build_id": "ab" * 20,
        "sha256": "c" * 64,
        "symbols": ["inflate", "z_errmsg@ZLIB_1.2"],
        "nodes": ["ZLIB_1.2"],
        "objects": {"z_errmsg@ZLIB_1.2": ["o:16:16", "o:8"]},
        "missing": ["deflate"],
        "faults": ["z_errmsg has 8 bytes, ours has 16"],
        "range": ">=1.2.9: the same build as the sysroot's",
        "types": "compatible: the debug information of both copies describes the same types",
        "overridden": "deflate is never called here",
        "kind": WEAKER,
    }
    return {
        "schema_": 1,
        "board": "cam",
        "arch": "armv7",
        "machines": ["armv7l"],
        "root": "/opt/boardcast",
        "keep": 3,
        "stage_keys": {"app": "k"},
        "entries": ["bin/app"],
        "files": [
            {
                "path": "bin/app",
                "sha256": "d" * 64,
                "size": 12,
                "mode": 0o755,
                "origin": "recipe:app",
                "needed": ["libz.so.1"],
            }
        ],
        "decisions": [
            {
                "library": "libz.so.1",
                "action": "use-board",
                "because": "2 symbols checked",
                "provider": "/usr/lib/libz.so.1.2.13",
                "size": 90_000,
            }
        ],
        "proofs": [proof],
        "refused": [proof | {"library": "libé.so.1", "provider": "", "faults": ["board has none"]}],
        "providers": {"bin/app": {"libz.so.1": "/usr/lib/libz.so.1.2.13", "libé.so.1": "bundle:lib/libé.so.1"}},
        "notes": ["a note"],
        "loader": "/lib/ld-linux-armhf.so.3",
        "sources": [
            {
                "name": "app",
                "version": "1",
                "licence": "MIT",
                "pins": [{"name": "app", "version": "1", "url": "", "digest": "e" * 40}],
                "variants": ["small"],
                "patches": {"keep": "f" * 64},
            }
        ],
        "packages": [],
        "search": {"loader": "/lib/ld-linux-armhf.so.3", "directories": ["/lib", "/usr/lib"], "cache": "9" * 64},
        "build_ids": {"/usr/lib/libz.so.1.2.13": "ab" * 20},
        "sbom": "8" * 64,
        "licences": {"licences/app.txt": "7" * 64},
    }


def test_a_manifest_is_written_as_sorted_json_and_nothing_else() -> None:
    written = json.dumps(by_hand(), sort_keys=True, separators=(",", ":")).encode() + b"\n"
    assert Manifest.model_validate(by_hand()).canonical() == written
    assert Manifest.model_validate(json.loads(written)).canonical() == written


def test_the_id_of_known_content_never_changes() -> None:
    """A bundle that was made before must be read, and made again under the same id, by every later version."""
    assert bundles.manifest().identity == "c8053d5b14c41fbba6b5a000391526cb"


def test_rows_hold_field_for_field_what_decisions_and_proofs_write() -> None:
    assert set(DecisionRow.model_fields) == set(DECISION.as_dict())
    assert set(ProofRow.model_fields) == set(PROOF.as_dict())
    rows = Manifest.model_validate(
        by_hand() | {"decisions": (DecisionRow.of(DECISION),), "proofs": (ProofRow.of(PROOF),)}
    )
    assert rows.canonical() == Manifest.model_validate(by_hand()).canonical()


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Proof)])
def test_no_field_of_a_proof_is_lost_in_its_row(field: str) -> None:
    """Every fact of a proof changes the row, so it changes the bundle's id too."""
    plain = Proof(library="", provider="", build_id="", symbols=(), missing=(), weaker=False)
    changed = dataclasses.replace(plain, **{field: getattr(PROOF, field)})
    assert ProofRow.of(changed) != ProofRow.of(plain)


@pytest.mark.parametrize("field", list(DecisionRow.model_fields))
def test_a_row_without_one_of_its_fields_is_refused(field: str) -> None:
    with pytest.raises(ValidationError):
        DecisionRow.model_validate({name: value for name, value in DECISION.as_dict().items() if name != field})


def test_a_row_can_be_asked_for_what_the_proof_was_about() -> None:
    identity = ARCHES["armv7"].identity
    demand = Demand.recall(ProofRow.of(PROOF), identity)
    assert demand == Demand.recall(PROOF, identity)
    assert demand.wants == {
        ("inflate", ""): Want(),
        ("z_errmsg", "ZLIB_1.2"): Want(kind=SymbolKind.OBJECT, size="16", copied=("16",)),
    }
    with pytest.raises(ValueError, match="unpack"):
        Demand.recall(dataclasses.replace(PROOF, objects={"inflate": ("o", "o:8")}), identity)

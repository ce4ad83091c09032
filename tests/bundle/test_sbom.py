"""P-37: every file has one component, every DT_NEEDED somebody who brings it; what is missing is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.spdx import is_expression
from cyclonedx.validation.json import JsonStrictValidator

from deploy.bundle.audit import unaccounted
from deploy.bundle.manifest import BundleFile, Manifest, PackagedFiles
from deploy.bundle.sbom import licence_texts, make_sbom, source_recipes
from deploy.dedupe.decision import Action
from recipes.sources.lock import Lock, load_lock
from recipes.sources.patches import DistributionPatches
from recipes.sources.recipe import load_catalogue
from recipes.stage.manifest import StageManifest
from tests.support.facts import decision_row, proof_row

CURL = "pkg:github/curl/curl@" + "c" * 40
LOCK = Lock.model_validate(
    {
        "schema": 1,
        "archive": [
            {
                "name": "tls",
                "version": "3.0",
                "file": "tls.tar.gz",
                "sha256": "a" * 64,
                "url": "https://example.org/tls.tar.gz",
            }
        ],
        "repository": [
            {
                "name": "curl",
                "version": "8.1",
                "unit": "u",
                "url": "https://github.com/Curl/curl.git",
                "commit": "c" * 40,
            },
            {
                "name": "pic",
                "version": "1.0",
                "unit": "u",
                "url": "https://git.example.org/pic.git",
                "commit": "d" * 40,
            },
        ],
    }
)


X = PackagedFiles(
    kind="deb",
    name="libx1",
    version="1:1.2-3",
    arch="armhf",
    suite="bookworm",
    source="x 1.2-3",
    licence="MIT",
    digest="f" * 64,
    files=("lib/libx.so.1",),
)


def staged() -> StageManifest:
    common: dict[str, Any] = {"key": "k", "parts": {}, "outputs": {}, "licence": "MIT"}
    recipes = [
        {"name": "app", "version": "1", "source": "path:src", **common},
        {"name": "tls", "version": "3.0", "source": "tls", "pins": {"tls": "b" * 64}, **common},
        {
            "name": "sdk",
            "version": "8",
            "source": "curl",
            "pins": {"aaa": "e" * 40, "curl": "c" * 40, "pic": "d" * 40},
            "patches": {"keep": "f" * 64},
            "variants": ["small"],
            **common,
        },
    ]
    rest = {"arch": "armv7", "sysroot": "s", "sysroot_fingerprint": "f", "image": "i", "resolution": [], "files": []}
    return StageManifest.model_validate({"schema": 1, "recipes": recipes, **rest})


def manifest(**changes: Any) -> Manifest:
    files: list[dict[str, Any]] = [
        {"path": "bin/app", "needed": ("libx.so.1", "libc.so.6"), "origin": "recipe:app"},
        {"path": "lib/libx.so.1", "needed": ("libc.so.6",), "origin": "sysroot:deb:/usr/lib/libx.so.1.2"},
        {"path": "run/app"},
    ]
    values: dict[str, Any] = {
        "schema_": 1,
        "board": "cam",
        "arch": "armv7",
        "machines": ("armv7l",),
        "root": "/opt/boardcast",
        "keep": 3,
        "stage_keys": {},
        "entries": ("bin/app",),
        "files": [
            BundleFile.model_validate({"sha256": f"{number:064x}", "size": 1, "mode": 0o755, **one})
            for number, one in enumerate(files)
        ],
        "decisions": [
            decision_row("libc.so.6", Action.USE_BOARD, "/lib/libc.so.6"),
            decision_row("libdl.so.2", Action.USE_BOARD, "/lib/libdl.so.2"),
            decision_row("libx.so.1", Action.KEEP, "bundle:lib/libx.so.1"),
        ],
        "proofs": [proof_row("libc.so.6", "/lib/libc.so.6", build_id="ab12")],
        "providers": {
            "bin/app": {
                "libx.so.1": "bundle:lib/libx.so.1",
                "libc.so.6": "/lib/libc.so.6",
                "ld.so.3": "/lib/ld.so.3",
            }
        },
        "notes": (),
        "sources": source_recipes(staged(), LOCK),
        "packages": (X,),
        "build_ids": {"/lib/libc.so.6": "ab12", "/lib/ld.so.3": "", "/lib/libdl.so.2": "cd34"},
        "licences": {"licences/app.txt": "9" * 64},
    }
    return Manifest.model_validate(values | changes)


def parts(bill: bytes) -> dict[str, Any]:
    return {one["bom-ref"]: one for one in json.loads(bill)["components"]}


def test_everything_is_accounted_for() -> None:
    bill = make_sbom(manifest())
    found = parts(bill)
    assert sorted(found) == [
        *("board:ld.so.3", "board:libc.so.6", "board:libdl.so.2"),
        *("file:bin/app", "file:lib/libx.so.1", "file:licences/app.txt", "file:run/app"),
        *("package:libx1", "recipe:app", "recipe:sdk", "recipe:tls"),
    ]
    edges = {one["ref"]: one.get("dependsOn", []) for one in json.loads(bill)["dependencies"]}
    assert edges["file:bin/app"] == ["board:libc.so.6", "file:lib/libx.so.1"]
    assert edges["file:lib/libx.so.1"] == ["board:libc.so.6"]
    assert unaccounted(manifest(), bill) == []


def test_a_board_library_is_named_by_build_id_and_hash_and_marked_as_not_ours() -> None:
    found = parts(make_sbom(manifest()))["board:libc.so.6"]
    assert found["description"] == "provided by board, build id ab12"
    assert found["isExternal"] is True
    assert found["hashes"] == [{"alg": "SHA-256", "content": "c" * 64}]
    assert {"name": "boardcast:path", "value": "/lib/libc.so.6"} in found["properties"]


def test_a_copy_from_the_sysroot_names_its_package_and_licence() -> None:
    found = parts(make_sbom(manifest()))
    package = found["package:libx1"]
    assert package["purl"] == "pkg:deb/debian/libx1@1:1.2-3?arch=armhf&distro=debian-12&upstream=x%401.2-3"
    assert package["licenses"] == [{"expression": "MIT"}]
    assert package["hashes"] == [{"alg": "SHA-256", "content": "f" * 64}]
    assert {"name": "boardcast:source", "value": "x 1.2-3"} in package["properties"]
    assert {"name": "boardcast:package", "value": "libx1"} in found["file:lib/libx.so.1"]["properties"]


@pytest.mark.parametrize(
    ("packages", "fault"),
    [
        ((), "lib/libx.so.1: nothing says what it came out of"),
        ((X, X.model_copy(update={"name": "other"})), "lib/libx.so.1: came out of two packages"),
        ((X.model_copy(update={"files": ("lib/libx.so.1", "bin/app")}),), "bin/app: came out of a package, and is no"),
    ],
)
def test_every_copy_has_one_package_and_nothing_else_has(packages: tuple[PackagedFiles, ...], fault: str) -> None:
    changed = manifest(packages=packages)
    assert [one for one in unaccounted(changed, make_sbom(changed)) if one.startswith(fault)]


def test_recipes_name_their_sources_as_they_were_built_and_not_as_the_lock_has_them_now() -> None:
    found = parts(make_sbom(manifest()))
    assert found["recipe:sdk"]["purl"] == CURL
    assert [one["url"] for one in found["recipe:sdk"]["externalReferences"]] == [
        "https://git.example.org/pic.git",
        "https://github.com/Curl/curl.git",
    ]
    assert found["recipe:tls"]["externalReferences"][0]["hashes"][0]["content"] == "b" * 64
    assert f"checksum=sha256:{'b' * 64}" in found["recipe:tls"]["purl"]
    assert "purl" not in found["recipe:app"], "its source is this project's own"
    assert [pin.name for pin in manifest().sources[2].pins] == ["curl", "aaa", "pic"]
    assert {one["licenses"][0]["expression"] for ref, one in found.items() if ref.startswith("recipe:")} == {"MIT"}


def test_the_same_manifest_has_the_same_bill_without_any_time() -> None:
    bill = make_sbom(manifest())
    assert bill == make_sbom(manifest())
    assert b"timestamp" not in bill
    assert json.loads(bill)["specVersion"] == "1.7"
    other = json.loads(make_sbom(manifest(board="other")))
    assert other["serialNumber"] != json.loads(bill)["serialNumber"]
    assert json.loads(make_sbom(manifest(sbom="1" * 64)))["serialNumber"] == json.loads(bill)["serialNumber"]


def drop(ref: str) -> Callable[[dict[str, Any]], None]:
    def change(bill: dict[str, Any]) -> None:
        bill["components"] = [one for one in bill["components"] if one["bom-ref"] != ref]

    return change


def add(bill: dict[str, Any]) -> None:
    bill["components"].append({"bom-ref": "file:bin/more", "name": "bin/more", "type": "file"})


def twice(bill: dict[str, Any]) -> None:
    bill["components"].append(bill["components"][0])


def other_hash(bill: dict[str, Any]) -> None:
    for one in bill["components"]:
        if one["bom-ref"] == "file:run/app":
            one["hashes"][0]["content"] = "0" * 64


def no_edge(bill: dict[str, Any]) -> None:
    for one in bill["dependencies"]:
        if one["ref"] == "file:lib/libx.so.1":
            del one["dependsOn"]


def unlicensed(bill: dict[str, Any]) -> None:
    for one in bill["components"]:
        if one["bom-ref"] == "package:libx1":
            del one["licenses"]


def anonymous(bill: dict[str, Any]) -> None:
    for one in bill["components"]:
        if one["bom-ref"] == "board:libc.so.6":
            del one["hashes"], one["properties"]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (drop("file:run/app"), "file:run/app: no component"),
        (drop("file:licences/app.txt"), "file:licences/app.txt: no component"),
        (drop("recipe:tls"), "recipe tls: no component"),
        (drop("package:libx1"), "package libx1: no component"),
        (unlicensed, "package libx1: its licence is not there"),
        (drop("board:ld.so.3"), "ld.so.3, from the board: no component"),
        (drop("board:libc.so.6"), "bin/app needs libc.so.6: board:libc.so.6 is not named"),
        (add, "file:bin/more: a component, and no file of the bundle"),
        (twice, "two components have the same name"),
        (other_hash, "file:run/app: no component of this content"),
        (no_edge, "lib/libx.so.1 needs libc.so.6: board:libc.so.6 is not named as its provider"),
        (anonymous, "neither build id nor hash"),
        (lambda bill: bill.pop("dependencies"), "this is no bill of materials"),
    ],
)
def test_each_gap_is_found(change: Callable[[dict[str, Any]], None], fault: str) -> None:
    bill = json.loads(make_sbom(manifest()))
    change(bill)
    found = unaccounted(manifest(), json.dumps(bill).encode())
    assert any(one.startswith(fault) or fault in one for one in found), found


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff", b'{"components": 1, "dependencies": []}'])
def test_what_is_no_bill_is_told_so(text: bytes) -> None:
    assert unaccounted(manifest(), text)[0].startswith("this is no bill of materials")


def test_a_library_that_nobody_brings_is_found() -> None:
    files = [
        *manifest().files,
        BundleFile(path="lib/liby.so", sha256="7" * 64, size=1, mode=0o755, needed=("libz.so",)),
    ]
    changed = manifest(files=files)
    assert unaccounted(changed, make_sbom(changed)) == ["lib/liby.so needs libz.so: nobody is named who brings it"]


def test_licence_files_state_expression_source_and_upstreams_own_text() -> None:
    notices = {"tls": b"Copyright The Authors\n", "stage": b"Apache\n", "packages/libx1": b"Copyright X\n"}
    texts = licence_texts(manifest(), notices)
    assert sorted(texts) == [f"licences/{name}.txt" for name in ("app", "packages/libx1", "sdk", "stage", "tls")]
    assert texts["licences/packages/libx1.txt"].decode().splitlines() == [
        f"deb libx1 1:1.2-3 armhf bookworm {'f' * 64}",
        "SPDX-License-Identifier: MIT",
        "Source: x 1.2-3",
        "",
        "Copyright X",
    ]
    assert texts["licences/tls.txt"].decode().splitlines() == [
        "tls 3.0",
        "SPDX-License-Identifier: MIT",
        f"Source: tls {'b' * 64} https://example.org/tls.tar.gz",
        "",
        "Copyright The Authors",
    ]
    assert f"Changed by: keep {'f' * 64}" in texts["licences/sdk.txt"].decode()
    assert texts["licences/stage.txt"] == b"Apache\n"


def test_every_recipe_of_the_catalogue_states_a_valid_spdx_expression() -> None:
    found = {name: recipe.licence for name, recipe in load_catalogue().items()}
    assert len(found) > 5
    assert not {name: licence for name, licence in found.items() if not is_expression(licence)}


def test_every_source_of_the_lock_has_a_place_in_a_bill() -> None:
    pins = load_lock()
    for pin in pins.pins:
        common: dict[str, Any] = {"key": "k", "parts": {}, "outputs": {}, "licence": "MIT", "version": pin.version}
        recipe = {"name": pin.name, "source": pin.name, "pins": {pin.name: pin.pinned}, **common}
        one = StageManifest.model_validate(staged().model_dump(by_alias=True) | {"recipes": [recipe]})
        bill = make_sbom(manifest(sources=source_recipes(one, pins)))
        assert pin.pinned in parts(bill)[f"recipe:{pin.name}"]["purl"]


PATCHED = DistributionPatches.model_validate(
    {
        "package": "libtls",
        "suite": "trixie",
        "version": "3.0-1+deb13u2",
        "sha256": "5" * 64,
        "patches": [
            {"name": "fix.patch", "sha256": "6" * 64, "cves": ["CVE-2026-0001", "CVE-2026-0002"]},
            {"name": "targets.patch", "sha256": "7" * 64},
        ],
        "without": [{"patch": "gnutls.patch", "because": "another TLS"}],
    }
)


def patched(distribution: DistributionPatches | None = PATCHED) -> Manifest:
    app, tls, sdk = manifest().sources
    return manifest(sources=(app, tls.model_copy(update={"distribution": distribution}), sdk))


def test_the_distributions_patches_are_the_pedigree_with_what_each_fixes() -> None:
    found = parts(make_sbom(patched()))["recipe:tls"]
    assert (found["name"], found["version"]) == ("libtls", "3.0-1+deb13u2")
    assert found["purl"] == "pkg:deb/debian/libtls@3.0-1%2Bdeb13u2?arch=source&distro=debian-13"
    first, second = found["pedigree"]["patches"]
    assert {one["id"] for one in first["resolves"]} == {"CVE-2026-0001", "CVE-2026-0002"}
    assert {one["type"] for one in first["resolves"]} == {"security"}
    assert (first["type"], second["type"]) == ("backport", "unofficial")
    assert first["diff"]["url"] == "libtls_3.0-1+deb13u2.debian.tar.xz#debian/patches/fix.patch"
    assert "resolves" not in second
    (upstream,) = found["pedigree"]["ancestors"]
    assert (upstream["name"], upstream["version"]) == ("tls", "3.0")
    assert f"checksum=sha256:{'b' * 64}" in upstream["purl"]
    assert {"name": "boardcast:left-out:gnutls.patch", "value": "another TLS"} in found["properties"]
    assert {"name": "boardcast:source-patch:fix.patch", "value": "6" * 64} in found["properties"]
    assert f"Changed by: fix.patch {'6' * 64}" in licence_texts(patched(), {})["licences/tls.txt"].decode()
    assert unaccounted(patched(), make_sbom(patched())) == []


@pytest.mark.parametrize("gone", ["fix.patch", "CVE-2026-0002"])
def test_a_bill_that_leaves_a_patch_out_is_found(gone: str) -> None:
    bill = make_sbom(patched()).replace(gone.encode(), b"other")
    assert "recipe tls: fix.patch, which it was built with, is not named" in unaccounted(patched(), bill)


def test_a_manifest_without_such_patches_is_written_as_before() -> None:
    assert b"distribution" not in manifest().canonical()
    assert Manifest.model_validate_json(patched().canonical()).canonical() == patched().canonical()


@pytest.mark.parametrize("made", [manifest, patched])
def test_the_bill_is_one_by_cyclonedxs_own_schema(made: Callable[[], Manifest]) -> None:
    """https://github.com/CycloneDX/specification/tree/master/schema, as the library of the format carries it."""
    check = JsonStrictValidator(SchemaVersion.V1_7)
    bill = make_sbom(made())
    assert check.validate_str(bill.decode()) is None
    wrong = json.loads(bill)
    wrong["components"][0]["kind"] = "of no meaning there"
    assert check.validate_str(json.dumps(wrong)) is not None

"""Why a library is where it is, what a bundle weighs, and what changed between two."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from deploy.bundle.manifest import BundleFile, Manifest, PackagedFiles, SourceRecipe
from deploy.dedupe.decision import Action, Decision, DedupePlan, Payload
from deploy.reports.bundle_diff import bundle_differences
from deploy.reports.explain import explain_library
from deploy.reports.sizes import check_budget, measure_sizes, parse_size, section_kinds
from deploy.reports.svg import draw_sizes
from recipes.arch import ARCHES
from recipes.elf.sections import section_sizes
from recipes.errors import ConfigError, ProofError
from recipes.rootfs.origin import Origin
from recipes.sources.patches import DistributionPatches
from tests.support.facts import decision_row, elf, index, proof_row

ARM = ARCHES["armv7"]
CURL = elf("libcurl.so.4", needed=("libcrypto.so.3",))
CRYPTO = elf("libcrypto.so.3")
OURS = elf("libwebsockets.so.19", needed=("libcrypto.so.3",))
PLAN = DedupePlan(
    decisions=(
        Decision(
            library="libcrypto.so.3", action=Action.USE_BOARD, because="63 symbols", provider="/usr/lib/x", size=900
        ),
        Decision(library="libwebsockets.so.19", action=Action.KEEP, because="board has none", provider="b", size=500),
    ),
    proofs=(),
    payload=(
        Payload(
            path="bin/app", origin=Origin.stage("bin/app"), elf=elf(needed=("libwebsockets.so.19", "libcurl.so.4"))
        ),
        Payload(path="lib/libwebsockets.so.19", origin=Origin.stage("lib/x"), elf=OURS),
    ),
)


def test_the_chain_says_who_needs_it_where_it_was_looked_for_and_who_has_it() -> None:
    (answer,) = explain_library("libcrypto", PLAN, index(CURL, CRYPTO), ARM)
    assert (answer.library, answer.action) == ("libcrypto.so.3", "use-board")
    ((entry, links),) = answer.chains
    assert entry == "bin/app"
    assert [(link.name, link.provider) for link in links] == [
        ("libwebsockets.so.19", "bundle:lib/libwebsockets.so.19"),
        ("libcrypto.so.3", "/usr/lib/libcrypto.so.3"),
    ]
    assert links[1].tried == ("bundle:lib", "/usr/lib")


def test_what_only_the_board_needs_is_told_so() -> None:
    (answer,) = explain_library("libcurl.so.4", replace(PLAN, decisions=()), index(CURL, CRYPTO), ARM)
    assert answer.because == "only libraries of the board need it"


def test_a_library_that_nothing_gets_to_is_an_error_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="no library 'libcrypt'") as caught:
        explain_library("libcrypt", PLAN, index(CURL, CRYPTO), ARM)
    assert "did you mean 'libcrypto'?" in caught.value.why


def test_sizes_add_up_and_a_budget_names_the_three_largest() -> None:
    contents = {f"lib/lib{number}.so": bytes(1000 * number) for number in range(1, 6)}
    report = measure_sizes(contents, {}, PLAN)
    assert report.raw == 15_000
    assert report.saved == 900
    assert report.naive == 15_900
    check_budget(report, 15_000)
    with pytest.raises(ProofError, match="1 more than its budget") as caught:
        check_budget(report, 14_999)
    assert caught.value.why == "largest: lib/lib5.so 5,000, lib/lib4.so 4,000, lib/lib3.so 3,000"


@pytest.mark.parametrize(("text", "size"), [("6MiB", 6 << 20), ("1.5 KiB", 1536), ("42", 42), ("1kB", 1000)])
def test_a_size_is_read_as_people_write_it(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "6 mib", "-1", "6MiB more"])
def test_what_is_no_size_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match="is no size"):
        parse_size(text)


def test_the_picture_is_well_formed_and_names_every_file_and_the_rest() -> None:
    contents = {f"lib/lib<{number}>&.so": bytes(1000 * number) for number in range(1, 40)}
    drawn = ET.fromstring(draw_sizes(measure_sizes(contents, {}, PLAN), "a & b"))
    texts = [node.text or "" for node in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert "lib/lib<39>&.so" in texts
    assert "15 smaller files" in texts
    assert any(text.startswith("761.7 KiB travel") for text in texts)


def test_sections_are_read_from_a_real_file_and_nothing_from_another() -> None:
    with open("/proc/self/exe", "rb") as file:  # noqa: PTH123 - the running Python is ELF
        found = section_sizes(file.read())
    assert ".text" in {name for name, _, _ in found}
    parts = section_kinds(found)
    assert parts["code"] > 0
    for data in (b"", b"\x7fELF", b"text", b"\x7fELF" + bytes(60)):
        assert section_sizes(data) == []


def manifest(**changes: object) -> Manifest:
    base: dict[str, object] = {
        "schema_": 1,
        "board": "b",
        "arch": "armv7",
        "machines": (),
        "root": "/r",
        "keep": 3,
        "stage_keys": {"curl": "1"},
        "entries": (),
        "files": (BundleFile(path="bin/app", sha256="0" * 64, size=10, mode=0o755),),
        "decisions": (decision_row("libz.so.1", Action.KEEP, "bundle:lib/libz.so.1"),),
        "proofs": (proof_row("libc.so.6", "/lib/libc.so.6", symbols=["open@GLIBC_2.4"]),),
        "providers": {},
        "notes": (),
    }
    return Manifest.model_validate(base | changes)


def test_the_same_content_has_no_differences() -> None:
    assert bundle_differences(manifest(), manifest()) == []


def test_files_decisions_symbols_and_recipes_that_changed_are_told() -> None:
    new = manifest(
        stage_keys={"curl": "2", "webrtc": "3"},
        files=(
            BundleFile(path="bin/app", sha256="1" * 64, size=25, mode=0o755),
            BundleFile(path="bin/new", sha256="2" * 64, size=5, mode=0o755),
        ),
        decisions=(decision_row("libz.so.1", Action.USE_BOARD, "/lib/libz.so.1"),),
        proofs=(proof_row("libc.so.6", "/lib/libc.so.6", symbols=["open@GLIBC_2.4", "stat@GLIBC_2.33"]),),
    )
    assert bundle_differences(manifest(), new) == [
        ("file", "bin/app", "other content, +15 bytes"),
        ("file", "bin/new", "new, 5 bytes"),
        ("decision", "libz.so.1", "keep → use-board"),
        ("symbols", "libc.so.6", "+stat@GLIBC_2.33"),
        ("recipe", "curl", "built from something else"),
        ("recipe", "webrtc", "new"),
    ]


def test_versions_and_licences_that_changed_are_told() -> None:
    old = manifest(sources=(SourceRecipe(name="curl", version="8.5", licence="curl"),))
    new = manifest(
        sources=(
            SourceRecipe(name="curl", version="8.6", licence="curl"),
            SourceRecipe(name="x264", version="1", licence="GPL-2.0-or-later"),
        )
    )
    assert bundle_differences(old, new) == [
        ("version", "curl", "8.5 → 8.6"),
        ("version", "x264", "- → 1"),
        ("licence", "x264", "- → GPL-2.0-or-later"),
    ]


def test_a_later_patch_level_is_told_with_what_it_fixes() -> None:
    """Upstream's version is the same: without this nobody would see that a bundle is a security update."""

    def curl(revision: str, *cves: str) -> SourceRecipe:
        patches = [{"name": f"{cve}.patch", "sha256": "1" * 64, "cves": [cve]} for cve in cves]
        facts = {"package": "curl", "suite": "trixie", "version": revision, "sha256": "2" * 64, "patches": patches}
        return SourceRecipe(
            name="curl", version="8.14.1", licence="curl", distribution=DistributionPatches.model_validate(facts)
        )

    old, new = curl("8.14.1-2+deb13u5", "CVE-2026-0001"), curl("8.14.1-2+deb13u7", "CVE-2026-0001", "CVE-2026-0002")
    assert bundle_differences(manifest(sources=(old,)), manifest(sources=(new,))) == [
        ("version", "curl", "8.14.1-2+deb13u5 → 8.14.1-2+deb13u7"),
        ("patches", "curl", "+CVE-2026-0002"),
    ]
    assert ("patches", "curl", "-CVE-2026-0002") in bundle_differences(
        manifest(sources=(new,)), manifest(sources=(old,))
    )


def test_a_package_that_copies_came_out_of_is_told_beside_a_recipe_of_its_name() -> None:
    package = PackagedFiles(kind="deb", name="curl", version="7.88.1-10", arch="armhf", licence="curl")
    recipe = (SourceRecipe(name="curl", version="8.5", licence="curl"),)
    old = manifest(sources=recipe, packages=(package,))
    new = manifest(sources=recipe, packages=(package.model_copy(update={"version": "7.88.1-11"}),))
    assert bundle_differences(old, new) == [("version", "package curl", "7.88.1-10 → 7.88.1-11")]
    assert bundle_differences(old, manifest(sources=recipe)) == [
        ("version", "package curl", "7.88.1-10 → -"),
        ("licence", "package curl", "curl → -"),
    ]

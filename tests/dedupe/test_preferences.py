"""What a board's file says of single libraries: each preference by its name, and a proof that is overridden."""

from __future__ import annotations

import pytest

from deploy.boards.board import BoardFile
from deploy.bundle.audit import derive_actions
from deploy.bundle.manifest import ProofRow
from deploy.dedupe.decision import Action, DedupePlan
from deploy.dedupe.plan import plan_dedupe
from deploy.dedupe.preferences import Prefer, Preference, Preferences
from recipes.arch import ARCHES
from recipes.elf import ElfFile
from recipes.errors import ConfigError, ProofError
from recipes.rootfs.index import Index
from tests.support.facts import elf, index, stage

LIBC = elf("libc.so.6", exports="puts@@GLIBC_2.4")
OURS = elf("libz.so.1", exports="inflate deflate")
APP = elf(needed=("libz.so.1", "libc.so.6"), imports="inflate deflate puts@libc.so.6:GLIBC_2.4")
POOR = elf("libz.so.1", exports="inflate")


def decide(
    board: Index,
    rule: Preference | None = None,
    *,
    i_know: str = "",
    name: str = "libz.so.1",
    ranges: dict[str, str] | None = None,
    sysroot: Index | None = None,
) -> DedupePlan:
    staged, facts = stage({"bin/app": APP, "lib/libz.so.1": OURS})
    preferences = Preferences(rules={name: rule} if rule else {}, i_know=i_know, ranges=ranges or {})
    return plan_dedupe(staged, facts, sysroot or index(LIBC), board, ARCHES["armv7"], preferences)


def row(plan: DedupePlan) -> tuple[Action, str]:
    return next((one.action, one.because) for one in plan.decisions if one.library == "libz.so.1")


def test_prefer_bundle_takes_ours_and_says_why() -> None:
    rule = Preference(prefer=Prefer.BUNDLE, because="the vendor patched theirs")
    action, because = row(decide(index(LIBC, OURS), rule))
    assert action is Action.KEEP_PRIVATE
    assert "the vendor patched theirs" in because


def test_prefer_board_shows_its_reason_where_the_proof_holds() -> None:
    rule = Preference(prefer=Prefer.BOARD, because="flash is short")
    action, because = row(decide(index(LIBC, OURS), rule, name="libz"))
    assert action is Action.USE_BOARD
    assert "flash is short" in because


@pytest.mark.parametrize("prefer", [Prefer.BOARD, Prefer.NEVER])
def test_prefer_board_and_never_stop_where_the_proof_fails(prefer: Prefer) -> None:
    with pytest.raises(ProofError, match=r"libz\.so\.1 is unsuitable") as caught:
        decide(index(LIBC, POOR), Preference(prefer=prefer, because="flash is short"))
    assert "deflate" in caught.value.why
    assert "flash is short" in caught.value.why
    assert "--i-know" in caught.value.next_step


def test_i_know_overrides_a_failed_proof_and_is_written_down() -> None:
    rule = Preference(prefer=Prefer.BOARD, because="flash is short")
    plan = decide(index(LIBC, POOR), rule, i_know="deflate is never called here")
    action, because = row(plan)
    assert action is Action.USE_BOARD
    assert "deflate is never called here" in because
    proof = next(one for one in plan.proofs if one.library == "libz.so.1")
    assert proof.missing == ("deflate",)
    assert proof.overridden == "deflate is never called here"
    assert any("deflate is never called here" in note for note in plan.notes)
    again = derive_actions(map(ProofRow.of, plan.proofs), map(ProofRow.of, plan.refused))
    assert again["libz.so.1"] is Action.USE_BOARD


def test_i_know_makes_no_library_where_there_is_none() -> None:
    with pytest.raises(ProofError):
        decide(index(LIBC), Preference(prefer=Prefer.BOARD, because="flash is short"), i_know="it will be there")


def test_i_know_does_not_replace_the_c_library_or_another_soname() -> None:
    newer = elf(needed=("libc.so.6",), imports="strlcpy@libc.so.6:GLIBC_2.38")
    staged, facts = stage({"bin/app": newer})
    with pytest.raises(ProofError, match="never bundled"):
        plan_dedupe(staged, facts, index(LIBC), index(LIBC), ARCHES["armv7"], Preferences(i_know="it starts here"))
    other = elf("libz.so.2", exports="inflate deflate")
    with pytest.raises(ProofError, match="is unsuitable"):
        decide(index(LIBC, other), Preference(prefer=Prefer.BOARD, because="flash is short"), i_know="it is the same")


def test_i_know_does_not_touch_what_may_travel() -> None:
    assert row(decide(index(LIBC, POOR), i_know="whatever"))[0] is Action.KEEP_PRIVATE


def test_pin_takes_one_build_of_the_boards_and_ours_beside_any_other() -> None:
    pinned = Preference(prefer=Prefer.PIN, because="tested in the lab", build_id=OURS.build_id[:12])
    other = Preference(prefer=Prefer.PIN, because="tested in the lab", build_id="f" * 12)
    assert row(decide(index(LIBC, OURS), pinned))[0] is Action.USE_BOARD
    action, because = row(decide(index(LIBC, OURS), other))
    assert action is Action.KEEP_PRIVATE
    assert "tested in the lab" in because


@pytest.mark.parametrize("name", ["libc.so.6", "libc"])
@pytest.mark.parametrize("prefer", [Prefer.BUNDLE, Prefer.PIN])
def test_no_rule_makes_the_c_library_travel(name: str, prefer: Prefer) -> None:
    rule = Preference(prefer=prefer, because="I want mine", build_id="f" * 12 if prefer is Prefer.PIN else "")
    with pytest.raises(ConfigError, match="a rule that can never act") as caught:
        decide(index(LIBC, OURS), rule, name=name)
    assert "libc" in caught.value.why
    assert "a process has one C library" in caught.value.why


def test_a_rule_for_gstreamer_by_its_plain_name_can_never_act_either() -> None:
    glib = elf("libglib-2.0.so.0", exports="g_free")
    staged, facts = stage({"bin/app": elf(needed=("libglib-2.0.so.0",), imports="g_free")})
    rules = {"libglib": Preference(prefer=Prefer.BUNDLE, because="ours is newer"), "libgstapp-1.0.so.0": APPS}
    with pytest.raises(ConfigError, match="2 rules that can never act"):
        plan_dedupe(staged, facts, index(glib), index(LIBC, glib), ARCHES["armv7"], Preferences(rules=rules))


APPS = Preference(prefer=Prefer.BUNDLE, because="ours is newer")


@pytest.mark.parametrize(
    ("name", "prefer", "says"),
    [
        ("libvz", Prefer.BUNDLE, "[dedupe.libvz]: no library of this plan has that name; did you mean libz?"),
        (
            "libz.so.2",
            Prefer.BOARD,
            '[dedupe."libz.so.2"]: no library of this plan has that name; did you mean libz.so.1?',
        ),
        ("libc", Prefer.BOARD, "[dedupe.libc] says board, which is so in any case: a process has one C library"),
        ("libpthread.so.0", Prefer.NEVER, "which is so in any case: a process has one C library"),
        ("libgstapp-1.0", Prefer.NEVER, "which is so in any case: GStreamer's types"),
        ("libfarfetched", Prefer.NEVER, "[dedupe.libfarfetched]: no library of this plan has that name"),
    ],
)
def test_a_rule_that_decides_nothing_is_a_fault(name: str, prefer: Prefer, says: str) -> None:
    with pytest.raises(ConfigError, match="a rule that can never act") as caught:
        decide(index(LIBC, OURS), Preference(prefer=prefer, because="the vendor patched theirs"), name=name)
    assert says in caught.value.why


def test_a_rule_by_a_name_without_its_version_decides() -> None:
    rule = Preference(prefer=Prefer.BUNDLE, because="the vendor patched theirs")
    assert row(decide(index(LIBC, OURS), rule, name="libz"))[0] is Action.KEEP_PRIVATE


def test_a_board_with_an_older_openssl_than_the_headers_is_told_in_the_table() -> None:
    """Its symbols suffice, so it is used: built was 3.5.7, the board has 3.0.20."""
    exports = "SSL_new@@OPENSSL_3.0.0 SSL_a@@OPENSSL_3.0.9"
    newer = elf("libssl.so.3", exports=f"{exports} SSL_b@@OPENSSL_3.4.0 SSL_c@@OPENSSL_3.5.0")
    older = elf("libssl.so.3", exports=exports)
    app = elf(needed=("libssl.so.3",), imports="SSL_new@libssl.so.3:OPENSSL_3.0.0")
    staged, facts = stage({"bin/app": app, "lib/libssl.so.3": newer})
    for board, says in ((older, True), (newer, False)):
        (decision,) = plan_dedupe(staged, facts, index(LIBC), index(LIBC, board), ARCHES["armv7"]).decisions
        assert decision.action is Action.USE_BOARD
        told = "older than the headers compiled against (OPENSSL_3.0.9, theirs is OPENSSL_3.5.0)" in decision.because
        assert told is says


def test_the_plan_is_the_same_from_the_proofs_alone() -> None:
    extra = elf("libextra.so.1", exports="more")
    app = elf(
        needed=("libz.so.1", "libextra.so.1", "libc.so.6"), imports="inflate deflate more puts@libc.so.6:GLIBC_2.4"
    )
    staged, facts = stage({"bin/app": app, "lib/libz.so.1": OURS, "lib/libextra.so.1": extra})
    plan = plan_dedupe(staged, facts, index(LIBC), index(LIBC, POOR), ARCHES["armv7"])
    again = derive_actions(map(ProofRow.of, plan.proofs), map(ProofRow.of, plan.refused))
    written = {one.library: one.action for one in plan.decisions if one.library in again}
    assert again == written
    assert set(again.values()) == {Action.USE_BOARD, Action.KEEP_PRIVATE, Action.KEEP}


def twice(first: ElfFile, second: ElfFile, digests: tuple[str, str]) -> DedupePlan:
    staged, facts = stage({"bin/app": APP, "lib/libz.so.1": first, "lib/private/libz.so.1": second})
    listed = {"lib/libz.so.1": digests[0], "lib/private/libz.so.1": digests[1]}
    files = tuple(one.model_copy(update={"sha256": listed.get(one.path, one.sha256)}) for one in staged.manifest.files)
    staged = type(staged)(folder=staged.folder, manifest=staged.manifest.model_copy(update={"files": files}))
    return plan_dedupe(staged, facts, index(LIBC), index(LIBC), ARCHES["armv7"])


def test_merge_two_of_the_same() -> None:
    plan = twice(OURS, OURS, ("a" * 64, "a" * 64))
    merged = [one for one in plan.decisions if one.action is Action.MERGE]
    assert [(one.library, one.size) for one in merged] == [("libz.so.1", OURS.size)]
    assert [one.path for one in plan.payload] == ["bin/app", "lib/libz.so.1"]


def test_conflict_names_both() -> None:
    with pytest.raises(ProofError, match="conflict") as caught:
        twice(OURS, POOR, ("a" * 64, "b" * 64))
    assert "lib/libz.so.1" in caught.value.why
    assert "lib/private/libz.so.1" in caught.value.why


@pytest.mark.parametrize(
    "rule",
    [
        {"prefer": "bundle"},
        {"prefer": "bundle", "because": ""},
        {"prefer": "pin", "because": "tested"},
        {"prefer": "board", "because": "short", "build_id": "ab" * 10},
        {"prefer": "sometimes", "because": "who knows"},
    ],
)
def test_a_rule_without_a_reason_or_half_a_pin_is_refused(rule: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="dedupe"):
        BoardFile.model_validate(
            {"schema": 1, "arch": "armv7", "sysroot": "s", "recipes": ["app"], "dedupe": {"libz.so.1": rule}}
        )


ASKED = {"libz.so.1": ">=1.2.9"}


def test_names_alone_do_not_do_where_a_recipe_asks_for_versions() -> None:
    action, because = row(decide(index(LIBC, OURS), ranges=ASKED))
    assert action is Action.KEEP_PRIVATE
    assert ">=1.2.9" in because


def test_the_same_build_as_the_sysroots_is_in_its_range() -> None:
    plan = decide(index(LIBC, OURS), ranges=ASKED, sysroot=index(LIBC, OURS))
    assert row(plan)[0] is Action.USE_BOARD
    assert next(one.range for one in plan.proofs if one.library == "libz.so.1").startswith(">=1.2.9: the same build")


def test_a_pinned_build_is_vouched_for() -> None:
    rule = Preference(prefer=Prefer.PIN, because="1.2.13 of the vendor", build_id=OURS.build_id)
    assert row(decide(index(LIBC, OURS), rule, ranges=ASKED))[0] is Action.USE_BOARD


def test_version_nodes_need_no_range() -> None:
    ours, theirs = (elf("libz.so.1", exports="inflate@@Z1 deflate@@Z1") for _ in range(2))
    app = elf(needed=("libz.so.1", "libc.so.6"), imports="inflate@libz.so.1:Z1 deflate@libz.so.1:Z1")
    staged, facts = stage({"bin/app": app, "lib/libz.so.1": ours})
    plan = plan_dedupe(staged, facts, index(LIBC), index(LIBC, theirs), ARCHES["armv7"], Preferences(ranges=ASKED))
    assert row(plan)[0] is Action.USE_BOARD

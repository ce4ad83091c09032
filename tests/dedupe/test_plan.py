"""Each action of the dedupe is a rule with a test by its name; soundness first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploy.dedupe.decision import Action, DedupePlan
from deploy.dedupe.plan import plan_dedupe
from recipes.arch import ARCHES
from recipes.elf import ElfFile
from recipes.errors import ProofError
from recipes.rootfs.index import Index
from tests.support.facts import SOFT, elf, index, stage

LIBC = elf("libc.so.6", exports="puts@@GLIBC_2.4 memcpy@@GLIBC_2.4")


def decide(
    files: dict[str, ElfFile],
    board: Index,
    sysroot: Index | None = None,
    *,
    plain: tuple[str, ...] = (),
    dlopen: tuple[str, ...] = (),
) -> DedupePlan:
    staged, facts = stage(files, plain=plain, dlopen=dlopen)
    return plan_dedupe(staged, facts, sysroot or index(LIBC), board, ARCHES["armv7"])


def action(plan: DedupePlan, library: str) -> Action:
    return next(one.action for one in plan.decisions if one.library == library)


def because(plan: DedupePlan, library: str) -> str:
    return next(one.because for one in plan.decisions if one.library == library)


def app(*needed: str, imports: str = "") -> ElfFile:
    return elf(needed=(*needed, "libc.so.6"), imports=f"{imports} puts@libc.so.6:GLIBC_2.4")


def test_use_board_when_every_symbol_is_proved() -> None:
    ours = elf("libz.so.1", exports="inflate deflate")
    plan = decide({"bin/app": app("libz.so.1", imports="inflate"), "lib/libz.so.1": ours}, index(LIBC, ours))
    assert action(plan, "libz.so.1") is Action.USE_BOARD
    assert [one.path for one in plan.payload] == ["bin/app"]
    proof = next(one for one in plan.proofs if one.library == "libz.so.1")
    assert proof.symbols == ("inflate",)
    assert proof.weaker
    assert plan.saved >= ours.size


def test_keep_when_the_board_has_none() -> None:
    ours = elf("libz.so.1", exports="inflate")
    plan = decide({"bin/app": app("libz.so.1", imports="inflate"), "lib/libz.so.1": ours}, index(LIBC))
    assert action(plan, "libz.so.1") is Action.KEEP
    assert {one.path for one in plan.payload} == {"bin/app", "lib/libz.so.1"}


def test_keep_private_when_a_symbol_is_missing() -> None:
    ours, old = elf("libz.so.1", exports="inflate inflate2"), elf("libz.so.1", exports="inflate")
    plan = decide({"bin/app": app("libz.so.1", imports="inflate inflate2"), "lib/libz.so.1": ours}, index(LIBC, old))
    assert action(plan, "libz.so.1") is Action.KEEP_PRIVATE
    assert "inflate2" in because(plan, "libz.so.1")


def test_keep_private_names_the_other_soname_and_what_it_lacks() -> None:
    ours = elf("libwebsockets.so.19", exports="lws_create_context lws_http_date_parse_unix")
    old = elf("libwebsockets.so.17", exports="lws_create_context")
    files = {
        "bin/app": app("libwebsockets.so.19", imports="lws_create_context lws_http_date_parse_unix"),
        "lib/libwebsockets.so.19": ours,
    }
    plan = decide(files, index(LIBC, old))
    assert action(plan, "libwebsockets.so.19") is Action.KEEP_PRIVATE
    assert because(plan, "libwebsockets.so.19") == "board has libwebsockets.so.17, without lws_http_date_parse_unix"


def test_keep_private_when_a_version_node_is_missing() -> None:
    ours = elf("libssl.so.3", exports="SSL_new@@OPENSSL_3.0.0 SSL_x@@OPENSSL_3.2.0")
    old = elf("libssl.so.3", exports="SSL_new@@OPENSSL_3.0.0")
    user = app("libssl.so.3", imports="SSL_new@libssl.so.3:OPENSSL_3.0.0 SSL_x@libssl.so.3:OPENSSL_3.2.0")
    plan = decide({"bin/app": user, "lib/libssl.so.3": ours}, index(LIBC, old))
    assert action(plan, "libssl.so.3") is Action.KEEP_PRIVATE
    assert "SSL_x@OPENSSL_3.2.0" in because(plan, "libssl.so.3")


def test_keep_private_when_the_boards_copy_does_not_load_there() -> None:
    ours = elf("libz.so.1", exports="inflate")
    broken = elf("libz.so.1", exports="inflate", needed=("libgone.so.1",))
    plan = decide({"bin/app": app("libz.so.1", imports="inflate"), "lib/libz.so.1": ours}, index(LIBC, broken))
    assert action(plan, "libz.so.1") is Action.KEEP_PRIVATE
    assert "libgone.so.1" in because(plan, "libz.so.1")


def test_a_library_of_another_float_abi_is_not_the_boards() -> None:
    ours = elf("libz.so.1", exports="inflate")
    soft = elf("libz.so.1", exports="inflate", identity=SOFT)
    plan = decide({"bin/app": app("libz.so.1", imports="inflate"), "lib/libz.so.1": ours}, index(LIBC, soft))
    assert action(plan, "libz.so.1") is Action.KEEP


def test_a_kept_library_asks_more_of_the_board() -> None:
    """The first pass would use the board's libssl; the kept libws needs a symbol that this one has not."""
    tls = elf("libssl.so.3", exports="SSL_new SSL_extra")
    old = elf("libssl.so.3", exports="SSL_new")
    websockets = elf("libws.so.2", exports="ws", needed=("libssl.so.3",), imports="SSL_extra")
    files = {
        "bin/app": app("libws.so.2", "libssl.so.3", imports="ws SSL_new"),
        "lib/libws.so.2": websockets,
        "lib/libssl.so.3": tls,
    }
    plan = decide(files, index(LIBC, old))
    assert action(plan, "libws.so.2") is Action.KEEP
    assert action(plan, "libssl.so.3") is Action.KEEP_PRIVATE


def test_unversioned_references_bind_to_a_versioned_default() -> None:
    """A source-built libcurl has no version nodes, the board's has."""
    ours = elf("libcurl.so.4", exports="curl_easy_init")
    theirs = elf("libcurl.so.4", exports="curl_easy_init@@CURL_OPENSSL_4")
    plan = decide(
        {"bin/app": app("libcurl.so.4", imports="curl_easy_init"), "lib/libcurl.so.4": ours}, index(LIBC, theirs)
    )
    assert action(plan, "libcurl.so.4") is Action.USE_BOARD


def test_unversioned_references_do_not_bind_to_an_old_version() -> None:
    ours = elf("libcurl.so.4", exports="curl_easy_init")
    theirs = elf("libcurl.so.4", exports="curl_easy_init@CURL_OPENSSL_3 other@@CURL_OPENSSL_4")
    plan = decide(
        {"bin/app": app("libcurl.so.4", imports="curl_easy_init"), "lib/libcurl.so.4": ours}, index(LIBC, theirs)
    )
    assert action(plan, "libcurl.so.4") is Action.KEEP_PRIVATE


def test_weak_references_that_nothing_has_are_forgiven() -> None:
    ours = elf("libz.so.1", exports="inflate")
    user = app("libz.so.1", imports="inflate ?__gmon_start__")
    plan = decide({"bin/app": user, "lib/libz.so.1": ours}, index(LIBC, ours))
    assert action(plan, "libz.so.1") is Action.USE_BOARD


def test_unreferenced_libraries_stay_behind() -> None:
    plan = decide({"bin/app": app(), "lib/libplugin.so.1": elf("libplugin.so.1")}, index(LIBC))
    assert action(plan, "libplugin.so.1") is Action.UNREFERENCED


def test_not_runtime_files_stay_behind() -> None:
    plan = decide(
        {"bin/app": app()}, index(LIBC), plain=("include/a.h", "include/b.h", "lib/liba.a", "lib/pkgconfig/a.pc")
    )
    rows = {one.library for one in plan.decisions if one.action is Action.NOT_RUNTIME}
    assert rows == {"headers (2)", "static libraries (1)", "pkg-config, CMake (1)"}


def test_the_libc_family_is_never_bundled() -> None:
    user = elf(needed=("libc.so.6",), imports="strlcpy@libc.so.6:GLIBC_2.38")
    newer = elf("libc.so.6", exports="strlcpy@@GLIBC_2.38")
    with pytest.raises(ProofError, match="never bundled") as caught:
        decide({"bin/app": user}, index(LIBC), index(newer))
    assert "strlcpy@GLIBC_2.38" in caught.value.why
    assert "sysroot" in caught.value.next_step
    assert caught.value.code == 4


def test_a_library_that_nobody_has_is_named() -> None:
    with pytest.raises(ProofError, match=r"libnowhere\.so\.1 is not found anywhere"):
        decide({"bin/app": app("libnowhere.so.1")}, index(LIBC))


def test_a_sysroot_copy_travels_when_the_stage_has_none() -> None:
    theirs = elf("libz.so.1", exports="inflate")
    plan = decide({"bin/app": app("libz.so.1", imports="inflate")}, index(LIBC), index(LIBC, theirs))
    assert action(plan, "libz.so.1") is Action.KEEP
    assert next(one.origin for one in plan.payload if one.path == "lib/libz.so.1") == "sysroot:/usr/lib/libz.so.1"


def test_a_kept_library_must_not_starve_the_boards_own() -> None:
    """The board's libgst would get our libz in the same process, and ours lacks what it needs."""
    ours = elf("libz.so.1", exports="inflate fresh")
    boards_z = elf("libz.so.1", exports="inflate legacy")
    boards_media = elf("libmedia.so.1", exports="play", needed=("libz.so.1",), imports="legacy")
    files = {
        "bin/app": app("libz.so.1", "libmedia.so.1", imports="fresh play"),
        "lib/libz.so.1": ours,
    }
    with pytest.raises(ProofError, match="would hide the board's"):
        decide(files, index(LIBC, boards_z, boards_media), index(LIBC, boards_media))


def test_what_is_loaded_by_name_is_used_or_noted() -> None:
    media = elf("libgstreamer-1.0.so.0")
    have = decide({"bin/app": app()}, index(LIBC, media), dlopen=("libgstreamer-1.0.so.0",))
    assert action(have, "libgstreamer-1.0.so.0") is Action.USE_BOARD
    lack = decide({"bin/app": app()}, index(LIBC), dlopen=("libgstreamer-1.0.so.0",))
    assert "libgstreamer-1.0.so.0" in lack.notes[0]


def test_saved_and_total_add_up() -> None:
    ours = elf("libz.so.1", exports="inflate", size=4000)
    plan = decide({"bin/app": app("libz.so.1", imports="inflate"), "lib/libz.so.1": ours}, index(LIBC, ours))
    assert plan.saved == 4000
    assert plan.total == 4000 + 1000


def test_what_the_c_library_keeps_for_itself_is_of_one_build_alone() -> None:
    """A symbol at GLIBC_PRIVATE is there on every glibc, and something else in each of its builds."""
    kept = elf("libc.so.6", exports="puts@@GLIBC_2.4 inner@@GLIBC_PRIVATE")
    other = replace(kept, build_id="f" * 40)
    program = {"bin/app": app(imports="inner@libc.so.6:GLIBC_PRIVATE")}
    assert action(decide(program, index(kept), index(kept)), "libc.so.6") is Action.USE_BOARD
    with pytest.raises(ProofError, match="never bundled") as caught:
        decide(program, index(other), index(kept))
    assert "ours binds inner@GLIBC_PRIVATE" in caught.value.why

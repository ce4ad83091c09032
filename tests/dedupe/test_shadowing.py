"""The shadow check: what travels hides nothing of the board's own code in the same process, plugins included."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploy.dedupe.preferences import library_stem
from deploy.dedupe.shadowing import check_shadowing
from recipes.arch import ARCHES
from recipes.elf import ElfFile
from recipes.errors import ProofError
from recipes.rootfs.index import Index
from tests.support.facts import elf, index

ARM = ARCHES["armv7"]
GST = elf("libgstreamer-1.0.so.0", exports="gst_init")
OLD = elf("libcrypto.so.1.1", exports="EVP_sha256@@OPENSSL_1_1_0")
NEW = elf("libcrypto.so.3", exports="EVP_sha256@@OPENSSL_3.0.0")


def with_plugin(board: Index, name: str, plugin: ElfFile) -> Index:
    return replace(board, files=board.files | {f"/usr/lib/gstreamer-1.0/{name}": plugin})


@pytest.mark.parametrize(
    ("soname", "name"),
    [
        ("libcrypto.so.1.1", "libcrypto"),
        ("libcrypto.so.3", "libcrypto"),
        ("liblog4cplus-2.0.so.3", "liblog4cplus"),
        ("libcurl-gnutls.so.4", "libcurl-gnutls"),
        ("libcurl.so.4", "libcurl"),
        ("libKinesisVideoProducer.so", "libKinesisVideoProducer"),
        ("libstdc++.so.6", "libstdc++"),
    ],
)
def test_a_family_is_the_name_without_its_version(soname: str, name: str) -> None:
    assert library_stem(soname) == name


def test_two_openssls_through_the_boards_curl_are_an_error_with_both_chains() -> None:
    curl = elf("libcurl.so.4", needed=("libcrypto.so.3",), imports="EVP_sha256@libcrypto.so.3:OPENSSL_3.0.0")
    bundle = {
        "bin/app": elf(needed=("libcurl.so.4", "libcrypto.so.1.1")),
        "lib/libcrypto.so.1.1": OLD,
    }
    with pytest.raises(ProofError, match=r"libcrypto\.so\.1\.1 and libcrypto\.so\.3 would meet") as caught:
        check_shadowing(bundle, index(curl, NEW), ARM)
    assert "app → libcrypto.so.1.1 (bundle:lib/libcrypto.so.1.1)" in caught.value.why
    assert "app → libcurl.so.4 → libcrypto.so.3 (/usr/lib/libcrypto.so.3)" in caught.value.why


def test_a_plugin_of_the_board_is_in_the_process_of_our_plugin() -> None:
    board = with_plugin(
        index(GST, NEW), "libgsttls.so", elf("libgsttls.so", needed=("libgstreamer-1.0.so.0", "libcrypto.so.3"))
    )
    bundle = {
        "gstreamer-1.0/libgstkvssink.so": elf("libgstkvssink.so", needed=("libgstreamer-1.0.so.0", "libcrypto.so.1.1")),
        "lib/libcrypto.so.1.1": OLD,
    }
    with pytest.raises(ProofError, match="would meet") as caught:
        check_shadowing(bundle, board, ARM)
    assert caught.value.where == "a pipeline with libgstkvssink.so"
    assert "libgsttls.so → libcrypto.so.3" in caught.value.why


def test_a_program_without_gstreamer_meets_no_plugin() -> None:
    board = with_plugin(index(GST, NEW), "libgsttls.so", elf("libgsttls.so", needed=("libcrypto.so.3",)))
    bundle = {"bin/app": elf(needed=("libcrypto.so.1.1",)), "lib/libcrypto.so.1.1": OLD}
    check_shadowing(bundle, board, ARM)
    with pytest.raises(ProofError, match="would meet"):
        check_shadowing(bundle, board, ARM, ["libgstreamer-1.0.so.0"])


def test_the_boards_plugin_gets_ours_and_must_find_its_symbols_there() -> None:
    ours, theirs = elf("libz.so.1", exports="inflate"), elf("libz.so.1", exports="inflate deflate")
    plugin = elf("libgstzip.so", needed=("libz.so.1",), imports="deflate")
    board = with_plugin(index(GST, theirs), "libgstzip.so", plugin)
    bundle = {"bin/app": elf(needed=("libgstreamer-1.0.so.0", "libz.so.1")), "lib/libz.so.1": ours}
    with pytest.raises(ProofError, match="would hide the board's from") as caught:
        check_shadowing(bundle, board, ARM)
    assert "ours lacks deflate" in caught.value.why


def test_a_library_that_serves_the_boards_plugin_too_may_travel() -> None:
    ours = elf("libz.so.1", exports="inflate deflate fresh")
    plugin = elf("libgstzip.so", needed=("libz.so.1",), imports="deflate")
    board = with_plugin(index(GST, elf("libz.so.1", exports="inflate deflate")), "libgstzip.so", plugin)
    bundle = {"bin/app": elf(needed=("libgstreamer-1.0.so.0", "libz.so.1")), "lib/libz.so.1": ours}
    check_shadowing(bundle, board, ARM)
    poorer = bundle | {"lib/libz.so.1": replace(ours, exports="inflate fresh")}
    with pytest.raises(ProofError, match=r"would hide the board's from libgstzip\.so"):
        check_shadowing(poorer, board, ARM)

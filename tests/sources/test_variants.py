"""Variants, patches and pinned versions change a recipe as they say, and what cannot be is refused with its reason."""

from __future__ import annotations

import pytest

from recipes.errors import ConfigError
from recipes.sources.lock import load_lock
from recipes.sources.recipe import load_catalogue
from recipes.sources.variants import apply_requests, refuse_unused_patches

RECIPES = load_catalogue()
BOTH = ("producer", "webrtc")


def test_static_kvssink_is_refused_with_the_reason() -> None:
    with pytest.raises(ConfigError, match="producer cannot be built as 'static'") as caught:
        apply_requests(RECIPES, BOTH, "armv7", variants=["static"])
    assert "archive" in caught.value.why
    assert caught.value.next_step == "invoke build --arch armv7 --recipe webrtc --variant static"
    found = apply_requests(RECIPES, ["webrtc"], "armv7", variants=["static"])
    assert found["webrtc"].varied == ("static",), "what is not built cannot refuse"


def test_small_leaves_out_samples_and_data_channel() -> None:
    found = apply_requests(RECIPES, BOTH, "armv7", variants=["small"])
    assert found["webrtc"].options["ENABLE_DATA_CHANNEL"] == "OFF"
    assert {output.kind for output in found["webrtc"].outputs} == {"library"}
    assert not [files.from_ for files in found["webrtc"].collect if "samples" in files.from_]
    assert not [output.path for output in found["producer"].outputs if output.kind == "program"]
    assert found["kvscommonlws"].options["CONSTRAINED_DEVICE"] == "ON"
    assert "CONSTRAINED_DEVICE" not in found["producer"].options, "the nested release does not know it"
    assert found["openssl"] == RECIPES["openssl"].model_copy(), "a recipe without the variant is as before"


def test_mbedtls_takes_openssl_out_of_the_webrtc_chain() -> None:
    found = apply_requests(RECIPES, BOTH, "armv7", variants=["mbedtls"])
    for name in ("webrtc", "kvscommonlws", "libwebsockets"):
        assert "openssl" not in {need.name for need in found[name].depends}, name
        assert "mbedtls" in {need.name for need in found[name].depends}, name


def test_a_patch_is_applied_only_where_it_was_asked_for() -> None:
    found = apply_requests(RECIPES, BOTH, "armv7", patches=["uploader-mp3"])
    assert found["producer"].applied == ("uploader-mp3",)
    assert found["webrtc"].applied == ()
    with pytest.raises(ConfigError, match="no recipe of this build takes the patch"):
        refuse_unused_patches([found["webrtc"]], ["uploader-mp3"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"variants": ["smal"]}, "no variant 'smal'"),
        ({"patches": ["uploader"]}, "no patch 'uploader'"),
        ({"versions": {"openssl": "1.0.2"}}, "no version of openssl '1.0.2'"),
    ],
)
def test_an_unknown_name_is_told_with_the_known_ones(words: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        apply_requests(RECIPES, BOTH, "armv7", **words)  # type: ignore[arg-type]


def test_a_pinned_version_brings_its_own_source_and_names() -> None:
    found = apply_requests(RECIPES, BOTH, "armv7", versions={"openssl": "1.1.1t"})["openssl"]
    assert found.targets == ("ENGINESDIR=/usr/lib/engines-1.1", "build_libs")
    assert found.source == "openssl-1.1.1"
    assert {library.soname for library in found.libraries} == {"libssl.so.1.1", "libcrypto.so.1.1"}
    assert load_lock().get(found.source).eol is not None
    # Its sources name their folders elsewhere, so the edit for the default version would stop the build.
    assert [edit.file for edit in found.edits] == ["crypto/build.info"]


@pytest.mark.parametrize("name", ["uploader-mp3", "uploader-alsa"])
def test_the_notes_edits_change_one_line_each(name: str) -> None:
    (edit,) = RECIPES["producer"].patches[name].edits
    assert edit.times == 1
    assert "\n" not in edit.find + edit.put
    assert edit.find.startswith('"demuxer. ! queue ! aacparse')

"""Which dependency comes from where, before anything is linked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recipes.arch import ARCHES
from recipes.builder.request import SourcePolicy
from recipes.builder.resolve import DependencyOrigin, Resolution, pkgconfig_versions, resolve_dependencies
from recipes.elf import ElfFile
from recipes.errors import ConfigError
from recipes.sources.recipe import Recipe
from tests.support.facts import elf, index

ARM = ARCHES["armv7"]


def recipe(name: str, **more: Any) -> Recipe:
    fields = {"schema": 1, "name": name, "version": "4.3.5", "licence": "MIT", "summary": "s", "source": name}
    return Recipe.model_validate(fields | {"build": "cmake", "outputs": [], "pkgconfig": name} | more)


WEBSOCKETS = recipe("libwebsockets", libraries=[{"link": "websockets", "soname": "libwebsockets.so.19"}])
APP = recipe(
    "app",
    depends=[{"name": "libwebsockets", "range": ">=4.1", "symbols": ["lws_http_date_parse_unix"]}],
    pkgconfig="",
)


def library(exports: str) -> ElfFile:
    return elf("libwebsockets.so", exports=exports)


def decide(exports: str, version: str, policy: SourcePolicy = SourcePolicy.AUTO) -> Resolution:
    found = index(library(exports))
    return resolve_dependencies(
        [WEBSOCKETS, APP], ["app"], found, {"libwebsockets": version}, ARM, {"libwebsockets": policy}
    )["libwebsockets"]


def test_the_sysroots_copy_serves_when_in_range_and_complete() -> None:
    assert decide("lws_http_date_parse_unix", "4.2.0").origin is DependencyOrigin.BOARD


def test_a_missing_symbol_means_source_and_is_named() -> None:
    """Debian 12's libwebsockets compiles, and the samples then do not link: the SONAME is no guide."""
    decided = decide("lws_create_context", "4.1.6")
    assert decided.origin is DependencyOrigin.SOURCE
    assert "lws_http_date_parse_unix" in decided.because
    assert decided.version == "4.3.5"


def test_a_version_out_of_range_means_source() -> None:
    decided = decide("lws_http_date_parse_unix", "3.9")
    assert decided.origin is DependencyOrigin.SOURCE
    assert ">=4.1" in decided.because


def test_a_version_that_cannot_be_compared_proves_nothing() -> None:
    assert decide("lws_http_date_parse_unix", "unknown").origin is DependencyOrigin.SOURCE


def test_policy_source_wins() -> None:
    assert decide("lws_http_date_parse_unix", "4.3", SourcePolicy.SOURCE).because == "the policy says source"


def test_policy_board_that_does_not_do_is_an_error() -> None:
    with pytest.raises(ConfigError, match="policy says board"):
        decide("", "4.3", SourcePolicy.BOARD)


def test_an_absent_library_means_source() -> None:
    decided = resolve_dependencies([WEBSOCKETS, APP], ["app"], index(), {}, ARM)["libwebsockets"]
    assert (decided.origin, decided.because) == (DependencyOrigin.SOURCE, "the sysroot has none")


def test_a_link_name_without_its_library_means_source() -> None:
    decided = resolve_dependencies([WEBSOCKETS, APP], ["app"], index(), {"libwebsockets": "4.3"}, ARM)["libwebsockets"]
    assert decided.origin is DependencyOrigin.SOURCE
    assert "without libwebsockets.so" in decided.because


def test_users_of_a_source_built_library_are_source_built_too() -> None:
    """A board's curl links the board's OpenSSL; ours beside it would be a second one in the process."""
    tls = recipe("openssl", libraries=[{"link": "ssl", "soname": "libssl.so.3"}])
    curl = recipe("curl", libraries=[{"link": "curl", "soname": "libcurl.so.4"}], depends=[{"name": "openssl"}])
    app = recipe("app", depends=[{"name": "curl"}, {"name": "openssl"}])
    found = index(elf("libcurl.so"), elf("libssl.so"))
    decided = resolve_dependencies(
        [tls, curl, app], ["app"], found, {"openssl": "3.0", "curl": "8.0"}, ARM, {"openssl": SourcePolicy.SOURCE}
    )
    assert decided["curl"].origin is DependencyOrigin.SOURCE
    assert "openssl is built from source" in decided["curl"].because


def test_needs_of_a_board_library_are_not_built() -> None:
    tls = recipe("openssl", libraries=[{"link": "ssl", "soname": "libssl.so.3"}])
    curl = recipe("curl", libraries=[{"link": "curl", "soname": "libcurl.so.4"}], depends=[{"name": "openssl"}])
    app = recipe("app", depends=[{"name": "curl"}])
    found = index(elf("libcurl.so"), elf("libssl.so"))
    decided = resolve_dependencies([tls, curl, app], ["app"], found, {"openssl": "3.0", "curl": "8.0"}, ARM)
    assert set(decided) == {"curl", "app"}


SILENT = recipe("app", depends=[{"name": "libwebsockets", "range": ">=4.1"}], pkgconfig="")


def with_last_build(exports: str, imports: str, *, needed: tuple[str, ...] = ()) -> Resolution:
    """Decide for an application that names no symbols, and was built before."""
    last = {
        "app": [elf(needed=("libwebsockets.so.19",), imports=imports)],
        "libwebsockets": [elf("libwebsockets.so.19", exports="lws_plain")],
    }
    found = index(elf("libwebsockets.so", exports=exports, needed=needed))
    return resolve_dependencies([WEBSOCKETS, SILENT], ["app"], found, {"libwebsockets": "4.2"}, ARM, None, last)[
        "libwebsockets"
    ]


def test_the_last_build_tells_what_a_recipe_does_not() -> None:
    asked = "lws_service@libwebsockets.so.19:LWS lws_cancel@libwebsockets.so.19:LWS"
    assert with_last_build("lws_service lws_cancel", asked).origin is DependencyOrigin.BOARD
    assert with_last_build("lws_service", "puts lws_plain").origin is DependencyOrigin.SOURCE, "bound without a version"
    assert with_last_build("lws_plain", "puts lws_plain").origin is DependencyOrigin.BOARD
    decided = with_last_build("lws_service", asked)
    assert decided.origin is DependencyOrigin.SOURCE
    assert "it lacks lws_cancel, which app needs" in decided.because


def test_a_copy_that_would_not_load_itself_means_source() -> None:
    decided = with_last_build("lws_service", "", needed=("libuv.so.1",))
    assert decided.origin is DependencyOrigin.SOURCE
    assert "libuv.so.1" in decided.because


@pytest.mark.parametrize(
    ("version", "fits"),
    [
        ("4.3.5-unknown", True),
        ("4.1.6-", True),
        ("4.3.5-v4.3.4-2-gabcdef", True),
        ("4.3.5-DEV", True),
        ("v4.3.5", True),
        ("4.3.5~rc2+deb12u1", True),
        ("4.3.5-1ubuntu2", True),
        ("4.0.9-unknown", False),
        ("unknown", False),
        ("4x.3", False),
        ("", False),
    ],
)
def test_a_suffix_says_where_a_library_was_built_and_not_what_it_is(version: str, *, fits: bool) -> None:
    decided = decide("lws_http_date_parse_unix", version)
    assert (decided.origin is DependencyOrigin.BOARD) is fits
    if version in ("unknown", "4x.3"):
        assert "which this version cannot be compared with" in decided.because


@pytest.mark.parametrize(
    ("version", "wanted", "fits"),
    [("1.1.1t", ">=1.1.1.post1", True), ("1.1.1w-fips", ">=1.1.1.post23", True), ("3.0.0-beta1", ">=1.1.1,<4", True)],
)
def test_letters_and_betas_compare(version: str, wanted: str, *, fits: bool) -> None:
    app = recipe("app", depends=[{"name": "libwebsockets", "range": wanted}], pkgconfig="")
    found = resolve_dependencies([WEBSOCKETS, app], ["app"], index(library("x")), {"libwebsockets": version}, ARM, {})[
        "libwebsockets"
    ]
    assert (found.origin is DependencyOrigin.BOARD) is fits


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("Version: 4.1.6-\n", "4.1.6"),
        ("Name: x\nVersion:\t4.3.5-unknown \r\n", "4.3.5-unknown"),
        ("release = 2.5.0\nVersion: ${release}\n", "2.5.0"),
        ("Version: ${gone}\n", ""),
        ("Version:\nLibs: -lz\n", ""),
    ],
)
def test_versions_of_pc_files(tmp_path: Path, text: str, version: str) -> None:
    folder = tmp_path / "usr" / "lib" / "pkgconfig"
    folder.mkdir(parents=True)
    (folder / "libx.pc").write_text(text)
    assert pkgconfig_versions(tmp_path, ARM) == ({"libx": version} if version else {})

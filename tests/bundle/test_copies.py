"""A library that travels though the board has it is a copy from the sysroot: the bundle says whose it is."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from deploy.boards.board import DedupeRule, load_board
from deploy.boards.index import board_index
from deploy.bundle.assemble import make_bundle
from deploy.bundle.load import Bundle, verify_bundle
from deploy.dedupe.preferences import Prefer
from recipes.stage.manifest import Stage
from recipes.toolchains.sysroots import known_sysroot
from tests.support.bundles import members as bundle_members

pytestmark = pytest.mark.engine


def test_a_copy_names_its_package_its_licence_and_brings_the_text(built: Callable[..., Stage], arm: object) -> None:
    del arm  # Its root is what the bundle is made for.
    board = load_board("sim-armv7")
    board.file.dedupe["libcurl.so.4"] = DedupeRule(prefer=Prefer.BUNDLE, because="its maker patched it")
    made, decided = make_bundle(board, built("armv7"), board_index(board))
    assert any(one.origin.startswith("sysroot:") for one in decided.payload)
    verified = verify_bundle(made.path)
    owned = {one.name: one for one in verified.bundle.manifest.packages}
    curl = owned["libcurl4"]
    assert (curl.files, curl.licence, curl.arch) == (("lib/libcurl.so.4",), "curl", "armhf")
    assert curl.source.startswith("curl 7.")
    members = bundle_members(made)
    text, _ = members["licences/packages/libcurl4.txt"]
    assert b"SPDX-License-Identifier: curl" in text
    assert b"Daniel Stenberg" in text
    bill = json.loads(members["sbom.cdx.json"][0])
    purl = next(one["purl"] for one in bill["components"] if one["bom-ref"] == "package:libcurl4")
    assert purl == f"pkg:deb/debian/libcurl4@{quote(curl.version)}?arch=armhf&distro=debian-12&upstream=curl"
    assert len(curl.digest) == 64
    # The tree is one that others read too: dpkg itself says whose the file is.
    root = _sysroot(made)
    said = subprocess.run(
        ["dpkg-query", f"--admindir={root}/var/lib/dpkg", "--search", "*/libcurl.so.4.8.0"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said.startswith("libcurl4:armhf: ")


def _sysroot(made: Bundle) -> Path:
    name = next(one.origin.split(":")[1] for one in made.manifest.files if one.origin.startswith("sysroot:"))
    found = known_sysroot(name)
    assert found is not None
    return found.tree

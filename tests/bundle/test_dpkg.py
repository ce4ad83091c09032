"""Whose a copied library is: dpkg's database read back, Debian's names of licences in SPDX's words."""

from __future__ import annotations

from pathlib import Path

import pytest
from license_expression import get_spdx_licensing

from deploy.bundle.dpkg import declared_licence, package_owners, spdx_expression, unlicensed
from deploy.bundle.manifest import PackagedFiles
from recipes import paths
from recipes.arch import ARCHES
from recipes.toolchains.sysroots import Sysroot
from recipes.toolchains.vendor import parse_arch

PLACE = "/usr/lib/arm-linux-gnueabihf"
MACHINE = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: zed

Files: *
Copyright: 2001 The Authors
License: Expat and BSD-3-clause

Files: tests/*
Copyright: 2001 The Authors
License: GPL-3+

License: GPL-3+
 Some text.
"""
STATUS = """Package: libzed1
Version: 1:2.0-1+deb12u1
Architecture: armhf
Multi-Arch: same
Source: zed (2.0-1)
Description: zed
 more of it
Status: install ok installed

Package: prose
Version: 5
Architecture: armhf
Status: install ok installed

Package: bare
Version: 6
Architecture: armhf
Status: install ok installed

"""


@pytest.mark.parametrize(
    ("name", "expression"),
    [
        ("Expat", "MIT"),
        ("zlib", "Zlib"),
        ("curl", "curl"),
        ("BSD-3-clause", "BSD-3-Clause"),
        ("GPL-2", "GPL-2.0-only"),
        ("LGPL-2.1+", "LGPL-2.1-or-later"),
        ("GFDL-1.3+", "GFDL-1.3-or-later"),
        ("GPL-2+ or Artistic", "GPL-2.0-or-later OR Artistic-1.0"),
        ("MPL-2.0 and ISC or Expat", "MPL-2.0 AND ISC OR MIT"),
        ("GPL-1+ or Artistic, and Expat", "(GPL-1.0-or-later OR Artistic-1.0) AND MIT"),
        ("(GPL-2 or MIT) and ISC", "(GPL-2.0-only OR MIT) AND ISC"),
        ("ISC and (GPL-2 or MIT)", "ISC AND (GPL-2.0-only OR MIT)"),
        ("((GPL-2 or MIT))", "GPL-2.0-only OR MIT"),
        ("(MIT) and (ISC)", "MIT AND ISC"),
        ("(GPL-2 or (MIT and (curl or Zlib))) and ISC", "(GPL-2.0-only OR (MIT AND (curl OR Zlib))) AND ISC"),
        ("(GPL-2 or MIT), and ISC", "(GPL-2.0-only OR MIT) AND ISC"),
        ("GPL-2 or MIT, and (ISC or Zlib)", "(GPL-2.0-only OR MIT) AND (ISC OR Zlib)"),
        ("BSD (3 clause) or MIT", "LicenseRef-debian-BSD-3-clause OR MIT"),
        ("(GPL-2 or MIT and ISC", "LicenseRef-debian-GPL-2-or-MIT-and-ISC"),
        ("GPL-2) or (MIT", "LicenseRef-debian-GPL-2-or-MIT"),
        ("public-domain", "LicenseRef-debian-public-domain"),
        ("GPL-2+ with Autoconf exception", "LicenseRef-debian-GPL-2-or-later-with-Autoconf-exception"),
        ("MIT/X11 (old)", "LicenseRef-debian-MIT-X11-old"),
    ],
)
def test_debians_names_in_spdx_words(name: str, expression: str) -> None:
    assert spdx_expression(name) == expression


def valid(expression: str) -> bool:
    """Tell whether SPDX knows every name of an expression but our references."""
    parsed = get_spdx_licensing().parse(expression)
    return all(
        key.startswith("LicenseRef-debian-") or key in get_spdx_licensing().known_symbols
        for key in get_spdx_licensing().license_keys(parsed)
    )


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        (MACHINE, "MIT AND BSD-3-Clause"),
        (MACHINE.replace("Expat and", "Expat or"), "MIT OR BSD-3-Clause"),
        (MACHINE.replace("Files: *", "Files: src/*"), "MIT AND BSD-3-Clause AND GPL-3.0-or-later"),
        (
            MACHINE.replace("Files: *", "Files: src/*").replace("Expat and", "Expat or"),
            "(MIT OR BSD-3-Clause) AND GPL-3.0-or-later",
        ),
        (
            MACHINE.replace("Files: tests/*", "Files: debian/*").replace("Files: *", "Files: a b"),
            "MIT AND BSD-3-Clause",
        ),
        ("It was packaged by somebody, and is free.\n", ""),
        ("", ""),
        ("\xff\x00", ""),
    ],
)
def test_what_a_copyright_file_says_of_the_whole(text: str, expression: str) -> None:
    assert declared_licence(text.encode("latin-1")) == expression


@pytest.fixture
def sysroot(tmp_path: Path) -> Sysroot:
    """Return a root as debian-owners.sh leaves it: merged /usr, a library that its package lists in /lib."""
    tree = tmp_path / "tree"
    info = tree / "var/lib/dpkg/info"
    info.mkdir(parents=True)
    (tree / "usr/lib/arm-linux-gnueabihf").mkdir(parents=True)
    (tree / "lib").symlink_to("usr/lib")
    for name in ("libzed.so.1.2", "libprose.so.1", "libbare.so.1", "libnobody.so.1"):
        (tree / PLACE.lstrip("/") / name).write_bytes(name.encode())
    (info / "libzed1:armhf.list").write_text(
        "/.\n/lib\n/lib/arm-linux-gnueabihf\n/lib/arm-linux-gnueabihf/libzed.so.1.2\n"
    )
    (info / "prose.list").write_text(f"{PLACE}/libprose.so.1\n/usr/share/other/libzed.so.1.2\n")
    (info / "bare.list").write_text(f"{PLACE}/libbare.so.1\n")
    (info.parent / "status").write_text(STATUS)
    docs = tree / "usr/share/doc"
    for name, text in (("zed-common", MACHINE), ("prose", "Free.\n")):
        (docs / name).mkdir(parents=True)
        (docs / name / "copyright").write_text(text)
    (docs / "libzed1").symlink_to("zed-common")
    return Sysroot(
        name="debian12-armv7",
        arch=ARCHES["armv7"],
        tree=tree,
        packages=(f"{'a' * 64}  libzed1_1%3a2.0-1+deb12u1_armhf.deb", f"{'b' * 64}  prose_5_armhf.deb"),
        fingerprint="c" * 64,
    )


def owned(sysroot: Sysroot, *names: str) -> tuple[tuple[PackagedFiles, ...], dict[str, bytes]]:
    return package_owners(sysroot, {f"lib/{name}": f"{PLACE}/{name}" for name in names})


def test_a_library_is_its_packages_with_version_source_and_licence(sysroot: Sysroot) -> None:
    found, texts = owned(sysroot, "libzed.so.1.2")
    assert found == (
        PackagedFiles(
            kind="deb",
            name="libzed1",
            version="1:2.0-1+deb12u1",
            arch="armhf",
            suite="bookworm",
            source="zed 2.0-1",
            licence="MIT AND BSD-3-Clause",
            digest="a" * 64,
            files=("lib/libzed.so.1.2",),
        ),
    )
    assert texts == {"libzed1": MACHINE.encode()}
    assert unlicensed(found) == []


def test_prose_is_referred_to_and_what_nobody_knows_is_said(sysroot: Sysroot) -> None:
    found, texts = owned(sysroot, "libprose.so.1", "libbare.so.1", "libnobody.so.1")
    by_name = {one.name: one for one in found}
    assert by_name["prose"].licence == "LicenseRef-debian-prose-copyright"
    assert (by_name["prose"].source, by_name["prose"].digest) == ("prose 5", "b" * 64)
    assert texts == {"prose": b"Free.\n"}
    assert (by_name["bare"].licence, by_name["debian12-armv7"].kind) == ("", "sysroot")
    assert unlicensed(found) == [
        "lib/libnobody.so.1: out of the sysroot debian12-armv7, and nothing here says under which licence",
        "lib/libbare.so.1: out of the deb bare, and nothing here says under which licence",
    ]


@pytest.mark.parametrize("name", ["toolchain-own", "cam"])
def test_a_vendors_library_is_its_toolchains(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a sysroot that needs no file, and by one whose file names the toolchain."""
    digest = "d" * 64
    (tmp_path / "sysroots").mkdir()
    (tmp_path / "sysroots" / "cam.toml").write_text('schema = 1\narch = "own"\nfrom = "toolchain"\n')
    (tmp_path / "toolchains").mkdir()
    (tmp_path / "toolchains" / "own.toml").write_text(
        'schema = 1\narch = "armv7"\ntriple = "arm-own-linux-gnueabihf"\nlibc = "glibc"\n'
        f'archive = "own.tar.xz"\nsha256 = "{digest}"\n'
    )
    monkeypatch.setattr(paths, "BOARDS", tmp_path)
    listed = (f"{digest}  toolchain own",)
    made = Sysroot(name=name, arch=parse_arch("own"), tree=tmp_path / "tree", packages=listed, fingerprint="e")
    found, texts = package_owners(made, {"lib/libstdc++.so.6": "/lib/libstdc++.so.6"})
    assert texts == {}
    assert [(one.kind, one.digest, one.files) for one in found] == [("toolchain", digest, ("lib/libstdc++.so.6",))]


def test_nothing_copied_asks_for_nothing(tmp_path: Path) -> None:
    """A database that cannot be read is not looked at."""
    listing = tmp_path / "var/lib/dpkg/info/broken.list"
    listing.parent.mkdir(parents=True)
    listing.write_bytes(b"\xff")
    name = min(path.stem for path in (paths.BOARDS / "sysroots").glob("*.toml"))
    made = Sysroot(name=name, arch=ARCHES["armv7"], tree=tmp_path, packages=(), fingerprint="")
    assert package_owners(made, {}) == ((), {})
    with pytest.raises(UnicodeDecodeError):
        package_owners(made, {"lib/libz.so.1": "/usr/lib/libz.so.1"})


@pytest.mark.engine
@pytest.mark.slow
def test_every_library_of_the_real_sysroot_has_a_package_with_a_licence(arm_sysroot: Sysroot) -> None:
    index = arm_sysroot.index()
    copies = {f"lib/{file.soname}": path for path, file in index.files.items() if file.soname}
    found, texts = package_owners(arm_sysroot, copies)
    assert len(found) > 30
    assert {one.kind for one in found} == {"deb"}
    assert not unlicensed(found)
    assert all(one.digest and one.source and texts[one.name] for one in found)
    assert not {one.name: one.licence for one in found if not valid(one.licence)}
    named = {one.name: one.licence for one in found}
    assert named["libssl3"] == "Apache-2.0"
    assert named["libcurl4"] == "curl"
    assert named["zlib1g"] == "Zlib"
    assert sum("copyright" in one for one in named.values()) < len(named) / 2, named

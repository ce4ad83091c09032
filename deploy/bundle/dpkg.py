"""Whose a library of a sysroot is: the distribution's package with its version and licence, or the vendor's toolchain.

Read from dpkg's own database in the sysroot (docker/debian-owners.sh writes it) and the packages' copyright files,
https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/. Nothing is asked of the network.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from deploy.bundle.manifest import PackagedFiles
from recipes.toolchains.sysroots import Sysroot, sysroot_spec

_DPKG = "var/lib/dpkg"
_DOC = "usr/share/doc"
_TEXT_LIMIT = 4 << 20
"""Bytes of a copyright file; Debian's longest has some hundred thousand."""
# What Debian calls licences that SPDX calls otherwise; most of its names differ in capitals at most.
_SPDX = {"expat": "MIT", "artistic": "Artistic-1.0", "bsd-2-clauses": "BSD-2-Clause", "bsd-3-clauses": "BSD-3-Clause"}
_GNU = re.compile(r"(A?GPL|LGPL|GFDL)-(\d+)(\.\d+)?(\+?)")


def package_owners(sysroot: Sysroot, copies: Mapping[str, str]) -> tuple[tuple[PackagedFiles, ...], dict[str, bytes]]:
    """Return what the copies of a bundle came out of, and the copyright text of each by its name.

    Parameters
    ----------
    copies:
        Path in the bundle to path in the sysroot (such as `/usr/lib/arm-linux-gnueabihf/libz.so.1.2.13`).
    """
    if not copies:
        return (), {}
    listed = _listed(sysroot.tree, copies.values())
    facts = _status(sysroot.tree)
    by_package: dict[str, list[str]] = {}
    for path, place in sorted(copies.items()):
        name = listed.get(place, "")
        by_package.setdefault(name if name in facts else "", []).append(path)
    found, texts = [], {}
    for name, files in sorted(by_package.items()):
        text = _copyright(sysroot.tree, name) if name else b""
        package = _deb(sysroot, facts[name], text) if name else _unowned(sysroot)
        found.append(package.model_copy(update={"files": tuple(files)}))
        if text:
            texts[name] = text
    return tuple(found), texts


def unlicensed(owned: Iterable[PackagedFiles]) -> list[str]:
    """Return a line for each part of a bundle of whose licence nothing is known."""
    return [
        f"{' '.join(part.files)}: out of the {part.kind} {part.name}, and nothing here says under which licence"
        for part in owned
        if not part.licence
    ]


def _unowned(sysroot: Sysroot) -> PackagedFiles:
    """Return what a file belongs to that no package owns: the vendor's toolchain, or just this sysroot."""
    arch = sysroot.arch.name
    if sysroot_spec(sysroot.name).from_ == "toolchain":
        digest = sysroot.packages[0].split()[0]
        return PackagedFiles(kind="toolchain", name=arch, version=digest[:16], arch=arch, digest=digest)
    return PackagedFiles(kind="sysroot", name=sysroot.name, version=sysroot.fingerprint[:16], arch=arch)


def _listed(tree: Path, places: Iterable[str]) -> dict[str, str]:
    """Return the package that lists each path.

    A package may list /lib/… where /lib is a link to usr/lib by now: both lead to one file.
    """
    by_name: dict[str, list[str]] = {}
    for place in places:
        by_name.setdefault(posixpath.basename(place), []).append(place)
    found: dict[str, str] = {}
    for listing in sorted((tree / _DPKG / "info").glob("*.list")):
        for line in listing.read_text().splitlines():
            for place in by_name.get(posixpath.basename(line), ()):
                if line == place or os.path.realpath(f"{tree}{line}") == os.path.realpath(f"{tree}{place}"):
                    found[place] = listing.stem.partition(":")[0]
    return found


def _status(tree: Path) -> dict[str, dict[str, str]]:
    """Read dpkg's database: name to its fields, all in small letters."""
    from debian_inspector import debcon

    status = tree / _DPKG / "status"
    found = debcon.get_paragraphs_data_from_file(str(status)) if status.is_file() else ()
    return {paragraph["package"]: paragraph for paragraph in found}


def _deb(sysroot: Sysroot, facts: Mapping[str, str], text: bytes) -> PackagedFiles:
    name, version, arch = facts["package"], facts["version"], facts["architecture"]
    # A line reads: SHA256  FILE; apt writes the colon of an epoch so.
    archives = {file.strip(): digest for digest, _, file in (row.partition(" ") for row in sysroot.packages)}
    # The field is left out, or has no version, where it is the package's own.
    source, _, source_version = facts.get("source", name).partition(" ")
    return PackagedFiles(
        kind="deb",
        name=name,
        version=version,
        arch=arch,
        suite=sysroot_spec(sysroot.name).suite,
        source=f"{source} {source_version.strip('()') or version}",
        licence=declared_licence(text) or (f"LicenseRef-debian-{name}-copyright" if text else ""),
        digest=archives.get(f"{name}_{version.replace(':', '%3a')}_{arch}.deb", ""),
    )


_BRACKETS = 16
"""More than any copyright file has; each may be a level deeper."""
_COMMA = re.compile(r"\s*,\s*(and|or)\s+", re.IGNORECASE)
_WORD = re.compile(r"\s+(and|or)\s+", re.IGNORECASE)


def _copyright(tree: Path, name: str) -> bytes:
    """Return a package's copyright text; its folder may be a link to another package's, but leads nowhere else.

    What it returns becomes part of a bundle: nothing of this machine may get there through a link in a sysroot.
    """
    path = (tree / _DOC / name / "copyright").resolve()
    if not path.is_relative_to(tree.resolve()) or not path.is_file() or path.stat().st_size > _TEXT_LIMIT:
        return b""
    return path.read_bytes()


def declared_licence(text: bytes) -> str:
    """Return the SPDX expression of a copyright file for its source as a whole; empty for one that is mere prose.

    As a whole: what it says of `*`. Single files, such as tests, may be under others; those are in the text.
    """
    from debian_inspector.copyright import CopyrightFilesParagraph, DebianCopyright

    paragraphs = [
        paragraph
        for paragraph in DebianCopyright.from_text(text.decode("utf-8", "replace")).paragraphs
        if isinstance(paragraph, CopyrightFilesParagraph) and paragraph.license.name
    ]
    whole = [paragraph for paragraph in paragraphs if "*" in paragraph.files.values]
    used = whole or [
        paragraph for paragraph in paragraphs if not all(path.startswith("debian/") for path in paragraph.files.values)
    ]
    parts = list(dict.fromkeys(spdx_expression(paragraph.license.name) for paragraph in used))
    return " AND ".join(f"({part})" if " OR " in part and len(parts) > 1 else part for part in parts)


def spdx_expression(name: str) -> str:
    """Return in SPDX's words what a copyright file names: `GPL-2+ or Expat`, `(GPL-2 or Expat) and ISC`.

    `and` binds closer than `or` in both; a comma closes what comes before it, and brackets hold together what is in
    them (https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/#license-field).
    """
    text = name.strip()
    if text.count("(") > _BRACKETS:
        return _licence(text)
    while _whole_bracket(text):
        text = text[1:-1].strip()
    for separator in (_COMMA, _WORD):
        parts, words = _apart(text, separator)
        if words and all(parts):
            found = [spdx_expression(part) for part in parts]
            held = [
                f"({made})" if " " in made and (separator is _COMMA or _whole_bracket(part.strip())) else made
                for part, made in zip(parts, found, strict=True)
            ]
            return _alternating(held, words)
    return _licence(text)


def _apart(text: str, separator: re.Pattern[str]) -> tuple[list[str], list[str]]:
    """Split a text at the words that stand in no bracket; one whose brackets do not match is not split."""
    parts, words, begin = list[str](), list[str](), 0
    for match in separator.finditer(text):
        before = text[: match.start()]
        if before.count("(") == before.count(")"):
            parts.append(text[begin : match.start()])
            words.append(match[1])
            begin = match.end()
    return [*parts, text[begin:]], words if text.count("(") == text.count(")") else []


def _whole_bracket(text: str) -> bool:
    """Tell whether one pair of brackets holds the whole of a text."""
    depth = 0
    for at, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth <= 0:
            return bool(depth == 0 and at == len(text) - 1 and text.startswith("("))
    return False


def _alternating(names: list[str], words: list[str]) -> str:
    return " ".join([names[0], *(f"{word.upper()} {name}" for word, name in zip(words, names[1:], strict=True))])


def _licence(name: str) -> str:
    """Return the SPDX identifier of one licence, or a reference to the text that comes along."""
    from cyclonedx.spdx import fixup_id

    gnu = _GNU.fullmatch(name)
    if gnu is not None:
        family, major, minor, later = gnu.groups()
        name = f"{family}-{major}{minor or '.0'}-{'or-later' if later else 'only'}"
    reference = re.sub(r"[^A-Za-z0-9.]+", "-", name.replace("+", " or later")).strip("-")
    return _SPDX.get(name.lower()) or fixup_id(name) or f"LicenseRef-debian-{reference}"

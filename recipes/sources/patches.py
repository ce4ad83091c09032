"""The distribution's own changes of a source, out of its source package, read by rules of our own.

A Debian source package of format 3.0 (quilt) keeps them in `debian/patches` of its `.debian.tar.xz`, in the order of a
file named `series` (https://man7.org/linux/man-pages/man5/deb-src-rules.5.html, `dpkg-source(1)`). What is applied is
not their text but what was read of it: the hunks, under names that were checked, so nothing of a patch is left to how
a program may take it (ed scripts, links, renames, modes, names outside of the sources).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from recipes.archives.packed import PackedError
from recipes.archives.tarinput import open_tar
from recipes.archives.tarreader import Kind, TarError
from recipes.config import FileName, Name, OneLine, PackageName, Strict, Version, is_relative_path
from recipes.errors import BuildError
from recipes.sources.lock import Archive, LeftOut, Sha256, source_file
from recipes.text import one_line

_FOLDER = "debian/patches/"
_MOST = 500
"""Patches of one package; curl of Debian 12 has 53."""
_LARGEST = 16 << 20
"""Bytes of all of them; the largest of ours come to 300,000."""
_CVE = re.compile(r"CVE-[0-9]{4}-[0-9]{4,8}")
_HUNK = re.compile(rb"@@ -([0-9]{1,9})(?:,([0-9]{1,9}))? \+([0-9]{1,9})(?:,([0-9]{1,9}))? @@.*")
# A git header may ask for more than text: https://git-scm.com/docs/diff-format#generate_patch_text_with_p
_GIT = re.compile(rb"diff --git (\S{1,300}) (\S{1,300})")
_MARKED = re.compile(
    rb"(?:new file|deleted file|old|new) mode |(?:copy|rename) (?:from|to) |GIT binary patch|Binary files "
)
_MARK = re.compile(rb"(?:new file|deleted file|old|new) mode 100(?:644|755)|(copy|rename) (from|to) (\S{1,300})")
NOTHING = "/dev/null"


class SourcePatch(Strict):
    """One change of the distribution's that is applied before a build."""

    name: FileName
    """In the package's series."""
    sha256: Sha256
    """Of the patch as the distribution has it."""
    cves: tuple[OneLine, ...] = ()
    """Those that its name or its description names."""


class DistributionPatches(Strict):
    """What the distribution changed in a source, as far as it was applied to what was built."""

    package: PackageName
    """Its source package."""
    suite: Name
    version: Version
    """Debian's, with its revision."""
    sha256: Sha256
    """Of the package's `.debian.tar.xz`."""
    patches: tuple[SourcePatch, ...] = ()
    """In the order in which they were applied."""
    without: tuple[LeftOut, ...] = ()
    """Those that were left out."""

    @property
    def archive(self) -> str:
        return source_file(self.package, self.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPatch:
    """A patch as it was read."""

    facts: SourcePatch
    files: tuple[str, ...]
    """Below the sources."""
    text: bytes
    """The hunks again, under checked names: what is applied."""


def read_patches(pin: Archive, path: Path) -> tuple[ReadPatch, ...]:
    """Read the patches that a lock's archive is built with, in the order of their series.

    Parameters
    ----------
    path:
        The source package's `.debian.tar.xz`, whose hash was checked.

    Raises
    ------
    BuildError
        A patch is no text patch of files below the sources, or the series and the files do not belong together.
    """
    try:
        members = _members(path)
    except (TarError, PackedError, OSError) as error:
        raise _refused(pin, path.name, str(error)) from error
    series = list(_series(pin, members.pop("series", b"")))
    left_out = {left.patch for left in pin.without}
    if strange := sorted(left_out - set(series)):
        raise _refused(pin, strange[0], "`without` names it, the package's series does not")
    found = []
    for name in series:
        if name not in members:
            raise _refused(pin, name, "the series names it, the package has no such file")
        if name not in left_out:
            found.append(_read(pin, name, members[name]))
    return tuple(found)


def patch_facts(pin: Archive, found: Sequence[ReadPatch]) -> DistributionPatches | None:
    """Return what is recorded of the patches of an archive; None where none are applied."""
    if pin.patch_archive is None:
        return None
    return DistributionPatches(
        package=pin.patch_archive.distribution.package,
        suite=pin.patch_archive.distribution.suite,
        version=pin.revision,
        sha256=pin.patches,
        patches=tuple(patch.facts for patch in found),
        without=pin.without,
    )


def write_patches(found: Sequence[ReadPatch], into: Path) -> None:
    """Write patches for the build that applies them: one file each, in order, and the list of what they change."""
    into.mkdir()
    for number, patch in enumerate(found):
        (into / f"{number:04}-{patch.facts.name.removesuffix('.patch')}.patch").write_bytes(patch.text)
    files = dict.fromkeys(file for patch in found for file in patch.files)
    (into / "files").write_text("".join(f"{file}\n" for file in files))


def without_effect(found: Sequence[ReadPatch]) -> str:
    """Return the first patch that changes what `configure` is made from, which is made already; empty without one."""
    for patch in found:
        for file in patch.files:
            made_from = file.endswith((".m4", "configure.ac", "configure.in", "Makefile.am"))
            if made_from and not {"test", "tests", "docs", "examples"} & set(file.split("/")):
                return patch.facts.name
    return ""


def _members(path: Path) -> dict[str, bytes]:
    """Return the regular files of debian/patches; anything else there is refused where the series names it."""
    found: dict[str, bytes] = {}
    left = _LARGEST
    with open_tar(path) as archive:
        for member in archive.members():
            name = member.name.removeprefix("./")
            if not name.startswith(_FOLDER) or member.kind is not Kind.FILE:
                continue
            left -= member.size
            if left < 0:
                raise TarError(f"its patches are more than {_LARGEST:,} bytes")
            found[name.removeprefix(_FOLDER)] = b"".join(archive.content())
    return found


def _series(pin: Archive, text: bytes) -> Iterator[str]:
    """Yield the names of a series; its comments and `-p1`, which is the rule anyhow, are left out."""
    seen: set[str] = set()
    for line in text.decode("utf-8", "replace").splitlines():
        name, *options = line.partition("#")[0].split() or [""]
        if not name:
            continue
        if options not in ([], ["-p1"]) or "/" in name or not is_relative_path(name) or name in seen:
            raise _refused(pin, name, f"its line in the series is not understood: {one_line(line, most=120)}")
        seen.add(name)
        if len(seen) > _MOST:
            raise _refused(pin, name, f"the series has more than {_MOST} patches")
        yield name


def _read(pin: Archive, name: str, text: bytes) -> ReadPatch:
    try:
        described, changes = _changes([line + b"\n" for line in text.removesuffix(b"\n").split(b"\n")])
    except ValueError as error:
        raise _refused(pin, name, str(error)) from error
    told = f"{name}\n{described.decode('utf-8', 'replace')}"
    digest = hashlib.sha256(text).hexdigest()
    facts = SourcePatch(name=name, sha256=digest, cves=tuple(dict.fromkeys(_CVE.findall(told))))
    files = {file: None for change in changes for file in (change.before, change.after)}
    return ReadPatch(facts=facts, files=tuple(files), text=b"".join(change.text() for change in changes))


@dataclass(slots=True, kw_only=True)
class _Change:
    """What a patch does to one file."""

    before: str
    after: str
    marks: list[bytes] = field(default_factory=list)
    """What its git header says beyond that: modes, a copy, a rename."""
    labels: tuple[str, str] = ("", "")
    """Of its hunks: the names again, or that there is no such file."""
    hunks: list[bytes] = field(default_factory=list)

    def mark(self, line: bytes) -> None:
        """Take a line of its git header; raises ValueError where it asks for more than we do."""
        asked = _MARK.fullmatch(line)
        if asked is None or (asked[1] and asked[3].decode("utf-8", "replace") != self._moved(asked[2])):
            raise ValueError(f"asks for more than a change of text: {one_line(line, most=80)}")
        self.marks.append(line + b"\n")

    def _moved(self, direction: bytes) -> str:
        return self.before if direction == b"from" else self.after

    def check(self) -> None:
        """Raise ValueError where it does nothing, or nothing that is the same for whoever reads it."""
        moved = sum(mark.startswith((b"copy", b"rename")) for mark in self.marks)
        if not self.marks and not self.hunks:
            raise ValueError(f"does nothing to {one_line(self.after)} in a way that is understood")
        same = all(label in (NOTHING, name) for label, name in zip(self.labels, (self.before, self.after), strict=True))
        if moved != (2 if self.before != self.after else 0) or (
            self.hunks and (not same or {*self.labels} == {NOTHING})
        ):
            raise ValueError(f"changes {one_line(self.before)} into {one_line(self.after)}, and does not say how")

    def text(self) -> bytes:
        """Return it as a patch of this file alone."""
        parts = [f"diff --git a/{self.before} b/{self.after}\n".encode(), *self.marks] if self.marks else []
        if self.hunks:
            sides = zip("ab", self.labels, strict=True)
            old, new = (label if label == NOTHING else f"{side}/{label}" for side, label in sides)
            parts += [f"--- {old}\n+++ {new}\n".encode(), *self.hunks]
        return b"".join(parts)


def _changes(lines: Sequence[bytes]) -> tuple[bytes, list[_Change]]:
    """Return the description of a patch, and what it does to each file.

    Raises
    ------
    ValueError
        It asks for anything but changed, new, removed, copied and renamed text files below the sources; or is cut.
    """
    described: list[bytes] = []
    changes: list[_Change] = []
    opened: _Change | None = None
    at = 0
    while at < len(lines):
        line = lines[at].rstrip(b"\r\n")
        if line.startswith(b"diff --git "):
            opened = _opened(line)
            changes.append(opened)
        elif opened is not None and _MARKED.match(line):
            opened.mark(line)
        elif line.startswith(b"--- ") and at + 1 < len(lines) and lines[at + 1].startswith(b"+++ "):
            labels = (_name(line), _name(lines[at + 1]))
            if opened is None:
                file = labels[0] if labels[0] != NOTHING else labels[1]
                opened = _Change(before=file, after=file)
                changes.append(opened)
            opened.labels = labels
            at, opened.hunks = _hunks(lines, at + 2)
            opened = None
            continue
        elif not changes:
            described.append(lines[at])
        at += 1
    if not changes:
        raise ValueError("changes no file in a way that is understood (a unified diff)")
    for change in changes:
        change.check()
    return b"".join(described), changes


def _opened(line: bytes) -> _Change:
    git = _GIT.fullmatch(line)
    names = [_name(b"--- " + label) for label in git.groups()] if git else [NOTHING]
    if NOTHING in names:
        raise ValueError(f"has a header that is not understood: {one_line(line, most=120)}")
    return _Change(before=names[0], after=names[1])


def _name(line: bytes) -> str:
    """Return the file that a header line names, without its first folder; ValueError where it is no source."""
    label = line[4:].rstrip(b"\r\n").partition(b"\t")[0].decode("utf-8", "surrogateescape").rstrip()
    if label == NOTHING:
        return label
    _, _, file = label.partition("/")
    parts = file.split("/")
    plain = re.fullmatch(r"[A-Za-z0-9._/+@=,~-]{1,300}", file) is not None
    if label.startswith("/") or not is_relative_path(file) or not plain or ".git" in parts:
        raise ValueError(f"names {one_line(label, most=120)!r}, which is no file below the sources")
    return file


def _hunks(lines: Sequence[bytes], at: int) -> tuple[int, list[bytes]]:
    """Return where a file's hunks end, and them line by line."""
    found: list[bytes] = []
    while at < len(lines) and (head := _HUNK.fullmatch(lines[at].rstrip(b"\r\n"))):
        start, before, to, after = head.groups()
        old, new = int(before or 1), int(after or 1)
        found.append(b"@@ -%s,%d +%s,%d @@\n" % (start, old, to, new))
        at += 1
        while old > 0 or new > 0 or (at < len(lines) and lines[at].startswith(b"\\")):
            # An empty line is an empty line of context whose blank an editor took away.
            line = b" \n" if at < len(lines) and lines[at] in (b"\n", b"\r\n") else b"".join(lines[at : at + 1])
            mark = line[:1]
            if mark not in (b" ", b"-", b"+", b"\\"):
                raise ValueError(f"has a hunk that is cut: {one_line(lines[at - 1], most=80)}")
            old -= mark in (b" ", b"-")
            new -= mark in (b" ", b"+")
            found.append(line)
            at += 1
        if old or new:
            raise ValueError("has a hunk whose lines are not as many as it says")
    return at, found


def _refused(pin: Archive, name: str, why: str) -> BuildError:
    return BuildError(
        f"the distribution's patches of {pin.name} {pin.revision} are refused",
        where=one_line(name, most=120),
        why=one_line(why),
        next_step=f"pin another revision of {pin.name}, or name the patch in `without` of the lock, with the reason",
    )

"""The index of a root: every ELF file's facts, every link, and where its loader looks. A value, with a fingerprint.

A root is a directory or a tar file (an image's layer, a board's backup).
"""

from __future__ import annotations

import hashlib
import mmap
import os
import posixpath
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recipes import elf
from recipes.arch import FloatAbi, Identity
from recipes.elf import ElfFile
from recipes.errors import ConfigError

SKIPPED = ("proc", "sys", "dev", "run", "tmp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What a root has, by its own absolute paths.

    Parameters
    ----------
    files:
        Regular ELF files.
    links:
        Symbolic links, targets as they are written.
    directories:
        The folders that the loader searches, in order.
    damaged:
        Files that begin like ELF and cannot be used, with the reason; nothing is concluded from them.
    """

    source: str
    files: dict[str, ElfFile]
    links: dict[str, str]
    directories: tuple[str, ...]
    damaged: dict[str, str] = field(default_factory=dict)
    fingerprint: str = ""

    def resolve(self, path: str) -> str:
        """Follow every link of a path inside the root, as the kernel would; returns "" for a cycle."""
        done, todo = "/", [part for part in path.split("/") if part]
        for _ in range(512):
            if not todo:
                return done
            part = todo.pop(0)
            if part in ("", "."):
                continue
            step = posixpath.dirname(done) if part == ".." else posixpath.join(done, part)
            target = self.links.get(step)
            if target is None:
                done = step
                continue
            todo = [piece for piece in target.split("/") if piece] + todo
            if target.startswith("/"):
                done = "/"
        return ""

    def find(self, name: str, identity: Identity) -> tuple[str, ElfFile] | None:
        """Find a library as the loader does: by file name, folder by folder, files of another machine passed over."""
        for folder in self.directories:
            path = self.resolve(posixpath.join(folder, name))
            found = self.files.get(path)
            if found is not None and _compatible(found.identity, identity):
                return path, found
        return None

    def family(self, soname: str, identity: Identity) -> list[tuple[str, str]]:
        """Return (SONAME, path) of other versions of the same library: `libwebsockets.so.17` for `….so.19`."""
        stem = soname.partition(".so")[0]
        searched = set(self.directories) | {self.resolve(folder) for folder in self.directories}
        return sorted(
            (found.soname, path)
            for path, found in self.files.items()
            if found.soname.partition(".so")[0] == stem
            and found.soname != soname
            and posixpath.dirname(path) in searched
            and _compatible(found.identity, identity)
        )

    def digests(self, wanted: Iterable[str]) -> dict[str, str]:
        """Return the sha256 of some of the files, read from the root that was indexed in one pass.

        Raises
        ------
        ConfigError
            A file is not there any more.
        """
        names, root = set(wanted), Path(self.source)
        found: dict[str, str] = {}
        if root.is_dir():
            for path in names:
                found[path] = hashlib.sha256((root / path.lstrip("/")).read_bytes()).hexdigest()
        elif names:
            with tarfile.open(root) as archive:
                for member in archive:
                    path = _absolute(member.name)
                    if path in names and (reader := archive.extractfile(member)) is not None:
                        found[path] = hashlib.sha256(reader.read()).hexdigest()
        if lost := names - found.keys():
            raise ConfigError(f"{min(lost)} is not in the root any more", where=self.source, next_step="index it again")
        return found


def _compatible(found: Identity, wanted: Identity) -> bool:
    same = (found.bits, found.little, found.machine) == (wanted.bits, wanted.little, wanted.machine)
    return same and (FloatAbi.NONE in (found.float_abi, wanted.float_abi) or found.float_abi is wanted.float_abi)


def _absolute(name: str) -> str:
    return "/" + posixpath.normpath(name).lstrip("./")


def walk(root: str, below: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    with os.scandir(root + below) as entries:
        for entry in sorted(entries, key=lambda item: item.name):
            path = f"{below}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                if below or entry.name not in SKIPPED:
                    yield from walk(root, path)
            else:
                yield path, entry


def scan(root: Path) -> Index:
    """Read every ELF file of a root; unreadable and damaged ones are listed, never guessed about."""
    files: dict[str, ElfFile] = {}
    links: dict[str, str] = {}
    damaged: dict[str, str] = {}
    confs: dict[str, str] = {}
    for path, target, data in _members(root):
        if target is not None:
            links[path] = target
        elif data is not None and path.startswith("/etc/ld.so.conf"):
            confs[path] = bytes(data).decode("utf-8", "replace")
        elif data is not None:
            try:
                files[path] = elf.parse(data)
            except elf.ElfError as error:
                damaged[path] = str(error)
    facts = [sorted(links.items()), *((path, repr(found)) for path, found in sorted(files.items()))]
    fingerprint = hashlib.sha256(repr(facts).encode("utf-8", "replace")).hexdigest()
    return Index(
        source=str(root),
        files=files,
        links=links,
        damaged=damaged,
        directories=tuple(_directories(confs, files.values())),
        fingerprint=fingerprint,
    )


def _members(root: Path) -> Iterator[tuple[str, str | None, Any]]:
    """Yield (path, link target, content) of links, ELF files and the loader's configuration."""
    if not root.is_dir():
        yield from _tar_members(root)
        return
    for path, entry in walk(str(root), ""):
        if entry.is_symlink():
            yield path, os.readlink(entry.path), None
        elif entry.is_file(follow_symlinks=False):
            try:
                with open(entry.path, "rb") as file:  # noqa: PTH123 - a Path per file of a root costs more than the read
                    if path.startswith("/etc/ld.so.conf"):
                        yield path, None, file.read()
                    elif file.read(4) == elf.MAGIC:
                        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                            yield path, None, data
            except PermissionError:
                continue


def _tar_members(root: Path) -> Iterator[tuple[str, str | None, Any]]:
    try:
        with tarfile.open(root) as archive:
            for member in archive:
                path = _absolute(member.name)
                if path.split("/", 2)[1] in SKIPPED:
                    continue
                if member.issym():
                    yield path, member.linkname, None
                elif member.isfile() or member.islnk():
                    reader = archive.extractfile(member)
                    head = reader.read(4) if reader else b""
                    if reader and (head == elf.MAGIC or path.startswith("/etc/ld.so.conf")):
                        yield path, None, head + reader.read()
    except tarfile.TarError as error:
        raise ConfigError("not a root: neither a directory nor a tar file", where=str(root), why=str(error)) from error


def _directories(confs: dict[str, str], files: Iterable[ElfFile]) -> list[str]:
    """Return the loader's folders: ld.so.conf with its includes, then the built-in ones of glibc's builds."""
    found: list[str] = []
    included = [text for path, text in sorted(confs.items()) if path.startswith("/etc/ld.so.conf.d/")]
    for text in [*included, confs.get("/etc/ld.so.conf", "")]:
        lines = (line.partition("#")[0].strip() for line in text.splitlines())
        found += [line for line in lines if line.startswith("/")]
    wide = any(one.identity.bits == 64 for one in files)
    triples = sorted({line.rsplit("/", 1)[-1] for line in found if "-linux-" in line})
    found += [f"{base}/{triple}" for triple in triples for base in ("/lib", "/usr/lib")]
    found += ["/lib64", "/usr/lib64"] if wide else []
    return list(dict.fromkeys([*found, "/lib", "/usr/lib"]))

"""What a process opens by name, and no file of it needs: the C library's own modules, and OpenSSL's. Pure.

A loader's list does not show them, so a bundle of which it finds every library may still abort or do without. That
glibc aborts without its unwinder was seen with a real root; the rest is how glibc (sysdeps/nptl/unwind-forcedunwind.c,
nss/nsswitch.c, iconv/gconv_db.c, locale/findlocale.c), uClibc (unwind-forcedunwind.c) and OpenSSL
(crypto/conf/conf_mod.c) are known to work, and was not tried against each of them. musl opens nothing by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from recipes.arch import Arch, Libc
from recipes.elf import ElfFile
from recipes.proof.binding import references
from recipes.proof.search import Loader, first_file
from recipes.rootfs.index import Index
from recipes.rootfs.loaderconf import NSSWITCH
from recipes.rootfs.origin import Origin

UNWINDER: Final = "libgcc_s.so.1"
_UNWINDS: Final = frozenset({"pthread_cancel", "pthread_exit", "thrd_exit"})
_TRACES: Final = frozenset({"backtrace"})
_LOOKUPS: Final = {
    "hosts": frozenset(
        {"getaddrinfo", "getnameinfo", "gethostbyname", "gethostbyname2", "gethostbyname_r", "gethostbyaddr"}
    ),
    "passwd": frozenset({"getpwnam", "getpwnam_r", "getpwuid", "getpwuid_r"}),
    "group": frozenset({"getgrnam", "getgrnam_r", "getgrgid", "getgrgid_r", "initgroups", "getgrouplist"}),
}
"""Database of nsswitch.conf → the functions that ask it."""
_UNSAID: Final = {"hosts": ("dns", "files"), "passwd": ("files",), "group": ("files",)}
"""What glibc asks where nsswitch.conf does not say: https://man7.org/linux/man-pages/man5/nsswitch.conf.5.html."""
_WITHIN: Final = {"files": "GLIBC_2.34", "dns": "GLIBC_2.34"}
"""Module → the node of the C library from which on it is a part of it."""
_CHARSETS: Final = frozenset({"iconv_open"})
_LOCALES: Final = frozenset({"setlocale", "newlocale"})
_PROVIDERS: Final = frozenset({"OSSL_PROVIDER_load", "OSSL_PROVIDER_try_load", "OSSL_PROVIDER_load_ex"})
_CRYPTO: Final = re.compile(r"libcrypto\.so\.[\d.]+")
# OpenSSL's config(5): a module's file, an engine's, and a section that is switched on.
_MODULE: Final = re.compile(r"^\s{0,8}(?:module|dynamic_path|SO_PATH)\s{0,8}=\s{0,8}(/[\w./+-]{1,200})", re.MULTILINE)
_BUILT_IN_PROVIDERS: Final = ("default", "base", "null")


_NOWHERE: Final = Origin("")


class Presence(StrEnum):
    """Whether what is opened by name is there."""

    BOARD = "board"
    BUNDLE = "bundle"
    ABSENT = "absent"
    UNKNOWN = "unknown"
    """It is data that an index does not list, or what is opened is said at run time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedByName:
    """One file that a process opens by name.

    Parameters
    ----------
    name:
        What is opened.
    by:
        Which of the process asks for it, and by which function or setting.
    presence:
        Where it is.
    provider:
        Its place; empty where it is none of an index.
    without:
        What happens without it.
    """

    name: str
    by: str
    presence: Presence
    provider: Origin = _NOWHERE
    without: str

    @property
    def note(self) -> str:
        """What is to be said of it; empty where all is well, or nothing is known."""
        if self.presence is not Presence.ABSENT:
            return ""
        return f"{self.name} is not on this board, {self.by} asks for it by name: {self.without}"


def wants_unwinder(file: ElfFile, libc: Libc | None) -> str:
    """Return the function for which the C library opens the unwinder, or aborts; empty for none, and for musl's."""
    if libc is Libc.MUSL:
        return ""
    return next((name for name, *_ in references(file) if name in _UNWINDS), "")


def opened_by_name(process: Mapping[Origin, ElfFile], board: Index, arch: Arch) -> Iterator[OpenedByName]:
    """Yield what a process opens by name, each file once; `process` is every file that its loader brings, by place."""
    seek = _Seek(process, board, arch)
    libc = board.libc or Libc.GLIBC
    if libc is not Libc.MUSL and (asker := seek.caller(_UNWINDS)):
        yield seek.library(UNWINDER, asker, f"it ends with '{UNWINDER} must be installed'")
    elif libc is Libc.GLIBC and (asker := seek.caller(_TRACES)):
        yield seek.library(UNWINDER, asker, "it gets an empty list of calls")
    if libc is Libc.GLIBC:
        yield from _name_services(seek)
        yield from _charsets(seek)
    crypto = next((file for file in process.values() if _CRYPTO.fullmatch(file.soname)), None)
    if crypto is not None:
        yield from _openssl(seek, crypto)


class _Seek:
    """One process, and where a name of it is looked for."""

    def __init__(self, process: Mapping[Origin, ElfFile], board: Index, arch: Arch) -> None:
        self.process, self.board = process, board
        self._arch = arch
        self._loader = Loader(board, arch.identity)

    def caller(self, functions: frozenset[str]) -> str:
        """Return who of the process calls one of these, in words; files that travel come first."""
        for place, file in sorted(self.process.items(), key=lambda item: not item[0].ours):
            if file.soname.startswith(("libc.", "libpthread.", "libuClibc")):
                continue
            for name, *_ in references(file):
                if name in functions:
                    return f"{place.rpartition('/')[2]} ({name})"
        return ""

    def library(self, name: str, by: str, without: str) -> OpenedByName:
        """Say where a library is that is opened by a bare name: in the process already, or found by its loader."""
        for place, file in self.process.items():
            if file.soname == name:
                presence = Presence.BUNDLE if place.ours else Presence.BOARD
                return OpenedByName(name=name, by=by, presence=presence, provider=place, without=without)
        found = self.board.find(name, self._arch.identity)
        lost = self.lost(found) if found else ""
        if found and not lost:
            return OpenedByName(name=name, by=by, presence=Presence.BOARD, provider=Origin(found[0]), without=without)
        why = f"{without} (it is at {found[0]}, and needs {lost})" if found else without
        return OpenedByName(name=name, by=by, presence=Presence.ABSENT, without=why)

    def lost(self, found: tuple[str, ElfFile]) -> str:
        """Return a library for want of which a file of the board cannot be opened."""
        steps = self._loader.process([first_file(Origin(found[0]), found[1])])
        known = {file.soname for file in self.process.values()}
        return next((step.name for step in steps if step.got is None and step.name not in known), "")

    def folder(self, part: str) -> str:
        """Return a file of the board in a folder of this name."""
        return next((path for path, file in sorted(self.board.files.items()) if part in path and self._fits(file)), "")

    def file(self, path: str) -> str:
        """Return the file behind a path of the board; empty where it has none of this machine."""
        place = self.board.resolve(path)
        return place if place in self.board.files and self._fits(self.board.files[place]) else ""

    def _fits(self, file: ElfFile) -> bool:
        return self._arch.matches(file.identity)


def _name_services(seek: _Seek) -> Iterator[OpenedByName]:
    """Yield glibc's modules for names of hosts, users and groups, by the board's nsswitch.conf."""
    libc = next((file for file in seek.process.values() if file.soname == "libc.so.6"), None)
    nodes = libc.version_defs if libc is not None else ()
    for database, functions in _LOOKUPS.items():
        asker = seek.caller(functions)
        if not asker:
            continue
        services = services_of(database, seek.board.texts)
        rows = [
            seek.library(f"libnss_{service}.so.2", f"{asker}, by {database} in nsswitch.conf", "")
            for service in services
            if _WITHIN.get(service, "-") not in nodes
        ]
        able = [row for row in rows if row.presence is not Presence.ABSENT]
        resolves = {service for service in services if _WITHIN.get(service, "-") in nodes}
        resolves |= {row.name.removeprefix("libnss_").removesuffix(".so.2") for row in able}
        for row in rows:
            yield OpenedByName(
                name=row.name,
                by=row.by,
                presence=row.presence,
                provider=row.provider,
                without=f"glibc goes on with {', '.join(sorted(resolves))}" if resolves else f"no {database} are found",
            )
        if database == "hosts" and not resolves - {"files", "myhostname", "mdns4_minimal", "mdns4", "mdns"}:
            without = "names of the service cannot be resolved"
            if all(row.name != "libnss_dns.so.2" for row in rows):
                yield OpenedByName(name="dns in nsswitch.conf", by=asker, presence=Presence.ABSENT, without=without)


def services_of(database: str, texts: Mapping[str, str] | None) -> Sequence[str]:
    """Return the modules that a database of nsswitch.conf names, in order; glibc's own where it names none."""
    for line in (texts or {}).get(NSSWITCH, "").splitlines():
        name, colon, rest = line.partition("#")[0].partition(":")
        if colon and name.strip() == database:
            words = re.sub(r"\[[^\]]{0,200}\]", " ", rest).split()
            found = [word for word in words if re.fullmatch(r"[\w-]{1,40}", word)]
            return tuple(dict.fromkeys(found)) or _UNSAID[database]
    return _UNSAID[database]


def _charsets(seek: _Seek) -> Iterator[OpenedByName]:
    asker = seek.caller(_CHARSETS)
    if asker:
        there = seek.folder("/gconv/")
        yield OpenedByName(
            name="gconv's modules",
            by=asker,
            presence=Presence.BOARD if there else Presence.ABSENT,
            provider=Origin(there),
            without="it converts between ASCII, UTF-8 and UCS only",
        )
    if asker := seek.caller(_LOCALES):
        without = "it stays with the locale C"
        yield OpenedByName(name="locale-archive", by=asker, presence=Presence.UNKNOWN, without=without)


def _openssl(seek: _Seek, crypto: ElfFile) -> Iterator[OpenedByName]:
    """Yield what OpenSSL reads and opens: openssl.cnf, the modules and engines that it names, and legacy.so."""
    found = {path: text for path, text in (seek.board.texts or {}).items() if path.endswith("/openssl.cnf")}
    by = crypto.soname
    yield OpenedByName(
        name="openssl.cnf",
        by=by,
        presence=Presence.BOARD if found else Presence.UNKNOWN,
        provider=Origin(min(found, default="")),
        without="its own settings hold",
    )
    for path, text in sorted(found.items()):
        for name in dict.fromkeys(_modules(text)):
            there = seek.file(name) if name.startswith("/") else seek.folder(f"/ossl-modules/{name}")
            yield OpenedByName(
                name=name,
                by=f"{by}, by {path},",
                presence=Presence.BOARD if there else Presence.ABSENT,
                provider=Origin(there),
                without="what it adds is not there; with config_diagnostics no connection is made",
            )
    asker = seek.caller(_PROVIDERS)
    if asker and not crypto.soname.startswith("libcrypto.so.1"):
        there = seek.folder("/ossl-modules/legacy.so")
        yield OpenedByName(
            name="legacy.so",
            by=asker,
            presence=Presence.BOARD if there else Presence.ABSENT,
            provider=Origin(there),
            without="retired algorithms are not there",
        )


def _modules(text: str) -> Iterable[str]:
    """Return what the settings of OpenSSL open: files by their path, providers by the name of their module."""
    yield from (match[1] for match in _MODULE.finditer(text))
    sections = _sections(text)
    for key, section in _chain(sections, "openssl_conf", "providers"):
        settings = sections.get(section, {})
        active = settings.get("activate", "0").lower() in ("1", "yes", "true", "on")
        if active and "module" not in settings and key not in _BUILT_IN_PROVIDERS:
            yield f"{key}.so"


def _chain(sections: Mapping[str, Mapping[str, str]], *keys: str) -> Iterable[tuple[str, str]]:
    """Follow keys that name sections, from the one without a name; return what the last one holds."""
    here: Mapping[str, str] = sections.get("", {})
    for key in keys:
        here = sections.get(here.get(key, ""), {})
    return here.items()


def _sections(text: str) -> dict[str, dict[str, str]]:
    sections: dict[str, dict[str, str]] = {"": {}}
    name = ""
    for line in text.splitlines():
        bare = line.partition("#")[0].strip()
        if bare.startswith("[") and bare.endswith("]"):
            name = bare[1:-1].strip()
        elif "=" in bare:
            key, _, value = bare.partition("=")
            sections.setdefault(name, {}).setdefault(key.strip(), value.strip())
    return sections

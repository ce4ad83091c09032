"""What a root says about its own loader: which libc's it is, its built-in folders, its cache and its configuration.

Nothing here opens a file: bytes and texts go in, facts come out. Formats: glibc's sysdeps/generic/dl-cache.h (both
layouts of the cache), ldconfig(8) for ld.so.conf; uClibc's ldconfig writes the older layout; musl's ldso/dynlink.c for
its .path file.
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from recipes.arch import FloatAbi, Identity, Libc, same_machine

LD_CACHE: Final = "/etc/ld.so.cache"
ORIGIN: Final = "$ORIGIN"
NSSWITCH: Final = "/etc/nsswitch.conf"
_DEFAULTS: Final = {Libc.MUSL: ("/lib", "/usr/local/lib", "/usr/lib"), Libc.UCLIBC: ("/lib", "/usr/lib")}
_LISTED: Final = re.compile(rb"\0((?:/[\w.+/-]+:)+/[\w.+/-]+)(?=\0)")
_BUILT_IN: Final = re.compile(rb"(?:/[\w.+/-]*lib[\w.+/-]*/\0)+")
_OLD, _NEW = b"ld.so-1.7.0", b"glibc-ld.so.cache1.1"
_ENTRIES: Final = 1 << 16
_UCLIBCS: Final = (1, 2, 4)  # LIB_ELF, LIB_ELF_LIBC5, LIB_ELF_LIBC0


class LibcNames(NamedTuple):
    """What the files of a C library are called.

    Parameters
    ----------
    loaders:
        What the name of its loader begins with.
    loader_file:
        The whole name of its loader.
    libraries:
        SONAMEs of its libraries, without their versions; and what other names of them begin with, up to a `-`.
    answers:
        What the names begin with to which its loader answers itself, whatever a file of that name says it is.
    files:
        The name of the C library itself, where that is another file than the loader.
    """

    loaders: tuple[str, ...]
    loader_file: re.Pattern[str]
    libraries: tuple[str, ...]
    answers: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


_POSIX: Final = ("libc", "libm", "libpthread", "libdl", "librt", "libresolv", "libutil")
LIBC_NAMES: Final = {
    Libc.GLIBC: LibcNames(
        ("ld-linux", "ld.so.", "ld64.so."),
        re.compile(r"ld-linux[\w-]*\.so\.\d+|ld(64)?\.so\.[12]|ld-2\.\d+(\.\d+)?\.so"),
        _POSIX,
        files=("libc.so.6", "libc.so.6.1"),
    ),
    Libc.MUSL: LibcNames(  # its loader is the C library
        ("ld-musl-",),
        re.compile(r"ld-musl-[\w-]+\.so\.1"),
        ("libc", "libc.musl-"),
        ("libc.", "libpthread.", "librt.", "libm.", "libdl.", "libutil.", "libxnet."),
    ),
    Libc.UCLIBC: LibcNames(
        ("ld-uClibc", "ld64-uClibc"),
        re.compile(r"ld(64)?-uClibc[\w.-]*\.so[.\d]*"),
        (*_POSIX, "libuClibc-"),
        files=("libc.so.0", "libc.so.1"),
    ),
}
"""The one table of names by which a C library is known."""
_BEGINNINGS: Final = tuple(
    name
    for names in LIBC_NAMES.values()
    for name in (*names.loaders, *(library for library in names.libraries if library.endswith("-")))
)
_STEMS: Final = {library for names in LIBC_NAMES.values() for library in names.libraries}
_VERSION: Final = re.compile(r"\.so[.\d]*$")
_LIBRARY: Final = re.compile(r".\.so(\.|$)")


class CacheEntry(NamedTuple):
    """One line of a loader's cache; `hwcap` is not 0 where only some processors take it."""

    path: str
    flags: int
    hwcap: int


def is_library_name(name: str) -> bool:
    """Tell whether a file of this name may be looked for as a library; of one of another name no root tells."""
    return _LIBRARY.search(name) is not None and not name.startswith("ld.so.c")


def is_loader_conf(path: str) -> bool:
    """Tell whether a file is one that says where a loader looks."""
    return path.startswith(("/etc/ld.so.conf", "/etc/ld-musl-")) or path == LD_CACHE


def is_run_time_text(path: str) -> bool:
    """Tell whether a file is one by which a C library or OpenSSL opens others by name (`Index.texts`)."""
    return path == NSSWITCH or path.endswith("/openssl.cnf")


def is_kept_text(path: str) -> bool:
    """Tell whether a file that is no ELF file belongs to an index."""
    return is_loader_conf(path) or is_run_time_text(path)


def libc_of(loader: str) -> Libc | None:
    """Return whose loader a path names; None where it is none."""
    name = posixpath.basename(loader)
    return next((which for which, names in LIBC_NAMES.items() if names.loader_file.fullmatch(name)), None)


def is_of_libc(soname: str) -> bool:
    """Tell whether a library is the C library's own, its loader included: a process has it once, and the board's."""
    return soname.startswith(_BEGINNINGS) or _VERSION.sub("", soname) in _STEMS


def loader_of_root(interpreters: Iterable[str], paths: Iterable[str]) -> str:
    """Return the loader of a root: the one that most of its programs ask for, else the first that is there."""
    asked = [loader for loader in interpreters if libc_of(loader)]
    if asked:
        return max(sorted(set(asked)), key=asked.count)
    there = {path for path in paths if libc_of(path)}
    order = [*Libc, None]
    return min(there, key=lambda path: (order.index(libc_of(path)), len(path), path), default="")


def built_in_folders(data: Any, which: Libc = Libc.GLIBC) -> tuple[str, ...]:
    """Return the default folders that are compiled into a loader: Debian's, Yocto's and a vendor's differ.

    uClibc's has a list with colons, maybe one of folders with slashes behind them, which comes before the loader's own
    folder; before them come LD_CACHE if it was built to read that, and ORIGIN if it knows the word.
    """
    if which is Libc.UCLIBC:
        lists = [match[1].decode("ascii").split(":") for match in _LISTED.finditer(data)]
        knows = [word for word in (LD_CACHE, ORIGIN) if b"\0" + word.encode() + b"\0" in bytes(data)]
        return (*knows, *(folder for folders in lists for folder in folders))
    runs = [match[0] for match in _BUILT_IN.finditer(data)]
    best = max(runs, key=len, default=b"").decode("ascii", "replace")
    return tuple(posixpath.normpath(folder) for folder in best.split("\0") if folder)


def search_folders(path: str, built: Iterable[str], confs: Mapping[str, str], *, wide: bool) -> tuple[str, ...]:
    """Return the folders that a root's loader searches by itself.

    glibc's never reads ld.so.conf: what that names is found through the cache alone (ldconfig makes it), so it does not
    count here. In a root without any loader of its own it does: nothing better is known of such a root.
    """
    which, listed = libc_of(path), conf_folders(confs)
    if which is Libc.MUSL:
        text = confs.get("/etc/" + posixpath.basename(path).replace(".so.1", ".path"))
        return _DEFAULTS[Libc.MUSL] if text is None else tuple(part for part in re.split("[:\n]", text) if part)
    if which is Libc.UCLIBC:
        known = [folder for folder in built if folder not in (LD_CACHE, ORIGIN)] or _DEFAULTS[Libc.UCLIBC]
        first = [posixpath.normpath(folder) for folder in known if folder.endswith("/")]
        return tuple(
            dict.fromkeys([*first, posixpath.dirname(path), *(folder for folder in known if not folder.endswith("/"))])
        )
    if which is Libc.GLIBC and (own := tuple(built)):
        return own
    triples = sorted({line.rsplit("/", 1)[-1] for line in listed if "-linux-" in line})
    usual = [f"{base}/{triple}" for triple in triples for base in ("/lib", "/usr/lib")]
    usual += ["/lib64", "/usr/lib64"] if wide else []
    return tuple(dict.fromkeys([*([] if which else listed), *usual, "/lib", "/usr/lib"]))


def conf_folders(confs: Mapping[str, str]) -> list[str]:
    """Return the folders that /etc/ld.so.conf names, includes at their place; twice named counts once."""
    if "/etc/ld.so.conf" not in confs:  # a root of packages: the fragments are there, the file that names them is not
        texts = sorted(path for path in confs if path.startswith("/etc/ld.so.conf.d/"))
        return list(dict.fromkeys(folder for path in texts for folder in _lines(path, confs, ())))
    return list(dict.fromkeys(_lines("/etc/ld.so.conf", confs, ())))


def _lines(path: str, confs: Mapping[str, str], above: tuple[str, ...]) -> Iterator[str]:
    if path in above:
        return
    for line in confs[path].splitlines():
        text = line.partition("#")[0].strip()
        words = text.split()
        if words[:1] == ["include"]:
            for pattern in words[1:]:
                whole = posixpath.normpath(posixpath.join(posixpath.dirname(path), pattern))
                level = whole.count("/")
                for name in sorted(confs):
                    if name.count("/") == level and fnmatch.fnmatchcase(name, whole):
                        yield from _lines(name, confs, (*above, path))
        elif text.startswith("/"):
            yield posixpath.normpath(re.split(r"[\s:,=]", text, maxsplit=1)[0])


def read_cache(data: bytes, which: Libc | None = Libc.GLIBC) -> dict[str, tuple[CacheEntry, ...]] | None:
    """Read a loader's cache: name to entries, in their order; None where it is not one that a loader would take.

    uClibc's takes the older layout only, which has to be whole, and in it the entries that are not for glibc.
    """
    try:
        if which is not Libc.UCLIBC:
            return _entries(data)
        entries = _entries(data, old=True) if data.endswith(b"\0") else None
    except (struct.error, ValueError, IndexError):
        return None
    if entries is None:
        return None
    taken = {name: tuple(row for row in rows if row.flags in _UCLIBCS) for name, rows in entries.items()}
    return {name: rows for name, rows in taken.items() if rows}


def _entries(data: bytes, *, old: bool = False) -> dict[str, tuple[CacheEntry, ...]] | None:
    start, order = -1 if old else data.find(_NEW), "<"
    if start >= 0:
        # The byte after the two lengths tells the order, 0 in caches from before 2.33; all our machines are little.
        order = ">" if data[start + 28] & 3 == 3 else "<"
        count, first, size, base = struct.unpack_from(order + "I", data, start + 20)[0], start + 48, 24, start
    elif data.startswith(_OLD):
        count, first, size = struct.unpack_from("<I", data, 12)[0], 16, 12
        base = first + count * size
    else:
        return None
    if count > _ENTRIES:
        return None
    entries: dict[str, tuple[CacheEntry, ...]] = {}
    for at in range(first, first + count * size, size):
        flags, name, path = struct.unpack_from(order + "iII", data, at)
        hwcap = struct.unpack_from(order + "Q", data, at + 16)[0] if size > 16 else 0
        key = _text(data, base + name)
        entries[key] = (*entries.get(key, ()), CacheEntry(_text(data, base + path), flags, hwcap))
    return entries


def _text(data: bytes, at: int) -> str:
    return data[at : data.index(b"\0", at)].decode("utf-8", "surrogateescape")


# The second byte of an entry's flags, sysdeps/generic/ldconfig.h; a machine that has none is not told from another.
_MACHINES: Final = {
    0x03: (64, 62, FloatAbi.NONE),
    0x08: (32, 62, FloatAbi.NONE),
    0x09: (32, 40, FloatAbi.HARD),
    0x0A: (64, 183, FloatAbi.NONE),
    0x0B: (32, 40, FloatAbi.SOFT),
}


def entry_fit(entry: CacheEntry, identity: Identity) -> int:
    """Tell how an entry fits a machine: 2 it names it, 1 it names none, 0 it names another."""
    mark = entry.flags >> 8 & 0xFF
    if mark in _MACHINES:
        bits, machine, floats = _MACHINES[mark]
        alike = FloatAbi.NONE in (floats, identity.float_abi) or floats is identity.float_abi
        return 2 if alike and (bits, machine) == (identity.bits, identity.machine) else 0
    # glibc for ARM takes unmarked entries too; x86-64 and AArch64 do not.
    marked = any((bits, machine) == (identity.bits, identity.machine) for bits, machine, _ in _MACHINES.values())
    return 1 if not marked or identity.machine == _EM_ARM else 0


def chosen_entry(entries: Iterable[CacheEntry], identity: Identity) -> CacheEntry | None:
    """Return the one entry that glibc takes of a name: it asks once, and does not try the next one."""
    fitting = [entry for entry in entries if not entry.hwcap and entry_fit(entry, identity)]
    return max(fitting, key=lambda entry: entry_fit(entry, identity), default=None)


_HWCAPS: Final = re.compile(
    r"(.*?)((?:/glibc-hwcaps/[^/]+|/(?:tls|x86_64|haswell|xeon_phi|avx512_1|sse2|i[3-6]86|neon|vfp|vfpv3|half|thumb|"
    r"fastmult|edsp|v[5-8]l|aarch64|atomics|asimd))+)"
)
"""Folders below another one that glibc prefers on some processors: of 2.33 and later, and those of before."""


def processor_folders(paths: Iterable[str]) -> dict[str, list[str]]:
    """Return the folders that hold copies for some processors, by the folder they stand for."""
    below: dict[str, list[str]] = {}
    for folder in sorted({posixpath.dirname(path) for path in paths}):
        if match := _HWCAPS.fullmatch(folder):
            below.setdefault(match[1], []).append(folder)
    return below


_EM_MIPS, _EM_ARM = 8, 40
_MIPS_COMPARED: Final = {"o32", "o64", "n32", "n64", "EABI32", "EABI64", "NaN2008", "single"}


def glibc_passes_over(found: Identity, loader: Identity) -> bool:
    """Tell whether glibc's loader is known to look further where it meets a file of another machine or ABI.

    What it is not known to compare it may take; then a search of ours ends there. Shown by `tests/corpus` for another
    class, byte order and machine, for ARM's float ABI, and for MIPS's ABIs, NaNs and floats.
    """
    if not same_machine(found, loader):
        return True
    floats = FloatAbi.NONE not in (found.float_abi, loader.float_abi) and found.float_abi is not loader.float_abi
    if found.machine == _EM_MIPS:
        return floats or bool((set(found.abi.split()) ^ set(loader.abi.split())) & _MIPS_COMPARED)
    return floats and found.machine == _EM_ARM

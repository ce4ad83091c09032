"""What a board says that it has: the script that lists it, and the strict reader of the list. Pure but for the script.

A name from a board becomes a name in an archive and in an index, and is nothing else: no path of this machine.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from recipes.arch import Libc
from recipes.errors import PreflightError
from recipes.rootfs.files import SKIPPED_FOLDERS
from recipes.rootfs.loaderconf import LD_CACHE, NSSWITCH, conf_folders, read_cache
from recipes.text import one_line

TOPS = ("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib", "/opt")
"""Where libraries are looked for on any board; what its loader names comes to it."""
LISTING_BYTES = 32 << 20
_ENTRIES = 100_000
_FILE_BYTES = 1 << 30
_ALL_BYTES = 8 << 30
_MORE = 64  # folders that a loader's configuration may add
_OWN = (
    *("/etc/ld.so.", "/etc/ld-musl-", "/etc/alternatives/", "/etc/os-release", "/usr/lib/os-release"),
    *(NSSWITCH, "/etc/ssl/openssl.cnf", "/etc/pki/tls/openssl.cnf"),
)
# Find, ls and tar as BusyBox has them. Modules, firmware and languages' own libraries load into no process of ours.
LIST_SCRIPT = r"""
# $1 our own folder, or empty; the folders to look into. Prints lines of fields with tabs between them, hashes as
# sha256sum does, and what ls says of sizes and of what is no file; changes nothing.
set -f
ours=$1
shift
tab=$(printf '\t')
plain() { case $1 in / | *[!A-Za-z0-9._/+-]*) return 1 ;; /*) return 0 ;; *) return 1 ;; esac; }
tell() { echo "link$tab$1$tab$(readlink "$1")"; }
way() { # says each link on the way to $1
    part=$1
    while [ -n "$part" ]; do if [ -L "$part" ]; then tell "$part"; fi; part=${part%/*}; done
}
tops=
for top; do
    [ -d "$top" ] || continue
    way "$top"
    place=$(cd -P "$top" 2>/dev/null && pwd -P) && plain "$place" || continue
    for known in $tops; do case $place/ in "$known"/*) continue 2 ;; esac; done
    tops="$tops $place"
    echo "top$tab$place"
done
skip=
look() {
    find $tops -xdev \( -name modules -o -name firmware -o -name 'python*' -o -name perl5 -o -name locale $skip \) \
        -prune -o "$@"
}
leave() {
    plain "$1" || return 0
    echo "ours$tab$1"
    skip="$skip -o -path $1"
}
if [ -n "$tops" ]; then
    if [ -n "$ours" ]; then leave "$(cd -P "$ours" 2>/dev/null && pwd -P || echo "$ours")"; fi
    for mark in $(look -type f \( -name .boardcast -o -name .list \) -print 2>/dev/null); do
        case $mark in
            */.boardcast) leave "${mark%/*}" ;;
            */releases/*/.list) if [ -d "${mark%/releases/*}/store" ]; then leave "${mark%/releases/*}"; fi ;;
        esac
    done
    find ${tops# } -prune -path /x >/dev/null 2>&1 || skip=
    look -type f -name '*.so*' -exec sha256sum {} +
    LC_ALL=C look -type f -name '*.so*' -exec ls -ldn {} +
    LC_ALL=C look ! -type f ! -type l -name '*.so*' -exec ls -ldn {} +
fi
{
    [ -z "$tops" ] || LC_ALL=C look -type l -name '*.so*' -exec ls -ldn {} +
    LC_ALL=C find /etc/alternatives -type l -name '*.so*' -exec ls -ldn {} + 2>/dev/null
} | while IFS= read -r line; do
    # By one ls, not by a readlink for each of a thousand links. All before the path are numbers, names and a date.
    rest=/${line#* /}
    path=${rest%% -> *} target=${rest#* -> }
    case $target in
        *' -> '*) if [ -L "$path" ]; then tell "$path"; fi ;;
        *) echo "link$tab$path$tab$target" ;;
    esac
    # What a name of a library beside it leads to is listed anyway; what lies elsewhere may be anything.
    case $target in
        *.so*) case $target in */*) ;; *) continue ;; esac ;;
    esac
    if [ -e "$path" ]; then echo "at$tab$(readlink -f "$path" 2>/dev/null)"; fi
done
set +f
for path in /etc/ld.so.conf /etc/ld.so.conf.d/*.conf /etc/ld.so.cache /etc/ld-musl-*.path /etc/os-release \
    /usr/lib/os-release /etc/nsswitch.conf /etc/ssl/openssl.cnf /etc/pki/tls/openssl.cnf /usr/lib/ssl/openssl.cnf; do
    if [ -f "$path" ] && [ ! -L "$path" ]; then sha256sum "$path"; ls -ldn "$path"; fi
done
echo "end$tab"
exit 0
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a board listed, checked.

    Parameters
    ----------
    files:
        Path to sha256.
    links:
        Path to target, as it is written.
    sizes:
        Bytes, for those files whose size was told.
    places:
        The folders that were looked into.
    ours:
        Roots of our own releases; nothing below them is listed.
    others:
        Path to what it is, of what a loader would open and is not among the files: a folder, a FIFO, a file that the
        user may not read, or that a link leads to and that has no library's name.
    private:
        Files that not every user of the board may read.
    """

    files: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    places: tuple[str, ...] = ()
    ours: tuple[str, ...] = ()
    others: dict[str, str] = field(default_factory=dict)
    private: frozenset[str] = frozenset()

    def joined(self, other: Listing) -> Listing:
        """Return both as one."""
        files = self.files | other.files
        return Listing(
            files=files,
            links=self.links | other.links,
            sizes=self.sizes | other.sizes,
            places=self.places + other.places,
            ours=self.ours + other.ours,
            others={path: what for path, what in (self.others | other.others).items() if path not in files},
            private=self.private | other.private,
        )

    def room(self, path: str) -> int:
        """Return the most bytes that a file may come with."""
        return self.sizes.get(path, _FILE_BYTES)


_HASHED = re.compile(r"([0-9a-f]{64}) [ *](/.+)")
_SIZED = re.compile(r"-.{6}([r-])\S{2,3} +\d+ +\d+ +\d+ +(\d{1,18}) +\S+ +\S+ +\S+ (/.+)")
_ODD = re.compile(r"([dpscb])\S{9,10} .*? (/.+)")
_KINDS = {"d": "folder", "p": "FIFO", "s": "socket", "c": "device", "b": "device"}


def read_listing(text: str, folders: Sequence[str]) -> Listing:
    """Read what LIST_SCRIPT printed.

    A line with a name that cannot be printed is passed over: no loader asks for one.

    Parameters
    ----------
    folders:
        Those that were asked for.

    Raises
    ------
    PreflightError
        A path is not below what was listed, or is written so that it leads elsewhere; or it is too much.
    """
    lines = text.split("\n")
    if "end\t" not in lines:
        raise PreflightError(
            "the board's list of libraries was cut", why=one_line(text[-160:]), next_step="the same command again"
        )
    if len(lines) > 4 * _ENTRIES:
        raise PreflightError("the board lists too many files", why=f"{len(lines):,} lines; {_ENTRIES:,} files may be")
    return _checked(_parsed(line for line in lines if line.replace("\t", "").isprintable()), folders)


def _parsed(lines: Iterable[str]) -> Listing:
    files: dict[str, str] = {}
    links: dict[str, str] = {}
    sizes: dict[str, int] = {}
    told: dict[str, list[str]] = {"top": [], "ours": [], "at": []}
    others: dict[str, str] = {}
    private: set[str] = set()
    for line in lines:
        kind, _, rest = line.partition("\t")
        if kind == "link" and rest.count("\t") == 1:
            path, target = rest.split("\t")
            links[path] = target
        elif kind in told:
            told[kind].append(rest)
        elif hashed := _HASHED.fullmatch(line):
            files[hashed[2]] = hashed[1]
        elif sized := _SIZED.fullmatch(line):
            sizes[sized[3]] = int(sized[2])
            if sized[1] == "-":
                private.add(sized[3])
        elif odd := _ODD.fullmatch(line):
            others[odd[2]] = _KINDS[odd[1]]
    others |= dict.fromkeys(sizes.keys() - files.keys(), "a file that cannot be read")
    # What a link leads to and was not looked into may be anything: a proof must not go on behind it.
    others |= {path: "not looked into" for path in told["at"] if path not in files and path not in others}
    return Listing(
        files=files,
        links=links,
        sizes=sizes,
        places=tuple(told["top"]),
        ours=tuple(told["ours"]),
        others={path: what for path, what in others.items() if _straight(path)},
        private=frozenset(private),
    )


def _checked(listing: Listing, folders: Sequence[str]) -> Listing:
    for place in (*listing.places, *listing.ours):
        # Our own root may be in a folder of passing things: only libraries are in none.
        if not (_straight(place) if place in listing.places else _whole(place)):
            raise _refused(place, "it is no folder that libraries are in")
    below = tuple(f"{folder}/" for folder in (*listing.places, *folders))
    for path in (*listing.files, *listing.links):
        if not _straight(path):
            raise _refused(path, "it leads elsewhere than it says")
        if not path.startswith((*below, *_OWN)) and path not in _ways(folders):
            raise _refused(path, "it is not below what was asked for")
    known = {path: size for path, size in listing.sizes.items() if path in listing.files}
    if large := [path for path, size in known.items() if size > _FILE_BYTES]:
        raise _refused(large[0], f"it has {known[large[0]]:,} bytes; {_FILE_BYTES:,} may be")
    if sum(known.values()) > _ALL_BYTES:
        raise PreflightError("the board lists too much", why=f"{sum(known.values()):,} bytes; {_ALL_BYTES:,} may be")
    roots = tuple(f"{root}/" for root in listing.ours)
    return Listing(
        files={path: digest for path, digest in listing.files.items() if not path.startswith(roots)},
        links={path: target for path, target in listing.links.items() if not path.startswith(roots)},
        sizes=known,
        places=listing.places,
        ours=listing.ours,
        others={path: what for path, what in listing.others.items() if not path.startswith(roots)},
        private=listing.private,
    )


def _whole(path: str) -> bool:
    """Tell whether a path is absolute, in its shortest form, and not the root itself."""
    return path.startswith("/") and not path.startswith("//") and path == posixpath.normpath(path) != "/"


def _straight(path: str) -> bool:
    """Tell whether a path is whole, and in no folder of the kernel's or of passing things."""
    return _whole(path) and path.split("/")[1] not in SKIPPED_FOLDERS


def _ways(folders: Iterable[str]) -> set[str]:
    """Return the folders and all above them: each may be a link."""
    found = set(folders)
    for folder in folders:
        while (folder := posixpath.dirname(folder)) != "/":
            found.add(folder)
    return found


def _refused(path: str, why: str) -> PreflightError:
    return PreflightError(
        "the board lists a path that no honest board lists; nothing was taken",
        where=one_line(path, most=160),
        why=why,
        next_step="is it the board that you think it is?",
    )


def more_folders(confs: Mapping[str, bytes], known: Sequence[str]) -> list[str]:
    """Return the folders that a board's loader looks into and that were not looked into yet.

    Parameters
    ----------
    confs:
        The loader's configuration and cache, by their path on the board.
    """
    texts = {path: data.decode("utf-8", "replace") for path, data in confs.items() if path != LD_CACHE}
    folders = conf_folders({path: text for path, text in texts.items() if path.startswith("/etc/ld.so.conf")})
    for path, text in texts.items():
        if path.startswith("/etc/ld-musl-"):
            folders += [part.strip() for part in re.split("[:\n]", text)]
    data = confs.get(LD_CACHE, b"")
    cache = read_cache(data) or read_cache(data, Libc.UCLIBC) or {}
    folders += [posixpath.dirname(entry.path) for entries in cache.values() for entry in entries]
    return _outer(folders, known)


def folders_behind(listing: Listing) -> list[str]:
    """Return the folders that links to libraries lead to and that were not looked into yet."""
    targets = (
        posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        for path, target in listing.links.items()
        if ".so" in posixpath.basename(path)
    )
    lost = (target for target in targets if target not in listing.files and target not in listing.links)
    return _outer(map(posixpath.dirname, lost), listing.places)


def _outer(folders: Iterable[str], known: Sequence[str]) -> list[str]:
    below = tuple(f"{folder}/" for folder in known)
    found = {
        folder
        for folder in map(posixpath.normpath, filter(None, folders))
        if re.fullmatch(r"(/[A-Za-z0-9._+-]+)+", folder) and _straight(folder) and not f"{folder}/".startswith(below)
    }
    # A folder in another one of them is listed with it.
    outer = [folder for folder in sorted(found) if not any(folder.startswith(f"{other}/") for other in found)]
    return outer[:_MORE]

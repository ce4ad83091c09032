"""One probe of a board in one round trip: the script that runs there, and what its answer says."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from deploy.boards.session import BoardSession
from deploy.ssh.answers import HEAD_FUNCTION, NAME, NUMBER, PROGRAM, YES, framed, program_identity, read_values
from recipes.arch import Identity
from recipes.errors import PreflightError
from recipes.text import one_line


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardFolder:
    """A folder of the way to our root, as `ls -ldn` shows it."""

    path: str
    mode: str
    """Such as `drwxr-xr-x`."""
    owner: int
    group: int
    listed: bool = False
    """It has an access list beside its mode (acl(5)); `ls` of coreutils shows a `+`, that of BusyBox nothing."""
    access: tuple[str, ...] = ()
    """The entries of that list as `getfacl -n` shows them; none where the board has no getfacl."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """What one probe of a board returned, in one round trip."""

    machine: str
    """As `uname -m` says it: the kernel's, which may run programs of an older kind."""
    identity: Identity | None = None
    """What the board's own shell is made for; None where nothing told."""
    uid: int
    gid: int = -1
    clock: int
    """Seconds since 1970, by the board's clock."""
    skew: int
    """Seconds that it is ahead of this machine's."""

    free_kib: int
    """On the file system of our folder."""
    free_inodes: int | None = None
    """Files that may still be made there; None where the file system has no such limit, or nothing tells."""
    memory_kib: int = 0
    """RAM of the board; 0 where nothing tells."""
    writable: bool
    """A file was written there, and taken away again."""
    executes: bool = True
    """What was written there could be started."""
    folders: tuple[BoardFolder, ...] = ()
    """Our root, as far as it is there, and each folder above it; folders in it at the end."""
    tools: frozenset[str]
    """Those of the programs we can use that are there."""

    current: str
    """Id of the release that runs; empty for none."""
    previous: str
    number: int = 0
    """Of the release that runs, where it was verified: the order that its manifest has; 0 for none."""
    serving: str = ""
    """Id of the release whose services were put in last, `nothing` for none yet; empty where nothing is put in."""
    reverted: str = ""
    """`RELEASE BACK CLOCK` where the board went back by itself at a start, and no release was confirmed since."""
    confirmed: frozenset[str]
    """Ids of the releases whose checks were green."""
    blobs: frozenset[str]
    """Names of the contents in its store; none where `probe_host` was not to list them."""
    incoming: Mapping[str, int] = field(default_factory=dict)
    """Name to bytes of what a run that was cut left of contents on their way."""

    files: Mapping[str, str]
    """Path to sha256, or `absent`, of what was asked about."""


# For each name: what its value looks like, and the command on the board that printed it.
_LINES: dict[str, tuple[str, str]] = {
    "machine": (r"[\w.+-]{1,64}", "uname -m"),
    "elf": (PROGRAM, "od -An -v -tx1 -N64 /bin/sh"),
    "uid": (NUMBER, "id -u"),
    "gid": (NUMBER, "id -g"),
    "clock": (NUMBER, "date +%s"),
    "free_kib": (NUMBER, "df -Pk"),
    "inodes": (r"\d{1,20} \d{1,20}", "stat -f"),
    "memory_kib": (r"\d{1,15}", "/proc/meminfo"),
    "writable": (YES, "mkdir"),
    "executes": (YES, "a script of two lines"),
    "folder": (r"[a-z-][rwxsStTlL-]{9}[.+@]? \d{1,10} \d{1,10} /.*", "ls -ldn"),
    "acl": (r"(default:)?(user|group|mask|other):\d{0,10}:[r-][w-][x-] /.*", "getfacl"),
    "tool": (NAME, "command -v"),
    "current": (NAME, "readlink"),
    "previous": (NAME, "readlink"),
    "number": (r"\d{1,12}", "read"),
    "serving": (NAME, "read"),
    "reverted": (r"[0-9a-f]{1,64} [0-9a-f]{1,64} \d{1,12}", "read"),
    "confirmed": (NAME, "ls"),
    "unconfirmed": (NAME, "ls"),
    "blob": (r".{1,255}", "ls"),
    "part": (r"\d{1,12} .{1,255}", "ls -ln"),
    "file": (r"([0-9a-f]{64}|absent|odd) /.*", "sha256sum"),
}


def probe_host(session: BoardSession, root: str, watched: Iterable[str], *, wanted: str = "") -> HostFacts:
    """Ask a board everything that a plan needs, in one round trip.

    A file is written below `root`, or where that would be made, and taken away at once: on a board whose file system
    is read only nothing else tells. No other trace is left.

    Parameters
    ----------
    wanted:
        Id of the release that a plan is for: where that runs and was verified, the store is not listed.

    Raises
    ------
    PreflightError
        The board's shell did not run the probe to its end, or answers with what its commands cannot print.
    """
    lines = "".join(f"{path}\n" for path in watched).encode()
    begun = time.time()
    reply = session.run(PROBE_SCRIPT, [root, wanted] if wanted else [root], [lines])
    if reply.code != 0:
        raise PreflightError("the probe did not run through", why=one_line(reply.err or reply.out))
    return parse_facts(framed(reply.out), now=(begun + time.time()) / 2)


def parse_facts(text: str, *, now: float) -> HostFacts:
    """Read the probe's `name=value` lines; `now` is this machine's time, seconds since 1970.

    Raises
    ------
    PreflightError
        A line is none of the probe's, or its value cannot be what its command prints.
    """
    many = read_values(text, _LINES)
    single = {name: values[-1] for name, values in many.items()}
    clock = int(single.get("clock", 0))
    return HostFacts(
        machine=single.get("machine", ""),
        identity=program_identity(single.get("elf", "")),
        uid=int(single.get("uid", -1)),
        gid=int(single.get("gid", -1)),
        clock=clock,
        skew=round(clock - now),
        free_kib=int(single.get("free_kib", 0)),
        free_inodes=_inodes(single.get("inodes", "")),
        memory_kib=int(single.get("memory_kib", 0)),
        writable=single.get("writable") == "yes",
        executes=single.get("executes", "yes") == "yes",
        folders=tuple(_folder(value, many.get("acl", ())) for value in many.get("folder", ())),
        tools=frozenset(many.get("tool", ())),
        current=single.get("current", ""),
        previous=single.get("previous", ""),
        number=int(single.get("number", 0)),
        serving=single.get("serving", ""),
        reverted=single.get("reverted", ""),
        confirmed=frozenset(many.get("confirmed", ())),
        blobs=frozenset(many.get("blob", ())),
        incoming={name: int(size) for size, _, name in (value.partition(" ") for value in many.get("part", ()))},
        files={path: digest for digest, _, path in (value.partition(" ") for value in many.get("file", ()))},
    )


def _inodes(value: str) -> int | None:
    """Read how many files a file system may have, and how many are left: 0 of 0 is one without such a limit."""
    total, _, free = value.partition(" ")
    return int(free) if total.strip("0") else None


def _folder(value: str, lists: Iterable[str]) -> BoardFolder:
    mode, owner, group, path = value.split(" ", 3)
    entries = (entry for entry, _, place in (row.partition(" ") for row in lists) if place == path)
    return BoardFolder(
        path=path,
        mode=mode[:10],
        owner=int(owner),
        group=int(group),
        listed=mode.endswith("+"),
        access=tuple(dict.fromkeys(entries)),
    )


_STAFF = 50  # Debian's group for /usr/local, without members: base-passwd


def open_to_others(facts: HostFacts, root: str) -> str:
    """Say which folder lets another user of the board change what is below our root; empty where none does.

    What they could: put a link where a release is to be written, or another file where a checked one was. Pure.
    """
    above = [folder for folder in facts.folders if not folder.path.startswith(f"{root}/")]
    paths = {folder.path for folder in above}
    for folder in facts.folders:
        inside = folder.path.startswith(f"{root}/")
        if folder.mode.startswith("l"):
            if inside:
                return f"{folder.path} is a link"
            continue
        if folder.owner not in (0, facts.uid):
            return f"{folder.path} belongs to user {folder.owner}"
        if folder.listed:
            if said := _let_in(folder, facts):
                return f"{folder.path} {said}"
        elif folder.mode[5] == "w" and folder.group not in (0, facts.gid, _STAFF):
            return f"{folder.path} may be written to by group {folder.group} ({folder.mode})"
        # In a sticky folder nobody renames what is another's; but anybody may make what is not there yet.
        below = f"{folder.path.rstrip('/')}/"
        held = folder.mode[9] in "tT" and any(path.startswith(below) and path != folder.path for path in paths)
        if folder.mode[8] == "w" and not held:
            return f"{folder.path} may be written to by everybody ({folder.mode})"
    return ""


def _let_in(folder: BoardFolder, facts: HostFacts) -> str:
    """Say whom a folder's access list lets write there, or in what is made there; empty for nobody else."""
    if not folder.access:
        return "has an access list (ls shows a +), and the board has no getfacl to say whom it lets in"
    rows = [(entry.removeprefix("default:"), entry.startswith("default:")) for entry in folder.access]
    masked = {of for entry, of in rows if entry.startswith("mask:") and entry[-2] != "w"}
    for entry, inherited in rows:
        kind, number, rights = entry.split(":")
        if rights[1] != "w" or kind == "mask" or (kind, number) == ("user", ""):
            continue
        ours = {"user": (0, facts.uid), "group": (0, facts.gid, _STAFF)}.get(kind, ())
        who = int(number or folder.group)
        # Of others the mode itself tells, but for what is made there.
        if inherited if kind == "other" else inherited not in masked and who not in ours:
            name = "everybody" if kind == "other" else f"{kind} {who}"
            return f"may be written to by {name}, says its access list ({'default:' * inherited}{entry})"
    return ""


PROBE_SCRIPT = (
    r"""
# $1 our folder; $2 a release: where that runs and was verified, nobody needs the names of what is in the store; stdin:
# board files whose hashes a proof rests on, one a line. Prints name=value lines.
set -f
root=$1 asked=${2:-none}
"""
    + HEAD_FUNCTION
    + r"""
echo; echo boardcast=begin # on a line of its own, whatever a log-in printed
echo "machine=$(uname -m)"
echo "elf=$(joined $(first_bytes /bin/sh))"
echo "uid=$(id -u)"
echo "gid=$(id -g)"
echo "clock=$(date +%s)"
have() { command -v "$1" >/dev/null 2>&1; }
for tool in tar sha256sum sync zstd xz gzip rsync; do have "$tool" && echo "tool=$tool"; done
case $(mv --help 2>&1) in *-T*) echo tool=mv-T ;; esac
for dir in /usr/lib/openssh /usr/lib/ssh /usr/lib /usr/libexec /usr/libexec/openssh; do
    if [ -x "$dir/sftp-server" ]; then echo tool=sftp; break; fi
done
base=$root
while [ ! -d "$base" ]; do base=${base%/*}; [ -n "$base" ] || base=/; done
free() { echo "$4"; }
kib=$(free $(df -Pk "$base" 2>/dev/null | tail -n 1))
case $kib in
    # BusyBox's df finds no mount point in some containers and on some overlays.
    '' | *[!0-9]*)
        blocks() { echo "$(($1 * ($2 / 1024)))"; }
        kib=$(blocks $(stat -f -c '%a %S' "$base" 2>/dev/null) 2>/dev/null) || kib=$(df -Pk "$base" 2>&1 | tail -n 1)
        ;;
esac
echo "free_kib=$kib"
nodes=$(stat -f -c '%c %d' "$base" 2>/dev/null) && echo "inodes=$nodes"
while read -r name value rest; do [ "$name" != MemTotal: ] || echo "memory_kib=$value"; done 2>/dev/null < /proc/meminfo
folder() { echo "folder=$1 $3 $4 $dir"; }
entries() { # of the access list of $dir; without getfacl none, and the list counts as open
    LC_ALL=C getfacl -cnp "$dir" 2>/dev/null | while IFS= read -r entry; do
        entry=${entry%%[!a-z0-9:-]*}
        [ -z "$entry" ] || echo "acl=$entry $dir"
    done
}
show() {
    dir=$1
    line=$(LC_ALL=C ls -ldn "$dir") && folder $line
    case ${line%% *} in *+) entries ;; esac
}
chain() {
    way=$1
    while show "$way"; [ "$way" != / ]; do way=${way%/*}; [ -n "$way" ] || way=/; done
}
chain "$base"
real=$(cd -P "$base" 2>/dev/null && pwd -P)
[ -z "$real" ] || [ "$real" = "$base" ] || chain "$real"
for part in "$root/store" "$root/incoming" "$root/releases"; do
    if [ -e "$part" ] || [ -L "$part" ]; then show "$part"; fi
done
# `[ -w ]` says yes to root on a read-only file system, and nothing but a try tells of noexec.
try=${base%/}/.boardcast-try-$$
trap 'rm -rf "$try"' EXIT
if mkdir -m 700 "$try" 2>/dev/null && printf '#!/bin/sh
exit 42
' 2>/dev/null > "$try/run"; then
    echo writable=yes
    chmod 700 "$try/run"
    "$try/run" 2>/dev/null
    if [ "$?" = 42 ]; then echo executes=yes; else echo executes=no; fi
else
    echo writable=no
fi
rm -rf "$try"
trap - EXIT
set +f
link() { [ -L "$root/$1" ] && { target=$(readlink "$root/$1"); echo "$1=${target##*/}"; }; }
target=''
link current
settled=no
if [ -f "$root/current/.confirmed" ] && [ "${target##*/}" = "$asked" ]; then settled=yes; fi
link previous
number=''
if [ -f "$root/current/.confirmed" ]; then { read -r number < "$root/current/.number"; } 2>/dev/null; fi
[ -z "$number" ] || echo "number=$number"
serving=''; { read -r serving < "$root/.serving"; } 2>/dev/null
[ -z "$serving" ] || echo "serving=$serving"
case $serving in '' | "$asked") ;; *) settled=no ;; esac
reverted=''; { read -r reverted < "$root/.reverted"; } 2>/dev/null
[ -z "$reverted" ] || echo "reverted=$reverted"
for dir in "$root"/releases/*/; do
    [ -d "$dir" ] || continue
    id=${dir%/}; id=${id##*/}
    if [ -f "$dir/.confirmed" ]; then echo "confirmed=$id"; else echo "unconfirmed=$id"; fi
done
# Thousands of names come in a few writes: a shell's own `echo` makes one of each.
if [ "$settled" = no ]; then ls "$root/store" 2>/dev/null | sed 's/^/blob=/'; fi
for part in "$root"/incoming/*; do
    [ -f "$part" ] || continue
    LC_ALL=C ls -ln "$root/incoming" | while read -r mode _ _ _ size rest; do
        case $mode in -*) echo "part=$size ${rest##* }" ;; esac
    done
    break
done
hash() { echo "${1:-odd}"; }
while IFS= read -r path; do
    if [ -f "$path" ]; then echo "file=$(hash $(sha256sum "$path")) $path"
    elif [ -e "$path" ]; then echo "file=odd $path"
    else echo "file=absent $path"; fi
done
echo boardcast=end
exit 0
"""
)

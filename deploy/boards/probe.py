"""One probe of a board in one round trip: the script that runs there, and the reader of its answer."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from deploy.boards.session import BoardSession
from recipes.errors import PreflightError


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """What one probe of a board returned, in one round trip."""

    machine: str
    """As `uname -m` says it."""
    uid: int
    clock: int
    """Seconds since 1970, by the board's clock."""
    skew: int
    """Seconds that it is ahead of this machine's."""

    free_kib: int
    """On the file system of our folder."""
    writable: bool
    tools: frozenset[str]
    """Those of the programs we can use that are there."""

    current: str
    """Id of the release that runs; empty for none."""
    previous: str
    confirmed: frozenset[str]
    """Ids of the releases whose checks were green."""
    blobs: frozenset[str]
    """Names of the contents in its store."""

    files: Mapping[str, str]
    """Path to sha256, or `absent`, of what was asked about."""


def probe_host(session: BoardSession, root: str, watched: Iterable[str]) -> HostFacts:
    """Ask a board everything that a plan needs, in one round trip that changes nothing there.

    Raises
    ------
    PreflightError
        The board's shell did not run the probe to its end.
    """
    lines = "".join(f"{path}\n" for path in watched).encode()
    begun = time.time()
    reply = session.run(PROBE_SCRIPT, [root], [lines])
    if reply.code != 0:
        raise PreflightError("the probe did not run through", why=(reply.err or reply.out).strip()[-400:])
    return parse_facts(reply.out, now=(begun + time.time()) / 2)


def parse_facts(text: str, *, now: float) -> HostFacts:
    """Read the probe's `name=value` lines; `now` is this machine's time, seconds since 1970."""
    single: dict[str, str] = {}
    many: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, _, value = line.partition("=")
        single[name] = value
        many.setdefault(name, []).append(value)
    clock = int(single.get("clock") or 0)
    return HostFacts(
        machine=single.get("machine", ""),
        uid=int(single.get("uid") or -1),
        clock=clock,
        skew=round(clock - now),
        free_kib=int(single.get("free_kib") or 0),
        writable=single.get("writable") == "yes",
        tools=frozenset(many.get("tool", ())),
        current=single.get("current", ""),
        previous=single.get("previous", ""),
        confirmed=frozenset(many.get("confirmed", ())),
        blobs=frozenset(many.get("blob", ())),
        files={path: digest for digest, _, path in (value.partition(" ") for value in many.get("file", ()))},
    )


PROBE_SCRIPT = r"""
# $1 our folder; stdin: board files whose hashes a proof rests on, one a line. Prints name=value lines; changes nothing.
root=$1
echo "machine=$(uname -m)"
echo "uid=$(id -u)"
echo "clock=$(date +%s)"
have() { command -v "$1" >/dev/null 2>&1; }
for tool in tar sha256sum sync; do have "$tool" && echo "tool=$tool"; done
mv --help 2>&1 | grep -q -e '-T' && echo tool=mv-T
base=$root
while [ ! -d "$base" ]; do base=${base%/*}; [ -n "$base" ] || base=/; done
set -- $(df -Pk "$base" | tail -n 1)
echo "free_kib=$4"
[ -w "$base" ] && echo writable=yes
link() { [ -L "$root/$1" ] && { target=$(readlink "$root/$1"); echo "$1=${target##*/}"; }; }
link current
link previous
for dir in "$root"/releases/*/; do
    [ -d "$dir" ] || continue
    id=${dir%/}; id=${id##*/}
    if [ -f "$dir/.confirmed" ]; then echo "confirmed=$id"; else echo "unconfirmed=$id"; fi
done
for blob in "$root"/store/*; do [ -f "$blob" ] && echo "blob=${blob##*/}"; done
while read -r path; do
    if [ -f "$path" ]; then set -- $(sha256sum "$path"); echo "file=$1 $path"; else echo "file=absent $path"; fi
done
exit 0
"""

"""What a board is asked before anything is written there, so that no healthy release is switched on and taken back."""

from __future__ import annotations

import re
from dataclasses import dataclass

from deploy.boards.probe import HostFacts
from deploy.boards.session import BoardSession
from deploy.bundle.load import Bundle
from deploy.bundle.manifest import Manifest
from deploy.transfer.lock import HOLDER, WATCH
from recipes.errors import PreflightError
from recipes.progress import progress
from recipes.text import one_line


@dataclass(frozen=True, slots=True, kw_only=True)
class Footing:
    """What a release would stand on; every text is the board's, made fit to be shown."""

    place: str
    """Our folder, or the nearest one above it that is there, as the board resolves it."""
    user: str
    owner: str
    """User and group of that place, and its mode."""
    loader: bool
    """Whether the loader that the programs name is there."""
    refused: str = ""
    """Why that loader cannot be started, by the board's shell; empty where it can, or where nothing would tell."""
    locked: str
    """Who is at work there now; empty for nobody."""


def look_before(session: BoardSession, root: str, loader: str) -> Footing:
    """Ask for all of it in one round trip that changes nothing.

    Raises
    ------
    PreflightError
        The board's shell did not run the script to its end.
    """
    reply = session.run(_LOOK, [root, loader])
    if reply.code != 0:
        raise PreflightError("the board did not answer a question", where=root, why=one_line(reply.err or reply.out))
    said = dict(line.split("=", 1) for line in reply.out.splitlines() if "=" in line)
    shown = {name: one_line(value) for name, value in said.items()}
    return Footing(
        place=shown.get("place", ""),
        user=shown.get("user", ""),
        owner=shown.get("owner", ""),
        loader=said.get("loader") == "yes",
        refused=shown.get("refused", ""),
        locked=shown.get("locked", ""),
    )


def look_again_where_locked(session: BoardSession, manifest: Manifest, first: Footing) -> Footing:
    """Return the footing once it is settled whether who holds the board lives; one that does not is ended there.

    Takes a moment where it lives, half a minute where its workstation is gone and its connection still stands.
    """
    if not first.locked:
        return first
    with progress("another deploy is at work there: does its workstation still answer?"):
        session.run(WATCH, [manifest.root])
    return look_before(session, manifest.root, manifest.loader)


def refuse_unwritable(footing: Footing, root: str) -> PreflightError:
    """Return the error for a root that the user may not write to: whose it is, and what to do about it."""
    return PreflightError(
        f"{root} cannot be written to by {footing.user}; nothing was changed",
        where=footing.place,
        why=f"{footing.place} is {footing.owner}",
        next_step=f"on the board, as root: mkdir -p {root} && chown {footing.user} {root}; "
        "or another `root` in the board's file, or another `user` in hosts.toml",
    )


def refuse_unfounded(footing: Footing, manifest: Manifest) -> None:
    """Raise PreflightError where a release of this manifest could not run, or somebody else is at work there."""
    if footing.locked:
        raise PreflightError(
            "another deploy is at work there; nothing was changed",
            where=manifest.root,
            why=f"held by {footing.locked}",
            next_step="wait for it to end, then give the same command again",
        )
    if manifest.loader and not footing.loader:
        raise PreflightError(
            f"the board has no {manifest.loader}, which the programs need to start; nothing was changed",
            next_step="is `arch` in the board's file the right one? invoke sysroot.pull says what the board has",
        )
    if manifest.loader and footing.refused:
        raise PreflightError(
            f"the board cannot start {manifest.loader}, and no program without it; nothing was changed",
            why=footing.refused,
            next_step="is it for this board's processor, may it be executed (chmod 755), and is its file system not "
            "mounted noexec?",
        )


def refuse_greedy(bundle: Bundle, facts: HostFacts) -> None:
    """Raise PreflightError where the streams of a bundle would keep more in memory than a board can give them.

    kvssink keeps up to its storage-size of what is not confirmed yet: where the network goes for a while, it fills.
    """
    started = {f"run/{row.name}" for row in bundle.manifest.services}
    blobs = [file.blob for file in bundle.manifest.files if file.path in started]
    if not blobs or not facts.memory_kib:
        return
    contents = bundle.blobs()
    mib = sum(int(size) for blob in blobs for size in _STORAGE.findall(contents[blob][:_SCRIPT_BYTES]))
    if mib * 1024 > facts.memory_kib * _SHARE // 100:
        raise PreflightError(
            "the streams would keep more in memory than the board has to give; nothing was changed",
            why=f"storage_size comes to {mib:,} MiB, the board has {facts.memory_kib // 1024:,} MiB of RAM, "
            f"of which {_SHARE} % are for that at most",
            next_step="write a smaller storage_size into the board's file, and a shorter buffer_duration",
        )


_STORAGE = re.compile(rb"\bstorage-size=(\d{1,9})\b")
_SCRIPT_BYTES = 1 << 20
_SHARE = 80

_LOOK = (
    r"""
# $1 our folder, $2 the loader that programs name. Prints name=value lines; changes nothing.
root=$1 loader=$2
base=$root
while [ ! -d "$base" ]; do base=${base%/*}; [ -n "$base" ] || base=/; done
place=$(cd "$base" && pwd -P)
echo "place=$place"
echo "user=$(id -un 2>/dev/null || id -u)"
set -- $(ls -ld "$place")
echo "owner=$3:$4, mode ${1%%[+.@]}"
if [ -n "$loader" ] && [ -e "$loader" ]; then
    echo loader=yes
    case $loader in
        *ld-uClibc*) ;; # of this one most say nothing when they are called
        *)
            # The same call that lists the libraries of a release after the switch; 126 is the shell's own. BusyBox's
            # shell reads what the kernel does not start as a script, and tells the line.
            said=$("$loader" --list "$loader" 2>&1 < /dev/null)
            case $?:$said in
                126:* | [1-9]*": line "[0-9]*": "*) echo "refused=$(echo "$said" | head -n 1)" ;;
            esac
            ;;
    esac
fi
"""
    + HOLDER
    + r"""
if keeper=$(held "$root/.lock"); then echo "locked=$keeper"; fi
exit 0
"""
)

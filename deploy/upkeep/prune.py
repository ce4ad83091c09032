"""Old releases taken off a board: what runs, what can be gone back to and what waits there stay, whatever is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from deploy.boards.session import BoardSession
from deploy.release.scripts import SWEEP, SWITCH
from deploy.ssh.answers import brief
from deploy.upkeep.releases import KnownRelease, board_releases
from recipes.errors import PreflightError
from recipes.text import one_line

_REMOVE = brief(
    r"""
# $1 our folder, $2 who; stdin: ids of releases that are to go. Each is looked at once more, under the lock: what runs,
# what is gone back to, what streams and what waits stays. Then what no release uses goes from the store.
set -u
root=$1
"""
    + SWITCH
    + SWEEP
    + r"""
lock "$2"
free() { set -- $(df -Pk "$root" 2>/dev/null | tail -n 1); echo "${4:-0}"; }
before=$(free)
current=$(target current || true) previous=$(target previous || true) serving='' staged=''
{ read -r serving < "$root/.serving"; } 2>/dev/null
{ read -r staged < "$root/.staged"; } 2>/dev/null
# A service that no release changed since runs on from the one that it was started from.
used=" $(cat "$root"/applied/*/.from 2>/dev/null | tr '\n' ' ') "
while read -r id; do
    case $used in *" $id "*) continue ;; esac
    case $id in '' | "$current" | "$previous" | "$serving" | "$staged") continue ;; esac
    [ -d "$root/releases/$id" ] || continue
    # Out of the way first: what is cut is no release any more.
    mv "$root/releases/$id" "$root/releases/.$id.old" || exit 72
    echo "removed=$id"
done
rm -rf "$root"/releases/.*.old "$root"/releases/.*.part
(sweep)
flush "$root/releases" "$root/store"
after=$(free)
echo "freed=$((after - before))"
unlock
exit 0
"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What pruning a board came to, or would."""

    removed: tuple[str, ...]
    """Ids of releases."""
    kept: tuple[str, ...]
    freed: int = 0
    """Bytes that are free now and were not before; 0 where nothing was done."""

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def releases_to_remove(found: Sequence[KnownRelease], keep: int) -> tuple[str, ...]:
    """Return the ids of releases that are to go, so that `keep` stay. Pure.

    What runs, what ran before it, what streams, what waits to be switched on, and the last that was verified always
    stay, and count. Of the others the newest that were verified stay; one that never was goes.

    Parameters
    ----------
    found:
        Of a board, the newest first.
    """
    verified = [release.id for release in found if release.verified]
    fixed = {release.id for release in found if release.role != "kept" or release.streams} | set(verified[:1])
    room = max(0, keep - len(fixed))
    others = [identity for identity in verified if identity not in fixed]
    stay = fixed | set(others[:room])
    return tuple(release.id for release in found if release.id not in stay)


def prune(session: BoardSession, root: str, keep: int, who: str, *, dry_run: bool = False) -> Pruned:
    """Take old releases off a board, and what only they used; two round trips.

    Parameters
    ----------
    keep:
        Releases that stay.
    who:
        Shown to another who comes meanwhile.

    Raises
    ------
    PreflightError
        Another deploy is at work there, or a release could not be removed.
    """
    found = board_releases(session, root)
    gone = releases_to_remove(found, keep)
    kept = tuple(release.id for release in found if release.id not in gone)
    if dry_run or not found:
        return Pruned(removed=gone, kept=kept)
    reply = session.run(_REMOVE, [root, who], ["".join(f"{identity}\n" for identity in gone).encode() or b"\n"])
    if reply.code != 0:
        why = one_line(f"{reply.out} {reply.err}"[-1000:]) or f"exit code {reply.code}"
        raise PreflightError("old releases could not be removed", where=root, why=why)
    told = [line.partition("=")[::2] for line in reply.out.splitlines()]
    removed = tuple(value for name, value in told if name == "removed" and value in gone)
    freed = next((value for name, value in told if name == "freed" and value.lstrip("-").isdecimal()), "0")
    return Pruned(
        removed=removed,
        kept=tuple(release.id for release in found if release.id not in removed),
        freed=max(0, int(freed[:12])) * 1024,
    )

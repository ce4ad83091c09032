"""Taking all of ours off a board: services first, then the link that runs, then the files."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.atboot.put_in import put_in
from deploy.boards.session import BoardSession, Reply
from deploy.transfer.lock import LOCK
from recipes.errors import PreflightError
from recipes.text import one_line

_IS_OURS = r"""
# $1 our folder. Says whether there is one, and whether it is ours: an empty one is what a cut at the very end leaves.
[ -d "$1" ] && [ -n "$(ls -A "$1")" ] || { echo none; exit 0; }
[ -f "$1/.boardcast" ] || { echo foreign; exit 0; }
echo ours
"""
_REMOVE = (
    r"""
# $1 our folder, $2 who. What is cut can be repeated: the mark that the folder is ours goes last.
set -u
root=$1
"""
    + LOCK
    + r"""
lock "$2"
[ -f "$root/.boardcast" ] || exit 81
# What other programs find of ours goes first: from here on nothing starts a part of a release.
rm -f "$root/current" "$root/previous" || exit 70
rm -rf "$root/releases" "$root/store" "$root/incoming" "$root/applied" || exit 70
rm -rf "$root"/.serving* "$root"/.trial* "$root"/.reverted* "$root/.was" "$root/.is"
rm -rf "$root/.list" "$root/.hashes" "$root/.files" "$root/.sums" "$root/.bad" "$root/.fresh" "$root/.rest"
rm -rf "$root/.edit" "$root/.basis" "$root"/.current.new "$root"/.previous.new "$root"/.staged* "$root/.activated"
sync
unlock
rm -rf "$root"/.lock.*
rm -f "$root/.boardcast"
rmdir "$root" 2>/dev/null && exit 0
cd "$root" && find . ! -name . | head -n 20 | while read -r left; do echo "left=$left"; done
exit 0
"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Uninstalled:
    """What taking our files off a board came to."""

    there: bool
    """Whether there was anything of ours."""
    left: tuple[str, ...] = ()
    """Files below our folder that are not ours, and stay."""


def uninstall(session: BoardSession, root: str, who: str, *, dry_run: bool = False) -> Uninstalled:
    """Stop and remove the services of every release, then the releases; three round trips.

    Parameters
    ----------
    root:
        Folder of our releases there; it goes too, where nothing of others is in it.
    who:
        Shown to another who comes meanwhile.

    Raises
    ------
    PreflightError
        The folder is not ours, a service could not be removed, or another deploy is at work: what is said to be there
        still is, and the same command goes on from it.
    """
    state = one_line(session.run(_IS_OURS, [root]).out)
    if state == "foreign":
        raise PreflightError(
            "this folder is not ours; nothing was removed",
            where=root,
            why="it has no mark of a deploy (.boardcast)",
            next_step="is `root` in the board's file right?",
        )
    if state != "ours" or dry_run:
        return Uninstalled(there=state == "ours")
    _done(put_in(session, root, "", who), "its services could not be removed", root)
    said = _done(session.run(_REMOVE, [root, who]), "its files could not be removed", root)
    left = tuple(one_line(line.removeprefix("left=./"), most=200) for line in said if line.startswith("left="))
    return Uninstalled(there=True, left=left)


def _done(reply: Reply, what: str, root: str) -> list[str]:
    if reply.code == 0:
        return reply.out.splitlines()
    why = one_line(f"{reply.out} {reply.err}"[-1000:]) or f"exit code {reply.code}"
    raise PreflightError(what, where=root, why=why, next_step="cure that; the same command goes on from there")

"""Which releases a board has, which of them it may go back to, and who brought each."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from deploy.boards.session import BoardSession
from deploy.ssh.answers import framed, read_values
from recipes.errors import PreflightError
from recipes.text import one_line

MOST = 64
"""Releases that are told of: a board keeps a handful, and an answer ends somewhere."""
_RELEASES = r"""
# $1 our folder, $2 how many at most. One line a release, the newest first.
echo; echo boardcast=begin
named() { t=''; [ ! -L "$1/$2" ] || { t=$(readlink "$1/$2"); t=${t##*/}; }; echo "$t"; }
current=$(named "$1" current) previous=$(named "$1" previous) serving='' staged='' reverted=''
{ read -r serving < "$1/.serving"; } 2>/dev/null
{ read -r staged < "$1/.staged"; } 2>/dev/null
{ read -r reverted _ < "$1/.reverted"; } 2>/dev/null
ls -dt "$1"/releases/*/ 2>/dev/null | head -n "$2" | while read -r folder; do
    folder=${folder%/} name=${folder##*/} by='' verified=no files=0
    { read -r by < "$folder/.deployed"; } 2>/dev/null
    [ ! -f "$folder/.confirmed" ] || verified=yes
    [ ! -f "$folder/.list" ] || files=$(wc -l < "$folder/.list")
    role=kept
    [ "$name" != "$staged" ] || role=staged
    [ "$name" != "$previous" ] || role=previous
    [ "$name" != "$current" ] || role=current
    [ "$name" != "$serving" ] || role=$role,streams
    [ "$name" != "$reverted" ] || role=$role,reverted
    # The user's and machine's name end the line: they may hold anything.
    echo "release=$name $role $verified $((files)) $by"
done
echo boardcast=end
exit 0
"""
_LINE = r"([0-9a-f]{1,64}) (kept|staged|previous|current)(,streams)?(,reverted)? (yes|no) (\d{1,7}) (.{0,200})"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRelease:
    """One release that a board has whole."""

    id: str
    role: str
    """`current`, `previous`, `staged`: one that waits to be switched on, or `kept`: no link names it."""
    streams: bool
    """Whether its programs are what the services start."""
    verified: bool
    """Whether its checks were green: it may be gone back to."""
    files: int
    brought_by: str
    """`user@workstation since TIME`; empty where nothing was written down."""
    reverted: bool = False
    """Whether the board took it back by itself: it started anew before the release was confirmed."""

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def board_releases(session: BoardSession, root: str) -> list[KnownRelease]:
    """Return the releases of a board, the newest first; one round trip.

    Parameters
    ----------
    root:
        Folder of our releases there.

    Raises
    ------
    PreflightError
        It answers with what its commands cannot print.
    """
    reply = session.run(_RELEASES, [root, str(MOST)])
    if reply.code != 0:
        raise PreflightError("the board did not say which releases it has", where=root, why=one_line(reply.err))
    return read_releases(framed(reply.out))


def read_releases(text: str) -> list[KnownRelease]:
    """Read the lines of the answer; raises PreflightError for one that is none."""
    values = read_values(text, {"release": (_LINE, "ls -dt releases/*/")})
    found = []
    for line in values.get("release", ()):
        name, roles, verified, files, by = [*line.split(" ", 4), ""][:5]
        role, *more = roles.split(",")
        found.append(
            KnownRelease(
                id=name,
                role=role,
                streams="streams" in more,
                reverted="reverted" in more,
                verified=verified == "yes",
                files=int(files),
                brought_by=one_line(by, most=120),
            )
        )
    return found

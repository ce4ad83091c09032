"""A real board's streams, started anew in a view of their own in which the local service is AWS.

A private mount namespace (`unshare -m`, which BusyBox has) puts the service's names, its authority and keys in front of
the board's own files, for the streams alone: nothing else on the board sees it, a reboot ends it, and so does `detach`.
https://man7.org/linux/man-pages/man7/mount_namespaces.7.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deploy.boards.board import load_board
from deploy.boards.inventory import host_target, load_host
from deploy.boards.session import BoardSession, Reply, connect
from deploy.bundle.streams import board_service
from deploy.control.services import HostService, ask_services, carry_out, running_release, wanted_rows
from deploy.kvsboards.view import View, board_view, provision
from deploy.launch.streams import stream_programs
from deploy.localkvs.lifecycle import Running, bring_up
from deploy.services.supervise import control_script
from recipes.errors import ConfigError, PreflightError
from recipes.progress import progress
from recipes.text import one_line

FOLDER = "/var/run/boardcast-kvs"
"""On the board: in memory, so gone with a reboot."""
HOURS = 24
"""Retention of the streams that are made for a board."""

_CAN = r"""
[ "$(id -u)" = 0 ] || { echo "who logs in is not root"; exit 3; }
command -v unshare >/dev/null 2>&1 || { echo "there is no unshare (util-linux or BusyBox have it)"; exit 3; }
said=$(unshare -m sh -c 'mount --bind /etc/hosts /etc/hosts' 2>&1) || { echo "no private mounts: $said"; exit 3; }
echo "$SSH_CONNECTION"
"""
# $1 our folder there, $2 the path that a file is put in front of, $3 its name in our folder; stdin its content. What
# the board lacks is made empty, and written down for `detach`: there must be something to put it in front of.
_LAY = r"""
set -eu
umask 077
mkdir -p "$1"
if [ ! -e "$2" ]; then
    mkdir -p "${2%/*}"
    : > "$2"
    echo "$2" >> "$1/made"
fi
{ [ "$4" = alone ] || cat "$2"; echo; cat; } > "$1/$3"
[ "$4" = alone ] || chmod 644 "$1/$3"
chmod 711 "$1"
grep -q "^$3 " "$1/mounts" 2>/dev/null || echo "$3 $2" >> "$1/mounts"
"""
# $1 our folder there. Stdin: the control script of one service; it is started within the view.
_START = r"""
set -eu
cat > "$1/$2.control"
cat > "$1/enter" <<'END'
set -eu
mount --make-rprivate / 2>/dev/null || :
while read -r own target; do mount --bind "$1/$own" "$target"; done < "$1/mounts"
exec sh "$2" start
END
unshare -m sh "$1/enter" "$1" "$1/$2.control"
"""
_STOP = r"""
for control in "$1"/*.control; do [ ! -f "$control" ] || sh "$control" stop; done
[ ! -f "$1/made" ] || while IFS= read -r file; do [ -s "$file" ] || rm -f "$file"; done < "$1/made"
rm -rf "$1"
"""


@dataclass(frozen=True, kw_only=True)
class Attached:
    """A board whose streams see the local service.

    Attributes
    ----------
    address:
        Where they find it: this machine, as the board sees it.
    services:
        How they are, right after the start.
    """

    address: str
    services: tuple[HostService, ...]
    running: Running


def attach(host_name: str, streams: Sequence[str] = ()) -> Attached:
    """Start a board's streams in a view of their own; the local service is brought up where it is not.

    Raises
    ------
    ConfigError
        Nothing of ours runs there, or it starts no stream.
    PreflightError
        The board has no private mounts, or a stream did not start; what ran before runs again then.
    """
    board = load_board(load_host(host_name).board)
    with running_release(host_name) as (session, manifest):
        rows = wanted_rows(manifest, streams, host_name)
        address = _ask_board(session, host_name)
        running = bring_up(lan=address)
        view = board_view(board, running, address)
        provision(running, view, hours=HOURS)
        wanted = {row.name for row in rows}
        services = [board_service(board, program) for program in stream_programs(board) if program.name in wanted]
        if len(services) != len(rows):
            raise ConfigError(
                f"{board.name} has other streams in its file than on {host_name}",
                next_step=f"invoke deploy --host {host_name}",
            )
    carry_out(host_name, "stop", streams)
    try:
        with connect(host_target(host_name)) as session, progress(f"streams of {host_name} see the local service"):
            session.run(_STOP, [FOLDER])
            _lay_view(session, view)
            for service in services:
                _demand(session.run(_START, [FOLDER, service.name], [control_script(service)]), host_name, service.name)
            return Attached(address=address, services=ask_services(session, manifest.root, rows), running=running)
    except BaseException:
        detach(host_name, streams)
        raise


def detach(host_name: str, streams: Sequence[str] = ()) -> tuple[HostService, ...]:
    """End what `attach` started, take its files away, and start the streams as they were."""
    with connect(host_target(host_name)) as session:
        session.run(_STOP, [FOLDER])
    return carry_out(host_name, "start", streams)


def _ask_board(session: BoardSession, host_name: str) -> str:
    """Return this machine's address as a board sees it, if the board has what a private view takes."""
    reply = session.run(_CAN)
    if reply.code:
        raise PreflightError(
            f"{host_name} cannot give its streams a view of their own",
            why=one_line(reply.out or reply.err),
            next_step="a simulated board of the same kind can: invoke sim up --kvs",
        )
    address = (reply.out.split() or [""])[0]
    if not address:
        raise PreflightError(f"{host_name} does not say from where it is reached", why="SSH_CONNECTION is empty there")
    return address.removeprefix("::ffff:")


def _lay_view(session: BoardSession, view: View) -> None:
    """Put the view's files into our folder on the board."""
    files = [("/etc/hosts", view.hosts.encode(), "add")]
    files += [(path, view.authority.encode(), "add") for path in view.ca_files]
    files += [(path, content, "alone") for path, content in view.secrets.items()]
    for number, (path, content, how) in enumerate(files):
        reply = session.run(_LAY, [FOLDER, path, f"file{number}", how], [content])
        if reply.code:
            raise PreflightError(f"{path} cannot be laid over on the board", why=one_line(reply.err))


def _demand(reply: Reply, host_name: str, name: str) -> None:
    if reply.code:
        raise PreflightError(
            f"stream {name} did not start in its view on {host_name}",
            why=one_line(reply.err or reply.out),
            next_step=f"invoke logs --host {host_name}",
        )

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
from deploy.reach.endpoints import VIEW_FOLDER
from deploy.services.supervise import control_script
from recipes.errors import ConfigError, PreflightError
from recipes.progress import progress
from recipes.text import one_line

MADE = "attached"
"""In our root on the board: what was made for `attach`. A reboot ends the view, and `detach` still knows that."""
HOURS = 24
"""Retention of the streams that are made for a board."""

# A mount of ours must never get out of the namespace: unshare of util-linux before 2.27 leaves it shared.
_PRIVATE = r"""
mount --make-rprivate / 2>/dev/null || mount -o rprivate / 2>/dev/null || :
! grep -q " shared:" /proc/self/mountinfo || { echo "mounts stay shared" >&2; exit 3; }
"""
_CAN = rf"""
[ "$(id -u)" = 0 ] || {{ echo "who logs in is not root"; exit 3; }}
command -v unshare >/dev/null 2>&1 || {{ echo "there is no unshare (util-linux or BusyBox have it)"; exit 3; }}
said=$(unshare -m sh -c '{_PRIVATE} mount --bind /etc/hosts /etc/hosts' 2>&1) || {{
    echo "it allows no private mounts: $said"
    exit 3
}}
echo "$SSH_CONNECTION"
"""
# $1 our folder there, $2 where is written down what is made, $3 the path that a file is put in front of, $4 its name in
# our folder, $5 who reads it alone; without it everybody may, and what is there stays in front. Stdin: its content.
# What the board lacks is made empty: there must be something to put it in front of.
_LAY = r"""
set -eu
umask 077
mkdir -p "$1"
chmod 711 "$1"
note() { mkdir -p "${made%/*}"; echo "$1" >> "$made"; }
folder() {
    [ ! -d "$1" ] || return 0
    case $1 in ?*/*) folder "${1%/*}" ;; esac
    mkdir -m 755 "$1"
    note "$1"
}
made=$2
if [ ! -e "$3" ]; then
    folder "${3%/*}"
    : > "$3"
    note "$3"
fi
if [ -n "$5" ]; then
    cat > "$1/$4"
    chown "$5" "$1/$4"
else
    { cat "$3"; [ -z "$(tail -c 1 "$3")" ] || echo; cat; } > "$1/$4"
    chmod 644 "$1/$4"
fi
echo "$4 $3" >> "$1/mounts"
"""
# $1 our folder there, $2 a service. Stdin: its control script; it is started within the view.
_START = rf"""
set -eu
umask 022
cat > "$1/$2.control"
cat > "$1/enter" <<'END'
set -eu
{_PRIVATE}
while read -r own target; do mount --bind "$1/$own" "$target"; done < "$1/mounts"
exec sh "$2" start
END
unshare -m sh "$1/enter" "$1" "$1/$2.control"
"""
# $1 our folder there, $2 where is written down what was made, the innermost last. What somebody has filled meanwhile
# is theirs, and stays.
_STOP = r"""
bad=0
for control in "$1"/*.control; do [ ! -f "$control" ] || sh "$control" stop || bad=1; done
if [ -f "$2" ]; then
    sed '1!G;h;$!d' "$2" | while IFS= read -r path; do
        if [ -d "$path" ]; then rmdir "$path" 2>/dev/null; elif [ ! -s "$path" ]; then rm -f "$path"; fi
    done
    rm -f "$2"
fi
rm -rf "$1"
exit $bad
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
            _end_view(session, manifest.root, host_name)
            _lay_view(session, view, manifest.root, board.file.service.user)
            for service in services:
                _demand(
                    session.run(_START, [VIEW_FOLDER, service.name], [control_script(service)]), host_name, service.name
                )
            return Attached(address=address, services=ask_services(session, manifest.root, rows), running=running)
    except BaseException:
        detach(host_name, streams)
        raise


def detach(host_name: str, streams: Sequence[str] = ()) -> tuple[HostService, ...]:
    """End what `attach` started, take its files away, and start the streams as they were."""
    with running_release(host_name) as (session, manifest):
        _end_view(session, manifest.root, host_name)
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


def _end_view(session: BoardSession, root: str, host_name: str) -> None:
    """Stop what runs in a view, and take away what was made for it; nothing happens where there is none."""
    reply = session.run(_STOP, [VIEW_FOLDER, f"{root}/{MADE}"])
    if reply.code:
        raise PreflightError(
            f"a stream on {host_name} does not end",
            why=one_line(reply.err or reply.out),
            next_step=f"invoke kvs detach --host {host_name}",
        )


def _lay_view(session: BoardSession, view: View, root: str, user: str) -> None:
    """Put the view's files into our folder on the board; its keys are for the services' user alone."""
    files = [("/etc/hosts", view.hosts.encode(), "")]
    files += [(path, view.authority.encode(), "") for path in view.ca_files]
    files += [(path, content, user) for path, content in view.secrets.items()]
    for number, (path, content, reader) in enumerate(files):
        reply = session.run(_LAY, [VIEW_FOLDER, f"{root}/{MADE}", path, f"file{number}", reader], [content])
        if reply.code:
            raise PreflightError(f"{path} cannot be laid over on the board", why=one_line(reply.err))


def _demand(reply: Reply, host_name: str, name: str) -> None:
    if reply.code:
        raise PreflightError(
            f"stream {name} did not start in its view on {host_name}",
            why=one_line(reply.err or reply.out),
            next_step=f"invoke logs --host {host_name}",
        )

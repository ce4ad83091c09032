"""A simulated board takes the local service for AWS: its own hosts file, CA certificates and keys say so."""

from __future__ import annotations

from deploy.boards.board import load_board
from deploy.boards.inventory import host_target, load_host
from deploy.boards.session import BoardSession, connect
from deploy.kvsboards.view import View, board_view, provision
from deploy.localkvs.lifecycle import Running
from recipes.errors import ConfigError, PreflightError
from recipes.text import one_line

HOURS = 24
"""Retention of the streams that are made for a board."""
_BEGIN = "# boardcast: the local service"
_END = "# boardcast: end"

# $1 a file, $2 its mode where it is made. Stdin: the lines of ours; what was there of ours goes. The file is written
# over, not replaced: /etc/hosts of a container is mounted.
_PUT = rf"""
set -eu
file=$1 mode=$2
new=$(cat; echo .)
new=${{new%.}}
old=''
if [ -e "$file" ]; then
    old=$(sed '/^{_BEGIN}$/,/^{_END}$/d' "$file"; echo .)
    old=${{old%.}}
else
    mkdir -p "${{file%/*}}"
    (umask 077; : > "$file")
    chmod "$mode" "$file"
fi
case $old in '' | *"
") ;; *) old="$old
" ;; esac
[ -z "$new" ] || new="{_BEGIN}
${{new}}{_END}
"
printf '%s%s' "$old" "$new" > "$file"
"""
# $1 a file of keys; stdin its content.
_KEYS = r"""
set -eu
mkdir -p "${1%/*}"
(umask 077; cat > "$1.new")
chmod 600 "$1.new"
mv -f "$1.new" "$1"
"""


def lead_to_service(host_name: str, running: Running) -> View:
    """Make a simulated board see the local service; done twice it is as done once.

    Raises
    ------
    ConfigError
        It is a real board: nothing is changed there.
    PreflightError
        It is not up, or the service has no address that it reaches.
    """
    board = _simulated(host_name)
    if not running.addresses:
        raise PreflightError("the local service has no address that boards reach", next_step="invoke kvs up")
    view = board_view(load_board(board), running, running.addresses[0])
    provision(running, view, hours=HOURS)
    with connect(host_target(host_name)) as session:
        _put(session, "/etc/hosts", "644", view.hosts)
        for file in view.ca_files:
            _put(session, file, "644", view.authority)
        for path, content in view.secrets.items():
            _check(session.run(_KEYS, [path], [content]).code, path, "")
    return view


def lead_away(host_name: str) -> None:
    """Take the service's names and its authority out of a simulated board again; keys stay, they fit nothing else."""
    board = load_board(_simulated(host_name))
    with connect(host_target(host_name)) as session:
        for file in ("/etc/hosts", board.file.environment.ca_file or "/etc/ssl/certs/ca-certificates.crt"):
            _put(session, file, "644", "")


def _simulated(host_name: str) -> str:
    host = load_host(host_name)
    if not host.simulated:
        raise ConfigError(
            f"{host_name} is a real board: its own files stay as they are",
            next_step=f"invoke kvs attach --host {host_name}",
        )
    return host.board


def _put(session: BoardSession, file: str, mode: str, lines: str) -> None:
    reply = session.run(_PUT, [file, mode], [lines.encode()])
    _check(reply.code, file, reply.err)


def _check(code: int, path: str, said: str) -> None:
    if code:
        raise PreflightError(f"{path} cannot be written on the board", why=one_line(said) or f"exit code {code}")

"""The supervising loop of a service, and the scripts that are the same under every init system.

The loop runs under every init system, for a program is to come back in the same way everywhere: systemd counts up its
waits from version 254 on only, procd and supervise-daemon never, and none of them waits ten minutes after an end that
a restart does not cure. The init system starts the loop at boot, and starts it again should it be killed.
"""

from __future__ import annotations

import posixpath
from pathlib import Path

from deploy.services.quoting import comment, shell_word, shell_words
from deploy.services.service import Files, Service

_TEMPLATES = Path(__file__).parent / "templates"


def supervise_script(service: Service, *, environment: bool = True) -> bytes:
    """Return the loop as a script of its own: the service's values in front, then what is the same for all.

    Parameters
    ----------
    environment:
        False where the init system itself reads the file of variables.
    """
    values: dict[str, str | int] = {
        "name": service.name,
        "command": service.command,
        "work": service.working_folder,
        "work_kib": service.working_kib,
        "log": service.log_file,
        "limit": service.log_bytes,
        "state": service.state,
        "environment_file": service.environment_file if environment else "",
        "first_wait": service.first_wait,
        "longest_wait": service.longest_wait,
        "steady_seconds": service.steady_seconds,
        "retry_seconds": service.retry_seconds,
        "incurable_exits": " ".join(map(str, service.incurable_exits)),
        "int_seconds": service.int_seconds,
        "term_seconds": service.term_seconds,
        "needs_network": "yes" if service.needs_network else "",
        "needs_clock": "yes" if service.needs_clock else "",
        "clock_floor": service.clock_floor,
        "patience": service.patience,
        "stall_pattern": service.stall.pattern if service.stall else "",
        "stall_seconds": service.stall.seconds if service.stall else 0,
    }
    body = f"{environment_reader()}\n{(_TEMPLATES / 'supervise.sh').read_text()}"
    head = _head(service.description, values)
    return f"{head}{_incurable(service)}{_credentials(service)}\n{body}".encode()


def environment_reader() -> str:
    """Return the function of sh that reads `$environment_file` into the environment; launch scripts have it too."""
    return (_TEMPLATES / "environment.sh").read_text()


def control_script(service: Service, *, head: str = "") -> bytes:
    """Return the script with start, stop, restart and status for boards that have nothing that does it.

    Parameters
    ----------
    head:
        Lines of comment right after the first, such as those that an init system reads.
    """
    values: dict[str, str | int] = {
        "name": service.name,
        "user": service.user,
        "state": service.state,
        "script": service.script,
        "stop_seconds": service.stop_seconds,
    }
    body = (_TEMPLATES / "control.sh").read_text()
    folders = f"make_folders() {{\n    {made_at_start(service)}\n}}\n"
    return f"{_head(service.description, values, head)}{folders}\n{body}".encode()


def _head(title: str, values: dict[str, str | int], lines: str = "") -> str:
    given = "".join(f"{name}={shell_word(str(value))}\n" for name, value in values.items())
    return f"#!/bin/sh\n{lines}# {comment(title)}\n# Rendered by Boardcast.\n{given}"


def _incurable(service: Service) -> str:
    lines = "".join(
        f"    incurable {shell_words((line.pattern, line.meaning))} || return 1\n" for line in service.incurable_lines
    )
    return f"for_each_incurable() {{\n{lines}    return 0\n}}\n"


def _credentials(service: Service) -> str:
    links = "".join(
        f'    ln -s {shell_word(given.path)} "$state/credentials/"{given.name}\n' for given in service.credentials
    )
    if not links:
        return "link_credentials() { :; }\n"
    lines = f'    mkdir "$state/credentials" || return 1\n{links}'
    return f'link_credentials() {{\n{lines}    export CREDENTIALS_DIRECTORY="$state/credentials"\n}}\n'


def made_at_start(service: Service) -> str:
    """Return the line that makes folders which a reboot may have taken: /var is in memory on many boards."""
    folders = shell_words((service.state, service.working_folder, posixpath.dirname(service.log_file)))
    make = f'mkdir -p "$folder" && chown {service.user} "$folder"'
    return f'for folder in {folders}; do [ -d "$folder" ] || {{ {make}; }} || return 1; done'


def loop_file(service: Service, *, environment: bool = True) -> Files:
    return {service.script: (supervise_script(service, environment=environment), 0o755)}


def _values(service: Service, *names: str) -> str:
    """Return assignments of those of a service's values that a script uses."""
    values = {
        "user": service.user,
        "work": service.working_folder,
        "log": service.log_file,
        "state": service.state,
        "script": service.script,
        "services": f"{service.root}/services",
        "made": f"{service.root}/services/{service.name}.made",
    }
    return "".join(f"{name}={shell_word(value)}\n" for name, value in values.items() if name in names)


def prepare(service: Service, *, folders: tuple[str, ...] | None = None, groups: bool = True) -> str:
    """Return the first part of `enable`: the user is as it is to be, the folders are there and the user's.

    Parameters
    ----------
    folders:
        Those that are made; the working folder and the log's unless they are named.
    groups:
        Whether the user has to be in the service's groups; false where the init system puts it there.
    """
    asked = (service.working_folder, posixpath.dirname(service.log_file)) if folders is None else folders
    lines = _values(service, "user", "work", "log", "made") + _MAKE
    if service.user and service.user != "root":
        lines += _USER
        lines += "".join(f"in_group {shell_word(group)} || exit 69\n" for group in service.groups if groups)
    return lines + "".join(f"make {shell_word(folder)} || exit 70\n" for folder in asked)


def status_script(service: Service, enabled: str, rest: str = "") -> str:
    """Return the script of `status`.

    Parameters
    ----------
    enabled:
        A command of sh that is true where the service starts at boot.
    rest:
        Lines that say what the init system knows, where the loop does not run.
    """
    boot = f"if {enabled}; then echo enabled=yes; else echo enabled=no; fi\n"
    # The state comes last: its file is the service's user's, and of two lines the first counts.
    return f"{_values(service, 'state', 'script')}{boot}{_STATUS}{rest}{_STATE}"


def remove_script(service: Service, stop: str, init_files: tuple[str, ...], after: str = "") -> str:
    """Return the script of `remove`: stops and disables by `stop`, then takes away every file and folder of ours."""
    ours = shell_words((*init_files, service.script, service.log_file, f"{service.log_file}.1"))
    return f"{stop}\n{_values(service, 'work', 'state', 'services', 'made')}rm -f {ours}\n{_REMOVE}{after}"


_MAKE = r"""
# Each folder that is made is written down, the innermost first, for `remove`.
make() {
    [ ! -d "$1" ] || return 0
    case $1 in ?*/*) make "${1%/*}" || return 1 ;; esac
    mkdir "$1" || return 1
    { echo "$1"; cat "$made" 2>/dev/null || :; } >"$made.new" && mv -f "$made.new" "$made" || return 1
    if [ "$1" = "$work" ] || [ "$1" = "${log%/*}" ]; then [ -z "$user" ] || chown "$user" "$1"; fi
}
"""
_USER = r"""
id "$user" >/dev/null 2>&1 || { echo "no user $user: adduser -S -D -H $user" >&2; exit 67; }
in_group() {
    for group in $(id -Gn "$user"); do [ "$group" != "$1" ] || return 0; done
    echo "user $user is not in group $1: addgroup $user $1" >&2
    return 1
}
"""
_STATUS = r"""
if [ -f "$script" ]; then echo installed=yes; else echo installed=no; fi
# BORN SINCE: the same birth, in ticks. An emulator of user programs may be a tick off for a process of its own.
same_birth() {
    case $1$2 in '' | *[!0-9]*) return 1 ;; esac
    [ -n "$1" ] && [ -n "$2" ] && [ $(($1 - $2)) -le 10 ] && [ $(($2 - $1)) -le 10 ]
}
alive() {
    holder='' since_boot='' stat=''
    read -r holder since_boot 2>/dev/null <"$state/supervisor" || return 1
    read -r stat 2>/dev/null <"/proc/$holder/stat" || return 1
    # shellcheck disable=SC2086
    set -- ${stat##*) }
    same_birth "${20}" "$since_boot"
}
watched=no
if alive; then watched=yes; fi
echo "supervisor=$watched"
"""
_STATE = r"""
[ ! -f "$state/state" ] || dd if="$state/state" bs=4096 count=1 2>/dev/null
"""
_REMOVE = r"""
rm -rf "$state"
if [ -f "$made" ]; then
    while IFS= read -r folder; do
        if [ "$folder" = "$work" ]; then rm -rf "$folder"; else rmdir "$folder" 2>/dev/null; fi
    done <"$made"
fi
rm -f "$made" "$made.new"
rmdir "$services" 2>/dev/null || :
"""

"""What runs at a board's start before its streams: a release that nobody saw work is taken back.

First the links, which takes milliseconds, while no stream runs yet: what starts then is the old release's. The services
that only one of the two brings follow beside, when the init system has come so far.
"""

from __future__ import annotations

from collections.abc import Callable

from deploy.atboot.put_in import SERVICES
from deploy.atboot.trial import THIS_START
from deploy.services.none import first_at_boot, never_at_boot
from deploy.services.quoting import shell_word, systemd_argument, systemd_word
from deploy.services.service import Files
from deploy.services.sysv import boot_links
from deploy.transfer.lock import ITSELF, LOCK

NAME = "_boot"
"""Of the service that it is among those of a release: no stream is called so."""
ID = "boardcast"
"""For the init system; a stream's is `boardcast-<name>`."""

_GUARD = (
    r"""
set -u
umask 022
trial=$root/.trial
# Beside: it stops and starts services, which an init system does once this one is through.
settle() {
    tries=0
    while [ "$tries" -lt 30 ]; do
        sh "$root/services/_settle.sh" "$root" current "$who"
        [ $? = 75 ] || return 0
        tries=$((tries + 1))
        sleep 2
    done
}
if [ "${1:-}" = settle ]; then settle; exit 0; fi
[ -f "$trial" ] || exit 0
"""
    + LOCK
    + THIS_START
    + r"""
target() { [ -L "$root/$1" ] && { t=$(readlink "$root/$1"); echo "${t##*/}"; }; }
verified() { [ -n "$1" ] && [ -f "$root/releases/$1/.confirmed" ]; }
# A deploy that is at work already puts all in order itself.
lock "$who" < /dev/null
id='' born='' age=''
read -r id born age < "$trial"
current=$(target current)
# Power may have taken the marker's content.
id=${id:-$current}
case $age in '' | *[!0-9]*) age=0 ;; esac
if [ "$born" = "$(this_start)" ] && [ "$(uptime)" -ge "$age" ]; then unlock; exit 0; fi
back=$(target previous)
if verified "$current"; then
    # Confirmed, and the power went before the marker did.
    if verified "$id"; then rm -f "$trial"; unlock; exit 0; fi
elif ! verified "$back"; then
    # The first one here: better than none.
    rm -f "$trial"
    unlock
    exit 0
else
    echo "$current $back $(date +%s)" > "$root/.reverted.new" && sync && mv -f "$root/.reverted.new" "$root/.reverted"
    if [ -d "$root/applied" ]; then
        echo "$back" > "$root/.serving.new" && sync && mv -f "$root/.serving.new" "$root/.serving"
    fi
    rm -f "$root/.current.new"
    if mv --help 2>&1 | grep -q -e '-T'; then
        ln -s "releases/$back" "$root/.current.new" && mv -T -f "$root/.current.new" "$root/current"
    else
        ln -sfn "releases/$back" "$root/current"
    fi
    sync
fi
unlock
if command -v setsid > /dev/null 2>&1; then
    setsid sh "$0" settle < /dev/null > /dev/null 2>&1 &
else
    (trap '' HUP; settle) < /dev/null > /dev/null 2>&1 &
fi
exit 0
"""
)


def guard_files(init: str, root: str) -> Files:
    """Return what is put in on a board of this init system: the guard, what follows it, and what starts it at boot."""
    head = f"#!/bin/sh\n# Rendered by Boardcast.\nroot={shell_word(root)} who={shell_word(ITSELF)}\n"
    files = {
        _path(root): ((head + _GUARD).encode(), 0o755),
        f"{root}/services/_settle.sh": (f"#!/bin/sh\n# Rendered by Boardcast.\n{SERVICES}".encode(), 0o755),
    }
    if init in _STARTERS:
        path, made = _STARTERS[init]
        files[path] = (made(_path(root)).encode(), 0o644 if init == "systemd" else 0o755)
    return files


def guard_scripts(init: str, root: str) -> dict[str, str]:
    """Return the verbs of the guard as a service: it is let start at boot, and never started by a deploy."""
    line = f"/bin/sh {shell_word(_path(root))}"
    enable, disable = {
        "systemd": (
            f"systemctl daemon-reload && systemctl --quiet enable {ID}.service",
            f"systemctl --quiet disable {ID}.service",
        ),
        "sysv": (f"{boot_links(ID)}link || exit 69", f"{boot_links(ID)}unlink"),
        "openrc": (f"rc-update --quiet add {ID} default", f"rc-update --quiet del {ID} default"),
        "procd": (f"/etc/init.d/{ID} enable", f"/etc/init.d/{ID} disable"),
        "none": (first_at_boot(ID, line), never_at_boot(ID)),
    }[init]
    # Without the file nothing of it is left but what the init system remembers.
    after = f"rm -f {_STARTERS[init][0]}\n" if init in _STARTERS else ""
    after += "systemctl daemon-reload\n" if init == "systemd" else ""
    nothing = dict.fromkeys(("start", "stop", "restart"), ":")
    status = f"[ ! -f {shell_word(_path(root))} ] || echo installed=yes"
    remove = f"{{\n{disable}\n}} 2>/dev/null\n{after}"
    return {**nothing, "status": status, "enable": enable, "disable": disable, "remove": remove}


def _path(root: str) -> str:
    return f"{root}/services/{NAME}.sh"


_TITLE = "takes back a release of Boardcast that was not confirmed before the board was switched off"


def _unit(path: str) -> str:
    return f"""# Rendered by Boardcast.
[Unit]
Description={ID}: {_TITLE}
RequiresMountsFor={systemd_word(path)}

[Service]
Type=oneshot
RemainAfterExit=yes
# What follows runs on beside, and is not ended with the unit.
KillMode=process
TimeoutStartSec=60
ExecStart=/bin/sh {systemd_argument(path)}

[Install]
WantedBy=multi-user.target
"""


def _sysv(path: str) -> str:
    return f"""#!/bin/sh
### BEGIN INIT INFO
# Provides:          {ID}
# Required-Start:    $local_fs $remote_fs
# Required-Stop:
# Default-Start:     2 3 4 5
# Default-Stop:
# Short-Description: {_TITLE}
### END INIT INFO
# chkconfig: 2345 95 05
# Rendered by Boardcast.
[ "${{1:-}}" != start ] || exec /bin/sh {shell_word(path)}
exit 0
"""


def _openrc(path: str) -> str:
    return f"""#!/sbin/openrc-run
# Rendered by Boardcast.
# shellcheck shell=sh disable=SC2034  # for openrc-run
description="{_TITLE}"

depend() {{
    use localmount
    after bootmisc
}}

start() {{
    /bin/sh {shell_word(path)}
    return 0
}}
"""


def _procd(path: str) -> str:
    return f"""#!/bin/sh /etc/rc.common
# {_TITLE}
# Rendered by Boardcast.
# shellcheck disable=SC2034  # for rc.common
START=95

boot() {{
    /bin/sh {shell_word(path)}
}}
start() {{
    :
}}
"""


_STARTERS: dict[str, tuple[str, Callable[[str], str]]] = {
    "systemd": (f"/etc/systemd/system/{ID}.service", _unit),
    "sysv": (f"/etc/init.d/{ID}", _sysv),
    "openrc": (f"/etc/init.d/{ID}", _openrc),
    "procd": (f"/etc/init.d/{ID}", _procd),
}
"""Init system to the file that starts the guard at boot, and what is in it."""

"""SysV init, and BusyBox's with folders of scripts as Buildroot lays them out: an init script with an LSB head.

An entry in /etc/inittab with `respawn` would watch over the loop too. But that file is the board's own, and shared with
its consoles; BusyBox reads it at boot only, so a service could not be added to a running board; and what it starts
cannot be stopped one by one. So a script it is. Nothing watches over the loop here; it is a small shell that waits.
"""

from __future__ import annotations

from deploy.services.quoting import comment
from deploy.services.service import Files, Service
from deploy.services.supervise import control_script, loop_file, prepare, remove_script, status_script
from recipes.errors import ConfigError

FOLDER = "/etc/init.d"


class SysV:
    """Init scripts of Debian's sysvinit, of chkconfig, of Buildroot (/etc/init.d/S??*) and of bare /etc/rc?.d."""

    name = "sysv"

    def files(self, service: Service) -> Files:
        if not service.user:
            raise ConfigError(f"service {service.name!r} names no user", why="SysV init makes none: only systemd does")
        return {**loop_file(service), _path(service): (control_script(service, head=_head(service)), 0o755)}

    def enable(self, service: Service) -> str:
        return f"{prepare(service)}{boot_links(service.id)}link || exit 69"

    def disable(self, service: Service) -> str:
        return f"{boot_links(service.id)}unlink"

    def start(self, service: Service) -> str:
        return f"{_path(service)} start"

    def stop(self, service: Service) -> str:
        return f"{_path(service)} stop"

    def restart(self, service: Service) -> str:
        return f"{_path(service)} restart"

    def status(self, service: Service) -> str:
        places = f"/etc/init.d/S95{service.id} /etc/rc[2-5].d/S*{service.id} /etc/rc.d/rc[2-5].d/S*{service.id}"
        enabled = f'for link in {places}; do [ ! -e "$link" ] || echo yes; done | grep -q yes'
        return status_script(service, enabled)

    def remove(self, service: Service) -> str:
        # update-rc.d wants the script to be there while it takes its links away.
        there = f"[ ! -x {_path(service)} ] || {self.stop(service)}\n{self.disable(service)}"
        return remove_script(service, there, (_path(service),))


def boot_links(identity: str) -> str:
    """Return the functions `link` and `unlink`: an init script of this name starts at boot, and does not any more."""
    return _LINKS.replace("@ID@", identity)


def _path(service: Service) -> str:
    return f"{FOLDER}/{service.id}"


def _head(service: Service) -> str:
    wanted = "$local_fs $remote_fs" + (" $network" if service.needs_network else "")
    wanted += " $time" if service.needs_clock else ""
    return f"""### BEGIN INIT INFO
# Provides:          {service.id}
# Required-Start:    {wanted}
# Required-Stop:     {wanted}
# Should-Start:      boardcast
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: {comment(service.description)}
### END INIT INFO
# chkconfig: 2345 95 05
"""


_LINKS = r"""
have() { command -v "$1" >/dev/null 2>&1; }
link() {
    if have update-rc.d; then
        update-rc.d @ID@ defaults >/dev/null
    elif have chkconfig; then
        chkconfig --add @ID@
    elif [ -f /etc/init.d/rcS ]; then
        ln -sf @ID@ /etc/init.d/S95@ID@
    elif [ -d /etc/rc2.d ]; then
        for level in 2 3 4 5; do ln -sf ../init.d/@ID@ "/etc/rc$level.d/S95@ID@"; done
        for level in 0 1 6; do ln -sf ../init.d/@ID@ "/etc/rc$level.d/K05@ID@"; done
    else
        echo "this board has no place for what starts at boot: no update-rc.d, no chkconfig, no rcS, no rc2.d" >&2
        return 1
    fi
}
unlink() {
    if have update-rc.d; then update-rc.d -f @ID@ remove >/dev/null 2>&1; fi
    if have chkconfig; then chkconfig --del @ID@ 2>/dev/null; fi
    rm -f /etc/init.d/S95@ID@ /etc/rc?.d/[SK]??@ID@
}
"""

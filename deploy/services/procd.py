"""procd of OpenWrt: an init script that gives procd the supervising loop to watch over.

procd starts what ends again after a fixed time, and stops with SIGTERM: the loop makes SIGINT first of it. The file
of variables is read by the loop, since procd shows what it was given as `env` to `ubus call service list`.
"""

from __future__ import annotations

from deploy.services.quoting import comment, shell_word
from deploy.services.service import Files, Service
from deploy.services.supervise import loop_file, made_at_start, prepare, remove_script, status_script
from recipes.errors import ConfigError

FOLDER = "/etc/init.d"


class Procd:
    """OpenWrt 19.07 and later."""

    name = "procd"

    def files(self, service: Service) -> Files:
        return {**loop_file(service), _path(service): (_script(service).encode(), 0o755)}

    def enable(self, service: Service) -> str:
        return f"{prepare(service)}{_path(service)} enable"

    def disable(self, service: Service) -> str:
        return f"{_path(service)} disable"

    def start(self, service: Service) -> str:
        return f"{_path(service)} start"

    def stop(self, service: Service) -> str:
        # procd returns at once: the end of the loop is waited for.
        return (
            f"{_path(service)} stop\nleft={service.stop_seconds + 5}\nfile={shell_word(service.state)}/supervisor\n"
            'while [ -f "$file" ] && read -r pid _ <"$file" && [ -d "/proc/$pid" ] && [ "$left" -gt 0 ]; do\n'
            "    sleep 1\n    left=$((left - 1))\ndone\n"
        )

    def restart(self, service: Service) -> str:
        return f"{self.stop(service)}{self.start(service)}"

    def status(self, service: Service) -> str:
        return status_script(service, f"{_path(service)} enabled 2>/dev/null")

    def remove(self, service: Service) -> str:
        there = f"if [ -x {_path(service)} ]; then\n{self.stop(service)}\n{self.disable(service)}\nfi"
        return remove_script(service, there, (_path(service),))


def _path(service: Service) -> str:
    return f"{FOLDER}/{service.id}"


def _script(service: Service) -> str:
    if not service.user:
        raise ConfigError(f"service {service.name!r} names no user", why="procd makes none: only systemd does")
    return f"""#!/bin/sh /etc/rc.common
# {comment(service.description)}
# Rendered by Boardcast.
# shellcheck disable=SC2034  # for rc.common
USE_PROCD=1
START=95
STOP=05

start_service() {{
    {made_at_start(service)}
    procd_open_instance
    procd_set_param command /bin/sh {shell_word(service.script)}
    procd_set_param user {service.user}
    # Started again 5 seconds after its end, as often as it takes.
    procd_set_param respawn 3600 5 0
    procd_set_param term_timeout {service.stop_seconds + 5}
    procd_set_param stderr 1
    procd_close_instance
}}
"""

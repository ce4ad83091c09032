"""OpenRC: supervise-daemon watches over the supervising loop."""

from __future__ import annotations

from deploy.services.quoting import comment, shell_word
from deploy.services.service import Files, Service
from deploy.services.supervise import loop_file, made_at_start, prepare, remove_script, status_script
from recipes.errors import ConfigError

FOLDER = "/etc/init.d"


class OpenRc:
    """OpenRC 0.35 and later."""

    name = "openrc"

    def files(self, service: Service) -> Files:
        return {**loop_file(service), _path(service): (_script(service).encode(), 0o755)}

    def enable(self, service: Service) -> str:
        return f"{prepare(service)}rc-update --quiet add {service.id} default"

    def disable(self, service: Service) -> str:
        return f"rc-update --quiet del {service.id} default"

    def start(self, service: Service) -> str:
        return f"rc-service --quiet {service.id} start"

    def stop(self, service: Service) -> str:
        return f"rc-service --quiet {service.id} stop"

    def restart(self, service: Service) -> str:
        return f"rc-service --quiet {service.id} restart"

    def status(self, service: Service) -> str:
        return status_script(service, f"[ -e /etc/runlevels/default/{service.id} ]")

    def remove(self, service: Service) -> str:
        stop = f"rc-service --quiet --ifexists {service.id} stop\n{self.disable(service)} 2>/dev/null"
        return remove_script(service, stop, (_path(service),))


def _path(service: Service) -> str:
    return f"{FOLDER}/{service.id}"


def _script(service: Service) -> str:
    if not service.user:
        raise ConfigError(f"service {service.name!r} names no user", why="OpenRC makes none: only systemd does")
    after = (["net"] if service.needs_network else []) + (["ntp-client", "ntpd"] if service.needs_clock else [])
    return f"""#!/sbin/openrc-run
# Rendered by Boardcast.
# shellcheck shell=sh disable=SC2034  # for openrc-run
description={shell_word(comment(service.description))}
supervisor=supervise-daemon
# supervise-daemon.sh cuts the words at blanks and looks for files that match, then gives them to `eval`: a variable's
# name passes through all that, and becomes the path at the last.
loop={shell_word(service.script)}
command=/bin/sh
command_args='"$loop"'
command_user={service.user}
respawn_delay=5
respawn_max=0
retry=SIGINT/{service.stop_seconds + 5}/SIGKILL/5

# None of these is needed: Debian's OpenRC has no localmount, and what needs a service that is not there never starts.
depend() {{
    use localmount {" ".join(after)} chronyd openntpd
    after bootmisc boardcast {" ".join(after)} chronyd openntpd
}}

start_pre() {{
    {made_at_start(service)}
}}
"""

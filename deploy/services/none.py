"""No init system that we know: a script starts the supervising loop, by hand or from /etc/rc.local."""

from __future__ import annotations

from deploy.services.quoting import shell_word
from deploy.services.service import Files, Service
from deploy.services.supervise import control_script, loop_file, prepare, remove_script, status_script
from recipes.errors import ConfigError


class NoInit:
    """Boards whose init system is none of ours; the service outlives the log-in that started it."""

    name = "none"

    def files(self, service: Service) -> Files:
        if not service.user:
            raise ConfigError(f"service {service.name!r} names no user", why="none is made here: only systemd does")
        return {**loop_file(service), _path(service): (control_script(service), 0o755)}

    def enable(self, service: Service) -> str:
        """Return the script that makes the folders, and adds a line to /etc/rc.local where the board has that file."""
        line = f"/bin/sh {shell_word(_path(service))} start  # {service.id}"
        return f"{prepare(service)}id='{_pattern(service)}'\nline={shell_word(line)}\n{_ADD}"

    def disable(self, service: Service) -> str:
        return f"id='{_pattern(service)}'\n{_TAKE}"

    def start(self, service: Service) -> str:
        return f"/bin/sh {shell_word(_path(service))} start"

    def stop(self, service: Service) -> str:
        return f"/bin/sh {shell_word(_path(service))} stop"

    def restart(self, service: Service) -> str:
        return f"/bin/sh {shell_word(_path(service))} restart"

    def status(self, service: Service) -> str:
        return status_script(service, f"grep -q '  # {_pattern(service)}$' /etc/rc.local 2>/dev/null")

    def remove(self, service: Service) -> str:
        there = f"[ ! -f {shell_word(_path(service))} ] || {self.stop(service)}\n{self.disable(service)}"
        return remove_script(service, there, (_path(service),))


def first_at_boot(identity: str, line: str) -> str:
    """Return the script that adds a line to /etc/rc.local, where there is such a file, in front of all others."""
    return f"id={shell_word(identity)}\nline={shell_word(f'{line}  # {identity}')}\n{_TAKE}{_ADD_FIRST}"


def never_at_boot(identity: str) -> str:
    """Return the script that takes that line away."""
    return f"id={shell_word(identity)}\n{_TAKE}"


def _path(service: Service) -> str:
    return f"{service.root}/services/{service.name}"


def _pattern(service: Service) -> str:
    """Return the service's name as grep is to read it: a dot stands for any letter."""
    return service.id.replace(".", "\\.")


# The file is written over, not replaced: it may be a link, and its mode stays.
_TAKE = r"""
if [ -f /etc/rc.local ] && grep -q "  # $id\$" /etc/rc.local; then
    rest=$(grep -v "  # $id\$" /etc/rc.local; echo .)
    printf '%s' "${rest%.}" >/etc/rc.local
fi
"""
_ADD = (
    _TAKE
    + r"""
if [ -f /etc/rc.local ]; then
    # In front of the `exit 0` that such a file ends with.
    before='' after=''
    while IFS= read -r text || [ -n "$text" ]; do
        case $text in exit*) before=$before$after after="$text
" ;; *) if [ -n "$after" ]; then after="$after$text
"; else before="$before$text
"; fi ;; esac
    done </etc/rc.local
    printf '%s%s\n%s' "$before" "$line" "$after" >/etc/rc.local
else
    echo "no /etc/rc.local: the service does not start at boot by itself" >&2
fi
"""
)
_ADD_FIRST = r"""
if [ -f /etc/rc.local ]; then
    before='' after=''
    while IFS= read -r text || [ -n "$text" ]; do
        case $before$after$text in '#!'*) if [ -z "$before" ]; then before="$text
"; continue; fi ;; esac
        after="$after$text
"
    done </etc/rc.local
    printf '%s%s\n%s' "$before" "$line" "$after" >/etc/rc.local
fi
"""

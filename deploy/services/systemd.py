"""systemd: a unit that starts the supervising loop, shut off from what a camera does not need."""

from __future__ import annotations

import posixpath

from deploy.services.quoting import systemd_argument, systemd_pattern, systemd_value, systemd_word
from deploy.services.service import Files, Service
from deploy.services.supervise import loop_file, prepare, remove_script, status_script
from recipes.errors import ConfigError

FOLDER = "/etc/systemd/system"


class Systemd:
    """systemd 232 and later; older ones pass over the settings that they do not know, and say so in the journal."""

    name = "systemd"

    def files(self, service: Service) -> Files:
        """Return the unit and the loop.

        Raises
        ------
        ConfigError
            A user of the service's own is asked for, and the folders are not those that such a user can have.
        """
        return {**loop_file(service, environment=False), _unit_path(service): (_unit(service).encode(), 0o644)}

    def enable(self, service: Service) -> str:
        # What systemd makes, it also makes the user's, and again after a reboot.
        folders = tuple(path for path in _writable(service) if path not in _managed(service).values())
        return f"{prepare(service, folders=folders, groups=False)}systemctl daemon-reload && {_do('enable', service)}"

    def disable(self, service: Service) -> str:
        return _do("disable", service)

    def start(self, service: Service) -> str:
        return f"systemctl daemon-reload && {_do('start', service)}"

    def stop(self, service: Service) -> str:
        return _do("stop", service)

    def restart(self, service: Service) -> str:
        return f"systemctl daemon-reload && {_do('restart', service)}"

    def status(self, service: Service) -> str:
        enabled = f"systemctl is-enabled --quiet {service.id}.service 2>/dev/null"
        return status_script(service, enabled, _STATUS.replace("@UNIT@", f"{service.id}.service"))

    def remove(self, service: Service) -> str:
        stop = f"systemctl stop {service.id}.service 2>/dev/null\n{_do('disable', service)} 2>/dev/null"
        made = "".join(f"rm -rf {root}/{service.id} {root}/private/{service.id}\n" for root in ("/var/lib", "/var/log"))
        after = f"{made}systemctl daemon-reload\nsystemctl reset-failed {service.id}.service 2>/dev/null || :\n"
        return remove_script(service, stop, (_unit_path(service),), after)


_STATUS = r"""
if [ "$watched" = no ]; then
    case $(systemctl show -p ActiveState @UNIT@) in
        *=activating | *=failed)
            echo state=failed
            echo "init_reason=systemd cannot start it: $(systemctl show -p Result @UNIT@ | sed 's/^Result=//')"
            ;;
    esac
fi
"""


def _do(verb: str, service: Service) -> str:
    return f"systemctl --quiet {verb} {service.id}.service"


def _unit_path(service: Service) -> str:
    return f"{FOLDER}/{service.id}.service"


def _writable(service: Service) -> tuple[str, ...]:
    return tuple(dict.fromkeys((service.working_folder, posixpath.dirname(service.log_file))))


def _managed(service: Service) -> dict[str, str]:
    """Return the folders that systemd makes by itself for this service, by the setting that names them."""
    own = {
        "StateDirectory": f"/var/lib/{service.id}",
        "LogsDirectory": f"/var/log/{service.id}",
        "RuntimeDirectory": f"/var/run/{service.id}",
    }
    used = {*_writable(service), service.state}
    return {setting: path for setting, path in own.items() if path in used}


def _account(service: Service) -> list[str]:
    if service.user:
        who = [f"User={service.user}"]
    else:
        managed = set(_managed(service).values())
        if not {*_writable(service), service.state} <= managed:
            own = f"/var/lib/{service.id} and a log in /var/log/{service.id} or there"
            raise ConfigError(
                f"service {service.name!r} has folders that a user made for the moment cannot write",
                why=f"systemd gives such a user {own}, and nothing else",
                next_step=f'working_folder = "/var/lib/{service.id}", or name a user',
            )
        who = ["DynamicUser=yes"]
    return [*who, *([f"SupplementaryGroups={' '.join(service.groups)}"] if service.groups else [])]


def _inputs(service: Service) -> list[str]:
    lines = []
    if service.environment_file:
        lines.append(f"EnvironmentFile={systemd_pattern(service.environment_file, 'environment_file')}")
    lines += [f"LoadCredential={given.name}:{systemd_value(given.path, given.name)}" for given in service.credentials]
    return lines


def _folders(service: Service) -> list[str]:
    managed = _managed(service)
    lines = [f"{setting}={service.id}" for setting in managed]
    if "RuntimeDirectory" in managed:
        lines.append("RuntimeDirectoryPreserve=yes")
    others = [path for path in (*_writable(service), service.state) if path not in managed.values()]
    return lines + [f"ReadWritePaths={systemd_word(path)}" for path in dict.fromkeys(others)]


def _unit(service: Service) -> str:
    mounts = " ".join(map(systemd_word, (service.script, service.working_folder)))
    unit = [
        f"Description={systemd_value(service.description, 'description')}",
        # Passive where nothing waits for the clock: the loop does that, and for a route.
        *(["Wants=network-online.target", "After=network-online.target"] if service.needs_network else []),
        *(["Wants=time-sync.target", "After=time-sync.target"] if service.needs_clock else []),
        # What takes back a release that nobody saw work comes first.
        "After=boardcast.service",
        f"RequiresMountsFor={mounts}",
        "StartLimitIntervalSec=0",
    ]
    run = [
        f"ExecStart=/bin/sh {systemd_argument(service.script)}",
        "Restart=always",
        "RestartSec=5",
        # SIGINT goes to the loop alone, which passes it on and counts the seconds.
        "KillMode=mixed",
        "KillSignal=SIGINT",
        f"TimeoutStopSec={service.stop_seconds + 5}",
        "IgnoreSIGPIPE=no",
        f"SyslogIdentifier={service.id}",
        "UMask=0077",
        *_account(service),
        *_inputs(service),
        *_folders(service),
        *_HARDENING,
        *([f"MemoryMax={service.memory_mib}M"] if service.memory_mib else []),
    ]
    sections = {"Unit": unit, "Service": run, "Install": ["WantedBy=multi-user.target"]}
    text = "\n".join(f"[{name}]\n" + "".join(f"{line}\n" for line in lines) for name, lines in sections.items())
    return f"# Rendered by Boardcast.\n{text}"


_HARDENING = (
    "NoNewPrivileges=yes",
    "ProtectSystem=strict",
    "ProtectHome=read-only",
    "PrivateTmp=yes",
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectControlGroups=yes",
    "RestrictNamespaces=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
)

"""A service as a value: a launch script of a release, and how it is kept running."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

from deploy.services.quoting import checked, systemd_value
from recipes.errors import ConfigError

Files = dict[str, tuple[bytes, int]]
"""Absolute path on the board → content and mode."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_CREDENTIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_SECONDS = ("int_seconds", "term_seconds", "first_wait", "longest_wait", "steady_seconds", "retry_seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """A program that lives but does nothing: what its log has to say, and how often at least."""

    pattern: str
    """Extended regular expression, as `grep -E` reads it."""
    seconds: int
    """Without a line that matches for so long the program is stopped and started again; 4 or more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incurable:
    """A line in the log of a program that ended, after which starting it again does not help."""

    pattern: str
    """Extended regular expression, as `grep -E` reads it, such as `0x5200007c`."""
    meaning: str
    """What the state gives as the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A file of secrets on the board, which the program finds as `$CREDENTIALS_DIRECTORY/<name>`."""

    name: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A launch script of a release that runs from boot on; every init system makes the same of it.

    Raises
    ------
    ConfigError
        A value is none that a board can have; all faults at once.
    """

    name: str
    """In lower case; its files on the board are called `boardcast-<name>`."""
    description: str
    command: str
    """Absolute path of a launch script, `<root>/current/run/<file>`."""
    working_folder: str
    """Writable, outside the releases; `enable` makes it where it is missing."""
    log_file: str

    user: str = "root"
    """Who runs it; empty asks for a user of its own, which only systemd makes (`DynamicUser=`)."""
    groups: tuple[str, ...] = ("video", "audio")
    environment_file: str = ""
    """File of `NAME="value"` lines on the board, as `environment_file()` writes it; empty for none."""
    credentials: tuple[Credential, ...] = ()
    state_folder: str = ""
    """Where the state and the process ids are; empty for /var/run/boardcast-<name>."""

    working_kib: int = 4096
    """At a start, files in a working folder of more than this are removed."""
    log_bytes: int = 1_000_000
    """Of one generation; there are two."""
    memory_mib: int = 0
    """Most that it may use, where the init system can hold it to that; 0 for no limit."""

    int_seconds: int = 10
    """From SIGINT to SIGTERM."""
    term_seconds: int = 5
    """From SIGTERM to SIGKILL."""

    first_wait: int = 1
    """Seconds before the first restart; doubled each time up to `longest_wait`."""
    longest_wait: int = 60
    steady_seconds: int = 120
    """Having run for so long, a program starts again with the first wait."""
    retry_seconds: int = 600
    """Wait after an end that a restart does not cure."""
    incurable_exits: tuple[int, ...] = (78,)
    """Exit codes that a restart does not cure; 78 is EX_CONFIG of sysexits.h."""
    incurable_lines: tuple[Incurable, ...] = ()

    needs_network: bool = True
    """Starts when there is a default route."""
    needs_clock: bool = True
    """Starts when the clock is past `clock_floor`."""
    clock_floor: int = 1_704_067_200
    """Seconds since 1970 that have passed for certain, such as when the release was made."""
    patience: int = 120
    """Seconds that it waits for each of the two; then it starts without, and its log says so."""
    stall: Stall | None = None

    def __post_init__(self) -> None:
        faults = [*_name_faults(self), *_path_faults(self), *_rule_faults(self)]
        if faults:
            raise ConfigError(f"service {self.name!r} is wrong", why="; ".join(faults))

    @property
    def root(self) -> str:
        """Our folder on the board."""
        return self.command.rpartition("/current/run/")[0]

    @property
    def id(self) -> str:
        """Name for the init system: nothing of the board's own is called so."""
        return f"boardcast-{self.name}"

    @property
    def state(self) -> str:
        return self.state_folder or f"/var/run/{self.id}"

    @property
    def script(self) -> str:
        """The supervising loop, outside the releases: a switch leaves it as it is."""
        return f"{self.root}/services/{self.name}.sh"

    @property
    def stop_seconds(self) -> int:
        """Longest time from a stop to the end of the supervising loop."""
        return self.int_seconds + self.term_seconds + 5


def _name_faults(service: Service) -> list[str]:
    faults = []
    if not _NAME.fullmatch(service.name) or service.name.endswith(".sh"):
        # An init script that ends in .sh is read into the shell of rcS, and passed over by OpenRC.
        faults.append("name is to be of a-z, 0-9, `.`, `_`, `-`, begin with a letter or digit, and not end in .sh")
    faults += [f"{name!r} is no name of a group" for name in service.groups if not _USER.fullmatch(name)]
    if service.user and not _USER.fullmatch(service.user):
        faults.append(f"{service.user!r} is no name of a user")
    faults += [
        f"{given.name!r} is no name of a credential"
        for given in service.credentials
        if not _CREDENTIAL.fullmatch(given.name)
    ]
    return faults


def _paths(service: Service) -> dict[str, str]:
    credentials = {f"credential {given.name}": given.path for given in service.credentials}
    named = ("command", "working_folder", "log_file", "state_folder", "environment_file")
    return {name: getattr(service, name) for name in named if getattr(service, name)} | credentials


def _path_faults(service: Service) -> list[str]:
    faults = []
    for what, path in _paths(service).items():
        if not path.startswith("/") or path.startswith("//") or posixpath.normpath(path) != path or path == "/":
            faults.append(f"{what} is to be an absolute path without `.`, `..` or doubled slashes")
        if len(path.encode("utf-8", "replace")) > 1024:
            faults.append(f"{what} is too long")
        try:
            systemd_value(path, what)
        except ConfigError as error:
            faults.append(error.what)
    root, below, program = service.command.rpartition("/current/run/")
    if not below or not root or "/" in program or not program:
        faults.append("command is to be <root>/current/run/<file>")
    elif any(f"{service.working_folder}/".startswith(f"{root}/{part}/") for part in ("current", "releases", "store")):
        faults.append("working_folder is to be outside the releases")
    faults += [
        f"{what} is in the working folder, which is emptied when it grows too large"
        for what, path in _paths(service).items()
        if what.startswith(("credential", "environment_file")) and path.startswith(f"{service.working_folder}/")
    ]
    return faults


def _rule_faults(service: Service) -> list[str]:
    faults = [f"{name} is to be 1 or more" for name in _SECONDS if getattr(service, name) < 1]
    if service.longest_wait < service.first_wait:
        faults.append("longest_wait is shorter than first_wait")
    if service.log_bytes < 4096:
        faults.append("log_bytes is to be 4096 or more")
    if min(service.working_kib, service.patience, service.memory_mib, service.clock_floor) < 0:
        faults.append("a negative size or time")
    if any(not 1 <= code <= 255 for code in service.incurable_exits):
        faults.append("incurable_exits are exit codes, 1 to 255")
    if service.stall and service.stall.seconds < 4:
        faults.append("stall.seconds is to be 4 or more")
    patterns = [line.pattern for line in service.incurable_lines] + ([service.stall.pattern] if service.stall else [])
    if not all(patterns):
        faults.append("an empty pattern is in every line")
    try:
        systemd_value(service.description, "description")
        for text in (*patterns, *(line.meaning for line in service.incurable_lines)):
            checked(text, "a rule for the log")
    except ConfigError as error:
        faults.append(error.what)
    return faults

"""What all streams of a board share: init system, user, credentials by reference, environment, limits."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema, model_validator

from deploy.streams.sinks import IotCertificate
from deploy.streams.values import Part, Path, Seconds, Word
from recipes.config import OneLine

LOG_LEVELS = {"verbose": 1, "debug": 2, "info": 3, "warn": 4, "error": 5, "fatal": 6, "silent": 7, "profile": 8}
"""The SDKs' own numbers, `AWS_KVS_LOG_LEVEL`."""


def _level(value: object) -> object:
    """Take a level by its name too."""
    if isinstance(value, str) and value in LOG_LEVELS:
        return LOG_LEVELS[value]
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 8:
        raise ValueError(f"is 1 to 8, or one of {', '.join(LOG_LEVELS)}")
    return value


LogLevel = Annotated[
    int,
    BeforeValidator(_level),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1, "maximum": 8}, {"enum": list(LOG_LEVELS)}]}),
]
User = Annotated[OneLine, StringConstraints(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")]
Variable = Annotated[OneLine, StringConstraints(pattern=r"^[A-Z_][A-Z0-9_]{0,63}$")]
_SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


class Credentials(Part):
    """How the streams of a board prove who they are. By reference only: a key is never in a board's file."""

    file: Path | None = None
    """File on the board, mode 0600, of lines `NAME="value"`: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and so on."""
    iot: IotCertificate | None = None
    """The board's certificate, for every stream that names no other."""


class Environment(Part):
    """What the SDKs read from their environment."""

    region: Word | None = None
    """AWS region, AWS_DEFAULT_REGION."""
    log_level: LogLevel = 4
    """1 to 8, or verbose, debug, info, warn, error, fatal, silent, profile."""
    log_sdp: bool = False
    """WebRTC: print each SDP message, DEBUG_LOG_SDP."""
    ca_file: Path | None = None
    """File of certificates on the board, AWS_KVS_CACERT_PATH."""
    variables: dict[Variable, OneLine] = Field(default_factory=dict)
    """Further variables; a secret belongs into the file of `[credentials]`."""

    @model_validator(mode="after")
    def _no_secrets(self) -> Environment:
        if given := [name for name in _SECRETS if name in self.variables]:
            raise ValueError(f"{', '.join(given)}: a secret, which belongs into the file that [credentials] names")
        return self


class Limits(Part):
    """What the streams of a board may use, and how long they may be silent."""

    stall: Seconds = 30
    """Seconds without a picture at a sink, after which a stream is started again; 0: never."""
    ack_stall: Seconds = 120
    """Seconds without a fragment that KVS confirms, after which a stream is started again; 0: never."""
    memory: Annotated[int, Field(ge=0, le=65_536)] = 0
    """MiB that one stream may use before it is started again; 0: any."""
    log_kib: Annotated[int, Field(ge=16, le=1_048_576)] = 1024
    """Of one generation of a stream's log; there are two."""
    work_kib: Annotated[int, Field(ge=64, le=1_048_576)] = 4096
    """Of a stream's working folder."""
    core_files: bool = False
    """Whether a stream that crashes may leave its memory in a file: the keys that it used are in that."""
    uplink_kbps: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """Kilobits a second that the board's line takes; bitrates are checked against it."""


class ServiceSettings(Part):
    """How the streams of a board are kept running."""

    user: User = "root"
    """Who runs them."""
    groups: Annotated[tuple[User, ...], Field(strict=False)] = ("video", "audio")
    """Groups of that user, for cameras and microphones."""
    wait_for_network: bool = True
    """Start when there is a default route."""
    wait_for_clock: bool = True
    """Start when the clock has been set."""
    patience: Annotated[int, Field(ge=0, le=3600)] = 120
    """Seconds that a stream waits for each of the two; then it starts without."""
    log_folder: Path = "/var/log/boardcast"
    """Where the logs of the streams are."""
    work_folder: Path | None = None
    """Where the working folders are; `work` below `root` without it."""


InitName = Literal["systemd", "procd", "busybox", "sysv", "openrc", "none"]
"""What starts programs at boot; `none` is a loop of our own, started by /etc/rc.local."""

"""Board files: strict models, every fault named at once. `[policy]` says what is built, `[dedupe]` what travels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from deploy.boards.layers import board_path, board_paths, faulty_file, read_layers
from deploy.dedupe.preferences import Prefer, Preference, Preferences
from deploy.streams.devices import Devices, with_devices
from deploy.streams.model import PipelineStream, Streams
from deploy.streams.settings import Credentials, Environment, InitName, Limits, ServiceSettings
from deploy.streams.sinks import KvsSink, WebRtcSink
from recipes.builder.request import BuildRequest, SourcePolicy
from recipes.config import (
    AbsoluteBoardPath,
    AbsoluteBoardPathOrNone,
    FileName,
    Name,
    OneLine,
    PackageName,
    Strict,
    Url,
    Version,
)


def _word(value: object) -> object:
    if not isinstance(value, str | SourcePolicy):
        raise ValueError('is text, such as "source" or "3.0.20"')  # noqa: TRY004 - pydantic tells a ValueError as a fault
    return value


Policy = Annotated[SourcePolicy | Version, Field(union_mode="left_to_right"), BeforeValidator(_word)]


class ProbeSettings(Strict):
    """What boardprobe is asked on this board."""

    elements: tuple[FileName, ...] = ()
    """GStreamer elements that it tries to load."""
    ca_file: AbsoluteBoardPathOrNone = ""
    """File of certificates on the board."""
    https: Url = ""
    """An address that it fetches with curl; empty: none."""
    wss: Url = ""
    """An address that it opens with libwebsockets; empty: none."""


class SimSettings(Strict):
    """How the simulated board of this name is made."""

    suite: Name
    """Debian suite."""
    mode: Literal["extract", "configure"]
    """`configure` runs the packages' own scripts, under emulation; `extract` unpacks only."""
    packages: tuple[PackageName, ...]
    """What is installed."""
    scripts: tuple[FileName, ...] = ()
    """Scripts of `docker/` that finish the root."""
    server: Literal["openssh", "dropbear"]
    """Its SSH server."""
    flash_mib: Annotated[int, Field(ge=0, le=4096)] = 0
    """Size of a small writable file system at /flash; none for 0."""


class DedupeRule(Strict):
    """What is wanted of one library on this board, and why."""

    prefer: Prefer
    """Whose copy, and how strictly."""
    because: Annotated[OneLine, StringConstraints(min_length=3)]
    """Shown wherever the decision is."""
    build_id: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{8,64})?$")] = ""
    """Of the board's copy, or its beginning; for `pin`."""

    @model_validator(mode="after")
    def _pinned(self) -> DedupeRule:
        if (self.prefer is Prefer.PIN) != bool(self.build_id):
            raise ValueError('build_id belongs to prefer = "pin", and that needs one')
        return self


_UNSET: Any = Field(default=None, validate_default=True)
"""A key whose absence is a fault or none by what else the file has."""


class BoardFile(Strict):
    """`board-configs/<board>/board.toml`."""

    schema_: Literal[1, 2] = Field(alias="schema")
    """The form of this file; streams need 2."""
    arch: Name = Field(examples=["armv7"])
    """An architecture, or the name of a vendor's toolchain."""
    extends: Name | None = None
    """Another board: what this file does not say is as it is there. Tables merge, lists replace."""
    sysroot: Name = Field(examples=["debian12-armv7"])
    """What is linked against: a file of `board-configs/sysroots/`."""
    root: AbsoluteBoardPath = "/opt/boardcast"
    """Folder on the board that is ours; nothing outside it is changed."""
    devices: Devices = Field(default_factory=dict)
    """Its cameras, microphones and the like, each under a name of your own: `source = { device = "NAME" }`."""
    streams: Streams = Field(default_factory=dict)
    """What it streams, each under a name of your own."""
    kvssink: Literal["producer", "kvsclient"] = "producer"
    """Whose element kvssink its streams use: the SDK's own, or Boardcast's, which needs no sources of the SDK."""
    recipes: Annotated[tuple[Name, ...], Field(examples=[["producer", "boardprobe"]])] = _UNSET
    """What this board gets; what its streams use comes besides, and need not be named."""
    extras: tuple[Literal["samples"], ...] = ()
    """`samples`: the SDKs' own programs travel too, though no stream uses them."""
    init: Annotated[InitName | None, Field(examples=["systemd"])] = _UNSET
    """What starts programs at boot; streams need it. `none` is a loop of our own, started by /etc/rc.local."""
    keep: Annotated[int, Field(ge=2, le=20)] = 3
    """Releases kept on the board, the running one and the one before it among them."""
    number: Annotated[int, Field(ge=0, le=999_999_999_999)] = 0
    """Order of its releases: `deploy` refuses a bundle with a lower one than runs there (`--allow-downgrade`). Raise it
    with each release that must not be followed by an older one, such as one that closes a hole."""
    policy: dict[Name, Policy] = Field(default_factory=dict)
    """Per dependency: auto, board, source, or a version that its recipe knows."""
    trusted_keys: tuple[Name, ...] | None = None
    """Whose bundles this board gets: names of files in `board-configs/trusted-keys`, without `.pub`. Everybody's who
    is trusted here without it; with it not even your own, unless it is there and named."""
    dedupe: dict[FileName, DedupeRule] = Field(default_factory=dict)
    """Per SONAME, or name without a version: board, bundle, pin or never."""
    variants: tuple[Name, ...] = ()
    """As for `build --variant`."""
    patches: tuple[Name, ...] = ()
    """As for `build --patch`."""
    probe: ProbeSettings = ProbeSettings()
    """For boardprobe."""
    sim: SimSettings | None = None
    """For a simulated board."""
    credentials: Credentials = Credentials()
    """How its streams prove who they are."""
    environment: Environment = Environment()
    """What its streams read from their environment."""
    limits: Limits = Limits()
    """What its streams may use."""
    service: ServiceSettings = ServiceSettings()
    """How its streams are kept running."""

    @field_validator("streams", mode="before")
    @classmethod
    def _with_devices(cls, value: object, info: ValidationInfo) -> object:
        """Put each named device's own words into the streams; pydantic has read the devices before."""
        return with_devices(value, info.data.get("devices"))

    @field_validator("recipes", "init", mode="before")
    @classmethod
    def _needed(cls, value: object, info: ValidationInfo) -> object:
        """Ask for recipes where no stream says what is needed, and for an init system where streams are to be started.

        pydantic gives this what was read before: a table of streams that is wrong itself is not there.
        """
        streams = info.data.get("streams", True)
        if value is None and bool(streams) == (info.field_name == "init"):
            raise PydanticCustomError("missing", "Field required")
        return () if value is None and info.field_name == "recipes" else value

    @field_validator(
        "extends",
        "extras",
        "init",
        "devices",
        "kvssink",
        "streams",
        "credentials",
        "environment",
        "limits",
        "service",
        mode="before",
    )
    @classmethod
    def _second_form(cls, value: object, info: ValidationInfo) -> object:
        if value is not None and info.data.get("schema_") == 1:
            raise ValueError("is new in schema = 2: write that in the file's first line")
        return value

    @field_validator("kvssink")
    @classmethod
    def _samples_bring_theirs(cls, value: str, info: ValidationInfo) -> str:
        samples = [
            name for name, stream in info.data.get("streams", {}).items() if not isinstance(stream, PipelineStream)
        ]
        if value == "kvsclient" and samples:
            raise ValueError(
                f"{samples[0]!r} of [streams] is a program of the SDK, which has the SDK's kvssink: write "
                '"producer", or describe that stream by `source` and `sink`'
            )
        return value

    @field_validator("recipes")
    @classmethod
    def _one_kvssink(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """Refuse both recipes at once: GStreamer would take the element of the one or of the other."""
        chosen, streams = info.data.get("kvssink"), info.data.get("streams", {})
        used = {chosen} if _sends(streams) else set()
        if {"producer", "kvsclient"} <= {*value, *used}:
            raise ValueError(
                f'two recipes would bring an element named kvssink: name one of them, and kvssink = "{chosen}" '
                "says which one the streams use"
            )
        return value


def _sends(streams: dict[str, Any]) -> bool:
    """Tell whether streams need the element kvssink."""
    pipelines = [stream for stream in streams.values() if isinstance(stream, PipelineStream)]
    return any(isinstance(sink, KvsSink) for stream in pipelines for sink in stream.outputs)


class Board(Strict):
    """A board file and its name."""

    name: Name
    file: BoardFile

    @property
    def folder(self) -> Path:
        """Where its file is, and its index."""
        return board_path(self.name).parent

    @property
    def digest(self) -> str:
        """SHA-256 of its file as it is now; where it extends others, of all of theirs too."""
        return read_layers(self.name).digest

    @property
    def recipes(self) -> tuple[str, ...]:
        """What its file names, and what its streams need."""
        return tuple(dict.fromkeys((*self.file.recipes, *(name for name, used in self._uses().items() if used))))

    def _uses(self) -> dict[str, bool]:
        """Return which recipes the streams use: a stream is watched by a program of ours, so that one travels too."""
        streams = list(self.file.streams.values())
        pipelines = [stream for stream in streams if isinstance(stream, PipelineStream)]
        sinks = [sink for stream in pipelines for sink in stream.outputs]
        sends = _sends(self.file.streams)
        return {
            "producer": len(pipelines) < len(streams) or (sends and self.file.kvssink == "producer"),
            "kvsclient": sends and self.file.kvssink == "kvsclient",
            "webrtc": any(isinstance(sink, WebRtcSink) for sink in sinks),
            "streamer": any(not isinstance(sink, WebRtcSink) for sink in sinks),
            "boardprobe": bool(streams),
        }

    @property
    def variants(self) -> tuple[str, ...]:
        """What its file names; and the small boardprobe where nothing but that would need libwebsockets."""
        named = "boardprobe" in self.file.recipes
        small = bool(self.file.streams) and not named and "webrtc" not in self.recipes
        return tuple(dict.fromkeys((*self.file.variants, *(["https-only"] if small else []))))

    def ask(self) -> BuildRequest:
        """Return what this board wants built."""
        file = self.file
        return BuildRequest(
            names=self.recipes,
            sysroot=file.sysroot,
            policies=file.policy,
            variants=self.variants,
            patches=file.patches,
        )

    def preferences(self, i_know: str = "") -> Preferences:
        """Return this board's rules for the dedupe; `i_know` is a reason to take a copy whose proof fails."""
        rules = {
            name: Preference(prefer=rule.prefer, because=rule.because, build_id=rule.build_id)
            for name, rule in self.file.dedupe.items()
        }
        return Preferences(rules=rules, i_know=i_know)


def board_names() -> list[str]:
    """Return the names of the boards; raises ConfigError where a folder with a board's file has a name that is none."""
    return list(board_paths())


def load_board(name: str) -> Board:
    """Read a board's file, and those that it extends.

    Raises
    ------
    ConfigError
        Nobody knows the name (the known ones are told), or the files have faults: all of them, with file and line.
    """
    layers = read_layers(name)
    read = layers.read(BoardFile)
    if isinstance(read, list):
        raise faulty_file(layers, read)
    return Board(name=name, file=read)

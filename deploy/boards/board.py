"""Board files: strict models, every fault named at once. `[policy]` says what is built, `[dedupe]` what travels."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from deploy.dedupe.preferences import Prefer, Preference, Preferences
from recipes import paths
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
    checked_name,
    read_toml,
)
from recipes.errors import unknown


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


class BoardFile(Strict):
    """`board-configs/<board>/board.toml`."""

    schema_: Literal[1] = Field(alias="schema")
    """The form of this file."""
    arch: Name = Field(examples=["armv7"])
    """An architecture, or the name of a vendor's toolchain."""
    sysroot: Name = Field(examples=["debian12-armv7"])
    """What is linked against: a file of `board-configs/sysroots/`."""
    root: AbsoluteBoardPath = "/opt/boardcast"
    """Folder on the board that is ours; nothing outside it is changed."""
    recipes: tuple[Name, ...] = Field(examples=[["producer", "boardprobe"]])
    """What this board gets."""
    keep: Annotated[int, Field(ge=2, le=20)] = 3
    """Releases kept on the board, the running one and the one before it among them."""
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


class Board(Strict):
    """A board file and its name."""

    name: Name
    file: BoardFile

    def ask(self) -> BuildRequest:
        """Return what this board wants built."""
        file = self.file
        return BuildRequest(
            names=file.recipes,
            sysroot=file.sysroot,
            policies=file.policy,
            variants=file.variants,
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
    folders = sorted(path.parent for path in paths.BOARDS.glob("*/board.toml"))
    return [checked_name("board", folder.name, where=str(folder)) for folder in folders]


def load_board(name: str) -> Board:
    """Read a board file; raises ConfigError for an unknown name (with the known ones) or for faults in the file."""
    path = paths.BOARDS / checked_name("board", name) / "board.toml"
    if name not in board_names():
        raise unknown("board", name, board_names(), where=str(paths.BOARDS))
    return Board(name=name, file=read_toml(path, BoardFile))

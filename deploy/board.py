"""Board files and the inventory of hosts: strict models, every fault named at once."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from deploy.policy import Policies, Prefer, Rule
from recipes import paths
from recipes.ask import Ask
from recipes.errors import ConfigError, unknown
from recipes.recipe import Strict, read_toml
from recipes.resolve import Policy

Plain = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$")]
"""Text that may reach a shell after quoting: no NUL, no line break."""
Absolute = Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9._/-]+$")]


class Probe(Strict):
    """What boardprobe is asked on this board."""

    elements: tuple[Plain, ...] = ()
    ca_file: Plain = ""
    https: Plain = ""
    wss: Plain = ""


class Sim(Strict):
    """How the simulated board of this name is made."""

    suite: str
    mode: Literal["extract", "configure"]
    packages: tuple[str, ...]
    scripts: tuple[str, ...] = ()
    server: Literal["openssh", "dropbear"]
    flash_mib: Annotated[int, Field(ge=0, le=4096)] = 0
    """Size of a small writable file system at /flash; none for 0."""


class DedupeRule(Strict):
    """What is wanted of one library on this board, and why."""

    prefer: Prefer
    because: Annotated[str, StringConstraints(min_length=3, pattern=r"^[^\x00-\x1f\x7f]*$")]
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
    arch: str
    sysroot: str
    root: Absolute = "/opt/boardcast"
    """Folder on the board that is ours; nothing outside it is changed."""
    recipes: tuple[str, ...]
    keep: Annotated[int, Field(ge=2, le=20)] = 3
    """Releases kept on the board, the running one and the one before it among them."""
    policy: dict[str, Annotated[Policy | str, Field(union_mode="left_to_right")]] = Field(default_factory=dict)
    """Per dependency: auto, board, source, or a version that its recipe knows."""
    dedupe: dict[str, DedupeRule] = Field(default_factory=dict)
    """Per SONAME, or name without a version: board, bundle, pin or never."""
    variants: tuple[str, ...] = ()
    patches: tuple[str, ...] = ()
    probe: Probe = Probe()
    sim: Sim | None = None


class Board(Strict):
    """A board file and its name."""

    name: str
    file: BoardFile

    def ask(self) -> Ask:
        """Return what this board wants built."""
        file = self.file
        return Ask(
            names=file.recipes,
            sysroot=file.sysroot,
            policies=file.policy,
            variants=file.variants,
            patches=file.patches,
        )

    def policies(self, i_know: str = "") -> Policies:
        """Return this board's rules for the dedupe; `i_know` is a reason to take a copy whose proof fails."""
        rules = {
            name: Rule(prefer=one.prefer, because=one.because, build_id=one.build_id)
            for name, one in self.file.dedupe.items()
        }
        return Policies(rules=rules, i_know=i_know)


class Host(Strict):
    """One reachable board. Keys and passwords never stand here: `key` is a path."""

    board: str
    simulated: bool = False
    address: Plain = ""
    port: Annotated[int, Field(ge=1, le=65535)] = 22
    user: Plain = "root"
    key: Plain = ""
    host_key: Plain = ""


class HostsFile(Strict):
    """`board-configs/hosts.toml`."""

    schema_: Literal[1] = Field(alias="schema")
    hosts: dict[str, Host] = Field(default_factory=dict)


def board_names() -> list[str]:
    return sorted(path.parent.name for path in paths.BOARDS.glob("*/board.toml"))


def load_board(name: str) -> Board:
    """Read a board file; raises ConfigError for an unknown name (with the known ones) or for faults in the file."""
    path = paths.BOARDS / name / "board.toml"
    if name not in board_names():
        raise unknown("board", name, board_names(), where=str(paths.BOARDS))
    return Board(name=name, file=read_toml(path, BoardFile))


def load_hosts() -> dict[str, Host]:
    """Read the inventory; raises ConfigError for faults, or a host whose board nobody described."""
    path = paths.BOARDS / "hosts.toml"
    hosts = read_toml(path, HostsFile).hosts
    known = board_names()
    faults = [
        f"hosts.{name}: no board {host.board!r}; known: {', '.join(known)}"
        for name, host in hosts.items()
        if host.board not in known
    ]
    faults += [
        f"hosts.{name}: address and host_key are needed for a real board"
        for name, host in hosts.items()
        if not host.simulated and not (host.address and host.host_key)
    ]
    if faults:
        raise ConfigError("the inventory has faults", where=str(path), why="\n       ".join(faults))
    return hosts


def load_host(name: str) -> Host:
    hosts = load_hosts()
    if name not in hosts:
        raise unknown("host", name, hosts, where=str(paths.BOARDS / "hosts.toml"))
    return hosts[name]

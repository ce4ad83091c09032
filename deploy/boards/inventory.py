"""The inventory of hosts: where each board answers, and how it proves that it is the one."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, ValidationError
from pydantic_core import PydanticCustomError

from deploy.boards.board import board_names
from deploy.ssh.dial import Target
from deploy.ssh.keys import pick_host_key
from recipes import console, paths
from recipes.config import LocalPath, Name, OneLine, Strict, Text, checked_name, read_tables
from recipes.errors import ConfigError, PreflightError, unknown
from recipes.faults import line_of

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""Of a host or a board: it is part of paths and of commands."""


def _address(text: str) -> str:
    """Take a name or an IP address; say where a user or a port belongs."""
    user, at, rest = text.rpartition("@")
    place, colon, port = rest.rpartition(":")
    keys = [f'user = "{user}"'] if at else []
    # An IPv6 address has colons of its own; with a port it is in brackets.
    if colon and port.isdecimal() and (place.count(":") == 0 or place.endswith("]")):
        keys.append(f"port = {port}")
        rest = place.strip("[]")
    if keys:
        what = " and ".join(key.partition(" ")[0] for key in keys)
        raise wrong(f'has the {what} in it: write address = "{rest}", {", ".join(keys)}')
    if text and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*|[0-9A-Fa-f:]+(%[\w.-]+)?|\[[0-9A-Fa-f:]+\]", text):
        raise wrong("should be the name or the IP address of the board, such as 192.0.2.17")
    return text.strip("[]")


def _user(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9._-]*\$?", text):
        raise wrong("should be the name of a user of the board, such as root")
    return text


def _host_key(text: str) -> str:
    try:
        return pick_host_key(text)
    except ValueError as error:
        raise wrong(str(error)) from error


def wrong(text: str) -> PydanticCustomError:
    """Return the fault of a value, in words that stand after its key."""
    return PydanticCustomError("wrong", "{text}", {"text": text})


class Host(Strict):
    """One reachable board. Keys and passwords are never in it: `key` is a path."""

    board: Name = Field(examples=["mycam"])
    """A folder of `board-configs/`."""
    simulated: bool = False
    """A board that `sim up` starts; it needs no other key of this table."""
    address: Annotated[OneLine, AfterValidator(_address)] = ""
    """Name or IP address, without a user and a port."""
    port: Annotated[int, Field(ge=1, le=65535)] = 22
    """Where its SSH server listens."""
    user: Annotated[OneLine, AfterValidator(_user)] = "root"
    """Who logs in."""
    key: LocalPath = ""
    """Path of the private key on this machine; the SSH agent and the user's own keys where it is empty."""
    ssh: Literal["own", "openssh"] = "own"
    """Who speaks SSH: Boardcast itself, or the system's `ssh`, for keys on a token (FIDO) and for odd algorithms."""
    host_key: Annotated[Text, AfterValidator(_host_key)] = ""
    """The board's host key: its type and base64, or whole lines of `ssh-keyscan`, of which the best key is taken."""
    groups: tuple[Name, ...] = Field(default=(), max_length=64, examples=[["cameras"]])
    """Names of your own, for `--group`: a host may be in several; `all` is every host."""
    labels: dict[Name, Name] = Field(default_factory=dict, max_length=64, examples=[{"site": "north"}])
    """Properties of your own, for `--label site=north`."""


class HostsFile(Strict):
    """`board-configs/hosts.toml`."""

    schema_: Literal[1] = Field(alias="schema")
    """The form of this file."""
    hosts: dict[Name, Host] = Field(default_factory=dict)
    """By a name of your own, for `--host`."""


def inventory_path() -> Path:
    """Return the inventory that a new host is written to: that of the first folder of boards."""
    return paths.board_folders()[0] / "hosts.toml"


def _inventories() -> list[Path]:
    """Return the inventories that there are; the one to write where there is none."""
    every = [folder / "hosts.toml" for folder in paths.board_folders()]
    return [path for path in every if path.is_file()] or [inventory_path()]


def inventory_of(host: str) -> Path:
    """Return the inventory that has a host's table; for a new host the one that it will be written to."""
    for path in _inventories():
        if path.is_file() and host in _tables(path)[0].hosts:
            return path
    return inventory_path()


def _tables(path: Path) -> tuple[HostsFile, dict[str, ConfigError], list[str]]:
    """Return an inventory, the faults of its hosts, and its lines; a file that is the same is read once.

    A rollout asks for each of hundreds of hosts several times.
    """
    try:
        told = path.stat()
        state = (told.st_ino, told.st_mtime_ns, told.st_size)
    except OSError:
        state = None
    kept = _KEPT.get(path)
    if kept is None or state is None or kept[0] != state:
        read, wrong = read_tables(path, HostsFile, "hosts")
        kept = _KEPT[path] = (state, read, wrong, path.read_text().splitlines())
    return kept[1], dict(kept[2]), kept[3]


_KEPT: dict[Path, tuple[tuple[int, int, int] | None, HostsFile, dict[str, ConfigError], list[str]]] = {}


def _read(
    *, any_board: bool = False, any_key: bool = False, only: str = ""
) -> tuple[dict[str, Host], dict[str, ConfigError]]:
    """Read the inventories: the hosts that are right, and for each other one its faults. The first of a name counts.

    Parameters
    ----------
    any_board, any_key:
        A host whose board nobody knows, or whose host key is missing, is right too.
    only:
        Name of the one host that is asked for; all without it.
    """
    known = None if any_board else board_names()
    hosts: dict[str, Host] = {}
    faults: dict[str, ConfigError] = {}
    for path in _inventories():
        read, wrong, lines = _tables(path)
        asked = {only: read.hosts[only]} if only in read.hosts else {} if only else read.hosts
        for name, host in asked.items():
            if why := _unfit(name, host, known, any_key=any_key):
                at, _ = line_of(lines, ("hosts", name))
                told = f"line {at}: hosts.{name}: {why}"
                wrong[name] = ConfigError("the inventory has faults", where=str(path), why=told)
            elif name not in faults:
                hosts.setdefault(name, host)
        faults |= {name: fault for name, fault in wrong.items() if name not in {**hosts, **faults}}
    return hosts, faults


def _unfit(name: str, host: Host, known: Sequence[str] | None, *, any_key: bool) -> str:
    if not NAME.fullmatch(name):
        return "is no name of a host: letters, digits, dots, dashes and underscores, a letter or digit first"
    if known is not None and host.board not in known:
        near = difflib.get_close_matches(host.board, known, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return f"no board {host.board!r}; {hint}known: {', '.join(known)}; invoke board.init --host {name} writes it"
    lacks = [key for key, value in (("address", host.address), ("host_key", host.host_key or any_key)) if not value]
    cure = f"; invoke enroll --host {name} brings it" if lacks == ["host_key"] else ""
    return f"{' and '.join(lacks)} needed for a real board{cure}" if lacks and not host.simulated else ""


def load_hosts() -> dict[str, Host]:
    """Return all hosts of the inventory that are right; of the others it is said that they are left out.

    Raises
    ------
    ConfigError
        There is no inventory, or it has faults outside of its hosts.
    """
    hosts, faults = _read()
    for name, fault in faults.items():
        console.say(f"host {name} is left out: {' '.join(fault.why.split())}")
    return hosts


def load_host(name: str) -> Host:
    """Return one host of the inventory; raises ConfigError for its faults alone, and for a name that nobody knows."""
    checked_name("host", name)
    hosts, faults = _read(only=name)
    if name in faults:
        raise faults[name]
    if name not in hosts:
        raise unknown("host", name, _read()[0], where=", ".join(map(str, _inventories())))
    return hosts[name]


def known_host(name: str, *, any_key: bool = False) -> Host | None:
    """Return a host whose board may have no file yet; None where there is none. Raises ConfigError for its faults.

    Parameters
    ----------
    any_key:
        Its host key may be missing: it is about to be asked for.
    """
    checked_name("host", name)
    if not any(path.is_file() for path in _inventories()):
        return None
    hosts, faults = _read(any_board=True, any_key=any_key)
    if name in faults:
        raise faults[name]
    return hosts.get(name)


def check_new_host(name: str, board: str, values: Mapping[str, str | int]) -> Host:
    """Return a host that is to be added; raises ConfigError where its name is taken, or a value is wrong."""
    where = str(inventory_path())
    for what, text in (("host", name), ("board", board)):
        if not NAME.fullmatch(text):
            raise ConfigError(f"{text!r} is no name of a {what}", why="letters, digits, dots, dashes and underscores")
    hosts, faults = _read() if any(path.is_file() for path in _inventories()) else ({}, {})
    if name in (*hosts, *faults):
        raise ConfigError(
            f"there is a host {name} already", where=where, next_step="edit its table, or take another --host"
        )
    if not values["address"]:
        raise ConfigError(
            f"no host {name!r}, and --address is empty",
            where=where,
            why=f"known: {', '.join(sorted(hosts)) or 'none'}",
            next_step=f"invoke board.init --host {name} --address 192.0.2.17",
        )
    try:
        return Host.model_validate(values)
    except ValidationError as error:
        faults_told = [f"--{'.'.join(map(str, fault['loc']))} {fault['msg']}" for fault in error.errors()]
        raise ConfigError("the new host has faults", why="\n       ".join(faults_told)) from error


def with_host(text: str, name: str, values: Mapping[str, str | int]) -> str:
    """Return the text of an inventory with one more host at its end; what is there stays as it is, comments too.

    Raises
    ------
    ConfigError
        It has a host of this name, or is no TOML file.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    where = str(inventory_path())
    try:
        document = tomlkit.parse(text)
    except TOMLKitError as error:
        raise ConfigError("not a TOML file", where=where, why=str(error)) from error
    if "schema" not in document:
        document["schema"] = 1
    hosts = document.get("hosts", {})
    if name in hosts:
        raise ConfigError(f"there is a host {name} already", where=where, next_step="edit its table, or take a name")
    table = tomlkit.table()
    for key, value in values.items():
        table[key] = value
    kept = tomlkit.dumps(document).rstrip("\n")
    added = tomlkit.document()
    outer = tomlkit.table(is_super_table=True)
    outer[name] = table
    added["hosts"] = outer
    whole = f"{kept}\n\n{tomlkit.dumps(added)}"
    try:
        HostsFile.model_validate(tomllib.loads(whole))
    except (tomllib.TOMLDecodeError, ValueError) as error:
        raise ConfigError(
            "the new host does not fit into the inventory",
            where=where,
            why=" ".join(str(error).split())[:200],
            next_step="write it by hand: docs/quickstart-debian-board.md",
        ) from error
    return whole


def with_host_key(text: str, name: str, host_key: str) -> str:
    """Return the text of an inventory in which a host has this host key; all else stays as it is, comments too.

    Raises
    ------
    ConfigError
        Its table is of a form that is not understood.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(text)
        document["hosts"][name]["host_key"] = host_key
        whole = tomlkit.dumps(document)
        read = HostsFile.model_validate(tomllib.loads(whole)).hosts[name]
    except (TOMLKitError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            "the host key cannot be written into the inventory",
            why=" ".join(str(error).split())[:200],
            next_step=f"write it by hand, into the table of {name}: host_key = {json.dumps(host_key)}",
        ) from error
    if read.host_key != host_key:
        raise ConfigError("the host key cannot be written into the inventory", why=f"{name} would have another one")
    return whole


@dataclass(frozen=True, slots=True, kw_only=True)
class SimState:
    """What is known of a board that is up."""

    name: str
    container: str
    address: str
    host_key: str
    key: str
    gateway: str
    """This machine, as the board sees it."""


def sim_folder(name: str) -> Path:
    return paths.work() / "sim" / checked_name("host", name)


def sim_state(name: str) -> SimState | None:
    """Return what was recorded when a board was brought up; None where nothing readable was."""
    try:
        return SimState(**json.loads((sim_folder(name) / "state.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def host_target(host_name: str) -> Target:
    """Return how to reach a host of the inventory, simulated or real.

    Raises
    ------
    ConfigError
        The inventory does not name it, or has faults.
    PreflightError
        It is simulated, and not up.
    """
    return target_of(host_name, load_host(host_name))


def target_of(host_name: str, host: Host) -> Target:
    """Return how to reach a host, from its table; raises PreflightError for one that is simulated, and not up."""
    if host.simulated:
        state = sim_state(host_name)
        if state is None:
            raise PreflightError(f"{host_name} is not up", next_step=f"invoke sim up --host {host_name}")
        return Target(
            name=host_name, address=state.address, port=22, user="root", key=Path(state.key), host_key=state.host_key
        )
    return Target(
        name=host_name,
        address=host.address,
        port=host.port,
        user=host.user,
        key=Path(host.key).expanduser() if host.key else None,
        host_key=host.host_key,
        inventory=paths.shown_path(inventory_of(host_name)),
        openssh=host.ssh == "openssh",
    )

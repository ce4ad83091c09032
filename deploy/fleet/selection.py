"""Which hosts are meant: by name, by group, by label, out of the inventory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deploy.boards.inventory import Host, load_hosts, sim_state
from recipes.config import checked_name
from recipes.errors import ConfigError, unknown

EVERY = "all"
"""The group that every reachable host is in."""
MOST_HOSTS = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What the command line said."""

    hosts: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    """`name=value`; a host has to have all of them."""

    @property
    def many(self) -> bool:
        """Whether it may be more than one host, so that results are told for each."""
        return bool(self.groups or self.labels or len(self.hosts) > 1)

    @property
    def words(self) -> str:
        """The same as words of the command line."""
        flags = [("host", self.hosts), ("group", self.groups), ("label", self.labels)]
        return " ".join(f"--{flag} {value}" for flag, values in flags for value in values)

    @property
    def key(self) -> str:
        """A name for files: the same for the same selection."""
        ordered = [sorted(set(values)) for values in (self.hosts, self.groups, self.labels)]
        return hashlib.sha256(repr(ordered).encode()).hexdigest()[:16]

    @property
    def named(self) -> bool:
        """Whether anything was said at all."""
        return bool(self.hosts or self.groups or self.labels)


def selection_of(hosts: Sequence[str], groups: Sequence[str], labels: Sequence[str]) -> Selection:
    """Return what the words of a command mean; each may have several values, with commas between.

    Raises
    ------
    ConfigError
        A word is no name, or a label has no value.
    """

    def names(what: str, words: Sequence[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(checked_name(what, name) for word in words for name in word.split(",")))

    found = tuple(dict.fromkeys(label for word in labels for label in word.split(",")))
    for label in found:
        name, sign, value = label.partition("=")
        if not (name and sign and value):
            raise ConfigError(f"--label {label}: a name and a value are needed", next_step="--label site=north")
        checked_name("label", name)
        checked_name("label", value)
    return Selection(hosts=names("host", hosts), groups=names("group", groups), labels=found)


def select_hosts(chosen: Selection) -> tuple[str, ...]:
    """Return the hosts that are meant, in the order of the inventory; those that were named first.

    Raises
    ------
    ConfigError
        A host, a group or a label is not in the inventory, or there are none that are meant, or too many.
    """
    known = load_hosts()
    for name in chosen.hosts:
        if name not in known:
            raise unknown("host", name, known, where="board-configs/hosts.toml")
    _refuse_unknown(chosen, known)
    labels = [label.partition("=")[::2] for label in chosen.labels]
    grouped = [name for name, host in known.items() if _is_in(name, host, chosen)]
    picked = [
        name
        for name in dict.fromkeys((*chosen.hosts, *grouped))
        if all(known[name].labels.get(label) == value for label, value in labels)
    ]
    if not picked:
        raise ConfigError(f"no host is meant by {chosen.words or 'nothing'}", why=f"{len(known)} are in the inventory")
    if len(picked) > MOST_HOSTS:
        raise ConfigError(f"{len(picked):,} hosts are meant, and {MOST_HOSTS:,} can be done at once", why=chosen.words)
    return tuple(picked)


def _is_in(name: str, host: Host, chosen: Selection) -> bool:
    if set(chosen.groups) & set(host.groups):
        return True
    alone = not chosen.hosts and not chosen.groups
    return (EVERY in chosen.groups or alone) and (not host.simulated or sim_state(name) is not None)


def _refuse_unknown(chosen: Selection, known: Mapping[str, Host]) -> None:
    groups = {group for host in known.values() for group in host.groups} | {EVERY}
    labels = {f"{name}={value}" for host in known.values() for name, value in host.labels.items()}
    for kind, words, there in (("group", chosen.groups, groups), ("label", chosen.labels, labels)):
        for word in words:
            if word not in there:
                raise unknown(
                    kind,
                    word,
                    there,
                    where="board-configs/hosts.toml",
                    next_step='groups = ["cameras"] or labels = { site = "north" } in the tables of its hosts',
                )

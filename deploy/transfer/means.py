"""By which way contents get to a board: chosen by what the probe found there, or forced."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import Enum

from deploy.transfer.packing import FAR, Packing, choose_packing
from recipes.errors import ConfigError, PreflightError


class Way(Enum):
    """A way to a board's store."""

    TAR = "tar"
    """One packed stream into `tar`, over one command."""
    SFTP = "sftp"
    """One packed file by SFTP, gone on with at the byte where it was cut; each content where there is no tar."""
    RSYNC = "rsync"
    """By rsync on both sides: what differs from files that the board has, though their bundle is not here."""
    CAT = "cat"
    """Each content by itself, over a command of its own: what every board can do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """How contents travel in one deploy."""

    way: Way
    packing: Packing
    slow: bool = False
    """The link is: the workstation takes its time to pack."""
    rate: int = 0
    """Bytes a second at most; 0 for no limit."""
    patch: bool = False
    """The board can put a changed file together of the old one and a difference."""
    tar: bool = True
    """The board has `tar`, which also makes the links of a release at once."""

    def words(self) -> str:
        """Return what is printed of it, such as `tar, gzip`."""
        own = self.way is Way.RSYNC or self.packing is Packing.NONE
        return self.way.value if own else f"{self.way.value}, {self.packing.value}"


_NEEDS = {
    Way.TAR: ("tar", "it has no tar"),
    Way.SFTP: ("sftp", "no SFTP server was found there"),
    Way.RSYNC: ("rsync", "it has no rsync, or this workstation has none"),
}


def choose_means(tools: Collection[str], *, forced: str = "", rate: int = 0, latency: float = 0.0) -> Means:
    """Choose way and packing for a board with these programs. Pure.

    One stream into `tar` is one round trip and takes no room for a packed copy, so it comes before SFTP. For rsync see
    `by_rsync`.

    Parameters
    ----------
    forced:
        A way that the user names; empty for none.
    rate:
        Bytes a second that may be sent; 0 for no limit.
    latency:
        Seconds of a round trip, 0 where unknown.

    Raises
    ------
    PreflightError
        The board cannot take that way.
    """
    slow = bool(rate) or latency > FAR
    wanted = Way(forced) if forced else next((way for way in (Way.TAR, Way.SFTP) if way.value in tools), Way.CAT)
    tool, lacks = _NEEDS.get(wanted, ("", ""))
    if tool and tool not in tools:
        raise PreflightError(
            f"the board cannot take what is sent by {wanted.value}; nothing was changed",
            why=lacks,
            next_step="leave --via out: the probe chooses a way that is there",
        )
    # What a cut left of a packed file is gone on with only where the same bytes are made again.
    slow = slow or wanted is Way.SFTP
    return Means(
        way=wanted,
        packing=choose_packing(tools, slow=slow),
        slow=slow,
        rate=rate,
        patch={"gzip", "tar"} <= frozenset(tools) and wanted is not Way.RSYNC,
        tar="tar" in tools,
    )


_RSYNC_LEAST, _RSYNC_MOST = 256 << 10, 256


def by_rsync(means: Means, tools: Collection[str], *, known: bool, files: int, size: int) -> Means:
    """Return the means with rsync in them where that wins: files changed whose old bundle is not here. Pure.

    Else a difference that is made here is smaller, and takes three round trips fewer (docs/benchmarks.md).

    Parameters
    ----------
    tools:
        Of the board, with rsync where this workstation has it too.
    known:
        What runs on the board is known by its bundle, or nothing runs there.
    files, size:
        That are to be sent, and their bytes.
    """
    wins = not known and size >= _RSYNC_LEAST and files <= _RSYNC_MOST
    if not wins or means.way is not Way.TAR or Way.RSYNC.value not in tools:
        return means
    return replace(means, way=Way.RSYNC, patch=False)


def known_way(text: str) -> str:
    """Return the name of a way, or nothing; raises ConfigError for what is none."""
    ways = [way.value for way in Way]
    if text and text not in ways:
        raise ConfigError(f"--via {text[:40]!r}: there is no such way", next_step=f"one of {', '.join(ways)}")
    return text

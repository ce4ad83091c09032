"""What is asked about the network before a verdict, on both sides, and what a check reads of the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from deploy.boards.board import Board
from deploy.cloud.session import Service, chosen_service
from deploy.localkvs.lifecycle import running
from deploy.reach.endpoints import Endpoint, board_endpoints
from deploy.reach.here import Way, look_from_here
from deploy.reach.lookup import named_by_service
from deploy.reach.seen import Seen, read_seen
from recipes.text import one_line

_SECRET = ("user", "password")
NAT = "NAT"
_MOST_OTHERS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The endpoints that a board is asked about, and how this workstation goes to them.

    Attributes
    ----------
    local:
        The way to the local service, where it runs.
    addresses:
        Under which boards find the local service.
    """

    endpoints: tuple[Endpoint, ...] = ()
    local: Way | None = None
    addresses: tuple[str, ...] = ()

    def rows(self) -> list[dict[str, Any]]:
        """Return the endpoints as a check gets them: without what is secret."""
        return [{key: value for key, value in asdict(one).items() if key not in _SECRET} for one in self.endpoints]

    def look(self) -> dict[str, Any]:
        """Look at them from here, by the names' own addresses and, where it runs, at the local service's."""
        ways = {"names": Way(), **({"local": self.local} if self.local else {})}
        with ThreadPoolExecutor(len(ways)) as pool:
            looked = pool.map(lambda way: look_from_here(self.endpoints, way), ways.values())
            found = dict(zip(ways, looked, strict=True))
        told = {name: {key: asdict(one) for key, one in seen.items()} for name, seen in found.items()}
        return {"addresses": list(self.addresses), **told}


def _with_nat(endpoints: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    """Add the question what a NAT does, to all servers that answer STUN over UDP: TURN servers do too."""
    servers = [(one.host, one.port) for one in endpoints if one.kind == "stun" or one.transport == "udp"]
    if not servers:
        return tuple(endpoints)
    (host, port), *others = dict.fromkeys(servers)
    return (*endpoints, Endpoint(name=NAT, kind="nat", host=host, port=port, others=tuple(others[:_MOST_OTHERS])))


def prepare(board: Board, service: Callable[[str], Service] | None = None) -> Reach:
    """Work out what is asked: from the board's file, and from a service where one may be asked.

    Parameters
    ----------
    service:
        Says which one is asked for a region. Without it the local service is, where it runs.
    """
    endpoints = board_endpoints(board)
    here = running() if endpoints else None
    if here is None:
        found = named_by_service(board, service) if endpoints and service else []
        return Reach(endpoints=_with_nat((*endpoints, *found)))
    return Reach(
        endpoints=_with_nat(
            (*endpoints, *named_by_service(board, service or (lambda region: chosen_service(region, ""))))
        ),
        local=Way(address=here.addresses[0] if here.addresses else "", ca=here.authority),
        addresses=here.addresses,
    )


def rows_as_endpoints(rows: Sequence[Mapping[str, Any]]) -> list[Endpoint]:
    """Return endpoints as `Reach.rows` wrote them."""
    return [Endpoint(**{**row, "others": tuple((str(h), int(p)) for h, p in row["others"])}) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFacts:
    """What both sides saw of the endpoints that a board was asked about, by their names.

    Attributes
    ----------
    board:
        None where it did not look.
    said:
        What was printed in place of its report.
    discovered:
        What the SDK's discoverNatBehavior printed, where the release has it.
    here:
        What this workstation saw.
    """

    board: Mapping[str, Seen] | None = None
    said: str = ""
    discovered: str = ""
    here: Mapping[str, Seen] = field(default_factory=dict)


def read_network(told: Mapping[str, str], looked: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> NetworkFacts:
    """Read the parts `network` and `discovered` of a board's answer, and what was seen from here meanwhile."""
    text = told.get("network", "")
    board = read_seen(text, rows_as_endpoints(rows))
    return NetworkFacts(
        board=board,
        said="" if board is not None else one_line(text),
        discovered=told.get("discovered", ""),
        here=_seen_from_here(looked, board or {}) if looked else {},
    )


def _seen_from_here(looked: Mapping[str, Any], board: Mapping[str, Seen]) -> dict[str, Seen]:
    """Return what this workstation saw, by the service that the board sees: the local one, or that of the names.

    A board that finds none of the names is taken for one that was to see the local service, where that runs.
    """
    addresses = [str(one.notes.get("address", "")).rpartition(":")[0].strip("[]") for one in board.values()]
    known = [address for address in addresses if address]
    local = "local" in looked and (not known or any(address in looked["addresses"] for address in known))
    return {name: Seen(**one) for name, one in looked.get("local" if local else "names", {}).items()}

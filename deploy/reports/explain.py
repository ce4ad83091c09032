"""Why a library is where it is: the chain from each entry point to it, with the folders that were tried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from deploy.dedupe.closure import board_loader
from deploy.dedupe.decision import DedupePlan
from deploy.dedupe.preferences import library_stem
from deploy.dedupe.shadowing import PLUGINS_FOLDER
from recipes.arch import Arch
from recipes.elf import ElfFile
from recipes.errors import unknown
from recipes.proof.search import first_file
from recipes.rootfs.index import Index
from recipes.rootfs.origin import Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainLink:
    """One library of a chain: who needs it, where it was looked for, where it was found."""

    name: str
    needed_by: str
    tried: tuple[str, ...]
    provider: str
    """`bundle:PATH`, a path of the board, or empty where nobody has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryAnswer:
    """All that is known about one library on one board."""

    library: str
    action: str
    because: str
    chains: tuple[tuple[str, tuple[ChainLink, ...]], ...]
    """Entry point, and the shortest chain of needs from it."""

    def as_dict(self) -> dict[str, object]:
        return {
            "library": self.library,
            "action": self.action,
            "because": self.because,
            "chains": [
                {"entry": entry, "links": [{"name": link.name, "provider": link.provider} for link in links]}
                for entry, links in self.chains
            ],
        }

    def folded(self) -> list[tuple[tuple[str, ...], tuple[ChainLink, ...]]]:
        """Return the chains with all entry points that each is the same for; who needs the first link is the entry."""
        entries: dict[tuple[tuple[str, str, tuple[str, ...]], ...], list[str]] = {}
        chains: dict[tuple[tuple[str, str, tuple[str, ...]], ...], tuple[ChainLink, ...]] = {}
        for entry, links in self.chains:
            key = tuple((link.name, link.provider, link.tried) for link in links)
            entries.setdefault(key, []).append(entry)
            chains.setdefault(key, links)
        return [(tuple(entries[key]), links) for key, links in chains.items()]


def explain_library(wanted: str, decided: DedupePlan, board: Index, arch: Arch) -> list[LibraryAnswer]:
    """Return an answer for each library of this name or family (`libcrypto`, `libcrypto.so.3`).

    Raises
    ------
    ConfigError
        No program or plugin of the bundle gets to such a library, and no decision names it.
    """
    bundle = {payload.path: payload.elf for payload in decided.payload}
    chains: dict[str, list[tuple[str, tuple[ChainLink, ...]]]] = {}
    for entry, file in bundle.items():
        if file.soname and not entry.startswith(PLUGINS_FOLDER):
            continue
        for links in _walk(entry, file, bundle, board, arch):
            if wanted in (links[-1].name, library_stem(links[-1].name)):
                chains.setdefault(links[-1].name, []).append((entry, links))
    rows = {decision.library: decision for decision in decided.decisions}
    names = dict.fromkeys([*chains, *(name for name in rows if wanted in (name, library_stem(name)))])
    if not names:
        libraries = {name for name in rows if ".so" in name}
        known = libraries | {library_stem(name) for name in libraries}
        raise unknown("library", wanted, known, next_step="invoke bundle --board BOARD has the table of all")
    return [
        LibraryAnswer(
            library=name,
            action=rows[name].action.value if name in rows else "board's own need",
            because=rows[name].because if name in rows else "only libraries of the board need it",
            chains=tuple(chains.get(name, ())),
        )
        for name in sorted(names)
    ]


def _walk(
    entry: str, file: ElfFile, bundle: Mapping[str, ElfFile], board: Index, arch: Arch
) -> Iterator[tuple[ChainLink, ...]]:
    """Yield the shortest chain to every library of a process, breadth first as the loader goes."""
    place = Origin.bundle(entry)
    chains: dict[str, tuple[ChainLink, ...]] = {place: ()}
    for step in board_loader(bundle, board, arch).process([first_file(place, file)]):
        provider = step.got.place if step.got else ""
        link = ChainLink(name=step.name, needed_by=step.by.place, tried=step.tried, provider=provider)
        chain = (*chains[step.by.place], link)
        chains.setdefault(provider, chain)
        yield chain

"""Why a library is where it is: the chain from each entry point to it, with the folders that were tried. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from deploy.decision import DedupePlan
from deploy.loader import rules
from deploy.policy import stem as family
from deploy.shadow import PLUGINS
from recipes.arch import Arch
from recipes.elf import ElfFile
from recipes.elfindex import Index
from recipes.errors import unknown
from recipes.loaderrules import start


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One library of a chain: who needs it, where it was looked for, where it was found."""

    name: str
    needed_by: str
    tried: tuple[str, ...]
    provider: str
    """`bundle:PATH`, a path of the board, or empty where nobody has it."""

    def describe(self) -> str:
        return f"{self.name} ← {self.provider or 'nowhere'}; tried {', '.join(self.tried)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """All that is known about one library on one board."""

    library: str
    action: str
    because: str
    chains: tuple[tuple[str, tuple[Link, ...]], ...]
    """Entry point, and the shortest chain of needs from it."""

    def as_dict(self) -> dict[str, object]:
        return {
            "library": self.library,
            "action": self.action,
            "because": self.because,
            "chains": [
                {"entry": entry, "links": [{"name": one.name, "provider": one.provider} for one in links]}
                for entry, links in self.chains
            ],
        }


def explain(wanted: str, decided: DedupePlan, board: Index, arch: Arch) -> list[Answer]:
    """Return an answer for each library of this name or family (`libcrypto`, `libcrypto.so.3`).

    Raises
    ------
    ConfigError
        No program or plugin of the bundle gets to such a library, and no decision names it.
    """
    bundle = {one.path: one.elf for one in decided.payload}
    chains: dict[str, list[tuple[str, tuple[Link, ...]]]] = {}
    for entry, file in bundle.items():
        if file.soname and not entry.startswith(PLUGINS):
            continue
        for links in _walk(entry, file, bundle, board, arch):
            if wanted in (links[-1].name, family(links[-1].name)):
                chains.setdefault(links[-1].name, []).append((entry, links))
    rows = {one.library: one for one in decided.decisions}
    names = dict.fromkeys([*chains, *(name for name in rows if wanted in (name, family(name)))])
    if not names:
        raise unknown("library", wanted, sorted({*rows, *(family(name) for name in rows if name.startswith("lib"))}))
    return [
        Answer(
            library=name,
            action=rows[name].action.value if name in rows else "board's own need",
            because=rows[name].because if name in rows else "only libraries of the board need it",
            chains=tuple(chains.get(name, ())),
        )
        for name in sorted(names)
    ]


def _walk(
    entry: str, file: ElfFile, bundle: Mapping[str, ElfFile], board: Index, arch: Arch
) -> Iterator[tuple[Link, ...]]:
    """Yield the shortest chain to every library of a process, breadth first as the loader goes."""
    place = f"bundle:{entry}"
    chains: dict[str, tuple[Link, ...]] = {place: ()}
    for step in rules(bundle, board, arch).process([start(place, file)]):
        provider = step.got.place if step.got else ""
        link = Link(name=step.name, needed_by=step.by.place, tried=step.tried, provider=provider)
        chain = (*chains[step.by.place], link)
        chains.setdefault(provider, chain)
        yield chain

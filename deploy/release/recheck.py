"""The proofs checked against the board as it is now: what changed is fetched and proved again, before any switch.

An update of a board may replace a library, lead its link elsewhere, or put another copy where the loader looks first.
The probe's one round trip tells; only what changed costs more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from deploy.boards.probe import HostFacts
from deploy.boards.session import BoardSession
from deploy.bundle.manifest import Manifest, ProofRow
from deploy.release.carried import KnownRelease
from recipes import elf
from recipes.arch import Libc
from recipes.elf import ElfError, ElfFile
from recipes.errors import PreflightError
from recipes.proof.demand import Demand
from recipes.proof.prove import check_copy, private_names
from recipes.proof.result import Proof
from recipes.rootfs.index import Index
from recipes.rootfs.loaderconf import LD_CACHE, is_of_libc, libc_of, read_cache
from recipes.rootfs.origin import Origin
from recipes.toolchains.vendor import parse_arch

ABSENT = "absent"
_CACHE_BYTES = 16 << 20
_LIBRARY_BYTES = 512 << 20
"""What one answer of the board may have."""
_CAT = '[ ! -f "$1" ] || exec cat "$1"'
_HASH = """while IFS= read -r path; do
    if [ -f "$path" ]; then set -- $(sha256sum "$path"); echo "${1:-odd} $path"
    elif [ -e "$path" ]; then echo "odd $path"; fi
done"""


def watched_paths(manifest: Manifest) -> list[str]:
    """Return the board's paths that the proofs rest on: what the loader opens, where it looks before, and its cache."""
    return sorted({LD_CACHE, *(path for row in manifest.proofs for path in (row.opened, *row.earlier))})


@dataclass(frozen=True, slots=True, kw_only=True)
class StillProved:
    """What a plan may rest on, after what changed on the board was proved again.

    Parameters
    ----------
    facts:
        The probe's, without the paths that no proof rests on any more.
    notes:
        Library, or the loader's cache, to what to say of its change; empty where nothing changed.
    """

    facts: HostFacts
    notes: Mapping[str, str]


def still_proved(session: BoardSession, release: KnownRelease, facts: HostFacts, host: str = "HOST") -> StillProved:
    """Check that the proofs of a release hold on a board as it is now; what changed there is fetched and proved again.

    Parameters
    ----------
    host:
        Its name, for the next step.

    Raises
    ------
    PreflightError
        A library is gone, or is unsuitable now; nothing was changed.
    """
    manifest = release.manifest
    moved = cache_moved(manifest, facts.files)
    changed = look_up_again(session, manifest) if moved else changed_proofs(manifest, facts.files)
    notes = prove_again(session, manifest, _elf_files(release), changed, host) if changed else {}
    if moved:
        # Every path was asked for again, so what the old ones say does not count.
        notes[LD_CACHE] = f"{LD_CACHE} was changed; what it leads to was looked up again"
        proved = {proof.opened: proof.sha256 for proof in manifest.proofs}
        facts = replace(facts, files={**proved, LD_CACHE: facts.files[LD_CACHE]})
    return StillProved(facts=facts, notes=notes)


def _elf_files(release: KnownRelease) -> dict[str, ElfFile]:
    blobs = release.blobs()
    contents = ((file.path, blobs[file.blob]) for file in release.manifest.files)
    return {path: elf.parse(data) for path, data in contents if data.startswith(elf.MAGIC)}


def cache_moved(manifest: Manifest, files: Mapping[str, str]) -> bool:
    """Tell whether the loader's cache is another one: then every path that it leads to is in question."""
    return manifest.search.cache != files.get(LD_CACHE, ABSENT).replace(ABSENT, "")


def changed_proofs(manifest: Manifest, files: Mapping[str, str]) -> list[tuple[ProofRow, str]]:
    """Return each proof whose library is another one now, and the path that the loader takes; empty: there is none.

    Parameters
    ----------
    files:
        Path to sha256, or `absent`, of all that is watched, as the board answers now.
    """
    found: list[tuple[ProofRow, str]] = []
    for row in manifest.proofs:
        taken = next((path for path in (*row.earlier, row.opened) if files.get(path, ABSENT) != ABSENT), "")
        if taken != row.opened or files[taken] != row.sha256:
            found.append((row, taken))
    return found


def look_up_again(session: BoardSession, manifest: Manifest) -> list[tuple[ProofRow, str]]:
    """Return what `changed_proofs` does, for a board whose loader has another cache: it is fetched and asked again.

    Raises
    ------
    PreflightError
        The board could not hash its libraries.
    """
    identity = parse_arch(manifest.arch).identity
    search = manifest.search
    loader = Index(
        source="the board",
        files={},
        links={},
        directories=search.directories,
        loader=search.loader,
        cache=read_cache(session.fetch(f"[ ! -f {LD_CACHE} ] || exec cat {LD_CACHE}", most=_CACHE_BYTES)),
    )
    ways = {row.library: loader.candidates(row.library, identity) for row in manifest.proofs}
    asked = "".join(f"{path}\n" for path in sorted({path for paths in ways.values() for path in paths}))
    answer = session.run(_HASH, stdin=[asked.encode()])
    if answer.code != 0:
        raise PreflightError(
            "the board could not hash its libraries; nothing was changed",
            why=(answer.err or answer.out).strip()[-200:] or f"exit code {answer.code}",
            next_step="the same command again",
        )
    digests = {path: digest for digest, _, path in (line.partition(" ") for line in answer.out.splitlines())}
    found: list[tuple[ProofRow, str]] = []
    for row in manifest.proofs:
        taken = next((path for path in ways[row.library] if path in digests), "")
        if not taken or digests[taken] != row.sha256:
            found.append((row, taken))
    return found


@dataclass(slots=True)
class _Board:
    """A live board's libraries, each fetched once."""

    session: BoardSession
    manifest: Manifest
    ours: Mapping[str, ElfFile]
    _read: dict[str, ElfFile] = field(default_factory=dict)

    def read(self, path: str) -> ElfFile:
        if (place := Origin(path)).ours:
            return self.ours[place.path]
        if path not in self._read:
            try:
                self._read[path] = elf.parse(self.session.fetch(_CAT, [path], most=_LIBRARY_BYTES))
            except ElfError as error:
                raise PreflightError(
                    f"{path} on the board is damaged; nothing was changed", why=str(error), next_step="repair the board"
                ) from error
        return self._read[path]

    def beside(self, copy: ElfFile, elsewhere: Mapping[str, str]) -> tuple[list[ElfFile], list[str]]:
        """Return what a library needs, all the way down, and the names that nothing was proved about."""
        places: dict[str, str] = {}
        for closure in self.manifest.providers.values():
            places |= closure
        places |= elsewhere
        found: dict[str, ElfFile] = {}
        lost: list[str] = []
        todo = [*copy.needed, *filter(is_of_libc, places)]  # by what these ask for it is known what the loader grants
        while todo:
            name = todo.pop(0)
            if name in found or name in lost:
                continue
            if name not in places:
                lost.append(name)
                continue
            found[name] = self.read(places[name])
            todo += found[name].needed
        return list(found.values()), lost


def prove_again(
    session: BoardSession,
    manifest: Manifest,
    ours: Mapping[str, ElfFile],
    changed: Sequence[tuple[ProofRow, str]],
    host: str = "HOST",
) -> dict[str, str]:
    """Fetch what changed and prove it again; returns library to what to say of it.

    Parameters
    ----------
    ours:
        The ELF files of the bundle, by their path in it.

    Raises
    ------
    PreflightError
        A library is gone or damaged, or is unsuitable now: the symbol is named, and nothing was changed.
    """
    board = _Board(session, manifest, ours)
    elsewhere = {row.library: path for row, path in changed if path}
    notes: dict[str, str] = {}
    for row, path in changed:
        if not path:
            raise _refusal(row, f"{row.opened} is gone", _count_symbols(row.symbols, "were proved on it"), host)
        copy = board.read(path)
        companions, lost = board.beside(copy, elsewhere)
        demand = Demand.recall(row, parse_arch(manifest.arch).identity)
        libc = libc_of(manifest.loader) or Libc.GLIBC
        proof = check_copy(demand, path, copy, companions, list(ours.values()), lost, libc=libc)
        private = private_names(row.symbols, row.nodes) if copy.build_id != row.build_id else []
        if worse := _worse(proof, row) + [f"ours binds {name} of another build" for name in private]:
            raise _refusal(row, f"{path} was changed, and is unsuitable now", "; ".join(worse[:3]), host)
        build = f"build {row.build_id[:12] or 'unknown'} → {copy.build_id[:12] or 'unknown'}"
        notes[row.library] = f"{path} was changed ({build}); proved again, {len(proof.symbols)} symbols"
    return notes


def _worse(proof: Proof, row: ProofRow) -> list[str]:
    """Say what speaks against a copy now; what was known, and overridden for a reason, is not said again."""
    known = set(row.missing) | set(row.faults) if row.overridden else set()
    return [f"it lacks {name}" for name in proof.missing if name not in known] + [
        fault for fault in proof.faults if fault not in known
    ]


def _count_symbols(symbols: Sequence[str], what: str) -> str:
    if len(symbols) < 3:
        return f"{' and '.join(symbols) or 'no symbol'} {what}"
    return f"{len(symbols)} symbols {what}, {', '.join(symbols[:2])} among them"


def _refusal(row: ProofRow, what: str, why: str, host: str) -> PreflightError:
    return PreflightError(
        f"{what}; nothing was changed",
        where=row.library,
        why=why,
        next_step=f"invoke sysroot.pull --host {host}, then invoke up --host {host}",
    )

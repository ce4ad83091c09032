"""The loader's rules checked against the real loaders: three natively, glibc's and uClibc's emulated for two more."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from recipes.arch import Libc
from recipes.elf import ElfFile
from recipes.engine.confinement import Rights
from recipes.engine.container import Job
from recipes.engine.docker import Engine
from recipes.proof.search import Loader, first_file
from recipes.rootfs.index import scan_root
from tests.corpus import targets
from tests.corpus.rulecases import cases
from tests.corpus.ruleparts import MID, NAME, NOTHING, Case, Odd, Part
from tests.corpus.targets import HERE, Target

pytestmark = pytest.mark.engine
BATCH = Path(__file__).with_name("rulebatch.py")
HANGS = 124
"""How the batch says that a program did not start and did not end."""
LOST = 16
"""How uClibc's loader ends where it finds no library; the others end with NOTHING."""
LOADERS = {
    "x86_64 glibc": "/lib64/ld-linux-x86-64.so.2",
    "x86_64 musl": "/lib/ld-musl-x86_64.so.1",
    "armv7 glibc": "/lib/ld-linux-armhf.so.3",
    "aarch64 glibc": "/lib/ld-linux-aarch64.so.1",
    "mipsel glibc": "/lib/ld.so.1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Both answers to each case: the loader's exit status and words, and the folder of the roots for ours."""

    status: dict[str, tuple[int, str]]
    roots: Path


def of_target(target: Target) -> list[Case]:
    return cases(target.arch.name, target.traits)


def system(target: Target) -> dict[str, str]:
    """Return the C library's files by their place on a board."""
    if target.traits.libc is Libc.UCLIBC:
        names = (Path(target.loader).name, "libc.so.0")
        return {f"/lib/{name}": f"{target.libraries}/{name}" for name in names}
    loader = LOADERS[target.name]
    if target.traits.libc is Libc.MUSL:
        return {loader: f"{target.libraries}/libc.so"}
    here = "/lib64" if target.arch.name == "x86_64" else target.libraries
    return {
        loader: f"{here}/{Path(loader).name}",
        f"/lib/{target.arch.triple}/libc.so.6": f"{target.libraries}/libc.so.6",
    }


def levels(units: Sequence[Part]) -> list[list[dict[str, object]]]:
    depth: dict[str, int] = {}
    known: dict[str, Part] = {}

    def add(unit: Part) -> int:
        known[unit.path] = unit
        depth[unit.path] = 1 + max((add(part) for part in unit.against), default=0)
        return depth[unit.path]

    for unit in units:
        add(unit)
    made: list[list[dict[str, object]]] = [[] for _ in range(max(depth.values()))]
    for path, unit in known.items():
        against = [library.path for library in unit.against]
        made[depth[path] - 1].append({"path": path, "source": unit.source, "flags": unit.flags, "against": against})
    return made


def row(place: str, what: Part | bytes | str | Odd) -> list[str]:
    if isinstance(what, Odd):
        return [place, what, "", ""]
    if isinstance(what, Part):
        return [place, "unit", what.path, "both" if what.both else what.machine]
    return [place, "bytes", what.hex(), ""] if isinstance(what, bytes) else [place, "link", what, ""]


def run(target: Target, engine: Engine, folder: Path) -> Answers:
    """Compile and start every case of a target in one container, and bring the roots back."""
    all_cases = of_target(target)
    plan = {
        "compiler": target.compiler,
        "system": system(target),
        "levels": levels([what for case in all_cases for what in case.files.values() if isinstance(what, Part)]),
        "cases": [
            {
                "name": case.name,
                "files": [row(place, what) for place, what in case.files.items()],
                "environment": case.environment,
                "real": case.real,
                "ldconfig": case.ldconfig,
                "private": case.private,
            }
            for case in all_cases
        ],
    }
    job = Job(image=target.image(engine), environment={"LC_ALL": "C"}, rights=Rights.PACKAGES, cwd=HERE)
    log = io.BytesIO()
    with engine.session(job) as session:
        session.put(HERE, {"plan.json": (json.dumps(plan).encode(), 0o644), "batch.py": (BATCH.read_bytes(), 0o644)})
        code = session.run(["python3", "batch.py"], log=log)
        said = log.getvalue().decode("utf-8", "replace")
        assert code == 0, f"{target.name}: {said[-2000:]}"
        with tarfile.open(fileobj=io.BytesIO(b"".join(session.get(f"{HERE}/cases")))) as archive:
            archive.extractall(folder, filter="tar")
    lost = LOST if target.traits.libc is Libc.UCLIBC else NOTHING
    rows = json.loads(said).items()
    status = {name: (NOTHING if code in (lost, HANGS) else code, text) for name, (code, text) in rows}
    return Answers(status=status, roots=folder / "cases")


@pytest.fixture(scope="module")
def answers(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Target], Answers]:
    """Return a function that gives a target's answers, made at its first use."""
    done: dict[str, Answers] = {}

    def get(target: Target) -> Answers:
        if target.name not in done:
            done[target.name] = run(target, engine, tmp_path_factory.mktemp("rules"))
        return done[target.name]

    return get


def number(file: ElfFile) -> int:
    found = re.search(r"\bcopy_(\d+)\b", file.exports)
    assert found is not None, "a library that is none of the case's"
    return int(found[1])


def ours(case: Case, root: Path, target: Target) -> tuple[int, set[int]]:
    """Return the number of the copy that our rules name, and those that may be taken instead."""
    board = scan_root(root)
    assert board.libc == target.traits.libc
    environment = tuple(folder for folder in case.environment.split(":") if folder)
    loader = Loader(board, target.arch.identity, environment=environment)
    taken: dict[int, None] = {}
    others: set[int] = set()
    for step in loader.process([first_file(case.real, board.files[case.real])]):
        if step.got is None:
            return NOTHING, {number(file) for _, file in others_of(step.name, loader)}
        if step.name.endswith((NAME, "libalias.so")):
            taken[number(step.got.elf)] = None
            others |= {number(file) for _, file in step.got.instead}
        assert step.got.place.endswith(MID) == (step.name == MID)
    assert len(taken) == 1 or board.libc is Libc.UCLIBC, f"one process, one copy: {list(taken)}"
    return list(taken)[-1 if case.last else 0], others


def others_of(name: str, loader: Loader) -> tuple[tuple[str, ElfFile], ...]:
    found = loader.find(name, None)
    return found.instead if found is not None else ()


MIPSEL = next(target for target in targets.RARE if target.name == "mipsel glibc")


@pytest.mark.slow
@pytest.mark.parametrize("case", of_target(MIPSEL), ids=lambda case: case.name)
def test_mips_has_more_abis_than_machines(case: Case, answers: Callable[[Target], Answers]) -> None:
    test_the_rule_is_the_loaders(MIPSEL, case, answers)


RULES = [
    pytest.param(
        target,
        case,
        id=f"{target.name}-{case.name}",
        marks=pytest.mark.slow if target in targets.RARE or target.name == "x86_64 uclibc" else (),
    )
    for target in (*targets.USUAL, *targets.UCLIBC, targets.UCLIBC_AARCH64)
    for case in of_target(target)
]


@pytest.mark.slow
def test_a_uclibc_built_otherwise_takes_what_was_told(answers: Callable[[Target], Answers]) -> None:
    """With the program's RPATH for all files: another copy than by default was told as one that may be taken."""
    target = targets.UCLIBC_OTHERWISE
    made = answers(target)
    other: list[str] = []
    for case in of_target(target):
        code, said = made.status[case.name]
        named, others = ours(case, made.roots / case.name, target)
        assert code in {named, *others} or named == NOTHING, f"{case.name}: {code}, {said}; ours: {named} or {others}"
        other += [case.name] if named not in (code, NOTHING) else []
    assert other == ["rpath-is-inherited", "a-runpath-shuts-inherited-rpaths-out"]


@pytest.mark.parametrize(("target", "case"), RULES)
def test_the_rule_is_the_loaders(target: Target, case: Case, answers: Callable[[Target], Answers]) -> None:
    made = answers(target)
    code, said = made.status[case.name]
    expected = case.of(target.traits.libc)
    named, others = ours(case, made.roots / case.name, target)
    if case.either:
        assert code in {named, *others}, f"the loader: {code}, {said}; ours: {named} or {others}"
    else:
        unproved = case.private or case.doubtful or (case.unproved and target.traits.libc is Libc.UCLIBC)
        cautious = NOTHING if unproved else expected
        assert (code, named) == (expected, cautious), said
        # How uClibc was built may change its rules: then there is another answer beside the one of its defaults.
        assert not others or target.traits.libc is Libc.UCLIBC

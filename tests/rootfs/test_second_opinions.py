"""Our index of a real board root against other people's readers: every difference is explained by a rule, or is a bug.

elfdeps says in RPM's words what each file provides and requires; lddtree and libtree say which files a process gets.
Each rule tells what the other side does; a rule that explains nothing any more is an error too.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import pytest
from elfdeps import ELFAnalyzeSettings, ELFInfo, analyze_file

from recipes import elf
from recipes.arch import ARCHES
from recipes.elf import ElfFile
from recipes.proof.search import Loader, Lookup, first_file
from recipes.rootfs.index import Index, scan_root
from recipes.toolchains.debian_root import BoardRoot

pytestmark = [pytest.mark.engine, pytest.mark.process]
ARM = ARCHES["armv7"].identity
STEP = 12
"""lddtree reads every library anew for every file: it is asked about each twelfth, and all that have a search path."""
FEWEST = 1500
"""ELF files of the board: were there fewer, the opinions would be on something else."""


@pytest.fixture(scope="module")
def tree(arm_root: Future[BoardRoot], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the emulated board's root as a folder."""
    folder = tmp_path_factory.mktemp("root")
    with tarfile.open(arm_root.result(timeout=1800).tar) as archive:
        archive.extraction_filter = staticmethod(lambda member, _path: None if member.isdev() else member)
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def index(tree: Path) -> Index:
    found = scan_root(tree)
    assert len(found.files) > FEWEST
    assert not found.damaged
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What only one side says of a file."""

    file: ElfFile
    info: ELFInfo
    what: str
    ours: frozenset[str]
    theirs: frozenset[str]


WORDS: dict[str, Callable[[Words], bool]] = {
    "RPM names a need of the loader itself, a hash table that it must understand, and no library": (
        lambda case: case.what == "requires" and not case.ours and case.theirs == {"rtld(GNU_HASH)"}
    ),
    "RPM asks for no versions for a library that names an interpreter, as programs do, and has no executable bit": (
        lambda case: (
            case.what == "requires"
            and bool(case.file.interpreter)
            and not case.info.is_exec
            and not case.theirs
            and case.ours == nodes(case.file)
        )
    ),
}


def nodes(file: ElfFile) -> frozenset[str]:
    """Say in RPM's words which versions a file asks for; whether a need is weak, it does not say."""
    return frozenset(
        f"{name}({node})" for name, node in (need.lstrip("?").split(":", 1) for need in file.version_needs)
    )


def required(file: ElfFile) -> frozenset[str]:
    return nodes(file) | {f"{name}()" for name in file.needed}


def provided(file: ElfFile) -> frozenset[str]:
    own = [f"{file.soname}()"] if file.soname else []
    return frozenset([*own, *(f"{file.soname}({node})" for node in file.version_defs)])


def explained(differences: dict[str, list[str]], rules: dict[str, object]) -> None:
    assert not differences.get(""), "\n".join(differences[""][:20])
    assert differences.keys() == rules.keys(), "a rule explains nothing"


def test_elfdeps_reads_the_same_needs_and_provides(tree: Path, index: Index) -> None:
    settings = ELFAnalyzeSettings(fake_soname=False)
    seen: dict[str, list[str]] = {}
    for path, file in index.files.items():
        info = analyze_file(tree / path.lstrip("/"), settings=settings)
        assert (info.soname or "", info.interp or "") == (file.soname, file.interpreter), path
        assert (info.runpath or []) == list(file.runpath), path
        for what, mine, said in (
            ("requires", required(file), info.requires),
            ("provides", provided(file), info.provides),
        ):
            theirs = frozenset(f"{need.soname}({need.version})" for need in said)
            if mine != theirs:
                case = Words(file=file, info=info, what=what, ours=mine - theirs, theirs=theirs - mine)
                # The hash table is beside any other difference.
                if case.ours and "rtld(GNU_HASH)" in case.theirs:
                    case = Words(
                        file=file, info=info, what=what, ours=case.ours, theirs=case.theirs - {"rtld(GNU_HASH)"}
                    )
                reason = next((text for text, rule in WORDS.items() if rule(case)), "")
                seen.setdefault(reason, []).append(f"{path} {what}: {sorted(case.ours)} / {sorted(case.theirs)}")
    explained(seen, dict(WORDS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What both sides say of one name in one process; None: it does not come up there, "": it is not found."""

    program: ElfFile
    name: str
    ours: str | None
    theirs: str | None
    step: Lookup | None


ANSWERS: dict[str, Callable[[Answer], bool]] = {
    "lddtree leaves out of its tree the interpreter of a program where only a library of it needs it by name": (
        lambda case: (
            case.theirs is None
            and case.name == posixpath.basename(case.program.interpreter)
            and case.name not in case.program.needed
        )
    ),
    "lddtree puts its root before $ORIGIN, which has it already, and so finds nothing there": (
        lambda case: (
            case.theirs == ""
            and case.step is not None
            and any(entry.startswith(("$ORIGIN", "${ORIGIN}")) for entry in case.step.by.elf.runpath)
            and case.step.got is not None
            and posixpath.dirname(case.step.got.found) == posixpath.dirname(case.step.by.found)
        )
    ),
}


def lddtree(tree: Path, index: Index, paths: list[str]) -> dict[str, dict[str, str]]:
    """Return what each name is for each file, links followed."""
    program = shutil.which("lddtree")
    assert program, "./bootstrap test brings pax-utils"
    argv = [sys.executable, program, "-R", str(tree), *paths]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, dict[str, str]] = {}
    for line in done.stdout.splitlines():
        name, _, place = line.strip().partition(" => ")
        if not line.startswith(" "):
            now = found[name.removesuffix(" (interpreter").removeprefix(str(tree))] = {}
        elif not place.startswith("!!!"):
            now[name] = "" if place == "None" else index.resolve(place.removeprefix(str(tree)))
    return found


def test_lddtree_finds_the_same_libraries(tree: Path, index: Index) -> None:
    searching = [path for path, file in index.files.items() if file.rpath or file.runpath]
    asked = sorted({*sorted(index.files)[::STEP], *searching})
    said = lddtree(tree, index, asked)
    assert list(said) == asked
    loader = Loader(index, ARM)
    seen: dict[str, list[str]] = {}
    names = 0
    for path in asked:
        steps = {step.name: step for step in loader.process([first_file(path, index.files[path])])}
        mine = {name: step.got.place if step.got else "" for name, step in steps.items()}
        names += len(mine)
        for name in mine.keys() | said[path].keys():
            answer = Answer(
                program=index.files[path],
                name=name,
                ours=mine.get(name),
                theirs=said[path].get(name),
                step=steps.get(name),
            )
            if answer.ours != answer.theirs:
                reason = next((text for text, rule in ANSWERS.items() if rule(answer)), "")
                seen.setdefault(reason, []).append(f"{path}: {name} is {answer.ours!r} / {answer.theirs!r}")
    assert names > 1000
    explained(seen, dict(ANSWERS))


@pytest.fixture
def libtree(tree: Path, index: Index) -> Iterator[Callable[[str], dict[str, str]]]:
    """Return a function that asks libtree, inside the root: it reads no other root than the one it runs in."""
    program = shutil.which("libtree")
    assert program, "./bootstrap test brings libtree"
    # A program of this machine in a root of another: it brings its own loader and C library.
    aside = tree / ".libtree"
    aside.mkdir()
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    for place in [program, *(word for word in listed.split() if word.startswith("/"))]:
        shutil.copy(place, aside)
    own = elf.read(Path(program)).interpreter
    argv = [f"/.libtree/{posixpath.basename(own)}", "--library-path", "/.libtree", "/.libtree/libtree", "-vv", "-p"]
    enter = ["chroot"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "chroot"]

    def ask(path: str) -> dict[str, str]:
        done = subprocess.run([*enter, str(tree), *argv, path], capture_output=True, text=True, check=False)
        found: dict[str, str] = {}
        for line in done.stdout.splitlines()[1:]:
            branch = re.fullmatch(r"[│├└─\s]*── (\S+) (.*)", line)
            if branch is not None:
                missing = branch[2] == "not found"
                found[posixpath.basename(branch[1])] = "" if missing else index.resolve(branch[1])
            else:
                assert "┊" in line, line  # It tells where it looked for what it did not find.
        return found

    yield ask
    shutil.rmtree(aside)


def test_libtree_finds_the_same_libraries(index: Index, libtree: Callable[[str], dict[str, str]]) -> None:
    searching = [path for path, file in index.files.items() if file.rpath or file.runpath]
    loader = Loader(index, ARM)
    names = missing = 0
    for path in sorted({*sorted(index.files)[::2], *searching}):
        steps = loader.process([first_file(path, index.files[path])])
        mine = {step.name: step.got.place if step.got else "" for step in steps}
        assert mine == libtree(path), path
        names += len(mine)
        missing += list(mine.values()).count("")
    assert (names > 5000, missing > 0) == (True, True)

"""P-11 without a board of its own: this machine's C library is proved, changed, and proved again or refused."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import pytest

from deploy.boards.probe import probe_host
from deploy.bundle.assemble import pack_bundle
from deploy.bundle.load import Bundle
from deploy.bundle.manifest import LoaderSearch
from deploy.dedupe.decision import Action
from deploy.release.plan import plan_release
from deploy.release.recheck import StillProved, still_proved, watched_paths
from recipes import elf
from recipes.errors import PreflightError
from tests.support import bundles
from tests.support.facts import decision_row, proof_row
from tests.support.localboard import ARCH, LocalSession, own_libc

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("home")]
CACHE = Path("/etc/ld.so.cache")
NAME = "libc.so.6"


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Return a copy of the C library, which is the board's."""
    copy = tmp_path / "board" / NAME
    copy.parent.mkdir()
    copy.write_bytes(own_libc()[0].read_bytes())
    return copy


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


@pytest.fixture
def bundle(library: Path, tmp_path: Path) -> Bundle:
    read, loader = elf.read(library), own_libc()[1]
    puts = next(word.replace("@@", "@") for word in read.exports.split() if word.startswith("puts@@"))
    proof = proof_row(
        NAME,
        str(library),
        symbols=[puts],
        nodes=[puts.partition("@")[2]],
        sha256=digest(library),
        build_id=read.build_id,
        earlier=[str(library.with_name("first") / NAME)],
    )
    plain = bundles.manifest(
        arch=ARCH.name,
        machines=ARCH.machine,
        root=str(tmp_path / "board" / "ours"),
        entries=("run/app",),
        decisions=(decision_row(NAME, Action.USE_BOARD, str(library)),),
        proofs=(proof,),
        refused=(),
        providers={"run/app": {NAME: str(library), loader.name: str(loader)}},
        build_ids={str(library): read.build_id, str(loader): "cd" * 20},
        loader=str(loader),
        search=LoaderSearch(loader=str(loader), directories=(str(library.parent),), cache=digest(CACHE)),
    )
    return pack_bundle(plain, {"run/app": (b"#!/bin/sh\n", 0o755)})


def check(bundle: Bundle, session: LocalSession | None = None) -> StillProved:
    session = session or LocalSession()
    return still_proved(session, bundle, probe_host(session, bundle.manifest.root, watched_paths(bundle.manifest)))


def change(library: Path, old: bytes, new: bytes) -> None:
    data = library.read_bytes()
    assert old in data
    assert len(old) == len(new)
    library.write_bytes(data.replace(old, new))


def test_what_did_not_change_costs_no_round_trip_of_its_own(bundle: Bundle) -> None:
    session = LocalSession()
    proved = check(bundle, session)
    assert proved.notes == {}
    assert session.traffic.round_trips == 1
    assert plan_release(bundle.id, bundle.manifest, proved.facts).steps


def test_another_build_that_serves_is_proved_again_and_may_be_planned_with(bundle: Bundle, library: Path) -> None:
    build = bytes.fromhex(elf.read(library).build_id)
    change(library, build, build[::-1])
    proved = check(bundle)
    assert list(proved.notes) == [NAME]
    assert f"{build.hex()[:12]} → {build[::-1].hex()[:12]}" in proved.notes[NAME]
    with pytest.raises(PreflightError, match="is another one than was proved"):
        plan_release(bundle.id, bundle.manifest, proved.facts)
    assert plan_release(bundle.id, bundle.manifest, proved.facts, proved.notes.keys()).steps


def test_a_symbol_that_an_update_removed_is_named(bundle: Bundle, library: Path) -> None:
    change(library, b"puts\0", b"putz\0")
    with pytest.raises(PreflightError, match="is unsuitable now; nothing was changed") as caught:
        check(bundle)
    assert "it lacks puts" in caught.value.why


def test_a_library_that_went_is_told_with_what_was_proved_on_it(bundle: Bundle, library: Path) -> None:
    library.unlink()
    with pytest.raises(PreflightError, match="is gone; nothing was changed") as caught:
        check(bundle)
    assert re.fullmatch(r"puts@\S+ were proved on it", caught.value.why)


def test_a_damaged_copy_is_refused(bundle: Bundle, library: Path) -> None:
    library.write_bytes(library.read_bytes()[:100])
    with pytest.raises(PreflightError, match="is damaged; nothing was changed"):
        check(bundle)


def test_a_copy_that_the_loader_takes_first_since_an_update_is_the_one_that_counts(
    bundle: Bundle, library: Path
) -> None:
    first = library.with_name("first") / NAME
    first.parent.mkdir()
    first.write_bytes(library.read_bytes())
    change(first, b"puts\0", b"putz\0")
    with pytest.raises(PreflightError, match="is unsuitable now") as caught:
        check(bundle)
    assert str(first) in caught.value.what


@pytest.mark.parametrize("kind", ["folder", "fifo", "text", "empty"])
def test_what_is_no_library_in_front_of_one_since_an_update_is_refused(
    bundle: Bundle, library: Path, kind: str
) -> None:
    """The loader opens it and ends; a FIFO is not waited for."""
    first = library.with_name("first") / NAME
    first.parent.mkdir()
    if kind == "folder":
        first.mkdir()
    elif kind == "fifo":
        os.mkfifo(first)
    else:
        first.write_text("GROUP ( libc.so.6 )\n" if kind == "text" else "")
    with pytest.raises(PreflightError, match="is damaged; nothing was changed") as caught:
        check(bundle)
    assert str(first) in caught.value.what


def test_a_cache_that_is_another_one_has_every_library_looked_up_again(bundle: Bundle) -> None:
    search = bundle.manifest.search.model_copy(update={"cache": "0" * 64})
    moved = pack_bundle(bundle.manifest.model_copy(update={"search": search}), {"run/app": (b"#!/bin/sh\n", 0o755)})
    session = LocalSession()
    facts = probe_host(session, moved.manifest.root, watched_paths(moved.manifest))
    with pytest.raises(PreflightError, match="is another one"):
        plan_release(moved.id, moved.manifest, facts)
    proved = still_proved(session, moved, facts)
    assert "what it leads to was looked up again" in proved.notes[str(CACHE)]
    assert plan_release(moved.id, moved.manifest, proved.facts, proved.notes.keys()).steps

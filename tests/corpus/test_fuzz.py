"""The ELF reader on truncated and mutated real files: it refuses or answers, soon and in little memory."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from recipes import elf
from recipes.elf import ElfError
from recipes.elf.image import ElfImage
from recipes.proof.binding import Exports
from recipes.proof.prove import prove
from tests.corpus import targets
from tests.corpus.peak import mark_peak, peak
from tests.corpus.targets import Batch, Target
from tests.support.corpus import Pair

pytestmark = [pytest.mark.engine, pytest.mark.hostile(kind="board")]
TRIES = 2500
SECONDS = 2.0
KIBIBYTES = 256 * 1024
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF)


@pytest.mark.parametrize("target", [targets.USUAL[0], targets.USUAL[2]], ids=lambda target: target.name)
def test_no_file_stops_the_reader(
    target: Target, batch: Callable[[Target], tuple[list[Pair], Batch]], capsys: pytest.CaptureFixture[str]
) -> None:
    files = batch(target)[1].files
    whole = sample(files)
    chance, refused, slowest = random.Random(12), 0, 0.0
    before = mark_peak()
    for _ in range(TRIES):
        data = mutated(chance.choice(whole), chance)
        begun = time.monotonic()
        try:
            facts = elf.parse(data)
        except ElfError:
            refused += 1
        else:
            # What is read is also something that can be reasoned about.
            prove(facts.soname, "/lib/x", facts, [facts], {facts.soname: Exports(facts)}, [facts])
        slowest = max(slowest, time.monotonic() - begun)
    grown = peak() - before
    with capsys.disabled():
        print(f"\nfuzz, {target.name}: {TRIES} files, {refused} refused, slowest {slowest:.2f} s, {grown} KiB", end=" ")
    assert 0 < refused < TRIES, "damage of one kind only: nothing was tried"
    assert slowest < SECONDS
    assert grown < KIBIBYTES


def sample(files: dict[str, bytes]) -> list[bytes]:
    """Return the C library's files, and one small file of each form; the small ones more often, since they are fast."""
    small = [files[path] for path in sorted(files) if path.endswith(("-same/program", "-same/lib/libcorpus.so.1"))]
    large = [files[path] for path in sorted(files) if path.startswith("system/") and files[path][:4] == elf.MAGIC]
    return [*small, *large]


def mutated(content: bytes, chance: random.Random) -> bytes:
    """Return a file with something wrong: cut, or with bytes changed, mostly where a loader looks first."""
    data = bytearray(content)
    image = ElfImage(content)
    dynamic, size = image.parts.get(2, (0, len(data)))
    if chance.random() < 0.2:
        del data[chance.randrange(len(data)) :]
    for _ in range(chance.randrange(6)):
        if not data:
            break
        start, end = chance.choice([(0, 64), (0, 1024), (dynamic, dynamic + size), (0, 8192), (0, len(content))])
        at = min(chance.randrange(start, end), len(data) - 1)
        width = chance.choice([1, 1, 2, 4, 8])
        data[at : at + width] = bytes(
            [chance.choice(EXTREMES) if chance.random() < 0.7 else chance.randrange(256)]
        ) * len(data[at : at + width])
    return bytes(data)

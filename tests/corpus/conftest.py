"""What the tests of the corpus share: each target's pairs, compiled and run once, whichever process asks first."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable

import pytest
from filelock import FileLock

from recipes.engine.docker import Engine
from tests.corpus import byfile, bysymbol, targets
from tests.corpus.targets import Batch, Target
from tests.support.corpus import Pair


@pytest.fixture(scope="session")
def batch(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Target], tuple[list[Pair], Batch]]:
    """Return a function that gives a target's pairs and what came of them, made at its first use."""
    done: dict[str, tuple[list[Pair], Batch]] = {}
    # Side by side, each process has its folder in one that is theirs together.
    own = tmp_path_factory.getbasetemp()
    together = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def made(target: Target, pairs: list[Pair]) -> Batch:
        file = together / f"corpus {target.name}"
        with FileLock(f"{file}.lock"):
            if not file.exists():
                file.write_bytes(pickle.dumps(targets.run(target, pairs, engine)))
            found: Batch = pickle.loads(file.read_bytes())
            return found

    def get(target: Target) -> tuple[list[Pair], Batch]:
        if target.name not in done:
            pairs = [*bysymbol.pairs(target.traits), *byfile.pairs(target.traits)]
            done[target.name] = pairs, made(target, pairs)
        return done[target.name]

    return get

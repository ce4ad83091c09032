"""What the tests of the corpus share: each target's pairs, compiled and run once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from recipes.engine.docker import Engine
from tests.corpus import byfile, bysymbol, targets
from tests.corpus.targets import Batch, Target
from tests.support.corpus import Pair


@pytest.fixture(scope="session")
def batch(engine: Engine) -> Callable[[Target], tuple[list[Pair], Batch]]:
    """Return a function that gives a target's pairs and what came of them, made at its first use."""
    done: dict[str, tuple[list[Pair], Batch]] = {}

    def get(target: Target) -> tuple[list[Pair], Batch]:
        if target.name not in done:
            pairs = [*bysymbol.pairs(target.traits), *byfile.pairs(target.traits)]
            done[target.name] = pairs, targets.run(target, pairs, engine)
        return done[target.name]

    return get

"""Our proof against the real loaders: a wrong drop is a board that fails, a missed one is flash taken for nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tests.corpus import targets
from tests.corpus.targets import Batch, Target
from tests.corpus.verdict import Outcome, judge
from tests.support.corpus import Pair

pytestmark = pytest.mark.engine
Say = Callable[[str], None]
Batches = Callable[[Target], tuple[list[Pair], Batch]]
PAIRS = 370
"""Of each target; those that can do less have a few less than 382."""
FOUND = 0.97
ALL = (*targets.USUAL, *targets.UCLIBC)


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Return a function that prints a line of numbers for whoever started the tests."""

    def aloud(line: str) -> None:
        with capsys.disabled():
            print(f"\n{line}", end=" ")

    return aloud


@pytest.fixture(scope="module")
def outcomes(batch: Batches) -> Callable[[Target], list[Outcome]]:
    """Return a function that gives both verdicts on every pair of a target."""

    def get(target: Target) -> list[Outcome]:
        pairs, made = batch(target)
        assert len(pairs) >= PAIRS, f"{target.name}: only {len(pairs)} pairs"
        assert not made.failed, f"{target.name} does not compile: {next(iter(made.failed.values()))}"
        return [judge(target, pair, made) for pair in pairs]

    return get


def count(what: str, found: Sequence[Outcome]) -> str:
    possible = [outcome for outcome in found if outcome.possible and outcome.works]
    dropped = len(possible) - sum(outcome.missed for outcome in possible)
    wrong = sum(outcome.wrong for outcome in found)
    return (
        f"{what}: {len(found)} pairs, {wrong} wrong drops, {dropped} of {len(possible)} "
        f"possible drops found ({100 * dropped / len(possible):.1f} %)"
    )


def hold(found: Sequence[Outcome]) -> None:
    """Check the outcomes against the promise: sound first, complete second."""
    wrong = [f"{outcome.target}, {outcome.pair}: {outcome.why}" for outcome in found if outcome.wrong]
    assert not wrong, "\n".join(wrong)
    possible = [outcome for outcome in found if outcome.possible and outcome.works]
    missed = [f"{outcome.target}, {outcome.pair}: {outcome.why}" for outcome in possible if outcome.missed]
    assert len(missed) <= (1 - FOUND) * len(possible), "\n".join(missed)


@pytest.mark.parametrize("target", ALL, ids=lambda target: target.name)
def test_no_drop_is_wrong(target: Target, outcomes: Callable[[Target], list[Outcome]], say: Say) -> None:
    found = outcomes(target)
    say(count(f"corpus, {target.name}", found))
    hold(found)


@pytest.mark.slow
@pytest.mark.parametrize("target", targets.RARE, ids=lambda target: target.name)
def test_no_drop_is_wrong_on_a_rarer_machine(
    target: Target, outcomes: Callable[[Target], list[Outcome]], say: Say
) -> None:
    found = outcomes(target)
    say(count(f"corpus, {target.name}", found))
    hold(found)


def test_the_corpus_is_large_and_its_drops_are_found(outcomes: Callable[[Target], list[Outcome]], say: Say) -> None:
    found = [outcome for target in ALL for outcome in outcomes(target)]
    say(count("corpus", found))
    assert len(found) >= PAIRS * len(ALL)
    hold(found)


@pytest.mark.parametrize("target", ALL, ids=lambda target: target.name)
def test_the_pairs_ask_what_they_mean_to(target: Target, outcomes: Callable[[Target], list[Outcome]]) -> None:
    """The same library works in every pair of its kind, and what is gone or damaged does not."""
    for outcome in outcomes(target):
        if outcome.pair.endswith(("-same", "-more", "-stripped")) and outcome.possible:
            assert outcome.works, f"{outcome.pair}: {outcome.why}"
        if (
            outcome.pair.endswith(("-removed", "-hidden", "-nowhere", "-loop", "-unmet"))
            and "optional" not in outcome.pair
        ):
            assert not outcome.works, f"{outcome.pair}: {outcome.why}"

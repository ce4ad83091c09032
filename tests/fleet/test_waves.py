"""The plan of a rollout: it converges, plans no host twice, and stops after the wave that crosses the threshold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.fleet.waves import (
    Course,
    Fate,
    Next,
    Rollout,
    Share,
    failed_hosts,
    parse_errors,
    parse_waves,
    plan_next,
)
from recipes.errors import ConfigError

shares = st.builds(Share, number=st.integers(1, 100), percent=st.just(True)) | st.builds(
    Share, number=st.integers(1, 300), percent=st.just(False)
)
errors = st.builds(Share, number=st.integers(0, 100), percent=st.booleans())


@st.composite
def rollouts(draw: st.DrawFn) -> tuple[Rollout, dict[str, Fate]]:
    """Return a rollout, and what would become of each host."""
    hosts = tuple(f"h{number}" for number in range(draw(st.integers(1, 120))))
    waves = (*draw(st.lists(shares, max_size=5)), Share(number=100, percent=True))
    bad = draw(st.sets(st.sampled_from(hosts)))
    fates = {host: Fate.FAILED if host in bad else Fate.DONE for host in hosts}
    return Rollout(hosts=hosts, waves=waves, errors=draw(errors)), fates


def carried_out(rollout: Rollout, fates: dict[str, Fate], known: dict[str, Fate]) -> tuple[list[Next], Next]:
    """Carry a rollout out on paper; returns the waves that were done, and the end."""
    done: list[Next] = []
    while (step := plan_next(rollout, known)).course is Course.GOES_ON:
        assert step.hosts, "a wave of nobody would never end"
        assert not set(step.hosts) & known.keys(), "a host was planned twice"
        known.update({host: fates[host] for host in step.hosts})
        done.append(step)
        assert len(done) <= len(rollout.hosts)
    return done, step


@given(rollouts())
def test_it_converges_and_no_host_is_planned_twice(case: tuple[Rollout, dict[str, Fate]]) -> None:
    rollout, fates = case
    done, end = carried_out(rollout, fates, {})
    planned = [host for step in done for host in step.hosts]
    assert len(planned) == len(set(planned))
    assert planned == list(rollout.hosts[: len(planned)]), "the order is that of the inventory"
    assert (end.course is Course.FINISHED) == (len(planned) == len(rollout.hosts))


@given(rollouts())
def test_it_stops_after_the_wave_that_crosses_the_threshold_and_not_before(
    case: tuple[Rollout, dict[str, Fate]],
) -> None:
    rollout, fates = case
    done, end = carried_out(rollout, fates, {})
    tried: list[str] = []
    for step in done:
        failed = sum(fates[host] is Fate.FAILED for host in tried)
        assert not rollout.errors.exceeded_by(failed, len(tried)) or not tried, "it went on with too many failures"
        tried += step.hosts
    if end.course is Course.STOPPED:
        assert rollout.errors.exceeded_by(sum(fates[host] is Fate.FAILED for host in tried), len(tried))
        assert str(len(tried)) in end.why


@given(rollouts(), st.data())
def test_one_that_was_cut_anywhere_does_the_same_hosts_when_it_goes_on(
    case: tuple[Rollout, dict[str, Fate]], data: st.DataObject
) -> None:
    rollout, fates = case
    _, whole = carried_out(rollout, fates, {})
    known: dict[str, Fate] = {}
    step = plan_next(rollout, known)
    while step.course is Course.GOES_ON:
        # Of a wave that is cut any of its hosts may have ended.
        ended = data.draw(st.sets(st.sampled_from(step.hosts)))
        known.update({host: fates[host] for host in ended})
        if data.draw(st.booleans()) or not ended:
            known.update({host: fates[host] for host in step.hosts})
        step = plan_next(rollout, known)
    _, again = carried_out(rollout, fates, dict(known))
    assert again == step == whole


@given(rollouts())
def test_what_failed_is_tried_again_and_nothing_else(case: tuple[Rollout, dict[str, Fate]]) -> None:
    rollout, fates = case
    known: dict[str, Fate] = {}
    done, _ = carried_out(rollout, fates, known)
    failed = failed_hosts(rollout.hosts, known)
    assert set(failed) == {host for step in done for host in step.hosts if fates[host] is Fate.FAILED}
    if failed:
        retry = Rollout(hosts=failed, waves=rollout.waves, errors=rollout.errors)
        again, end = carried_out(retry, dict.fromkeys(failed, Fate.DONE), {})
        assert end.course is Course.FINISHED
        assert [host for step in again for host in step.hosts] == list(failed)


@pytest.mark.parametrize(
    ("waves", "total", "ends"),
    [
        ("1,10%,100%", 50, [1, 5, 50]),
        ("1,10%,100%", 5, [1, 5]),
        ("1,10%,100%", 1, [1]),
        ("100%", 7, [7]),
        ("3,2,100%", 9, [2, 3, 9]),
        ("500,100%", 4, [4]),
    ],
)
def test_waves_say_how_many_have_it_after_each(waves: str, total: int, ends: list[int]) -> None:
    hosts = tuple(f"h{number}" for number in range(total))
    assert Rollout(hosts=hosts, waves=parse_waves(waves), errors=parse_errors("0")).ends() == ends


def test_fifty_boards_of_which_one_in_ten_is_faulty_stop_where_five_percent_may_fail() -> None:
    """P-30, on paper: the canary is well, of the next four one is not, so forty-five boards keep what they have."""
    hosts = tuple(f"h{number:02}" for number in range(50))
    rollout = Rollout(hosts=hosts, waves=parse_waves("1,10%,100%"), errors=parse_errors("5%"))
    fates = {host: Fate.FAILED if host.endswith("3") else Fate.DONE for host in hosts}
    done, end = carried_out(rollout, fates, {})
    assert [len(step.hosts) for step in done] == [1, 4]
    assert end == Next(course=Course.STOPPED, wave=3, waves=3, why="1 of 5 hosts failed, and 5% may")


@pytest.mark.parametrize("text", ["", "0,100%", "1,10%", "101%,100%", "x", "1;100%", "-1,100%", "1,,100%", "٣,100%"])
def test_a_plan_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_waves(text)


@pytest.mark.parametrize("text", ["", "101%", "-1", "5 %", "many", "999999"])
def test_a_threshold_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_errors(text)

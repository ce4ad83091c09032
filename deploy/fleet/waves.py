"""The plan of a rollout, and nothing else: which hosts come next, by what became of those before. Pure.

It is asked again after each wave, and after an end by hand with what a journal kept: the same facts give the same
answer, so a rollout that was cut goes on where it stood, and no host that has an outcome is planned again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from recipes.errors import ConfigError

USUAL_WAVES, USUAL_ERRORS = "1,10%,100%", "0"
_MOST_WAVES = 32


class Fate(StrEnum):
    """What became of a host."""

    DONE = "done"
    FAILED = "failed"


class Course(StrEnum):
    """How a rollout stands."""

    GOES_ON = "goes on"
    FINISHED = "finished"
    STOPPED = "stopped"
    """More hosts failed than may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """So many hosts, or so many of a hundred."""

    number: int
    percent: bool

    def of(self, total: int) -> int:
        """Return the hosts that it comes to, rounded up, and no more than there are."""
        return min(total, -(-self.number * total // 100) if self.percent else self.number)

    def exceeded_by(self, failed: int, tried: int) -> bool:
        """Tell whether so many failures of so many tries are more than this."""
        return failed * 100 > self.number * tried if self.percent else failed > self.number

    def __str__(self) -> str:
        return f"{self.number}{'%' * self.percent}"


def parse_errors(text: str) -> Share:
    """Return how many hosts may fail, a count or `5%`; raises ConfigError for what is neither."""
    share = _share(text, "--errors")
    if share.percent and share.number > 100:
        raise ConfigError(f"--errors {text}: at most 100%")
    return share


def parse_waves(text: str) -> tuple[Share, ...]:
    """Return how far each wave goes: so many hosts of all have the release after it.

    Raises
    ------
    ConfigError
        A word is no count and no percentage, or the last one is not 100%.
    """
    shares = tuple(_share(word.strip(), "--waves") for word in text.split(","))
    if len(shares) > _MOST_WAVES:
        raise ConfigError(f"--waves: {_MOST_WAVES} waves at most")
    bad = [str(share) for share in shares if not share.number or (share.percent and share.number > 100)]
    if bad or str(shares[-1]) != "100%":
        why = (
            f"{', '.join(bad)}: no wave" if bad else "the last wave has to be 100%: what is left out is told by --group"
        )
        raise ConfigError(f"--waves {text} is no plan", why=why, next_step=f"--waves {USUAL_WAVES}")
    return shares


def _share(text: str, flag: str) -> Share:
    if not (found := re.fullmatch(r"([0-9]{1,5})(%?)", text)):
        raise ConfigError(f"{flag} {text}: a count, or a percentage such as 5%")
    return Share(number=int(found[1]), percent=bool(found[2]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """What is to be done."""

    hosts: tuple[str, ...]
    """In order, each once."""
    waves: tuple[Share, ...]
    errors: Share

    def ends(self) -> list[int]:
        """Return how many hosts were tried after each wave; a wave that adds none is left out, and the last is all."""
        total = len(self.hosts)
        ends = sorted({share.of(total) for share in self.waves} | {total})
        return [end for end in ends if end]


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """What comes now."""

    course: Course
    hosts: tuple[str, ...] = ()
    """To be done at once, before it is asked again; none where it does not go on."""
    wave: int = 0
    """Counted from 1."""
    waves: int = 0
    why: str = ""
    """Why it stopped."""


def plan_next(rollout: Rollout, fates: Mapping[str, Fate]) -> Next:
    """Say what comes next: the hosts of the first wave that has some without a fate, unless too many failed before it.

    The waves before it count, and not its own hosts: a wave that began is ended.
    """
    ends, begin = rollout.ends(), 0
    for number, end in enumerate(ends, start=1):
        left = tuple(host for host in rollout.hosts[begin:end] if host not in fates)
        if left:
            why = _too_many(rollout, fates, begin)
            course = Course.STOPPED if why else Course.GOES_ON
            return Next(course=course, hosts=() if why else left, wave=number, waves=len(ends), why=why)
        begin = end
    return Next(course=Course.FINISHED, wave=len(ends), waves=len(ends))


def _too_many(rollout: Rollout, fates: Mapping[str, Fate], tried: int) -> str:
    failed = sum(fates.get(host) is Fate.FAILED for host in rollout.hosts[:tried])
    if not tried or not rollout.errors.exceeded_by(failed, tried):
        return ""
    return f"{failed} of {tried} host{'s' * (tried != 1)} failed, and {rollout.errors} may"


def failed_hosts(hosts: Sequence[str], fates: Mapping[str, Fate]) -> tuple[str, ...]:
    """Return those that failed, in their order: what is tried again."""
    return tuple(host for host in hosts if fates.get(host) is Fate.FAILED)

"""A release that waits on a board, whole and read back, until it is switched on: by itself, or on many at one moment.

The lock of the board is held from the last look at it to the end of its checks, by the one connection.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from deploy.atboot.trial import BEGIN_TRIAL, THIS_START
from deploy.boards.board import load_board
from deploy.boards.inventory import host_target, load_host
from deploy.boards.probe import probe_host
from deploy.boards.session import BoardSession, connect
from deploy.bundle.load import Bundle
from deploy.fleet.waves import Share
from deploy.release.carried import KnownRelease, find_release
from deploy.release.deployment import Wishes, prepare_host
from deploy.release.plan import plan_release
from deploy.release.recheck import still_proved, watched_paths
from deploy.release.run import ReleaseResult, has_services, install_release, settle_release, this_user
from deploy.release.scripts import SWITCH, check_reply
from deploy.ssh.answers import brief
from deploy.transfer.receive import SUMS
from deploy.verdicts.publish import publish
from deploy.verify.run import own_checks, refuse_broken_checks, run_checks
from deploy.verify.verdict import Verdict, require_green
from recipes import console
from recipes.errors import ConfigError, PreflightError
from recipes.progress import progress
from recipes.text import one_line

LATE_SECONDS = 30.0
"""After the moment that was named: a board that is ready only then is not switched."""
PATIENCE_SECONDS = 300.0
"""For all boards that are switched together to be ready."""
_LOOK = brief(
    r"""
# $1 our folder, $2 who. Which release waits here, and which of its files are not what its list says. Keeps the lock.
set -u
root=$1
"""
    + SWITCH
    + SUMS
    + r"""
id=''; { read -r id < "$root/.staged"; } 2>/dev/null
current=$(target current || true)
echo "current=$current"
switched=''; { read -r switched < "$root/.activated"; } 2>/dev/null
[ -z "$current" ] || [ "$switched" != "$current" ] || echo "switched=$switched"
[ -n "$id" ] && [ "$id" != "$current" ] && [ -f "$root/releases/$id/.list" ] || exit 0
lock "$2"
sed 's/^\([0-9a-f]*\)[.x]* /\1  .\//' "$root/releases/$id/.list" > "$root/.sums" || exit 71
damaged "$root/releases/$id" "$root/.sums" > "$root/.bad" || exit 70
echo "staged=$id"
while read -r path; do echo "damaged=${path#./}"; done < "$root/.bad"
rm -f "$root/.hashes" "$root/.sums" "$root/.bad"
exit 0
"""
)
_SWITCH_ON = brief(
    r"""
# $1 our folder, $2 the release that was looked at, $3 who. The switch, and nothing else.
set -u
root=$1 id=$2
"""
    + SWITCH
    + THIS_START
    + BEGIN_TRIAL
    + r"""
lock "$3"
staged=''; { read -r staged < "$root/.staged"; } 2>/dev/null
[ "$staged" = "$id" ] && [ -d "$root/releases/$id" ] || exit 78
current=$(target current || true)
if [ -n "$current" ] && [ "$current" != "$id" ] && [ -f "$root/releases/$current/.confirmed" ]; then
    point previous "$current" || exit 72
fi
begin_trial "$id" || exit 70
flush "$root"
point current "$id" || exit 72
mv -f "$root/.staged" "$root/.activated"
flush "$root"
served "$id"
echo "current=$(target current)"
"""
)


def stage_to(host_name: str, bundle: Bundle, wishes: Wishes) -> ReleaseResult:
    """Bring a bundle to a host up to the switch: sent, hashed, proved there, and nothing of what runs is touched.

    Raises
    ------
    ConfigError
        A check of the user's own cannot be read; the host was not touched.
    PreflightError
        It could not run there, or did not arrive.
    """
    refuse_broken_checks(host_name, bundle.id, bundle.manifest, own_checks(load_host(host_name).board))
    with connect(host_target(host_name)) as session:
        prepared = prepare_host(session, host_name, bundle, wishes)
        before = session.traffic.sent
        if prepared.plan.steps:
            install_release(
                session,
                bundle,
                prepared.plan,
                prepared.facts.tools,
                this_user(),
                means=prepared.means,
                bases=prepared.bases,
                stage=True,
            )
        return ReleaseResult(
            host=host_name,
            id=bundle.id,
            changed=bool(prepared.plan.steps),
            because=prepared.plan.because,
            round_trips=session.traffic.round_trips,
            payload=session.traffic.sent - before,
        )


@dataclass(slots=True, kw_only=True)
class Moment:
    """When boards that are switched together are switched: a time, or once all of them are ready or refused.

    Where more are refused than may, none is switched.
    """

    hosts: int
    errors: Share
    at: float = 0.0
    """Seconds since 1970; 0: as soon as can be."""
    switched: list[float] = field(default_factory=list)
    """When each board had said that it switched."""
    _ready: int = 0
    _refused: int = 0
    _called_off: str = ""
    _change: threading.Condition = field(default_factory=threading.Condition)

    def refuse(self) -> None:
        """Say that a host will not be switched."""
        with self._change:
            self._refused += 1
            self._change.notify_all()

    def leave(self) -> None:
        """Say that a host has nothing to switch: what was staged there runs."""
        with self._change:
            self.hosts -= 1
            self._change.notify_all()

    def call_off(self, why: str) -> None:
        """Switch none of those that wait."""
        with self._change:
            self._called_off = why
            self._change.notify_all()

    def wait(self) -> None:
        """Say that a board is ready, and return at the moment; raises PreflightError where it does not come."""
        with self._change:
            self._ready += 1
            self._change.notify_all()
            end = time.monotonic() + PATIENCE_SECONDS + max(0.0, self.at - time.time())
            while not self._called_off and self._still_to_wait():
                left = min(end - time.monotonic(), (self.at - time.time()) if self.at else PATIENCE_SECONDS)
                if end <= time.monotonic():
                    self._called_off = f"not all were ready within {PATIENCE_SECONDS:.0f} s"
                self._change.wait(max(0.01, left))
            why = self._called_off or self._too_many() or self._too_late()
        if why:
            raise NotSwitchedError("it was ready, and waits there still", why=why, next_step=_ACTIVATE)

    def done(self) -> None:
        """Write down that a board switched just now."""
        with self._change:
            self.switched.append(time.time())

    def spread(self) -> float:
        """Return the seconds between the first board that switched and the last."""
        return max(self.switched) - min(self.switched) if self.switched else 0.0

    def _still_to_wait(self) -> bool:
        return time.time() < self.at if self.at else self._ready + self._refused < self.hosts

    def _too_many(self) -> str:
        if not self.errors.exceeded_by(self._refused, self.hosts):
            return ""
        return f"{self._refused} of {self.hosts} hosts cannot be switched, and {self.errors} may be left behind"

    def _too_late(self) -> str:
        late = time.time() - self.at if self.at else 0.0
        return f"it was ready {late:.0f} s after the moment" if late > LATE_SECONDS else ""


_ACTIVATE = "invoke activate --host HOST"


class NotSwitchedError(PreflightError):
    """A board was ready, and the moment did not come for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A release that waits on a board, looked at."""

    release: KnownRelease
    source: str
    """Where its manifest is from."""


class NothingStagedError(ConfigError):
    """No release waits on a board.

    Parameters
    ----------
    current:
        What runs there; empty for nothing of ours.
    switched:
        Whether that was staged and switched on.
    """

    def __init__(self, host: str, current: str, *, switched: bool) -> None:
        runs = f"{current[:12]} runs there" if current else "nothing of ours runs there"
        self.current, self.switched = current, switched
        super().__init__(
            f"nothing is staged on {host}", why=runs, next_step=f"invoke deploy --stage-only --host {host}"
        )


def look_at_staged(session: BoardSession, host: str, *, downgrade: bool = False) -> Waiting:
    """Look whether what waits on a board is whole, and proved on the board as it is now; its lock is held from here on.

    Raises
    ------
    NothingStagedError
        There is none.
    PreflightError
        It is damaged, is not proved there any more, is older than what runs, or another deploy is at work.
    """
    board = load_board(load_host(host).board)
    root = board.file.root
    reply = session.run(_LOOK, [root, this_user()])
    check_reply(reply, root)
    said = [line.partition("=")[::2] for line in reply.out.splitlines()]
    one = dict(reversed(said))
    identity = one.get("staged", "")
    if not identity:
        raise NothingStagedError(host, one_line(one.get("current", "")), switched="switched" in one)
    bad = [one_line(value) for name, value in said if name == "damaged"]
    if bad:
        raise PreflightError(
            f"what is staged on {host} is damaged",
            where=f"{root}/releases/{one_line(identity[:32])}",
            why=console.first_few(bad),
            next_step=f"invoke deploy --stage-only --host {host}",
        )
    release, source = find_release(session, host, board.name, root, identity)
    facts = probe_host(session, root, watched_paths(release.manifest))
    proved = still_proved(session, release, facts, host)
    plan_release(release.id, release.manifest, proved.facts, proved.notes.keys(), downgrade=downgrade)
    return Waiting(release=release, source=source)


def activate_on(host: str, moment: Moment, wishes: Wishes) -> ReleaseResult:
    """Switch on what waits on a host, at a moment that it shares with others; check it, and go back where it is red.

    Raises
    ------
    PreflightError
        It is not to be switched on, or the moment did not come: what runs there runs on.
    RolledBackError
        The checks were red: the release from before runs again.
    """
    with ExitStack() as stack:
        with _counted(moment):
            own = own_checks(load_host(host).board)
            session = stack.enter_context(connect(host_target(host)))
            waiting = look_at_staged(session, host, downgrade=wishes.downgrade)
            refuse_broken_checks(host, waiting.release.id, waiting.release.manifest, own)
        with progress("ready, and waiting for the moment"):
            moment.wait()
        release, who = waiting.release, this_user()
        root = release.manifest.root
        reply = session.run(_SWITCH_ON, [root, release.id, who])
        check_reply(reply, root)
        moment.done()
        verdicts: list[Verdict] = []

        def check() -> None:
            verdicts.append(
                run_checks(session, host, release.id, release.manifest, [waiting.source], own=own, fast=wishes.fast)
            )
            require_green(verdicts[-1])

        try:
            settle_release(session, host, release, check, services=has_services(reply), who=who)
        finally:
            for verdict in verdicts:
                publish(verdict, None, release.manifest, index=False)
        return ReleaseResult(
            host=host,
            id=release.id,
            changed=True,
            because="",
            round_trips=session.traffic.round_trips,
            payload=session.traffic.sent,
        )


@contextmanager
def _counted(moment: Moment) -> Iterator[None]:
    """Count a host that fails in the block as one that is not switched."""
    try:
        yield
    except NothingStagedError as error:
        (moment.leave if error.switched else moment.refuse)()
        raise
    except BaseException:
        moment.refuse()
        raise


def looked_at(host: str, wishes: Wishes) -> str:
    """Look at what waits on a host, and leave it; returns its id. Raises as `look_at_staged` does."""
    with connect(host_target(host)) as session:
        return look_at_staged(session, host, downgrade=wishes.downgrade).release.id

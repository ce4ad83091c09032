"""P-01, P-05: whatever is cut when, `current` is a complete release, and the next run goes through."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence

import pytest

from deploy.boards.inventory import SimState, host_target
from deploy.boards.probe import probe_host
from deploy.boards.session import TEXT_BYTES, BoardSession, Reply, Traffic, connect
from deploy.bundle.assemble import pack_bundle
from deploy.bundle.load import Bundle
from deploy.release.carried import older_contents, paper_sizes
from deploy.release.plan import plan_release
from deploy.release.recheck import watched_paths
from deploy.release.run import ReleaseResult, deploy_release, install_release
from deploy.release.scripts import ACTIVATE, CONFIRM
from deploy.transfer.receive import RECEIVE
from recipes.errors import PreflightError

pytestmark = [pytest.mark.engine, pytest.mark.sim]
ROOT = "/flash/boardcast"


class CutError(Exception):
    """The cable was pulled."""


class CutSession:
    """A real session whose cable is pulled before, within or after one of its commands."""

    def __init__(self, session: BoardSession, at: int, moment: str) -> None:
        self.session, self.at, self.moment = session, at, moment
        self.traffic = Traffic()
        self.deadline = math.inf
        self.count = 0

    def fetch(self, script: str, arguments: Sequence[str] = (), stdin: Iterable[bytes] = (), *, most: int) -> bytes:
        return self.session.fetch(script, arguments, stdin, most=most)

    def run(
        self, script: str, arguments: Sequence[str] = (), stdin: Iterable[bytes] = (), *, most: int = TEXT_BYTES
    ) -> Reply:
        self.count += 1
        if self.count != self.at:
            return self.session.run(script, arguments, stdin, most=most)
        if self.moment == "before":
            raise CutError
        if self.moment == "after":
            self.session.run(script, arguments, stdin)
            raise CutError
        if self.moment == "half the input":
            data = b"".join(stdin)
            self.session.run(script, arguments, [data[: len(data) // 2]])
            raise CutError
        # The shell dies within: the script kills itself before its Nth command that changes something.
        line = int(self.moment.rpartition(" ")[2])
        self.session.run(killed(script, line), arguments, stdin)
        raise CutError


CHANGES = (
    "mkdir",
    "mv ",
    "ln ",
    "rm ",
    "cat >",
    "flush ",
    "unpack",
    "point ",
    ": >",
    "chmod",
    'echo "$',
    "set -- $(",
    "unlike",
    "linked=",
)


def places(script: str) -> list[int]:
    """Return the lines of a script that change something on the board."""
    return [
        number
        for number, line in enumerate(script.splitlines())
        if line.strip().startswith((*CHANGES, 'if [ "$form" = tar ]', "case $what in", "if ! whole", "join", "ln -s"))
        and not line.strip().endswith("() {")
    ]


def killed(script: str, line: int) -> str:
    """Return a script that dies by SIGKILL right before one of its lines: nothing traps that."""
    lines = script.splitlines()
    lines.insert(line, "kill -9 $$")
    return "\n".join(lines)


def variant(bundle: Bundle, tag: str) -> Bundle:
    contents = bundle.blobs()
    blobs = {file.path: (contents[file.blob], 0o755) for file in bundle.manifest.files}
    return pack_bundle(bundle.manifest, blobs | {"run/note": (tag.encode() * 2000, 0o644)})


@pytest.fixture
def board(tiny: SimState) -> Iterator[BoardSession]:
    with connect(host_target(tiny.name)) as session:
        session.run(f"rm -rf {ROOT} {ROOT}.old")
        yield session
        session.run(f"rm -rf {ROOT} {ROOT}.old")


def current(session: BoardSession) -> tuple[str, dict[str, str]]:
    """Return the id that `current` names and the hash of each of its files, as the board has them."""
    text = session.run(
        f"cd {ROOT}/current 2>/dev/null && readlink {ROOT}/current && "
        'find . -type f ! -name ".*" ! -path "./.bundle/*" -exec sha256sum {} +'
    ).out.splitlines()
    if not text:
        return "", {}
    return text[0].rpartition("/")[2], {line.split()[1][2:]: line.split()[0] for line in text[1:]}


def whole(session: BoardSession, *known: Bundle) -> str:
    """Check that `current` is exactly one of the known releases, or nothing; return its id."""
    identity, files = current(session)
    if not identity:
        return ""
    match = next((one for one in known if one.id == identity), None)
    assert match is not None, f"current is {identity}, none of ours"
    assert files == {file.path: file.sha256 for file in match.manifest.files}, "a mixed or damaged release is on"
    return identity


def deploy(session: BoardSession, bundle: Bundle) -> ReleaseResult:
    facts = probe_host(session, ROOT, watched_paths(bundle.manifest))
    planned = plan_release(bundle.id, bundle.manifest, facts, papers=paper_sizes(bundle))
    changed = [blob for step in planned.steps for blob in step.blobs]
    bases = older_contents(bundle, facts.current, changed, facts.blobs)
    return deploy_release(session, "tiny", bundle, lambda: None, planned=planned, tools=facts.tools, bases=bases)


def moments() -> list[tuple[int, str]]:
    """List every cut: around each command, and within each at every line that changes something."""
    found = [(at, moment) for at in (1, 2, 3, 4) for moment in ("before", "after")]
    found += [(2, "half the input"), (3, "half the input")]
    for at, script in ((2, RECEIVE), (3, ACTIVATE), (4, CONFIRM)):
        found += [(at, f"line {line}") for line in places(script)]
    return found


def test_every_cut_leaves_a_whole_release_and_the_next_run_heals(board: BoardSession, tiny_bundle: Bundle) -> None:
    old = variant(tiny_bundle, "old")
    new = variant(tiny_bundle, "new")
    cuts = moments()
    assert len(cuts) >= 30
    deploy(board, old)
    assert whole(board, old, new) == old.id
    board.run(f"cp -a {ROOT} {ROOT}.old")
    for at, moment in cuts:
        assert board.run(f"rm -rf {ROOT} && cp -a {ROOT}.old {ROOT}").code == 0
        with pytest.raises((CutError, PreflightError)):
            deploy(CutSession(board, at, moment), new)
        after = whole(board, old, new)
        assert after in (old.id, new.id), f"cut at command {at}, {moment}: nothing is on"
        done = deploy(board, new)
        assert whole(board, old, new) == new.id, f"cut at command {at}, {moment}: the next run did not heal it"
        # Within the last command the release may be confirmed already; before it, never.
        assert done.changed or at == 4, f"cut at {at}, {moment}: unfinished was taken for done"
    print(f"{len(cuts)} cuts, 0 mixed releases, {len(cuts)} of {len(cuts)} healed by the next run")


def test_cuts_of_a_first_install_leave_nothing_or_the_whole(board: BoardSession, tiny_bundle: Bundle) -> None:
    for at, moment in itertools.islice(moments(), 0, None, 3):
        board.run(f"rm -rf {ROOT}")
        with pytest.raises((CutError, PreflightError)):
            deploy(CutSession(board, at, moment), tiny_bundle)
        assert whole(board, tiny_bundle) in ("", tiny_bundle.id)
        deploy(board, tiny_bundle)
        assert whole(board, tiny_bundle) == tiny_bundle.id


def test_what_arrived_is_not_sent_again(board: BoardSession, tiny_bundle: Bundle) -> None:
    with pytest.raises(CutError):
        deploy(CutSession(board, 3, "before"), tiny_bundle)
    again = deploy(board, tiny_bundle)
    assert again.payload < 2000, "the list alone travels the second time"


def test_damage_on_the_way_is_thrown_away(board: BoardSession, tiny_bundle: Bundle) -> None:
    """A blob whose bytes are not its name never enters the store."""
    blob = hashlib.sha256(b"good").hexdigest()
    assert board.run(RECEIVE, [ROOT, blob, "none"], [b"evil"]).code == 0
    assert board.run(f"ls {ROOT}/incoming").out.strip() == blob
    reply = board.run(RECEIVE, [ROOT, "nothing"])
    assert (reply.code, reply.out.strip()) == (73, f"damaged={blob}")
    assert board.run(f"ls -A {ROOT}/store {ROOT}/incoming | grep -c {blob}").out.strip() == "0"


def test_a_lock_of_a_living_deploy_is_respected_and_of_a_dead_one_taken(
    board: BoardSession, tiny_bundle: Bundle
) -> None:
    deploy(board, tiny_bundle)
    other = variant(tiny_bundle, "other")
    note = f'echo "$! $(cat /proc/sys/kernel/random/boot_id)" > {ROOT}/.lock/pid'
    board.run(f"mkdir {ROOT}/.lock; sleep 60 >/dev/null 2>&1 & {note}")
    with pytest.raises(PreflightError, match="another deploy is at work"):
        deploy(board, other)
    assert whole(board, tiny_bundle, other) == tiny_bundle.id
    board.run(f"read -r pid boot < {ROOT}/.lock/pid; kill $pid")
    deploy(board, other)
    assert whole(board, tiny_bundle, other) == other.id


def test_a_lock_from_before_a_reboot_is_taken_over(board: BoardSession, tiny_bundle: Bundle) -> None:
    """Process 1 lives, but the lock is of another boot."""
    board.run(f"mkdir -p {ROOT}/.lock; echo '1 00000000-0000-0000-0000-000000000000' > {ROOT}/.lock/pid")
    deploy(board, tiny_bundle)
    assert whole(board, tiny_bundle) == tiny_bundle.id


def test_a_release_that_does_not_run_is_not_confirmed(board: BoardSession, tiny_bundle: Bundle) -> None:
    """Another deploy switched while the checks of this one ran: its release must not be pruned under it."""
    first, second = variant(tiny_bundle, "first"), variant(tiny_bundle, "second")
    deploy(board, first)
    facts = probe_host(board, ROOT, watched_paths(second.manifest))
    planned = plan_release(second.id, second.manifest, facts, papers=paper_sizes(second))
    install_release(board, second, planned, facts.tools)
    assert board.run(CONFIRM, [ROOT, first.id, "3"]).code == 78
    assert whole(board, first, second) == second.id


def test_going_back_by_deploying_the_old_one_never_loses_it(board: BoardSession, tiny_bundle: Bundle) -> None:
    good, new = variant(tiny_bundle, "good"), variant(tiny_bundle, "new")
    deploy(board, good)
    with pytest.raises(CutError):
        deploy(CutSession(board, 4, "before"), new)
    facts = probe_host(board, ROOT, watched_paths(good.manifest))
    planned = plan_release(good.id, good.manifest, facts, papers=paper_sizes(good))

    def unreachable() -> None:
        raise PreflightError("the checks could not run")

    with pytest.raises(PreflightError):
        deploy_release(board, "tiny", good, unreachable, planned=planned, tools=facts.tools)
    assert whole(board, good, new) == good.id


def test_a_dangling_current_is_healed(board: BoardSession, tiny_bundle: Bundle) -> None:
    """Power was lost between the two renames of a replacement."""
    deploy(board, tiny_bundle)
    board.run(
        f"rm {ROOT}/current/.confirmed; mv {ROOT}/releases/{tiny_bundle.id} {ROOT}/releases/.{tiny_bundle.id}.old"
    )
    deploy(board, tiny_bundle)
    assert whole(board, tiny_bundle) == tiny_bundle.id

"""Each way to a real SSH server: OpenSSH on the emulated board, dropbear on the one of BusyBox."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import pytest

from deploy.boards.inventory import SimState, host_target
from deploy.boards.probe import probe_host
from deploy.boards.session import TEXT_BYTES, Reply, SshSession, connect
from deploy.bundle.load import Bundle
from deploy.release.deployment import Wishes, deploy_to, plan_deploy
from deploy.ssh.dial import Target
from deploy.transfer.cargo import parts_of
from deploy.transfer.means import Means, Way, choose_means
from deploy.transfer.packing import Packing
from deploy.transfer.send import send_parts
from recipes.errors import PreflightError
from tests.support import peers
from tests.support.simrelease import shell, variant
from tests.transfer.test_receive import CONTENTS

pytestmark = [pytest.mark.engine, pytest.mark.sim]
ROOT = "/var/boardcast-ways"


@pytest.fixture(params=["tiny", "arm"])
def board(request: pytest.FixtureRequest) -> Iterator[SshSession]:
    state: SimState = request.getfixturevalue(request.param)
    with connect(host_target(state.name)) as session:
        session.run(f"rm -rf {ROOT}")
        yield session
        session.run(f"rm -rf {ROOT}")


def arrived(session: SshSession) -> dict[str, str]:
    said = session.run(f"cd {ROOT}/store && sha256sum *").out
    return {name: digest for digest, name in (line.split() for line in said.splitlines())}


def choices(session: SshSession) -> list[Means]:
    """Return every way that a board can take, by what the probe finds there."""
    facts = probe_host(session, ROOT, [])
    there = (*facts.tools, Way.CAT.value)
    return [choose_means(there, forced=way.value) for way in (Way.TAR, Way.SFTP, Way.CAT) if way.value in there]


def test_each_way_brings_the_same(board: SshSession) -> None:
    chosen = choices(board)
    ways = [means.way.value for means in chosen]
    assert ways == (["tar", "cat"] if board.target.name == "sim-tiny" else ["tar", "sftp", "cat"])
    packings = [Packing.GZIP, *([Packing.XZ] if board.target.name == "sim-tiny" else []), Packing.NONE]
    for means in chosen:
        for packing in packings:
            sent = replace(means, packing=packing)
            assert send_parts(board, ROOT, parts_of(tuple(CONTENTS), CONTENTS, {}), sent, "me").code == 0
            assert {name.removesuffix(".x"): name for name in arrived(board)} == {
                digest: name for name, digest in arrived(board).items()
            }
            assert set(arrived(board)) == set(CONTENTS)
            board.run(f"rm -rf {ROOT}")


def test_sftp_brings_each_content_where_there_is_no_tar(board: SshSession) -> None:
    if board.target.name == "sim-tiny":
        with pytest.raises(PreflightError, match="cannot take what is sent by sftp"):
            choose_means(probe_host(board, ROOT, []).tools, forced="sftp")
        return
    means = Means(way=Way.SFTP, packing=Packing.NONE, slow=True, tar=False)
    assert send_parts(board, ROOT, parts_of(tuple(CONTENTS), CONTENTS, {}), means, "me").code == 0
    assert set(arrived(board)) == set(CONTENTS)


class CutError(Exception):
    """The line went."""


def test_a_packed_file_is_gone_on_with_at_its_byte(arm: SimState, monkeypatch: pytest.MonkeyPatch) -> None:
    blob, data = "0" * 64, secrets.token_bytes(600_000)
    contents = {blob: data}
    means = Means(way=Way.SFTP, packing=Packing.NONE, slow=True)
    with connect(host_target(arm.name)) as session:
        session.run(f"rm -rf {ROOT}")

        def broken(pieces: Iterable[bytes], rate: int) -> Iterator[bytes]:
            for number, piece in enumerate(pieces):
                if number == 10:
                    raise CutError
                yield piece

        with monkeypatch.context() as patched, pytest.raises(CutError):
            patched.setattr("deploy.transfer.send.paced", broken)
            send_parts(session, ROOT, parts_of([blob], contents, {}), means, "me")
        before = session.traffic.sent
        # Its name is no hash of it: the board finds that once it is there, and not a byte came twice.
        assert send_parts(session, ROOT, parts_of([blob], contents, {}), means, "me").code == 73
        sent = session.traffic.sent - before
        session.run(f"rm -rf {ROOT}")
    assert 600_000 - 11 * 32_768 <= sent <= 620_000 - 9 * 32_768


def test_a_limit_is_kept(tiny: SimState) -> None:
    with connect(host_target(tiny.name)) as session:
        session.run(f"rm -rf {ROOT}")
        blob = max(CONTENTS, key=lambda name: len(CONTENTS[name]))
        means = Means(way=Way.TAR, packing=Packing.NONE, slow=True, rate=200 << 10)
        begun = time.monotonic()
        assert send_parts(session, ROOT, parts_of([blob], CONTENTS, {}), means, "me").code == 0
        took = time.monotonic() - begun
        session.run(f"rm -rf {ROOT}")
    assert took >= 400_000 / (200 << 10) * 0.9


def settle(target: Target) -> None:
    """Wait until what is on the line has arrived: what is lost there nobody could keep."""
    with connect(target) as session:
        seen = [""]
        while len(seen) < 120 and (len(seen) < 4 or len(set(seen[-3:])) > 1):
            seen.append(session.run(f"ls -ln {ROOT}/incoming").out)
            time.sleep(1)


class CutSession:
    """A session whose line is cut after so many bytes of one command's input."""

    def __init__(self, session: SshSession, most: int) -> None:
        self.session, self.most, self.traffic = session, most, session.traffic
        self.deadline = session.deadline

    def run(
        self, script: str, arguments: Sequence[str] = (), stdin: Iterable[bytes] = (), *, most: int = TEXT_BYTES
    ) -> Reply:
        return self.session.run(script, arguments, self._some(stdin), most=most)

    def _some(self, stdin: Iterable[bytes]) -> Iterator[bytes]:
        left = self.most
        for piece in stdin:
            if left < len(piece):
                yield piece[:left]
                settle(self.session.target)
                self.session.cut()
            left -= len(piece)
            yield piece

    def fetch(self, script: str, arguments: Sequence[str] = (), stdin: Iterable[bytes] = (), *, most: int) -> bytes:
        return self.session.fetch(script, arguments, stdin, most=most)


@pytest.mark.parametrize("name", ["tiny", "arm"])
def test_a_line_that_is_cut_costs_no_tenth(request: pytest.FixtureRequest, name: str) -> None:
    """P-02 over SSH: what the board had is not sent again."""
    from deploy.transfer.cargo import find_missing

    state: SimState = request.getfixturevalue(name)
    means = Means(way=Way.TAR, packing=Packing.GZIP)
    sizes = {blob: len(data) for blob, data in CONTENTS.items()}
    with connect(host_target(state.name)) as session:
        session.run(f"rm -rf {ROOT}")
        before = session.traffic.sent
        send_parts(session, f"{ROOT}/whole", parts_of(tuple(CONTENTS), CONTENTS, {}), means, "me")
        once = session.traffic.sent - before
        session.run(f"rm -rf {ROOT}")
    cut = once * 6 // 10
    with connect(host_target(state.name)) as session, pytest.raises(PreflightError, match="was lost"):
        send_parts(CutSession(session, cut), ROOT, parts_of(tuple(CONTENTS), CONTENTS, {}), means, "me")
    time.sleep(1)  # the script on the board comes to its end
    with connect(host_target(state.name)) as session:
        facts = probe_host(session, ROOT, [])
        missing = find_missing(sizes, facts.blobs, facts.incoming)
        before = session.traffic.sent
        parts = parts_of(missing.blobs, CONTENTS, missing.offsets)
        assert send_parts(session, ROOT, parts, means, "me").code == 0
        again = session.traffic.sent - before
        assert set(arrived(session)) == set(CONTENTS)
        session.run(f"rm -rf {ROOT}")
    twice = (cut + again - once) / once
    print(f"{state.name}: {twice:.1%} of the payload sent twice")
    assert twice <= 0.1


@pytest.fixture
def with_rsync(tiny: SimState) -> Iterator[None]:
    """Have rsync on the board of BusyBox, this machine's with its libraries; and take it away again."""
    target = host_target(tiny.name)
    if not peers.bring_rsync(target):
        pytest.skip("no rsync here, or none that runs there")
    with connect(target) as session:
        assert session.run(f"cp {peers.TOOL}/rsync /usr/bin/rsync").code == 0
        yield
        session.run(f"rm -rf /usr/bin/rsync {peers.TOOL}")


@pytest.mark.usefixtures("with_rsync")
def test_rsync_brings_the_same(tiny: SimState) -> None:
    with connect(host_target(tiny.name)) as session:
        session.run(f"rm -rf {ROOT}")
        tools = probe_host(session, ROOT, []).tools
        assert "rsync" in tools
        means = choose_means(tools, forced="rsync")
        assert send_parts(session, ROOT, parts_of(tuple(CONTENTS), CONTENTS, {}), means, "me").code == 0
        assert set(arrived(session)) == set(CONTENTS)
        assert all(name.removesuffix(".x") == digest for name, digest in arrived(session).items())
        session.run(f"rm -rf {ROOT}")


@pytest.mark.usefixtures("with_rsync")
def test_rsync_is_chosen_where_the_old_bundle_is_not_here(tiny: SimState, tiny_bundle: Bundle) -> None:
    data = secrets.token_bytes(600_000)
    old = variant(tiny_bundle, "before rsync", share__frame=data)
    new = variant(tiny_bundle, "by rsync", share__frame=data[:300_000] + b"+" + data[300_000:])
    deploy_to(tiny.name, old, Wishes(via="cat"))
    assert plan_deploy(tiny.name, new).by.startswith("tar")
    old.path.rename(old.path.with_suffix(".away"))
    try:
        assert plan_deploy(tiny.name, new).by == "rsync"
        done = deploy_to(tiny.name, new)
    finally:
        old.path.with_suffix(".away").rename(old.path)
    assert done.verdict is not None
    assert done.verdict.green
    assert done.release.payload < 60_000
    assert new.id in shell(tiny.name, f"readlink {new.manifest.root}/current")
    assert set(shell(tiny.name, f"ls -A {new.manifest.root}/incoming").split()) <= {".hashes"}


@pytest.mark.parametrize(
    ("name", "via"),
    [("arm", "sftp"), pytest.param("arm", "cat", marks=pytest.mark.slow), ("tiny", "cat"), ("tiny", "tar")],
)
def test_a_deploy_takes_the_way_that_is_asked_for(request: pytest.FixtureRequest, name: str, via: str) -> None:
    state: SimState = request.getfixturevalue(name)
    made: Bundle = variant(request.getfixturevalue(f"{name}_bundle"), f"by {via}")
    wishes = Wishes(via=via)
    assert plan_deploy(state.name, made, wishes).by.startswith(via)
    done = deploy_to(state.name, made, wishes)
    assert done.verdict is not None
    assert done.verdict.green
    assert made.id in shell(state.name, f"readlink {made.manifest.root}/current")
    again = deploy_to(state.name, made, wishes)
    assert (again.release.payload, again.release.round_trips) == (0, 1)

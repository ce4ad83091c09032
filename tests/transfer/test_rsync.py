"""The way by rsync, over a real SSH server of this machine: what a board has of a file is not sent again."""

from __future__ import annotations

import hashlib
import random
import secrets
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from deploy.boards.probe import probe_host
from deploy.boards.session import SshSession, connect
from deploy.ssh.bridge import Bridge
from deploy.transfer.cargo import Part, find_missing, parts_of
from deploy.transfer.means import Means, Way
from deploy.transfer.packing import Packing
from deploy.transfer.rsync import rsync_parts
from deploy.transfer.send import send_parts
from recipes.errors import PreflightError
from tests.support.sshserver import Line, ssh_line
from tests.transfer.test_receive import CONTENTS, store

pytestmark = [
    pytest.mark.loopback,
    pytest.mark.skipif(not shutil.which("rsync"), reason="no rsync here"),
]
MEANS = Means(way=Way.RSYNC, packing=Packing.GZIP)
Change = Callable[[str], None]


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with ssh_line(tmp_path) as served:
        yield served


@pytest.fixture
def session(line: Line) -> Iterator[SshSession]:
    with connect(line.target) as opened:
        yield opened


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "board"


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Change:
    """Return a function that puts something before the command that rsync asks the board for."""
    asked = Bridge._command

    def change(before: str) -> None:
        monkeypatch.setattr(Bridge, "_command", lambda bridge: f"{before} {asked(bridge)}")

    return change


def named(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def unpaced(pieces: Iterable[bytes]) -> Iterator[bytes]:
    yield from pieces


def left(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "incoming").iterdir() if path.name != ".hashes")


def test_all_arrives_with_its_modes(session: SshSession, root: Path) -> None:
    assert send_parts(session, str(root), parts_of(tuple(CONTENTS), CONTENTS, {}), MEANS, "me").code == 0
    assert store(root) == CONTENTS
    assert left(root) == []
    assert (root / "incoming").stat().st_mode & 0o777 == 0o755


def test_of_a_changed_file_what_differs_is_sent(session: SshSession, root: Path) -> None:
    old = random.Random(1).randbytes(400_000)
    new = old[:100_000] + b"a patch" + old[100_000:]
    (root / "releases" / "one" / "lib").mkdir(parents=True)
    (root / "current").symlink_to("releases/one")
    file = root / "releases" / "one" / "lib" / "a b.so"
    file.write_bytes(old)
    before, kept = session.traffic.sent, file.stat()
    parts = [Part(blob=named(new), content=new, path="lib/a b.so"), Part(blob=named(b"x"), content=b"x", path="gone")]
    assert send_parts(session, str(root), parts, MEANS, "me").code == 0
    assert store(root) == {named(new): new, named(b"x"): b"x"}
    assert session.traffic.sent - before < 20_000
    # What runs there is as it was, and nothing of the way is left.
    assert (file.read_bytes(), file.stat().st_mtime_ns, file.stat().st_ino) == (old, kept.st_mtime_ns, kept.st_ino)
    assert left(root) == []
    assert session.run('[ ! -e "$1/.basis" ]', [str(root)]).code == 0


def test_what_a_cut_left_is_gone_on_with(line: Line, root: Path) -> None:
    data = secrets.token_bytes(3_000_000)
    parts = [Part(blob=named(data), content=data)]

    def cut(pieces: Iterable[bytes]) -> Iterator[bytes]:
        sent = 0
        for piece in pieces:
            sent += len(piece)
            if sent > 2_000_000:
                threading.Event().wait(1)  # what is on the line arrives
                line.cut()
            yield piece

    with connect(line.target) as session, pytest.raises(PreflightError):
        rsync_parts(session, str(root), parts, "me", cut)
    with connect(line.target) as session:
        for _ in range(100):
            facts = probe_host(session, str(root), [])
            if facts.incoming:
                break
            threading.Event().wait(0.1)
        missing = find_missing({named(data): len(data)}, facts.blobs, facts.incoming)
        assert missing.offsets[named(data)] > 1_000_000
        before = session.traffic.sent
        assert rsync_parts(session, str(root), parts, "me", unpaced).code == 0
        again = session.traffic.sent - before
    assert store(root) == {named(data): data}
    print(f"{(2_000_000 + again) / len(data) - 1:.1%} of the payload sent twice")
    assert 2_000_000 + again <= len(data) * 1.1


def test_what_comes_damaged_is_found(session: SshSession, root: Path, there: Change) -> None:
    blob = max(CONTENTS, key=lambda name: len(CONTENTS[name]))
    there(f"trap 'printf x >> {root}/incoming/{blob}' EXIT;")
    reply = send_parts(session, str(root), parts_of(tuple(CONTENTS), CONTENTS, {}), MEANS, "me")
    assert (reply.code, reply.out.split()) == (73, [f"damaged={blob}"])
    assert set(store(root)) == set(CONTENTS) - {blob}


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("echo no rsync here >&2; exit 127;", "no rsync here"),
        ("echo not what rsync says; :", "rsync"),
        ("exit 0;", "rsync"),
        ("head -c 20000000 /dev/zero; :", "rsync"),
    ],
)
def test_a_board_whose_rsync_is_none_is_told_of(
    session: SshSession, root: Path, there: Change, before: str, said: str
) -> None:
    there(before)
    try:
        reply = send_parts(session, str(root), parts_of(tuple(CONTENTS), CONTENTS, {}), MEANS, "me")
    except PreflightError as error:
        assert "answers with more than" in error.what
        return
    assert reply.code == 71
    assert said in reply.err
    assert store(root) == {}
    # The connection is as good as before.
    assert send_parts(session, str(root), parts_of((), CONTENTS, {}), MEANS, "me").code == 0

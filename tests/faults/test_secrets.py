"""P-17: a secret is in no command line, no log, no paper and no file of ours, in whatever form.

The board streams with keys that the local service lent it; the workstation has keys of its own in its environment. The
argv of what the commands start is told by CPython, that of everything else by /proc, while it runs.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.boards.inventory import SimState
from recipes import paths
from recipes.engine.docker import Engine
from recipes.stage.manifest import Stage
from tests.support.canaries import Canaries, CommandLines
from tests.support.fieldboard import KEYS, FieldBoard, field_board

pytestmark = [pytest.mark.engine, pytest.mark.sim, pytest.mark.process, pytest.mark.slow]
COMMANDS = (
    ["deploy", "--host", "{host}", "--bundle", "{bundle}"],
    ["verify", "--host", "{host}", "--cloud"],
    ["status", "--host", "{host}", "--json"],
    ["logs", "--host", "{host}"],
    ["doctor", "--host", "{host}"],
    ["probe", "--host", "{host}"],
    ["kvs.status"],
    ["board.show", "--board", "{host}", "--origin"],
    ["render", "--board", "{host}"],
    ["deploy", "--host", "nowhere"],
)


@pytest.fixture
def board(
    arm: SimState, engine: Engine, built: Callable[..., Stage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FieldBoard]:
    monkeypatch.setenv("BOARDCAST_BOARDS", str(tmp_path / "boards"))
    with field_board(arm, engine, tmp_path, built) as made:
        yield made


def keys_of(board: FieldBoard) -> dict[str, str]:
    """Return the secrets in the board's file of keys."""
    rows = dict(line.split("=", 1) for line in board.sh(f"cat {KEYS}").splitlines() if "=" in line)
    return {name: value.strip("\"'") for name, value in rows.items() if name != "AWS_ACCESS_KEY_ID"}


def leaky_lines(found: dict[str, str]) -> list[str]:
    """Return lines as programs with verbose logs write them."""
    secret = found["AWS_SECRET_ACCESS_KEY"]
    dump = "".join(f"{byte:02x}" for byte in secret.encode())
    return [
        f"2026-01-01 [1] DEBUG AWS_SECRET_ACCESS_KEY={secret}",
        f"x-amz-security-token: {found['AWS_SESSION_TOKEN']}",
        f"secretKey = {dump}",
    ]


def test_secrets_are_nowhere_but_where_they_belong(
    board: FieldBoard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = {
        "AWS_ACCESS_KEY_ID": "AKIA" + secrets.token_hex(8).upper(),
        "AWS_SECRET_ACCESS_KEY": secrets.token_urlsafe(30),
        "AWS_SESSION_TOKEN": secrets.token_urlsafe(120),
    }
    begun = time.time()
    board.lend(3600)
    theirs = keys_of(board)
    assert {"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} <= theirs.keys()
    found = {f"workstation's {name}": value for name, value in own.items() if name != "AWS_ACCESS_KEY_ID"}
    found |= {f"board's {name}": value for name, value in theirs.items()}
    bundle = board.bundle().id
    signing = Path(os.environ["XDG_CONFIG_HOME"]) / "boardcast" / "signing-key.pem"
    found["signing key"] = signing.read_text().splitlines()[1]
    canaries = Canaries(found)
    log, said = tmp_path / "argv.log", b""
    env = {**os.environ, **own, "PYTHONPATH": str(paths.CHECKOUT)}
    with CommandLines() as lines:
        for words in COMMANDS:
            argv = [word.format(host=board.host, bundle=bundle) for word in words]
            done = subprocess.run(
                [sys.executable, "-m", "tests.support.audited", str(log), *argv],
                capture_output=True, env=env, check=False, cwd=paths.CHECKOUT,
            )  # fmt: skip
            said += b"\n$ " + " ".join(argv).encode() + b"\n" + done.stdout + done.stderr
            if "--bundle" in words:
                assert done.returncode == 0, said.decode()
                board.wait_for_fragments(2)
                board.sh("cat >> /var/log/boardcast/test.log", stdin=["\n".join(leaky_lines(theirs)).encode() + b"\n"])
    assert b"Traceback" not in said
    assert b"***" in said, "the lines of the log were read, and hidden"
    audited = log.read_bytes()
    assert audited.count(b"\n") > 1, "the hook has heard of programs"
    assert canaries.within(audited) == []
    assert canaries.within(b"\0\n".join(lines.seen)) == []
    assert canaries.within(said) == []
    left = canaries.below([paths.work(), paths.cache(), tmp_path], begun, apart=[board.running.folder, log, signing])
    assert left == {}
    on_board = board.sh(
        'for word do grep -rlF -e "$word" /opt/boardcast /var/log /var/run /tmp /etc || :; done', *theirs.values()
    )
    assert set(on_board.split()) == {KEYS, "/var/log/boardcast/test.log"}
    assert board.sh("grep -c . /proc/$(sh /opt/boardcast/applied/test/status | sed -n s/^pid=//p)/limits")
    limits = board.sh('cat "/proc/$(sh /opt/boardcast/applied/test/status | sed -n s/^pid=//p)/limits"')
    (core,) = (line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"], core
    with capsys.disabled():
        print(
            f"\n  P-17: {len(canaries.forms)} forms of {len(found)} secrets; {len(lines.seen)} command lines of "
            f"{lines.looks} looks, {audited.count(chr(10).encode())} told by CPython: 0 with a secret "
        )

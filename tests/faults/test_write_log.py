"""P-25: a board whose power goes at any moment of a deploy starts the old release or the new one, whole.

The real scripts run on a folder of this machine, and are ended in front of each of their commands in turn. What was
written since the last `sync` is then taken away from the files, and the names stay: so a journaling file system that
writes data later than names looks after a cut (ext4 with delayed allocation, f2fs, UBIFS before its sync).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.boards.probe import probe_host
from deploy.boards.session import TEXT_BYTES, Reply
from deploy.bundle.assemble import pack_bundle
from deploy.bundle.load import Bundle
from deploy.release.carried import older_contents, paper_sizes
from deploy.release.plan import plan_release
from deploy.release.run import deploy_release
from recipes.errors import PreflightError
from tests.support import bundles
from tests.support.localboard import ARCH, LocalSession

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("home")]
COMMANDS = ("cat", "chmod", "cp", "dd", "gzip", "ln", "mkdir", "mv", "rm", "sed", "sha256sum", "tar")
# One counts at a time: the commands of a pipe begin at once.
COUNT = """#!/bin/sh
exec 9<>"$COUNTER.lock"
flock 9
read -r count <"$COUNTER"
echo $((count + 1)) >"$COUNTER"
[ "$count" != "$CUT" ] || kill -s KILL 0
exec 9>&-
"""
WRAPPER = (
    COUNT
    + """
exec {real} "$@"
"""
)
# What is on flash for sure: each file with its content, by its inode. Its own commands are none of the board's.
SYNC = (
    COUNT
    + """
PATH=$OWN
find "$BOARD" -type f -printf '%i %p\n' >"$SAFE.names"
find "$BOARD" -type f -exec sha256sum {} + >"$SAFE.new"
mv "$SAFE.new" "$SAFE"
"""
)


class PoweredSession(LocalSession):
    """A board that loses its power in front of one of its commands."""

    def __init__(self, board: Path, folder: Path, cut: int) -> None:
        super().__init__()
        self.board, self.safe, self.counter = board, folder / "safe", folder / "counter"
        self.lost = False
        tools = folder / "tools"
        if not tools.is_dir():
            tools.mkdir()
            for name in COMMANDS:
                (tools / name).write_text(WRAPPER.format(real=shutil.which(name)))
            (tools / "sync").write_text(SYNC)
            for tool in tools.iterdir():
                tool.chmod(0o755)
        self.counter.write_text("0\n")
        self.variables = {
            **os.environ,
            "PATH": f"{tools}:{os.environ['PATH']}",
            "COUNTER": str(self.counter),
            "CUT": str(cut),
            "OWN": os.environ["PATH"],
            "BOARD": str(board),
            "SAFE": str(self.safe),
        }

    def run(
        self, script: str, arguments: Sequence[str] = (), stdin: Iterable[bytes] = (), *, most: int = TEXT_BYTES
    ) -> Reply:
        if self.lost:
            raise PreflightError("the board has no power")
        argv = ["/bin/sh", "-c", script, "boardcast", *arguments]
        done = subprocess.run(
            argv, input=b"".join(stdin), env=self.variables, start_new_session=True, capture_output=True, check=False
        )
        if done.returncode < 0:
            self.lost = True
            raise PreflightError("the board lost its power")
        return Reply(code=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())

    def lose_what_was_not_synced(self) -> int:
        """Empty each file whose content was written since the last sync; returns how many."""
        sums = {line[66:]: line[:64] for line in self.safe.read_text().splitlines()}
        names = Path(f"{self.safe}.names").read_text().splitlines()
        safe = {int(inode): sums.get(path, "") for inode, _, path in (line.partition(" ") for line in names)}
        emptied = 0
        for path in self.board.rglob("*"):
            if path.is_symlink() or not path.is_file():
                continue
            if safe.get(path.stat().st_ino) != hashlib.sha256(path.read_bytes()).hexdigest() and path.stat().st_size:
                mode = path.stat().st_mode
                path.chmod(0o600)
                path.write_bytes(b"")
                path.chmod(mode)
                emptied += 1
        return emptied


def bundle_of(root: Path, tag: str) -> Bundle:
    contents = {
        "run/app": (f"#!/bin/sh\necho {tag}\n".encode(), 0o755),
        "lib/a.so": (b"the same in both", 0o644),
        "share/app.conf": (f"level = {tag}\n".encode() * 2000, 0o644),
    }
    nothing: dict[str, Any] = {"entries": (), "decisions": (), "proofs": (), "refused": (), "providers": {}}
    plain = bundles.manifest(arch=ARCH.name, machines=ARCH.machine, root=str(root), build_ids={}, **nothing)
    return pack_bundle(plain, contents)


def deploy(session: LocalSession, bundle: Bundle) -> None:
    facts = probe_host(session, bundle.manifest.root, [])
    facts = replace(facts, files={"/etc/ld.so.cache": "absent"}, tools=facts.tools - {"zstd", "xz"})
    planned = plan_release(bundle.id, bundle.manifest, facts, papers=paper_sizes(bundle))
    changed = [blob for step in planned.steps for blob in step.blobs]
    bases = older_contents(bundle, facts.current, changed, facts.blobs)
    deploy_release(session, "cam", bundle, lambda: None, planned=planned, tools=facts.tools, bases=bases)


def whole(root: Path, *known: Bundle) -> str:
    """Return the id of the release that starts; it is one of the known ones to its last byte."""
    identity = (root / "current").readlink().name
    bundle = next(one for one in known if one.id == identity)
    for file in bundle.manifest.files:
        data = (root / "current" / file.path).read_bytes()
        assert hashlib.sha256(data).hexdigest() == file.sha256, f"{file.path} of {identity} is not whole"
    return identity


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("what", ["another release", "a repair of the one that runs"])
def test_power_may_go_at_any_moment_of_a_deploy(tmp_path: Path, what: str, every: int) -> None:
    board = tmp_path / "board"
    root = board / "boardcast"
    board.mkdir()
    old, new = bundle_of(root, "old"), bundle_of(root, "new")
    deploy(LocalSession(), old)
    kept = tmp_path / "kept"
    shutil.copytree(board, kept, symlinks=True)
    ended: list[str] = []
    emptied = 0
    for cut in range(0, 800, every):
        shutil.rmtree(board)
        subprocess.run(["cp", "-a", str(kept), str(board)], check=True)
        session = PoweredSession(board, tmp_path, cut)
        session.safe.unlink(missing_ok=True)
        # What was there before is on flash.
        subprocess.run([str(tmp_path / "tools" / "sync")], env=session.variables | {"CUT": "-1"}, check=True)
        session.counter.write_text("0\n")
        if what != "another release":
            # The link that a person removed: the same release again.
            (root / "current" / ".confirmed").unlink()
            (root / "current" / "run" / "app").unlink()
            (root / "current" / "lib" / "a.so").write_bytes(b"damaged")
        target = new if what == "another release" else old
        try:
            deploy(session, target)
        except PreflightError:
            assert session.lost or what != "another release", "it was refused, though the power was there"
        emptied += session.lose_what_was_not_synced()
        if what == "another release":
            ended.append(whole(root, old, new))
        else:
            assert (root / "current").readlink().name == old.id
            assert (root / "current" / "share" / "app.conf").is_file()
        # The next run makes it good by itself, and the one after that has nothing to do.
        for _ in range(3):
            try:
                deploy(LocalSession(), target)
            except PreflightError as error:
                assert "damaged" in error.what, error
                continue
            break
        assert whole(root, old, new) == target.id
        if not session.lost:
            break
    else:
        pytest.fail("the deploy did not come to its end")
    cuts = cut // every
    print(f"{cuts} cuts, {emptied} files emptied, 0 mixed releases, {cuts} of {cuts} healed by the next run")
    assert cuts >= 5
    assert emptied >= cuts // 2
    if ended:
        assert (ended[0], ended[-1]) == (old.id, new.id)

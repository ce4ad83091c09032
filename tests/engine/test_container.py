"""Files into a container and out of it again."""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
import uuid
from contextlib import nullcontext
from pathlib import Path, PurePosixPath

import pytest

import docker
from recipes.engine.container import AbsentError, Job, Mount
from recipes.engine.docker import Engine
from recipes.engine.layout import WORK
from recipes.engine.mounts import first_unseen
from recipes.errors import BuildError
from recipes.tools.base import ensure_base_image

pytestmark = pytest.mark.engine
CONTENT = bytes(range(256)) * 5000  # more than one chunk of the engine's


def test_what_is_put_is_read_and_only_a_regular_file_is(engine: Engine) -> None:
    with engine.session(Job(image=ensure_base_image(engine), cwd=WORK)) as session:
        session.put(WORK, {"data": (CONTENT, 0o644), "empty": (b"", 0o644)})
        assert session.read(WORK / "data") == CONTENT
        assert session.read(WORK / "empty") == b""
        assert session.run(["ln", "-s", "data", "link"], log=io.BytesIO()) == 0
        for path in (WORK, WORK / "link"):
            with pytest.raises(BuildError, match="no regular file"):
                session.read(path)
        with pytest.raises(AbsentError):
            session.read(WORK / "none")
        with pytest.raises(BuildError, match="more than"):
            session.read(WORK / "data", most=1000)
        session.still()
        assert session.read(WORK / "data") == CONTENT


_ELSEWHERE = """
import io, sys
from pathlib import Path, PurePosixPath
from recipes.engine.container import Job, Mount
from recipes.engine.docker import Engine
source = Path(sys.argv[1])
mounts = (
    Mount(source=source, target=PurePosixPath("/bc/own")),
    Mount(source=source.parent, target=PurePosixPath("/bc/kept"), kept=True),
)
told = {PurePosixPath("/bc/kept"): ("KEPT", "NOT_KEPT")}
job = Job(image=sys.argv[2], cwd=PurePosixPath("/bc/work"), mounts=mounts, present=told)
engine = Engine.connect()
for _ in range(2):
    with engine.session(job) as session:
        said = io.BytesIO()
        session.run(["sh", "-c", "find /bc/own -type f -exec cat {} + ; echo $KEPT$NOT_KEPT"], log=said)
        print(*said.getvalue().decode().split(), engine.remote)
print(engine.sessions())
"""
_HIDDEN = {
    "nothing": "",
    "an empty folder": "mount -t tmpfs none DIR",
    "another of that name": "echo of the machine > DIR/data && mount -t tmpfs none DIR",
}


@pytest.mark.skipif(os.getuid() != 0, reason="only root hides a folder from the engine")
@pytest.mark.parametrize("hidden", _HIDDEN)
@pytest.mark.parametrize("file", [False, True])
def test_an_engine_that_does_not_see_our_files_gets_copies(
    engine: Engine, tmp_path: Path, hidden: str, *, file: bool
) -> None:
    """As in a container that was given docker.sock: here the folder is in a mount that the engine is not shown."""
    image, folder = ensure_base_image(engine), tmp_path / "shared"
    folder.mkdir(mode=0o755)
    for above in (tmp_path, tmp_path.parent):
        above.chmod(0o755)
    source = folder / "data" if file else folder
    there = shlex.quote(str(folder))
    steps = [_HIDDEN[hidden].replace("DIR", there), f"echo ours > {there}/data", f"chmod -R a+rX {there}", 'exec "$@"']
    words = [sys.executable, "-c", _ELSEWHERE, str(source), image]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", " && ".join(filter(None, steps)), "sh", *words],
        capture_output=True,
        text=True,
        check=True,
    )
    first, second, sessions = done.stdout.splitlines()
    assert first == second == ("ours /bc/kept False" if hidden == "nothing" else "ours 1 True")
    assert sessions == "[]"
    assert done.stderr.count("does not see") == (hidden != "nothing")


@pytest.mark.skipif(os.getuid() != 0, reason="only root's files are nobody's to read")
@pytest.mark.parametrize("file", [False, True])
def test_what_a_container_names_and_may_not_read_is_not_there_for_it(
    engine: Engine, tmp_path: Path, *, file: bool
) -> None:
    """As SELinux has it, whatever modes say; here modes that change behind the engine's back stand in for it."""
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o755)
    (folder / "data").write_text("ours")
    for above in (tmp_path, tmp_path.parent):
        above.chmod(0o755)
    source, target = folder / "data" if file else folder, PurePosixPath("/bc/own")
    job = Job(
        image=ensure_base_image(engine), cwd=PurePosixPath("/bc/work"), mounts=(Mount(source=source, target=target),)
    )
    with engine.session(job) as session:
        assert first_unseen(session._container, {source: target}, set()) is None
        source.chmod(0)
        assert first_unseen(session._container, {source: target}, set()) == source
        source.chmod(0o755)


def test_a_twin_of_a_network_goes_and_the_first_stays(engine: Engine) -> None:
    """An engine takes two networks of one name, from programs that come at once; no board could be put on either.

    Podman takes none twice.
    """
    name, networks = f"boardcast-test-{uuid.uuid4().hex[:8]}", engine._client.networks
    try:
        first = networks.create(name, driver="bridge")
        with pytest.raises(docker.errors.APIError, match="already used") if engine.is_podman() else nullcontext():
            networks.create(name, driver="bridge")
        gateway = engine.services.ensure_network(name)
        (left,) = networks.list(names=[name])
        assert left.id == first.id
        assert gateway == left.attrs["IPAM"]["Config"][0]["Gateway"]
    finally:
        engine.services.remove_network(name)
    assert networks.list(names=[name]) == []


def test_what_the_engine_refuses_is_said_in_its_words(engine: Engine) -> None:
    """Its own library derives a refusal from OSError, so that it once read as a full disk."""
    nowhere = Job(image="boardcast/none:0", cwd=WORK)
    with pytest.raises(BuildError, match="makes no container of this image") as told, engine.session(nowhere):
        pass
    assert "boardcast/none" in told.value.why
    assert not engine.sessions()

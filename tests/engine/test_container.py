"""Files into a container and out of it again."""

from __future__ import annotations

import io
import shlex
import subprocess
import sys
import uuid
from contextlib import nullcontext
from pathlib import Path

import pytest

import docker
from recipes.engine.container import AbsentError, Job
from recipes.engine.docker import Engine
from recipes.engine.layout import WORK
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
import sys
from pathlib import Path, PurePosixPath
from recipes.engine.container import Job, Mount
from recipes.engine.docker import Engine
from recipes.errors import BuildError
source = Path(sys.argv[1])
mount = Mount(source=source, target=PurePosixPath("/bc/own"))
job = Job(image=sys.argv[2], cwd=PurePosixPath("/bc/work"), mounts=(mount,))
engine = Engine.connect()
try:
    with engine.session(job):
        print("seen")
except BuildError as error:
    print(error.what, error.where)
print(engine.sessions())
"""


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("file", [False, True])
def test_an_engine_that_does_not_see_our_files_is_told_of(
    engine: Engine, tmp_path: Path, *, hidden: bool, file: bool
) -> None:
    """As in a container that was given docker.sock: here the folder is in a mount that the engine is not shown."""
    image, folder = ensure_base_image(engine), tmp_path / "shared"
    folder.mkdir(mode=0o755)
    for above in (tmp_path, tmp_path.parent):
        above.chmod(0o755)
    source = folder / "data" if file else folder
    mount = f"mount -t tmpfs none {shlex.quote(str(folder))} &&" if hidden else ""
    line = f'{mount} echo x > {shlex.quote(str(folder))}/data && chmod -R a+rX {shlex.quote(str(folder))} && exec "$@"'
    words = [sys.executable, "-c", _ELSEWHERE, str(source), image]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", line, "sh", *words], capture_output=True, text=True, check=True
    )
    said, sessions = done.stdout.splitlines()
    assert said == (f"the container engine does not see the files of this program {source}" if hidden else "seen")
    assert sessions == "[]"


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

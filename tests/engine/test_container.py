"""Files into a container and out of it again."""

from __future__ import annotations

import io
import uuid

import pytest

from recipes.engine.container import AbsentError, Job
from recipes.engine.docker import Engine
from recipes.engine.layout import WORK
from recipes.errors import BuildError
from recipes.toolchains.images import ensure_base_image

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


def test_a_twin_of_a_network_goes_and_the_first_stays(engine: Engine) -> None:
    """An engine takes two networks of one name, from programs that come at once; no board could be put on either."""
    name, networks = f"boardcast-test-{uuid.uuid4().hex[:8]}", engine._client.networks
    try:
        first = networks.create(name, driver="bridge")
        networks.create(name, driver="bridge")
        gateway = engine.services.ensure_network(name)
        (left,) = networks.list(names=[name])
        assert left.id == first.id
        assert gateway == left.attrs["IPAM"]["Config"][0]["Gateway"]
    finally:
        engine.services.remove_network(name)
    assert networks.list(names=[name]) == []

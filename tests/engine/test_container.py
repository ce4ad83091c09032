"""Files into a container and out of it again."""

from __future__ import annotations

import io

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

"""Files into a container and out of it again."""

from __future__ import annotations

import io
from pathlib import PurePosixPath

import pytest

from recipes.engine.container import Job
from recipes.engine.docker import Engine
from recipes.errors import BuildError
from recipes.toolchains.images import ensure_base_image

pytestmark = pytest.mark.engine
CONTENT = bytes(range(256)) * 5000  # more than one chunk of the engine's


def test_what_is_put_is_read_and_only_a_regular_file_is(engine: Engine) -> None:
    with engine.session(Job(image=ensure_base_image(engine), cwd=PurePosixPath("/"))) as session:
        session.put(PurePosixPath("/tmp"), {"data": (CONTENT, 0o644), "empty": (b"", 0o644)})
        assert session.read(PurePosixPath("/tmp/data")) == CONTENT
        assert session.read(PurePosixPath("/tmp/empty")) == b""
        assert session.run(["ln", "-s", "data", "/tmp/link"], log=io.BytesIO()) == 0
        for path in ("/tmp", "/tmp/link"):
            with pytest.raises(BuildError, match="no regular file"):
                session.read(PurePosixPath(path))

"""Images as files, as a CI's cache carries them: the same id comes out, and nothing else is taken."""

from __future__ import annotations

import io
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from recipes.arch import ARCHES
from recipes.engine.docker import Engine
from recipes.errors import BuildError
from recipes.toolchains import images
from recipes.toolchains.images import load_image, save_image

pytestmark = pytest.mark.engine
ARM = ARCHES["armv7"]


def make(engine: Engine, tag: str) -> str:
    """Make an image of one file, which is another one for each tag."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo("name")
        info.size = len(tag)
        tar.addfile(info, io.BytesIO(tag.encode()))
    buffer.seek(0)
    return engine.import_tar(buffer, tag)


def remove(engine: Engine, tag: str) -> None:
    if engine.image_id(tag):
        engine._client.images.remove(tag, force=True)


@pytest.fixture
def tags(engine: Engine, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Give two names of images; the first is that of armv7's toolchain in this test."""
    made = [f"boardcast/toolchain-armv7:test{uuid.uuid4().hex[:8]}" for _ in range(2)]
    monkeypatch.setattr(images, "image_tag", lambda *_: made[0])
    yield made
    for tag in made:
        remove(engine, tag)


def test_what_was_saved_comes_back_with_its_id(engine: Engine, tags: list[str], tmp_path: Path) -> None:
    before = make(engine, tags[0])
    folder = tmp_path / "folder"
    assert load_image(ARM, folder, engine), "it is there, so no file is needed"
    folder.mkdir()
    (folder / "toolchain-armv7.older.tar").touch()
    (folder / "toolchain-armv5.0123.tar").touch()
    file = save_image(ARM, folder, engine)
    assert {path.name for path in folder.iterdir()} == {file.name, "toolchain-armv5.0123.tar"}, "older ones of it go"
    remove(engine, tags[0])
    assert engine.image_id(tags[0]) == ""
    assert load_image(ARM, folder, engine)
    assert engine.image_id(tags[0]) == before
    stamp = file.stat().st_mtime_ns
    assert save_image(ARM, folder, engine).stat().st_mtime_ns == stamp, "it is not written twice"


def test_a_folder_without_it_is_no_error_and_leaves_it_to_be_made(
    engine: Engine, tags: list[str], tmp_path: Path
) -> None:
    assert not load_image(ARM, tmp_path / "none", engine)
    with pytest.raises(BuildError, match="there is no image of armv7"):
        save_image(ARM, tmp_path / "none", engine)


def test_a_file_that_is_damaged_or_holds_another_image_is_an_error(
    engine: Engine, tags: list[str], tmp_path: Path
) -> None:
    make(engine, tags[1])
    file = tmp_path / f"{tags[0].rpartition('/')[2].replace(':', '.')}.tar"
    with file.open("wb") as into:
        engine.save(tags[1], into)
    with pytest.raises(BuildError, match="holds another image"):
        load_image(ARM, tmp_path, engine)
    file.write_bytes(b"no archive")
    with pytest.raises(BuildError, match="takes no images out"):
        load_image(ARM, tmp_path, engine)

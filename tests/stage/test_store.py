"""Shared builds: the same bytes from a folder, HTTP and S3; read-only unless told; what is damaged is not used."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from recipes.errors import ConfigError
from recipes.files import whole_folder
from recipes.stage.manifest import StagedRecipe, StageManifest, is_intact, load_stage, walk_tree, write_manifest
from recipes.stage.places import FolderPlace
from recipes.stage.store import Store, open_store
from tests.support.objectserver import Handler, serving
from tests.support.smallelf import small_elf

pytestmark = [pytest.mark.loopback, pytest.mark.usefixtures("home")]
KEY = "0123456789abcdef01234567"


def entry(cache: Path, key: str = KEY) -> Path:
    """Put a built tree into the cache, with a link and a program in it."""
    built = cache / "built" / f"demo-{key}"
    with whole_folder(built) as part:
        (part / "tree" / "bin").mkdir(parents=True)
        (part / "tree" / "bin" / "demo").write_bytes(small_elf("libpretended.so.6"))
        (part / "tree" / "bin" / "demo").chmod(0o755)
        (part / "tree" / "bin" / "alias").symlink_to("demo")
        one = StagedRecipe(
            name="demo", version="1", licence="MIT", source="demo", key=key + "rest", parts={}, outputs={}
        )
        manifest = StageManifest(
            schema_=1,
            arch="armv7",
            sysroot="s",
            sysroot_fingerprint="f",
            image="i",
            recipes=(one,),
            resolution=(),
            files=tuple(walk_tree(part / "tree")),
        )
        write_manifest(manifest, part)
    return built


def passes(_: Path) -> list[str]:
    """Stand in for the gate of a tree without faults."""
    return []


@pytest.fixture(params=["folder", "http", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Name a store of each kind in the environment; yields what it keeps, name to bytes or a folder."""
    monkeypatch.setenv("BOARDCAST_STORE_WRITE", "1")
    if request.param == "folder":
        monkeypatch.setenv("BOARDCAST_STORE", str(tmp_path / "store"))
        yield tmp_path / "store"
        return
    with serving() as (address, handler):
        if request.param == "http":
            monkeypatch.setenv("BOARDCAST_STORE", f"{address}/builds")
            monkeypatch.setenv("BOARDCAST_STORE_INSECURE", "1")
        else:
            monkeypatch.setenv("BOARDCAST_STORE", "s3://bucket/builds")
            monkeypatch.setenv("AWS_ENDPOINT_URL_S3", address)
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
            monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
            monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield handler


def damage(place: object) -> None:
    """Change one byte inside what the store keeps, so that the archive still opens."""
    if isinstance(place, Path):
        (path,) = place.glob("*.tar.gz")
        path.write_bytes(_flipped(path.read_bytes()))
        return
    assert isinstance(place, type)
    assert issubclass(place, Handler)
    (name,) = (name for name in place.kept if name.endswith(".tar.gz"))
    place.kept[name] = _flipped(place.kept[name])


def _flipped(data: bytes) -> bytes:
    return gzip.compress(gzip.decompress(data).replace(b"pretended", b"PRETENDED", 1))


def test_what_one_machine_puts_in_another_gets_out(cache: Path, place: object) -> None:
    built = entry(cache)
    before = load_stage(built).manifest
    shared = open_store()
    assert shared is not None
    shared.put(built)
    shutil.rmtree(cache)
    assert shared.get(built, passes)
    again = load_stage(built)
    assert again.manifest == before
    assert is_intact(again.tree, before.files)
    assert not shared.get(built.with_name("demo-ffffffffffffffffffffffff"), passes), "a key that nobody built"


def test_a_damaged_entry_is_not_used_and_leaves_nothing(
    cache: Path, place: object, capsys: pytest.CaptureFixture[str]
) -> None:
    built = entry(cache)
    shared = open_store()
    assert shared is not None
    shared.put(built)
    shutil.rmtree(cache)
    damage(place)
    assert not shared.get(built, passes)
    assert "is not used" in capsys.readouterr().err
    assert not list((cache / "built").iterdir())


def test_an_entry_under_the_name_of_another_is_not_used(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Store("x", FolderPlace(tmp_path / "s"), writable=True)
    folder.put(entry(cache))
    capsys.readouterr()
    other = cache / "built" / "demo-ffffffffffffffffffffffff"
    for suffix in (".tar.gz", ".sig"):
        (tmp_path / "s" / f"demo-{KEY}{suffix}").rename(tmp_path / "s" / f"{other.name}{suffix}")
    assert not folder.get(other, passes)
    assert "is one of another entry" in capsys.readouterr().err


def test_a_store_is_read_only_unless_told(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOARDCAST_STORE", str(tmp_path / "store"))
    shared = open_store()
    assert shared is not None
    shared.put(entry(cache))
    assert not (tmp_path / "store").exists()


def test_two_machines_put_the_same_bytes(cache: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        built = entry(cache)
        Store("x", FolderPlace(folder), writable=True).put(built)
        shutil.rmtree(cache)
    assert next(one.glob("*.tar.gz")).read_bytes() == next(two.glob("*.tar.gz")).read_bytes()
    assert next(one.glob("*.sig")).read_bytes() == next(two.glob("*.sig")).read_bytes(), "and the same key"


def test_a_server_that_does_not_answer_is_told_and_the_build_goes_on(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BOARDCAST_STORE", "http://127.0.0.1:9/none")
    monkeypatch.setenv("BOARDCAST_STORE_INSECURE", "1")
    shared = open_store()
    assert shared is not None
    assert not shared.get(cache / "built" / f"demo-{KEY}", passes)
    assert "does not answer" in capsys.readouterr().err


def test_a_word_that_is_no_store_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOARDCAST_STORE", "ftp://example.com/x")
    with pytest.raises(ConfigError, match="is no store"):
        open_store()

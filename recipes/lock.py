"""The transitive lock: where every source comes from, and the hash that it must have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from recipes import paths
from recipes.errors import unknown
from recipes.recipe import Strict, read_toml

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Distribution(Strict):
    """A Debian source package whose `.orig` archive is the same file."""

    package: str
    suite: str


class Archive(Strict):
    """One source archive."""

    name: str
    version: str
    file: str
    """The name it has in a mirror's `archives/` folder and in the cache."""
    sha256: Sha256
    url: str
    distribution: Distribution | None = None


class Lock(Strict):
    """`catalog/lock.toml`."""

    schema_: Literal[1] = Field(alias="schema")
    archive: tuple[Archive, ...]

    def get(self, name: str) -> Archive:
        """Return the archive of this name; raises ConfigError with the known ones otherwise."""
        for archive in self.archive:
            if archive.name == name:
                return archive
        raise unknown(
            "source", name, [archive.name for archive in self.archive], where=str(paths.CATALOG / "lock.toml")
        )


def load(path: Path | None = None) -> Lock:
    """Read the lock file; raises ConfigError with all its faults."""
    return read_toml(path or paths.CATALOG / "lock.toml", Lock)

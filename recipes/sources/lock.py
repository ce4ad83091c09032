"""The transitive lock: where every source comes from, and the hash or the commit that it must have."""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from recipes import paths
from recipes.config import (
    FileName,
    GitRef,
    Name,
    NameOrNone,
    OneLine,
    PackageName,
    RelativePath,
    Strict,
    Url,
    Version,
    VersionOrNone,
    read_toml,
)
from recipes.errors import unknown

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
GitUrl = Annotated[str, StringConstraints(pattern=r"^https://[A-Za-z0-9.-]+(/[A-Za-z0-9._-]+)+\.git$")]


class SourcePackage(Strict):
    """A Debian source package whose `.orig` archive is the same file."""

    package: PackageName
    """Debian's name of the source package."""
    suite: Name
    """The release of Debian that carries this version, by its code name."""


class LeftOut(Strict):
    """A patch of a source package that is not applied."""

    patch: FileName
    """Its name in the package's series."""
    because: OneLine
    """Why it is of no use to what is built here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchArchive:
    """The file of a source package that holds the distribution's own changes; fetched and checked like an archive."""

    name: str
    version: str
    """Debian's, with its revision."""
    file: str
    sha256: str
    distribution: SourcePackage
    url: str = ""
    """Upstream has none."""


def source_file(package: str, version: str) -> str:
    """Return the name of the file of a source package that has the distribution's changes."""
    # An epoch is no part of a file's name: https://www.debian.org/doc/debian-policy/ch-controlfields.html#version
    return f"{package}_{version.rpartition(':')[2]}.debian.tar.xz"


class Pin(Strict):
    """What archives and repositories have in common."""

    name: Name
    """By which recipes and commands call it."""
    version: Version
    """Upstream's."""
    eol: dt.date | None = None
    """End of life: the day from which upstream fixes nothing in this line of releases."""
    on_request: OneLine = Field(default="", alias="on-request")
    """Why `invoke fetch` leaves it out unless it is named: no recipe builds from it of itself."""


class Archive(Pin):
    """One source archive."""

    file: FileName
    """The name it has in a mirror's `archives/` folder and in the cache."""
    sha256: Sha256
    """Of the file; nothing else is ever used."""
    url: Url
    """Where upstream keeps it."""
    distribution: SourcePackage | None = None
    """Where the distribution has the same file, for when upstream does not answer."""
    revision: VersionOrNone = ""
    """The distribution's version of its source package, such as `8.14.1-2+deb13u5`: whose patches are applied."""
    patches: Sha256 | Literal[""] = ""
    """sha256 of that package's `.debian.tar.xz`; its patches are applied to what is built."""
    without: tuple[LeftOut, ...] = ()
    """Patches of it that are not applied, each with its reason."""
    unit: NameOrNone = ""
    """The SDK release that it belongs to, if any."""

    @model_validator(mode="after")
    def _patched(self) -> Archive:
        if bool(self.patches) != bool(self.revision) or (self.patches and self.distribution is None):
            raise ValueError("`revision`, `patches` and `distribution` go together")
        release = self.revision.rpartition(":")[2].rpartition("-")[0]
        # A package may say how it was packed: 1.2+dfsg is of release 1.2.
        if self.patches and not re.fullmatch(rf"{re.escape(self.version)}(?:[+~].*)?", release):
            raise ValueError(f"revision {self.revision} is not one of version {self.version}")
        if self.without and not self.patches:
            raise ValueError("`without` is of no meaning where there are no `patches`")
        return self

    @property
    def patch_archive(self) -> PatchArchive | None:
        """Return where the distribution's patches of this source are; None where none are applied."""
        if not self.patches or self.distribution is None:
            return None
        return PatchArchive(
            name=f"patches of {self.name}",
            version=self.revision,
            file=source_file(self.distribution.package, self.revision),
            sha256=self.patches,
            distribution=self.distribution,
        )

    @property
    def pinned(self) -> str:
        return self.sha256


class Submodule(Strict):
    """A nested repository. Its commit is the one that the parent's own tree names, so the parent's id pins it."""

    path: RelativePath
    """In the parent's tree."""
    url: GitUrl
    """As the parent's build asks for it, `.git` included."""


class Repository(Pin):
    """One git repository at one commit."""

    url: GitUrl
    """As upstream's build asks for it, `.git` included."""
    commit: Commit
    """All 40 digits: a name may move."""
    refs: tuple[GitRef, ...] = ()
    """Tags by which a build may ask for the commit."""
    unit: Name
    """The SDK release that it belongs to: what one release nests is locked, and moves, together."""
    submodules: tuple[Submodule, ...] = ()
    """All that its commit nests."""

    @property
    def pinned(self) -> str:
        return self.commit

    @property
    def folder(self) -> PurePosixPath:
        """Return `<host>/<owner>/<name>.git`, its place in a mirror's `git/` folder and in a build."""
        return mirror_place(self.url)


def _says(ref: str, version: str) -> bool:
    """Tell whether a tag names a version, in whatever style: v1.5.3, curl-7_68_0, REL_2_0_1."""
    numbers, wanted = re.findall(r"\d+", ref), re.findall(r"\d+", version)
    starts = range(len(numbers) - len(wanted) + 1)
    return version in ref or (bool(wanted) and any(numbers[at : at + len(wanted)] == wanted for at in starts))


def mirror_place(url: str) -> PurePosixPath:
    return PurePosixPath(url.removeprefix("https://"))


class Lock(Strict):
    """`catalog/lock.toml`."""

    schema_: Literal[1] = Field(alias="schema")
    """The form of this file."""
    archive: tuple[Archive, ...] = ()
    """The source archives."""
    repository: tuple[Repository, ...] = ()
    """The git repositories."""

    @model_validator(mode="after")
    def _consistent(self) -> Lock:
        names = [pin.name for pin in self.pins]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"these names are there twice: {', '.join(twice)}")
        self._labelled()
        asked = [(pin.unit, pin.url) for pin in self.repository if not pin.on_request]
        if len(set(asked)) != len(asked):
            raise ValueError("one unit holds the same repository twice: a build could not tell which commit is meant")
        return self

    def _labelled(self) -> None:
        """Raise ValueError where a commit is called two versions, or a version that none of its tags says."""
        versions: dict[tuple[str, str], Repository] = {}
        for pin in self.repository:
            if pin.refs and not any(_says(ref, pin.version) for ref in pin.refs):
                tags = ", ".join(pin.refs)
                raise ValueError(f"{pin.name} is version {pin.version}, and its refs are {tags}: one of them is wrong")
            other = versions.setdefault((pin.url, pin.commit), pin)
            if other.version != pin.version:
                both = f"{other.name} {other.version} and {pin.name} {pin.version}"
                raise ValueError(f"{both} are one commit of {pin.url}: one of them is wrong")

    @property
    def pins(self) -> tuple[Archive | Repository, ...]:
        return (*self.archive, *self.repository)

    def get(self, name: str) -> Archive | Repository:
        """Return the pin of this name; raises ConfigError with the known ones otherwise."""
        for pin in self.pins:
            if pin.name == name:
                return pin
        raise unknown("source", name, [pin.name for pin in self.pins], where=str(lock_path()))

    def needed(self, name: str) -> tuple[Archive | Repository, ...]:
        """Return a pin and, for a repository, all of its unit that a build of it may clone; the pin comes first."""
        first = self.get(name)
        if isinstance(first, Archive):
            return (first,)
        nested = [pin for pin in self.repository if pin.unit == first.unit and not pin.on_request and pin is not first]
        return (first, *nested)

    def chosen(self, names: Sequence[str]) -> tuple[Archive | Repository, ...]:
        """Return the named pins, or all that recipes build from where no name is given."""
        return tuple(self.get(name) for name in names) or tuple(pin for pin in self.pins if not pin.on_request)


def lock_path() -> Path:
    """Return the lock file: BOARDCAST_LOCK, or the catalogue's own."""
    return Path(os.environ.get("BOARDCAST_LOCK", paths.CATALOG / "lock.toml"))


def load_lock(path: Path | None = None) -> Lock:
    """Read the lock file; raises ConfigError with all its faults."""
    return read_toml(path or lock_path(), Lock)

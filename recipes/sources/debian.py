"""A distribution's source packages, as this machine's own apt tells them.

No file of ours names a host: apt is asked which mirror this machine was set up with, or the user names one.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from recipes import paths, process
from recipes.errors import BuildError
from recipes.tools.archive import debian_mirror
from recipes.tools.base import proxies

ARCHIVE_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_APT_HELPER = "/usr/lib/apt/apt-helper"  # apt's own downloader: it knows the machine's proxies


def has_apt() -> bool:
    """Tell whether this machine has apt; other distributions go without this rung of the ladder."""
    return shutil.which("apt-get") is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """What one suite has of a source package."""

    version: str
    """Debian's, with its revision; an epoch is left out, as file names do."""
    suite: str
    files: dict[str, tuple[str, str]]
    """Name to address and sha256 (empty where the index has another kind), as the suite's signed index says them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Who asks Debian's archive: apt of this machine, or another one."""

    offered: Callable[[str, str], Sequence[Offered]]
    """Package and suite to what the suite has of it now, and its security suite, if it has one. Raises BuildError."""
    download: Callable[[str, Path], None]
    """Address to a file of ours, unchecked. Raises BuildError."""


def by_apt() -> Distribution:
    """Return this machine's own apt."""
    return Distribution(offered=_offered_sources, download=_download)


def archive_mirrors() -> tuple[str, str]:
    """Return the addresses of Debian's main archive and of its security archive as apt is set up here.

    The first is the user's mirror where one is named; the second is empty where apt knows none.

    Raises
    ------
    BuildError
        There is no apt, or none of its sources is Debian's main archive.
    """
    if not has_apt():
        raise BuildError("this machine has no apt", next_step="give the sources with --mirror DIR")
    listed = process.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)|$(RELEASE)|$(LABEL)|$(COMPONENT)", "Created-By: Packages"]
    ).text
    rows = [line.split("|") for line in listed.splitlines()]
    main = security = ""
    for uri, release, label, component in rows:
        if component != "main" or "debian" not in uri:
            continue
        if "-security" in release or label == "Debian-Security":
            security = security or uri.rstrip("/")
        elif "security" not in uri and label in ("Debian", "") and not release.endswith(("-updates", "-backports")):
            main = main or uri.rstrip("/")
    if main or debian_mirror():
        return debian_mirror() or main, security
    raise BuildError(
        "apt here knows no Debian archive",
        why=f"it knows: {', '.join(sorted({row[0] for row in rows})) or 'nothing'}",
        next_step="apt-get update, or give the sources with --mirror DIR",
    )


def _apt(mirror: str, suite: str) -> list[str]:
    """Return an apt-get command line that works in our own folders, so that no root is needed."""
    state = paths.cache() / "apt" / suite
    for folder in ("state/lists/partial", "cache/archives/partial", "etc"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    signed = f"[signed-by={ARCHIVE_KEYRING}] " if ARCHIVE_KEYRING.exists() else ""
    (state / "etc" / "sources.list").write_text(f"deb-src {signed}{mirror} {suite} main\n")
    options = {
        "Dir::State": state / "state",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": state / "cache",
        "Dir::Etc::sourcelist": state / "etc" / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    return ["apt-get", "-qq", *(word for key, value in options.items() for word in ("-o", f"{key}={value}"))]


def _offered_sources(package: str, suite: str) -> list[Offered]:
    main, security = archive_mirrors()
    found = [_offered(package, suite, main)]
    if security:
        # Not every suite has one (sid), nor every package an entry in it.
        with contextlib.suppress(BuildError):
            found.append(_offered(package, f"{suite}-security", security))
    return found


def _offered(package: str, suite: str, mirror: str) -> Offered:
    apt = _apt(mirror, suite)
    process.run([*apt, "update"], env=proxies(), timeout=300)
    listed = process.run(
        [*apt, "--print-uris", "source", "--only-source", "--", f"{package}/{suite}"], timeout=300
    ).text
    return offered_rows(suite, listed.splitlines())


def offered_rows(suite: str, rows: Sequence[str]) -> Offered:
    """Return what apt's rows `'ADDRESS' NAME SIZE HASH` say; other lines are left out."""
    files = {}
    for row in rows:
        if row.startswith("'") and len(words := row.split()) == 4:
            digest = words[3].removeprefix("SHA256:") if words[3].startswith("SHA256:") else ""
            files[words[1]] = (words[0].strip("'"), digest)
    version = next((name.removesuffix(".dsc").partition("_")[2] for name in files if name.endswith(".dsc")), "")
    return Offered(version=version, suite=suite, files=files)


def _download(address: str, into: Path) -> None:
    process.run([_APT_HELPER, "download-file", "--", address, str(into)], env=proxies(), timeout=900)


def download_source(asked: Distribution, package: str, suite: str, file: str, into: Path) -> None:
    """Download one file of a source package to a path, unchecked.

    Only this file is asked for: the others change with every Debian revision. Where the index has gone on to another
    revision, the archive's folder still has those before it for a while, so it is asked for by name.

    Raises
    ------
    BuildError
        The suite does not answer, or does not carry the file any more.
    """
    offered = asked.offered(package, suite)
    folders = [address.rpartition("/")[0] for has in offered for address, _ in [*has.files.values()][:1]]
    named = [has.files[file][0] for has in offered if file in has.files]
    for address in dict.fromkeys([*named, *(f"{folder}/{quote(file, safe='')}" for folder in folders)]):
        with contextlib.suppress(BuildError):
            asked.download(address, into)
            return
    known = ", ".join(f"{one.version} ({one.suite})" for one in offered)
    raise BuildError(f"{package}/{suite} does not carry {file}", why=f"its index has {known}")


def later(one: str, other: str) -> bool:
    """Tell whether a version of Debian's is later than another.

    The order is that of https://www.debian.org/doc/debian-policy/ch-controlfields.html#version
    """
    return _order(one) > _order(other)


def _order(version: str) -> tuple[int, list[tuple[tuple[int, ...], int]], list[tuple[tuple[int, ...], int]]]:
    epoch, colon, rest = version.rpartition(":")
    upstream, dash, revision = rest.rpartition("-")
    parts = (upstream, revision) if dash else (rest, "")
    return (int(epoch) if colon else 0, *(_parts(part) for part in parts))  # type: ignore[return-value]


def _parts(text: str) -> list[tuple[tuple[int, ...], int]]:
    """Return a part as what is not a number and numbers in turn; a tilde is before the end, letters before the rest."""

    def weight(letter: str) -> int:
        return -1 if letter == "~" else ord(letter) if letter.isalpha() else ord(letter) + 256

    return [((*map(weight, words), 0), int(number or 0)) for words, number in re.findall(r"([^0-9]*)([0-9]*)", text)]

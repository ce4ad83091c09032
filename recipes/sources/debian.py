"""The distribution's own tools on this machine: where its mirror is, its source packages, a bootstrapped root.

No file of ours names a host: apt is asked which mirror this machine was set up with.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from recipes import paths, process
from recipes.errors import BuildError

ARCHIVE_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_APT_HELPER = "/usr/lib/apt/apt-helper"  # apt's own downloader: it knows the machine's proxies


def has_apt() -> bool:
    """Tell whether this machine has apt; other distributions go without this rung of the ladder."""
    return shutil.which("apt-get") is not None


def archive_mirror() -> str:
    """Return the address of Debian's main archive as apt is set up here.

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
    for uri, release, label, component in rows:
        plain = not any(word in release for word in ("-security", "-updates", "-backports"))
        if component == "main" and plain and label in ("Debian", "") and "debian" in uri and "security" not in uri:
            return uri.rstrip("/")
    raise BuildError(
        "apt here knows no Debian archive",
        why=f"it knows: {', '.join(sorted({row[0] for row in rows})) or 'nothing'}",
        next_step="apt-get update, or give the sources with --mirror DIR",
    )


def _apt(suite: str, *, sources: bool) -> list[str]:
    """Return an apt-get command line that works in our own folders, so that no root is needed."""
    state = paths.cache() / "apt" / suite
    for folder in ("state/lists/partial", "cache/archives/partial", "etc"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    kind = "deb-src" if sources else "deb"
    signed = f"[signed-by={ARCHIVE_KEYRING}] " if ARCHIVE_KEYRING.exists() else ""
    (state / "etc" / "sources.list").write_text(f"{kind} {signed}{archive_mirror()} {suite} main\n")
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


def download_source(package: str, suite: str, file: str, into: Path) -> None:
    """Download the archive of a source package to a path, unchecked.

    Only the archive is asked for: the package's other files change with every Debian revision, it does not.

    Raises
    ------
    BuildError
        The suite does not answer, or carries another version by now.
    """
    apt = _apt(suite, sources=True)
    process.run([*apt, "update"], timeout=300)
    listed = process.run(
        [*apt, "--print-uris", "source", "--only-source", "--", f"{package}/{suite}"], timeout=300
    ).text
    # A row reads: 'URI' NAME SIZE HASH
    uris = {row.split()[1]: row.split()[0].strip("'") for row in listed.splitlines() if row.startswith("'")}
    if file not in uris:
        raise BuildError(f"{package}/{suite} does not carry {file}", why=f"it carries {', '.join(sorted(uris))}")
    process.run([_APT_HELPER, "download-file", "--", uris[file], str(into)], timeout=900)


def bootstrap_root(suite: str, into: Path) -> None:
    """Make a minimal root of the build machine's own architecture as a tar file, with mmdebstrap.

    The security suite comes along: the architecture is native, so the indices fit each other.
    """
    if shutil.which("mmdebstrap") is None:
        raise BuildError(
            "mmdebstrap is not on this machine", next_step="apt-get install mmdebstrap, or ./bootstrap install as root"
        )
    process.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", "--include=ca-certificates", "--", suite, str(into)],
        timeout=1800,
    )

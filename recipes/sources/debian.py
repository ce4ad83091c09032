"""A distribution's source packages: by this machine's apt where it knows Debian's archive, else by the tools image's.

No file of ours names a host: apt is asked which mirror a system was set up with, or the user names one.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from recipes import paths, process
from recipes.errors import BuildError
from recipes.tools.archive import debian_mirror
from recipes.tools.base import proxies
from recipes.tools.box import Box, HostBox, tools

ARCHIVE_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_APT_HELPER = "/usr/lib/apt/apt-helper"  # apt's own downloader: it knows the machine's proxies


def _fault() -> str:
    """Say why this machine's apt is not as good as the image's; empty where it is."""
    if not ARCHIVE_KEYRING.exists():
        return "apt here has no keyring of Debian's archive"
    try:
        archive_mirror()
    except BuildError as error:
        return error.what
    return ""


def archive_mirror() -> str:
    """Return the address of Debian's main archive: the one that the user names, else as apt is set up here.

    Raises
    ------
    BuildError
        None of apt's sources is Debian's main archive.
    """
    if named := debian_mirror():
        return named
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


def _apt(suite: str) -> list[str]:
    """Return an apt-get command line that works in our own folders, so that no root is needed."""
    state = paths.cache() / "apt" / suite
    for folder in ("state/lists/partial", "cache/archives/partial", "etc"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    (state / "etc" / "sources.list").write_text(
        f"deb-src [signed-by={ARCHIVE_KEYRING}] {archive_mirror()} {suite} main\n"
    )
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
        The suite does not answer, or carries another version by now; or there is neither an apt for it here nor an
        engine.
    """
    with tools("apt-get", network=True, fault=_fault) as box:
        if isinstance(box, HostBox):
            _download_here(package, suite, file, into)
        else:
            _download_inside(box, package, suite, file, into)


def _download_here(package: str, suite: str, file: str, into: Path) -> None:
    apt = _apt(suite)
    process.run([*apt, "update"], env=proxies(), timeout=300)
    listed = process.run(
        [*apt, "--print-uris", "source", "--only-source", "--", f"{package}/{suite}"], timeout=300
    ).text
    # A row reads: 'URI' NAME SIZE HASH
    uris = {row.split()[1]: row.split()[0].strip("'") for row in listed.splitlines() if row.startswith("'")}
    if file not in uris:
        raise BuildError(f"{package}/{suite} does not carry {file}", why=f"it carries {', '.join(sorted(uris))}")
    process.run([_APT_HELPER, "download-file", "--", uris[file], str(into)], env=proxies(), timeout=900)


def _download_inside(box: Box, package: str, suite: str, file: str, into: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="boardcast-source-") as name:
        folder = Path(name)
        with box.writing(folder):
            words: list[str | Path] = ["sh", paths.DOCKER / "debian-source.sh", paths.DOCKER / "debian-archive.sh"]
            box.run([*words, package, suite, file, folder / file], env={"MIRROR": debian_mirror()}, timeout=1200)
        shutil.move(folder / file, into)

"""Where packages come from: the archive that an image is set up with, or the one that the user names.

No file of ours names a host: an image brings its distribution's own list and keyring, and a mirror, a snapshot's
address or a relative of Debian is named by the user's environment or by a sysroot's file.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from recipes.config import Form
from recipes.errors import ConfigError
from recipes.text import one_line

MIRROR_VARIABLE = "BOARDCAST_DEBIAN_MIRROR"
SNAPSHOTS_VARIABLE = "BOARDCAST_DEBIAN_SNAPSHOTS"
_LONGEST = 300
# No blank, quote or bracket: it becomes a word of apt's list. No user or password either: it would be logged.
_ADDRESS = r"https?://[A-Za-z0-9.\[\]:-]+(/[A-Za-z0-9._~+:-]+)*/?"
_DAY = r"[0-9]{8}T[0-9]{6}Z"
ArchiveAddress = Annotated[
    str,
    Form(
        "archive",
        "the address of an archive of packages: http(s)://HOST/PATH, without a user or a password",
        lambda value: len(value) <= _LONGEST and re.fullmatch(_ADDRESS, value) is not None,
        empty=True,
    ),
]
SnapshotDate = Annotated[
    str,
    Form("day", "a day as 20250520T000000Z", lambda value: re.fullmatch(_DAY, value) is not None, empty=True),
]


def debian_mirror() -> str:
    """Return the address of Debian's archive that the user names; empty where the image's own is taken.

    Raises
    ------
    ConfigError
        It is no address of an archive; one with a password in it is none either, since it would be logged.
    """
    return _address(MIRROR_VARIABLE, "http://HOST/debian")


def _address(variable: str, example: str) -> str:
    given = os.environ.get(variable, "").strip()
    if given and re.fullmatch(_ADDRESS, given) is None:
        raise ConfigError(
            f"{variable} is no address of an archive",
            why=f"it is {one_line(re.sub(r'//[^/]*@', '//…@', given), most=80)!r}",
            next_step=f"{variable}={example}, without a name, a password or a question mark",
        )
    return given.rstrip("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageArchive:
    """Where the packages of one root come from; with nothing said, the archive and keyring of the image.

    Parameters
    ----------
    mirror:
        The address of a relative of Debian, or of a mirror for this root alone.
    keyring:
        The file of keys that sign it, on this machine.
    snapshot:
        The day, as `20250520T000000Z`, whose packages are taken.
    """

    mirror: str = ""
    keyring: Path | None = None
    components: tuple[str, ...] = ("main",)
    snapshot: str = ""

    def environment(self) -> dict[str, str]:
        """Return what `docker/debian-archive.sh` reads.

        Raises
        ------
        ConfigError
            An address in the user's environment is none.
        """
        named = self.mirror or (
            _address(SNAPSHOTS_VARIABLE, "http://HOST/archive/debian") if self.snapshot else debian_mirror()
        )
        return {
            "MIRROR": named.rstrip("/"),
            "KEYRING": f"/{self.keyring_name}" if self.keyring else "",
            "COMPONENTS": " ".join(self.components),
            "SNAPSHOT": self.snapshot,
        }

    @property
    def keyring_name(self) -> str:
        """The keyring's name in a container; apt tells an armoured one by its end."""
        return f"keyring{self.keyring.suffix if self.keyring else ''}"

    def key(self) -> list[str]:
        """Return what makes packages others: nothing where all is the image's own, whatever mirror has it."""
        keys = hashlib.sha256(self.keyring.read_bytes()).hexdigest() if self.keyring else ""
        said = [self.mirror, keys, " ".join(self.components), self.snapshot]
        return [] if said == ["", "", "main", ""] else said

"""Where packages come from: the archive that an image is set up with, or the one that the user names.

No file of ours names a host: an image brings its distribution's own list and keyring, and a mirror, a snapshot's
address or a relative of Debian is named by the user's environment or by a sysroot's file.
"""

from __future__ import annotations

import os
import re

from recipes.errors import ConfigError
from recipes.text import one_line

MIRROR_VARIABLE = "BOARDCAST_DEBIAN_MIRROR"
_URL = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+(/[A-Za-z0-9._~+:-]+)*/?")


def debian_mirror() -> str:
    """Return the address of Debian's archive that the user names; empty where the image's own is taken.

    Raises
    ------
    ConfigError
        It is no address of an archive; one with a password in it is none either, since it would be logged.
    """
    given = os.environ.get(MIRROR_VARIABLE, "").strip()
    if given and _URL.fullmatch(given) is None:
        raise ConfigError(
            f"{MIRROR_VARIABLE} is no address of an archive",
            why=f"it is {one_line(re.sub(r'//[^/]*@', '//…@', given), most=80)!r}",
            next_step=f"{MIRROR_VARIABLE}=http://HOST/debian, without a name, a password or a question mark",
        )
    return given.rstrip("/")

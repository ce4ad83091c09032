"""Where things are on the workstation: the checkout, its work folder, and the cache that checkouts share."""

from __future__ import annotations

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
CATALOG = CHECKOUT / "recipes" / "catalog"
DOCKER = CHECKOUT / "docker"
BOARDS = CHECKOUT / "board-configs"


def work() -> Path:
    """Return this checkout's own folder for stages, bundles, logs and simulated boards; never in git."""
    return Path(os.environ.get("BOARDCAST_WORK", CHECKOUT / ".boardcast")).absolute()


def cache() -> Path:
    """Return the folder that checkouts share: sources, sysroots, board roots, built prefixes.

    It may be deleted at any time; everything in it is named by what it was made from.
    """
    if "BOARDCAST_CACHE" in os.environ:
        return Path(os.environ["BOARDCAST_CACHE"]).absolute()
    from platformdirs import user_cache_path

    return user_cache_path("boardcast")

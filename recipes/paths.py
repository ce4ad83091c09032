"""Where things are on the workstation: the checkout, its work folder, and the cache that checkouts share."""

from __future__ import annotations

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
CATALOG = CHECKOUT / "recipes" / "catalog"
DOCKER = CHECKOUT / "docker"
BOARDS = CHECKOUT / "board-configs"


def board_folders() -> tuple[Path, ...]:
    """Return the folders of boards and hosts, the first wins: BOARDCAST_BOARDS, then the checkout's own."""
    more = (Path(part).absolute() for part in os.environ.get("BOARDCAST_BOARDS", "").split(os.pathsep) if part)
    return tuple(dict.fromkeys((*more, BOARDS)))


def shown_path(path: Path) -> str:
    """Return a path as messages show it: from the checkout on where it is in there, else whole."""
    return str(path.relative_to(CHECKOUT)) if path.is_relative_to(CHECKOUT) else str(path)


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

"""The tools image: git, apt, squashfs, abidiff for every workstation; made once, as toolchain images are."""

from __future__ import annotations

import hashlib

from recipes import paths
from recipes.engine.docker import Engine
from recipes.progress import timed
from recipes.tools.base import ensure_build_base

_FILES = ("tools.Dockerfile", "images.toml")


def tools_tag() -> str:
    """Name the image by all that goes into it."""
    digest = hashlib.sha256()
    for name in _FILES:
        digest.update((paths.DOCKER / name).read_bytes() + b"\0")
    return f"boardcast/tools:{digest.hexdigest()[:16]}"


def ensure_tools_image(engine: Engine) -> str:
    """Return the name of the tools image, made first where the engine has none.

    Raises
    ------
    BuildError
        It cannot be made: no base image, or the archive does not answer.
    """
    name = tools_tag()
    if not engine.image_id(name):
        base = ensure_build_base(engine)
        context = {"Dockerfile": ((paths.DOCKER / "tools.Dockerfile").read_bytes(), 0o644)}
        with timed(f"image {name}") as step:
            engine.build(context, name, {"BASE": base}, told=step)
    return name

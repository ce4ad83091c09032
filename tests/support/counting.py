"""The program that stands in for boardstream on boards of any architecture: it counts pictures, and heeds SIGINT."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from recipes import process
from recipes.arch import ARCHES
from recipes.engine.docker import Engine
from recipes.toolchains.images import ensure_image

_SOURCE = Path(__file__).parents[1] / "services" / "streamer.c"
_IMAGES: dict[str, str] = {}


def counting_streamer(arch_name: str, engine: Engine) -> bytes:
    """Return it as a static program, made in the toolchain's image; once a run of the tests."""
    arch = ARCHES[arch_name]
    _IMAGES[arch_name] = ensure_image(arch, engine).tag
    return _compiled(arch_name)


@cache
def _compiled(arch_name: str) -> bytes:
    words = ["docker", "run", "--rm", "-i", "--network", "none", _IMAGES[arch_name], "sh", "-c"]
    build = f"{ARCHES[arch_name].triple}-gcc -O2 -static -o /tmp/made -xc - && cat /tmp/made"
    return process.run([*words, build], stdin=_SOURCE.read_bytes()).stdout

"""The base image, which all others start from: pulled by digest, else bootstrapped by a machine with Debian's tools."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from recipes import console, paths, process
from recipes.config import ImageName, Name, Strict, read_toml
from recipes.engine.docker import Engine
from recipes.errors import BuildError
from recipes.progress import file_size, timed
from recipes.tools.archive import debian_mirror

_BOOTSTRAPPER = "mmdebstrap"


class BaseImage(Strict):
    """The image that everything else starts from."""

    suite: Name
    """The release of Debian that it is, by its code name."""
    image: ImageName
    """Its name at a registry."""
    digest: Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
    """`sha256:…` of its manifest."""


class ImagesFile(Strict):
    """`docker/images.toml`."""

    schema_: Literal[1] = Field(alias="schema")
    """The form of this file."""
    base: BaseImage
    """The one image that all toolchain images start from."""


def image_pins() -> ImagesFile:
    return read_toml(paths.DOCKER / "images.toml", ImagesFile)


def local_base() -> str:
    """Return the name that the base image has here where no registry gave it."""
    base = image_pins().base
    return f"boardcast/base:{base.suite}-{base.digest.removeprefix('sha256:')[:12]}"


def find_base(engine: Engine, *, pull: bool = True) -> str:
    """Return a reference to the base image that the engine has, or that a registry gives where `pull` lets it ask one.

    Empty where it has none and may not ask; raises BuildError where no registry gives it.
    """
    base, local = image_pins().base, local_base()
    reference = f"{base.image.partition(':')[0]}@{base.digest}"
    found = next((name for name in (local, reference) if engine.image_id(name)), "")
    if not found and pull:
        engine.pull(reference)
        return reference
    return found


def ensure_base_image(engine: Engine) -> str:
    """Return a reference to the base image: pulled by digest, else bootstrapped from the machine's own mirror.

    Raises
    ------
    BuildError
        No registry gives it, and this machine cannot bootstrap it.
    """
    base, local = image_pins().base, local_base()
    try:
        return find_base(engine)
    except BuildError as refused:
        why = refused.why.strip()[:120]
        if shutil.which(_BOOTSTRAPPER) is None:
            raise _no_base(base, local, why) from refused
        console.say(f"no registry gives {base.image} ({why})")
    with (
        timed(f"base image of {base.suite} from the distribution's mirror") as step,
        tempfile.TemporaryDirectory(prefix="boardcast-base-") as folder,
    ):
        root = Path(folder) / "base.tar"
        step.at("packages", moved=lambda: file_size(root))
        _bootstrap(base.suite, root)
        with root.open("rb") as stream:
            step.at("into the engine", moved=stream.tell, total=file_size(root))
            engine.import_tar(stream, local)
    return local


_MIRRORED = """FROM {base}
RUN rm -f /etc/apt/sources.list.d/*.sources
RUN printf 'deb [signed-by={keys}] {mirror} %s main\\n' {suite} {suite}-updates > /etc/apt/sources.list
"""
_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"


def ensure_build_base(engine: Engine) -> str:
    """Return the image to build others on: the base, set up with the mirror that the user names.

    The base has no certificates where a registry gave it, so a mirror behind https is not asked yet.
    """
    base, mirror = ensure_base_image(engine), debian_mirror()
    if not mirror.startswith("http:"):
        return base
    text = _MIRRORED.format(base=base, mirror=mirror, suite=image_pins().base.suite, keys=_KEYS).encode()
    name = f"boardcast/base-mirrored:{hashlib.sha256(text).hexdigest()[:16]}"
    if not engine.image_id(name):
        engine.build({"Dockerfile": (text, 0o644)}, name, {})
    return name


def _no_base(base: BaseImage, local: str, why: str) -> BuildError:
    return BuildError(
        "there is no base image: no registry gives it, and mmdebstrap is not on this machine",
        where=f"{base.image} ({base.digest[:19]}…)",
        why=why,
        next_step="let the engine reach a registry (its own proxy or mirror); or on Debian: apt-get install mmdebstrap;"
        f" or on any machine with Debian: mmdebstrap --variant=minbase --include=ca-certificates {base.suite}"
        f" base.tar, and here: docker import base.tar {local}",
    )


def _bootstrap(suite: str, into: Path) -> None:
    """Make a minimal root of the build machine's own architecture as a tar file, with mmdebstrap.

    The security suite comes along: the architecture is native, so the indices fit each other.
    """
    words = [_BOOTSTRAPPER, "--quiet", "--variant=minbase", "--include=ca-certificates", "--", suite, str(into)]
    mirror = debian_mirror()
    process.run([*words, *([mirror] if mirror else [])], env=proxies(), timeout=1800)


_PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy")


def proxies() -> dict[str, str]:
    """Return what the user's environment says of proxies: what goes to the network gets it, and a build does not."""
    return {name: os.environ[name] for name in _PROXIES if name in os.environ}

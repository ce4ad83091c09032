"""Toolchain images, one per architecture from one Dockerfile, and the check that each compiles what it says."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field

from recipes import console, distribution, elf, paths
from recipes.arch import Arch
from recipes.engine import Engine, Job
from recipes.errors import BuildError
from recipes.recipe import Strict, read_toml

_CONTEXT = ("Dockerfile", "toolchain.cmake", "target-pkg-config")


class Base(Strict):
    """The image that everything else starts from."""

    suite: str
    image: str
    digest: str


class Images(Strict):
    """`docker/images.toml`."""

    schema_: Literal[1] = Field(alias="schema")
    base: Base


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A toolchain image: the name it has here, and the engine's content id of it."""

    tag: str
    id: str


def pins() -> Images:
    return read_toml(paths.DOCKER / "images.toml", Images)


def _state() -> Path:
    return paths.cache() / "images.json"


def _remembered() -> dict[str, str]:
    try:
        stored = json.loads(_state().read_text())
    except (OSError, ValueError):
        return {}
    return {str(tag): str(value) for tag, value in stored.items()}


def _remember(tag: str, value: str) -> None:
    stored = _remembered() | {tag: value}
    paths.write_whole(_state(), json.dumps(stored, indent=1, sort_keys=True).encode())


def _compiler(arch: Arch) -> str:
    """Return the Debian packages of an architecture's compiler; the build machine's own has no suffix."""
    if arch.debian == "amd64":
        return "gcc g++ libc6-dev"
    return f"gcc-{arch.compiler} g++-{arch.compiler}"


def tag(arch: Arch) -> str:
    """Name the image of an architecture by all that goes into it."""
    digest = hashlib.sha256()
    for name in (*_CONTEXT, "images.toml"):
        digest.update((paths.DOCKER / name).read_bytes())
    digest.update(_compiler(arch).encode())
    return f"boardcast/toolchain-{arch.name}:{digest.hexdigest()[:16]}"


def known(arch: Arch) -> Image | None:
    """Return the image without asking an engine: what was recorded when it was made."""
    name = tag(arch)
    value = _remembered().get(name)
    return Image(tag=name, id=value) if value else None


def ensure(arch: Arch, engine: Engine) -> Image:
    """Return the toolchain image of an architecture, made first where the engine has none."""
    name = tag(arch)
    found = engine.image_id(name)
    if not found:
        base = ensure_base(engine)
        with console.timed(f"image {name}"):
            context = {
                part: ((paths.DOCKER / part).read_bytes(), 0o755 if part == "target-pkg-config" else 0o644)
                for part in _CONTEXT
            }
            found = engine.build(context, name, {"BASE": base, "COMPILER": _compiler(arch)})
    if _remembered().get(name) != found:
        _remember(name, found)
    return Image(tag=name, id=found)


def ensure_base(engine: Engine) -> str:
    """Return a reference to the base image: pulled by digest, else bootstrapped from the machine's own mirror."""
    base = pins().base
    local = f"boardcast/base:{base.suite}-{base.digest.removeprefix('sha256:')[:12]}"
    if engine.image_id(local):
        return local
    reference = f"{base.image.partition(':')[0]}@{base.digest}"
    if engine.image_id(reference):
        return reference
    try:
        engine.pull(reference)
    except BuildError as refused:
        console.say(f"no registry gives {base.image} ({refused.why.strip()[:120]})")
    else:
        return reference
    with (
        console.timed(f"base image of {base.suite} from the distribution's mirror"),
        tempfile.TemporaryDirectory(prefix="boardcast-base-") as folder,
    ):
        root = Path(folder) / "base.tar"
        distribution.bootstrap(base.suite, root)
        with root.open("rb") as stream:
            engine.import_tar(stream, local)
    return local


def check(arch: Arch, engine: Engine) -> dict[str, str]:
    """Compile a C and a C++ program, hold their ELF identity against the table, and run them.

    Foreign ones run under user emulation.

    Raises
    ------
    BuildError
        A program does not compile, is for another machine, or does not print what it should.
    """
    image = ensure(arch, engine)
    log = io.BytesIO()
    # The cross compiler's own C library stands below /usr/TRIPLE; the emulator is told to look for the loader there.
    work = PurePosixPath("/bc")
    job = Job(image=image.tag, environment={"QEMU_LD_PREFIX": f"/usr/{arch.triple}", "LC_ALL": "C"}, cwd=work)
    result: dict[str, str] = {}
    with engine.session(job) as session:
        session.put(work, {name: ((paths.DOCKER / name).read_bytes(), 0o644) for name in ("check.c", "check.cc")})
        for source, compiler, expected in (("check.c", "gcc", b"c 2.0"), ("check.cc", "g++", b"c++ 2")):
            argv = [f"{arch.triple}-{compiler}", "-O2", "-o", compiler, source, "-lm"]
            if session.run(argv, log=log) != 0:
                raise BuildError(
                    f"{arch.name}: {compiler} cannot compile", where=image.tag, why=log.getvalue().decode()
                )
            with tarfile.open(fileobj=io.BytesIO(b"".join(session.get(f"{work}/{compiler}")))) as archive:
                member = archive.extractfile(compiler)
                found = elf.parse(member.read() if member else b"").identity
            if not arch.matches(found):
                raise BuildError(f"{arch.name}: {compiler} makes {found.describe()}", where=image.tag)
            result[compiler] = found.describe()
            ran = io.BytesIO()
            if session.run([f"./{compiler}"], log=ran) != 0 or expected not in ran.getvalue():
                raise BuildError(
                    f"{arch.name}: what {compiler} makes does not run here",
                    why=ran.getvalue().decode("utf-8", "replace").strip(),
                    next_step=f"register qemu-{arch.emulator} with binfmt_misc; ./bootstrap demo does it as root",
                )
    return result

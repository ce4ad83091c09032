"""Toolchain images, one per architecture from one Dockerfile, and the check that each compiles what it says."""

from __future__ import annotations

import hashlib
import io
import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recipes import elf, paths
from recipes.arch import ARCHES, Arch, debian_processor
from recipes.engine.container import ContainerSession, Job
from recipes.engine.docker import Engine
from recipes.engine.layout import WORK
from recipes.errors import BuildError
from recipes.files import whole_file, write_whole
from recipes.progress import Step, file_size, timed
from recipes.sources.fetch import fetch_archive, mirror_folders
from recipes.text import shown
from recipes.toolchains.environment import build_environment
from recipes.toolchains.vendor import (
    RunInImage,
    loader_fault,
    probe_toolchain,
    program_runner,
    tarball_source,
    toolchain_of,
    verified_tarball,
)
from recipes.tools.base import ensure_build_base

_CONTEXT = ("Dockerfile", "toolchain.cmake", "target-pkg-config", "edit.py", "split.py")
_VENDOR = paths.DOCKER / "vendor.Dockerfile"
_HOST = ARCHES["x86_64"]
_CHECKS = WORK


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolchainImage:
    """A toolchain image: the name it has here, and the engine's content id of it."""

    tag: str
    id: str


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
    write_whole(_state(), json.dumps(stored, indent=1, sort_keys=True).encode())


def _compiler(arch: Arch, processor: str) -> str:
    """Return the Debian packages of an architecture's compiler; the build machine's own has no suffix.

    Parameters
    ----------
    processor:
        Of the engine's machine, as Debian calls it.
    """
    if arch.debian == processor:
        return "gcc g++ libc6-dev"
    return f"gcc-{arch.compiler} g++-{arch.compiler}"


def image_tag(arch: Arch, engine: Engine | None = None) -> str:
    """Name the image of an architecture by all that goes into it.

    Without an engine it is that of one whose machine has this one's processor.
    """
    digest = hashlib.sha256()
    processor = engine.processor if engine else debian_processor(platform.machine())
    if processor != "amd64":
        digest.update(processor.encode() + b"\0")
    if arch.toolchain:
        # All of the file, although not all of it gets into the image: what is recorded under a tag was checked by it.
        for part in (_VENDOR.read_bytes(), image_tag(_HOST, engine).encode(), toolchain_of(arch).content().encode()):
            digest.update(part + b"\0")
        return f"boardcast/toolchain-{arch.name}:{digest.hexdigest()[:16]}"
    for name in (*_CONTEXT, "images.toml"):
        digest.update((paths.DOCKER / name).read_bytes())
    digest.update(_compiler(arch, processor).encode())
    return f"boardcast/toolchain-{arch.name}:{digest.hexdigest()[:16]}"


def known_image(arch: Arch) -> ToolchainImage | None:
    """Return the image without asking an engine: what was recorded when it was made."""
    name = image_tag(arch)
    value = _remembered().get(name)
    return ToolchainImage(tag=name, id=value) if value else None


def ensure_image(arch: Arch, engine: Engine) -> ToolchainImage:
    """Return the toolchain image of an architecture, made first where the engine has none.

    Raises
    ------
    BuildError
        It cannot be made; or it is a vendor's, seen for the first time, and does not pass `check` (but for running).
    """
    image = _made(arch, engine)
    if _remembered().get(image.tag) != image.id:
        if arch.toolchain:
            _smoke(arch, image, engine, run=False)
        _remember(image.tag, image.id)
    return image


def _made(arch: Arch, engine: Engine) -> ToolchainImage:
    name = image_tag(arch, engine)
    if found := engine.image_id(name):
        return ToolchainImage(tag=name, id=found)
    base = ensure_image(_HOST, engine).tag if arch.toolchain else ensure_build_base(engine)
    with timed(f"image {name}") as step:
        if arch.toolchain:
            return ToolchainImage(tag=name, id=_made_of_tarball(arch, engine, name, base, step))
        context = {
            part: ((paths.DOCKER / part).read_bytes(), 0o755 if part == "target-pkg-config" else 0o644)
            for part in _CONTEXT
        }
        words = {"BASE": base, "COMPILER": _compiler(arch, engine.processor)}
        return ToolchainImage(tag=name, id=engine.build(context, name, words, told=step))


def _made_of_tarball(arch: Arch, engine: Engine, name: str, base: str, step: Step) -> str:
    read, source = toolchain_of(arch), tarball_source(arch)
    path = source if isinstance(source, Path) else fetch_archive(source, mirror_folders()).path
    context = {"Dockerfile": (_VENDOR.read_bytes(), 0o644), "toolchain.tar": (verified_tarball(arch, path), 0o644)}
    words = {"BASE": base, "STRIP": str(read.strip), "TRIPLE": read.triple, "SHA256": read.sha256}
    return engine.build(context, name, words, told=step)


def save_image(arch: Arch, folder: Path, engine: Engine) -> Path:
    """Write an architecture's image into a folder, in the place of older ones of it; one that is there stays.

    A CI's cache carries it: made anew it would have another id, which is part of every key of a build.

    Raises
    ------
    BuildError
        The engine has no such image.
    """
    tag = image_tag(arch, engine)
    made = ToolchainImage(tag=tag, id=engine.image_id(tag))
    if not made.id:
        raise BuildError(f"there is no image of {arch.name}", next_step=f"invoke images --arch {arch.name}")
    folder.mkdir(parents=True, exist_ok=True)
    target = _saved(made.tag, folder)
    if not target.is_file():
        with timed(f"saving {made.tag}"), whole_file(target) as file:
            engine.save(made.tag, file)
    for other in folder.glob(f"toolchain-{arch.name}.*.tar"):
        if other != target:
            other.unlink()
    _remember(made.tag, made.id)
    return target


def load_image(arch: Arch, folder: Path, engine: Engine) -> bool:
    """Take an architecture's image out of a folder that `save_image` wrote to, unless the engine has it.

    Returns
    -------
    Whether the engine has it now; False where the folder has none, or an older one.

    Raises
    ------
    BuildError
        The file is damaged, or holds another image.
    """
    tag = image_tag(arch, engine)
    source = _saved(tag, folder)
    if engine.image_id(tag):
        return True
    if not source.is_file():
        return False
    with source.open("rb") as stream, timed(f"loading {tag}", stream.tell, total=file_size(source)):
        engine.load(stream)
    if not engine.image_id(tag):
        raise BuildError(f"{source.name} holds another image", where=str(source), next_step="remove it")
    return True


def _saved(tag: str, folder: Path) -> Path:
    return folder / f"{tag.rpartition('/')[2].replace(':', '.')}.tar"


def check_image(arch: Arch, engine: Engine) -> dict[str, str]:
    """Compile a C and a C++ program, check their ELF identity against the table, and run them.

    Foreign ones run under user emulation. A vendor's toolchain is first checked against its own file.

    Raises
    ------
    BuildError
        A program does not compile, is for another machine, or does not print what it should.
    """
    image = _made(arch, engine)
    result = _smoke(arch, image, engine, run=True)
    _remember(image.tag, image.id)
    return result


def compiler_job(arch: Arch, image: ToolchainImage) -> Job:
    """Describe a container in which an architecture's compiler is found as in a build, and nothing is kept."""
    environment = {"PATH": build_environment(arch)["PATH"], "CCACHE_DISABLE": "1", "LC_ALL": "C"}
    return Job(image=image.tag, environment=environment, cwd=_CHECKS)


def asker_in(session: ContainerSession) -> RunInImage:
    """Return a function that runs a command in this session and returns its exit code and what it showed."""

    def ask(argv: Sequence[str]) -> tuple[int, str]:
        log = io.BytesIO()
        code = session.run(argv, log=log)
        return code, shown(log.getvalue().strip())

    return ask


def _smoke(arch: Arch, image: ToolchainImage, engine: Engine, *, run: bool) -> dict[str, str]:
    result: dict[str, str] = {}
    with engine.session(compiler_job(arch, image)) as session:
        ask = asker_in(session)
        root = probe_toolchain(arch, ask) if arch.toolchain else None
        session.put(_CHECKS, {name: ((paths.DOCKER / name).read_bytes(), 0o644) for name in ("check.c", "check.cc")})
        for source, compiler, expected in (("check.c", "gcc", "c 2.0"), ("check.cc", "g++", "c++ 2")):
            # The standard is named for the C++ compilers of old SDKs, whose default is that of 1998.
            flags = [*arch.cflags, *(["-std=c++11"] if compiler == "g++" else [])]
            flags += [f"--sysroot={root}"] if root else []
            code, printed = ask([f"{arch.triple}-{compiler}", *flags, "-O2", "-o", compiler, source, "-lm"])
            if code != 0:
                raise BuildError(f"{arch.name}: {compiler} cannot compile", where=image.tag, why=printed)
            found = elf.parse(session.read(_CHECKS / compiler))
            if not arch.matches(found.identity):
                raise BuildError(
                    f"{arch.name}: {compiler} makes {found.identity.describe()}",
                    where=image.tag,
                    why=f"{arch.base or arch.name} is {arch.identity.describe()}",
                )
            if root and (fault := loader_fault(arch, found.interpreter)):
                raise BuildError(f"{arch.name}: {compiler} is for another C library", where=arch.toolchain, why=fault)
            result[compiler] = found.identity.describe()
            # Debian's cross compilers keep their C library below /usr/TRIPLE; the emulator looks for the loader there.
            before = (
                program_runner(arch, root, found.interpreter, ask)
                if root
                else ["env", f"QEMU_LD_PREFIX=/usr/{arch.triple}"]
            )
            if run:
                _run(arch, [*before, f"./{compiler}"], expected, ask)
    return result


def _run(arch: Arch, argv: Sequence[str], expected: str, ask: RunInImage) -> None:
    code, printed = ask(argv)
    if code != 0 or expected not in printed:
        raise BuildError(
            f"{arch.name}: what {argv[-1].removeprefix('./')} makes does not run here",
            why=printed,
            next_step=f"on the engine's machine: sudo ./bootstrap install registers qemu-{arch.emulator}; builds "
            "and boards need none",
        )

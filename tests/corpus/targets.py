"""The machines and C libraries of the corpus, and how one batch of pairs is made and run for each."""

from __future__ import annotations

import hashlib
import io
import json
import shlex
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from recipes.arch import ARCHES, Arch, Libc
from recipes.engine.confinement import Rights
from recipes.engine.container import Job
from recipes.engine.docker import Engine
from recipes.toolchains.images import ensure_image
from tests.support.corpus import Pair, Traits, Unit

HERE = PurePosixPath("/corpus")
BATCH = Path(__file__).with_name("batch.py")
SCRIPT = Path(__file__).with_name("uclibc.sh")
M32 = ("-m32", "-Wl,-m,elf_i386")
MIPS = ("-mno-abicalls", "-fno-pic", "-no-pie")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One compiler and one loader.

    Parameters
    ----------
    arch:
        Whose toolchain image it runs in, or starts from.
    packages:
        What is installed into an image of its own, where the toolchain's is unsuitable.
    foreign:
        An architecture of Debian's that those packages are for.
    uclibc:
        What uclibc.sh is told, which then builds that C library into the image.
    loader:
        The path that programs name; empty where the emulator or the batch knows it.
    last:
        Flags behind all others, for the pairs.
    """

    name: str
    arch: Arch
    compiler: tuple[str, ...]
    runner: tuple[str, ...] = ()
    libraries: str
    traits: Traits
    packages: tuple[str, ...] = ()
    foreign: str = ""
    uclibc: tuple[str, ...] = ()
    loader: str = ""
    last: tuple[str, ...] = ()

    def image(self, engine: Engine) -> str:
        base = ensure_image(self.arch, engine).tag
        if not self.packages:
            return base
        # Where one index of a mirror is being renewed, the packages may be in another.
        steps = [f"dpkg --add-architecture {self.foreign}"] if self.foreign else []
        steps += ["apt-get update -qq", f"apt-get install -y -qq --no-install-recommends {' '.join(self.packages)}"]
        recipe = f"FROM {base}\nRUN {'; '.join(steps)}\n"
        files = {}
        if self.uclibc:
            recipe += f"COPY {SCRIPT.name} /opt/\nRUN sh /opt/{SCRIPT.name} {shlex.join(self.uclibc)}\n"
            files[SCRIPT.name] = (SCRIPT.read_bytes(), 0o644)
        files["Dockerfile"] = (recipe.encode(), 0o644)
        content = b"".join(data for data, _ in files.values())
        tag = f"boardcast/test-corpus:{hashlib.sha256(content).hexdigest()[:16]}"
        if not engine.image_id(tag):
            engine.build(files, tag, {})
        return tag


def _debian(name: str, traits: Traits) -> Target:
    arch = ARCHES[name]
    native = name == "x86_64"
    return Target(
        name=f"{name} glibc",
        arch=arch,
        compiler=(f"{arch.triple}-gcc", *arch.cflags),
        runner=() if native else ("env", f"QEMU_LD_PREFIX=/usr/{arch.triple}"),
        libraries="/lib/x86_64-linux-gnu" if native else f"/usr/{arch.triple}/lib",
        traits=traits,
    )


def _more(name: str, triple: str, emulator: str, traits: Traits) -> Target:
    """Return a target that is no board's, with a byte order that none of ours has."""
    return Target(
        name=f"{name} glibc",
        arch=ARCHES["x86_64"],
        compiler=(f"{triple}-gcc",),
        runner=(f"/usr/bin/qemu-{emulator}-static", "-L", f"/usr/{triple}"),
        libraries=f"/usr/{triple}/lib",
        traits=traits,
        packages=(f"gcc-{triple}", f"libc6-dev-{name}-cross", "qemu-user-static"),
    )


MUSL = Target(
    name="x86_64 musl",
    arch=ARCHES["x86_64"],
    compiler=("musl-gcc",),
    libraries="/usr/lib/x86_64-linux-musl",
    traits=Traits(libc=Libc.MUSL, indirect=False, other_class=M32),
    packages=("musl-tools",),
)


def _uclibc(name: str, machine: str, loader: str, table: str, *words: str, traits: Traits, option: str = "") -> Target:
    """Return a target whose C library is made in the image, from Debian's package of its source."""
    arch = ARCHES[name]
    runner = () if name == "x86_64" else ("env", "QEMU_LD_PREFIX=/opt/uclibc")
    return Target(
        name=f"{name} uclibc{option and f' {option}'}",
        arch=arch,
        compiler=(f"{arch.triple}-gcc", *arch.cflags, "-specs=/opt/uclibc/gcc.specs"),
        runner=runner,
        libraries="/opt/uclibc/lib",
        traits=traits,
        packages=("uclibc-source",),
        uclibc=(machine, arch.triple, loader, table, option, *words),
        loader=f"/lib/{loader}",
        last=("-Wl,--disable-new-dtags",),
    )


# One reads the older table of symbols alone, as it is built unless somebody asks for more; the others read GNU's too.
_NO_INDIRECT = Traits(libc=Libc.UCLIBC, indirect=False)
_LP32 = ("-mabi=ilp32", "-Wl,-m,aarch64linux32")
UCLIBC = (
    _uclibc("x86_64", "x86_64", "ld64-uClibc.so.1", "sysv", traits=replace(_NO_INDIRECT, other_class=M32)),
    _uclibc(
        *("armv7", "arm", "ld-uClibc.so.1", "gnu", "-marm"),
        traits=replace(_NO_INDIRECT, wide=False, other_float=("-mfloat-abi=softfp",)),
    ),
)
UCLIBC_AARCH64 = _uclibc(
    *("aarch64", "aarch64", "ld-uClibc.so.1", "gnu", "-mno-outline-atomics"),
    traits=replace(_NO_INDIRECT, other_class=_LP32),
)
UCLIBC_OTHERWISE = _uclibc(
    *("x86_64", "x86_64", "ld64-uClibc.so.1", "sysv"),
    traits=replace(_NO_INDIRECT, other_class=M32),
    option="LDSO_RUNPATH_OF_EXECUTABLE=y",
)
USUAL = (
    _debian("x86_64", Traits(other_class=("-m32",))),
    MUSL,
    _debian("armv7", Traits(wide=False, other_float=("-mfloat-abi=softfp",))),
    _debian("aarch64", Traits(other_class=("-mabi=ilp32",))),
)
RARE = (
    UCLIBC_AARCH64,
    _debian("armv5", Traits(wide=False)),
    _debian("mipsel", Traits(wide=False, indirect=False, copies=MIPS)),
    _more("s390x", "s390x-linux-gnu", "s390x", Traits(big=True)),
    _more("powerpc", "powerpc-linux-gnu", "ppc", Traits(big=True, wide=False)),
    replace(
        MUSL,
        name="armv7 musl",
        arch=ARCHES["armv7"],
        compiler=("arm-linux-gnueabihf-gcc", "-specs=/usr/lib/arm-linux-musleabihf/musl-gcc.specs"),
        libraries="/usr/lib/arm-linux-musleabihf",
        traits=Traits(libc=Libc.MUSL, indirect=False, wide=False),
        packages=("musl-dev:armhf",),
        foreign="armhf",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What came of one target.

    Parameters
    ----------
    root:
        Every file and link of `pairs/NAME/…`, and of `system/…`, where the C library's are.
    status:
        Each pair's exit status, and what was printed.
    failed:
        What the compiler said of each unit that it did not make.
    """

    files: dict[str, bytes]
    links: dict[str, str]
    status: dict[str, tuple[int, str]]
    failed: dict[str, str]


def run(target: Target, pairs: Sequence[Pair], engine: Engine) -> Batch:
    """Compile and run all pairs of a target in one container."""
    job = Job(image=target.image(engine), environment={"LC_ALL": "C"}, rights=Rights.PACKAGES, cwd=HERE)
    plan = {
        "compiler": target.compiler,
        "runner": target.runner,
        "last": target.last,
        "system": target.libraries,
        "levels": _levels(pairs),
        "pairs": [pair.plan() for pair in pairs],
    }
    log = io.BytesIO()
    with engine.session(job) as session:
        session.put(HERE, {"plan.json": (json.dumps(plan).encode(), 0o644), "batch.py": (BATCH.read_bytes(), 0o644)})
        code = session.run(["python3", "batch.py"], log=log)
        said = log.getvalue().decode("utf-8", "replace")
        if code != 0:
            raise AssertionError(f"{target.name}: the batch failed: {said[-2000:]}")
        answer = json.loads(said)
        files: dict[str, bytes] = {}
        links: dict[str, str] = {}
        for folder in ("pairs", "system"):
            _unpack(b"".join(session.get(f"{HERE}/{folder}")), files, links)
    status = {name: (code, text) for name, (code, text) in answer["results"].items()}
    return Batch(files=files, links=links, status=status, failed=answer["failed"])


def _levels(pairs: Sequence[Pair]) -> list[list[dict[str, object]]]:
    """Return every unit once, what others are linked with before those others."""
    depth: dict[str, int] = {}
    units: dict[str, Unit] = {}
    for pair in pairs:
        for unit in (*pair.units(), *pair.ours.all()):
            units[unit.path] = unit
            depth[unit.path] = 1 + max((depth[library.path] for library in unit.against), default=0)
    levels: list[list[dict[str, object]]] = [[] for _ in range(max(depth.values()))]
    for path, unit in units.items():
        levels[depth[path] - 1].append(
            {
                "path": path,
                "source": unit.source,
                "flags": unit.flags,
                "soname": unit.soname,
                "script": unit.script,
                "against": [library.path for library in unit.against],
            }
        )
    return levels


def _unpack(data: bytes, files: dict[str, bytes], links: dict[str, str]) -> None:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            if member.issym():
                links[member.name] = member.linkname
            elif member.islnk():
                files[member.name] = files[member.linkname]
            elif member.isfile() and (reader := archive.extractfile(member)) is not None:
                files[member.name] = reader.read()

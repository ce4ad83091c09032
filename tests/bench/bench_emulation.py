"""The same library cross-built, and built natively under user emulation: usrsctp for armv7 from the same archive."""

from __future__ import annotations

import io
import time
from pathlib import PurePosixPath

from recipes.engine.confinement import Rights
from recipes.engine.container import Job, Mount
from recipes.engine.docker import Engine
from recipes.sources.fetch import fetch_pins
from recipes.sources.lock import load_lock
from recipes.toolchains.debian_root import ensure_board_root
from recipes.toolchains.vendor import parse_arch
from tests.support import buildbench
from tests.support.bench import show

RECIPE = "usrsctp"
PACKAGES = ("gcc", "libc6-dev", "cmake", "ninja-build")


def natively(engine: Engine) -> float:
    """Build in a Debian armhf container, as on a board with a compiler; the root is made once and cached."""
    root = ensure_board_root("native-armv7", parse_arch("armv7"), "bookworm", "configure", PACKAGES, (), engine)
    source, *_ = fetch_pins(load_lock().needed(RECIPE))
    work = PurePosixPath("/work")
    job = Job(
        image=root.image,
        mounts=(Mount(source=source.path, target=PurePosixPath("/archive")),),
        rights=Rights.PACKAGES,
        cwd=PurePosixPath("/"),
    )
    options = ("-Dsctp_build_programs=OFF", "-Dsctp_build_shared_lib=ON", "-Dsctp_werror=OFF")
    commands = (
        ("mkdir", "-p", str(work)),
        ("tar", "-xf", "/archive", "--strip-components=1", "-C", str(work)),
        ("cmake", "-G", "Ninja", "-S", str(work), "-B", "/build", "-DCMAKE_BUILD_TYPE=Release", *options),
        ("cmake", "--build", "/build"),
    )
    log = io.BytesIO()
    with engine.session(job) as session:
        begun = time.perf_counter()
        for argv in commands:
            if session.run(argv, log=log) != 0:
                raise SystemExit(log.getvalue().decode("utf-8", "replace")[-2000:])
        return time.perf_counter() - begun


def measure() -> dict[str, object]:
    engine = Engine.connect()
    with buildbench.place() as folder:
        cross = buildbench.ours(folder, "--arch", "armv7", "--recipe", RECIPE).seconds
    native = natively(engine)
    return {
        "cross, whole command, s": round(cross, 1),
        "natively under emulation, s": round(native, 1),
        "emulated / cross": round(native / cross, 1),
    }


if __name__ == "__main__":
    show("usrsctp for armv7", measure)

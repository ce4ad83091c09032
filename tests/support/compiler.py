"""Real ELF files for tests: a folder of sources, and a script that makes files of them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import pytest

from recipes.arch import ARCHES
from recipes.engine.container import Job, Mount
from recipes.toolchains.images import ensure_image

_HERE = PurePosixPath("/bc/work")
_TOOLS = ("gcc", "g++", "ar", "strip", "objcopy")


def compiled(request: pytest.FixtureRequest, folder: Path, sources: Mapping[str, str], script: str) -> Path:
    """Run a shell script over sources, with this machine's compiler or, where there is none, in the toolchain image.

    The script finds `$CC`, `$CXX` and the binutils; the test needs the marks `process` and `engine`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {**sources, "make.sh": f"set -eu\n{script}\n"}.items():
        (folder / name).write_text(text)
    log = folder / "log"
    with log.open("wb") as stream:
        if all(map(shutil.which, _TOOLS)):
            env = {**os.environ, "CC": "gcc", "CXX": "g++"}
            code = subprocess.run(
                ["sh", "make.sh"], cwd=folder, env=env, stdout=stream, stderr=stream, check=False
            ).returncode
        else:
            native, engine = ARCHES["x86_64"], request.getfixturevalue("engine")
            job = Job(
                image=ensure_image(native, engine).tag,
                environment={"CC": f"{native.triple}-gcc", "CXX": f"{native.triple}-g++"},
                mounts=(Mount(source=folder, target=_HERE, read_only=False),),
                cwd=_HERE,
            )
            with engine.session(job) as session:
                code = session.run(("sh", "make.sh"), log=stream)
                made = folder.with_name(f"{folder.name}-made")
                made.mkdir()
                session.take(_HERE, made)
            shutil.copytree(made, folder, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns("log"))
    assert code == 0, log.read_text()
    return folder

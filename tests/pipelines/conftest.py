"""The judge: `gstparse.c`, compiled where a compiler and GStreamer's headers are; a stand-in for what is lacking."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.gstreamer import STAND_INS, Judge, has_element


@pytest.fixture(scope="module")
def parser(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Compile the judge, and return its command with a stand-in for each element that this machine lacks."""
    if not shutil.which("gcc") or not shutil.which("pkg-config"):
        pytest.skip("no gcc or no pkg-config here: GStreamer's parser cannot be asked")
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "gstreamer-1.0"], capture_output=True, text=True, check=False
    )
    if flags.returncode:
        pytest.skip("no headers of GStreamer here (libgstreamer1.0-dev): its parser cannot be asked")
    program = tmp_path_factory.mktemp("gstparse") / "gstparse"
    source = Path(__file__).with_name("gstparse.c")
    subprocess.run(["gcc", "-Wall", "-Werror", "-o", program, source, *flags.stdout.split()], check=True)
    lacking = [name for name in STAND_INS if not has_element(name)]
    return [
        str(program),
        *itertools.chain.from_iterable(("--standin", f"{name}:{STAND_INS[name]}") for name in lacking),
    ]


@pytest.fixture(scope="module")
def judge(parser: list[str]) -> Judge:
    def ask(pipelines: list[tuple[str, ...]]) -> list[dict[str, Any]]:
        words = "".join("".join(f"{word}\0" for word in words) + "\0" for words in pipelines)
        done = subprocess.run([*parser, "--batch"], input=words.encode(), capture_output=True, check=False)
        read = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(read) == len(pipelines), done.stderr.decode()
        return read

    return ask

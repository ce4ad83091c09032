"""The tree that the gate checks, made once for all its tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.compiler import compiled
from tests.support.gatefaults import LINES, SOURCES, commands, install


@pytest.fixture(scope="module")
def parts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile every part, with this machine's gcc or, where there is none, in the toolchain image."""
    folder = tmp_path_factory.mktemp("parts")
    (folder / "floor").mkdir()
    return compiled(request, folder, {name: f"{text}\n" for name, text in SOURCES.items()}, commands())


@pytest.fixture
def tree(parts: Path, tmp_path: Path) -> Path:
    """Return a tree without a fault, with every kind of file in it."""
    root = tmp_path / "tree"
    for name in ("demo", "static", "static-pie"):
        install(parts / name, root / "bin" / name)
    install(parts / "libdemo.so.1", root / "lib/libdemo.so.1.0")
    (root / "lib/libdemo.so.1").symlink_to("libdemo.so.1.0")
    (root / "lib/libdemo.so").symlink_to("libdemo.so.1")
    for name in ("libplain.so", "libdemo.a"):
        install(parts / name, root / "lib" / name)
    install(parts / "demo.o", root / "lib/demo.o")
    install(parts / "libgstdemo.so", root / "gstreamer-1.0/libgstdemo.so")
    for name, text in LINES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
        (root / name).chmod(0o755 if name.startswith("bin/") else 0o644)
    return root

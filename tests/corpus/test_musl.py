"""A musl board's loader is asked in the way that it answers, and what it is asked about is not run."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deploy.verify.checks.test_loader import test_every_library_comes_from_its_named_provider as check
from recipes.engine.confinement import Rights
from recipes.engine.container import ContainerSession, Job
from recipes.engine.docker import Engine
from tests.corpus.targets import HERE, MUSL
from tests.support.containerboard import facts_of

pytestmark = pytest.mark.engine
SOURCES = {
    "near.c": "int near(void) { return 21; }",
    "program.c": '#include <stdio.h>\nint near(void); int main(void) { fopen("/ran", "w"); return near(); }',
}
_BUILD = """set -eu
mkdir -p /releases/one/bin /releases/one/lib /releases/one/gstreamer-1.0
musl-gcc -shared -fPIC -Wl,-soname,libnear.so.1 -o /releases/one/lib/libnear.so.1 near.c
cd /releases/one
musl-gcc -Wl,-rpath,'$ORIGIN/../lib' -o bin/program /corpus/program.c lib/libnear.so.1
musl-gcc -shared -fPIC -Wl,-rpath,'$ORIGIN/../lib' -o gstreamer-1.0/libplugin.so lib/libnear.so.1
"""
CLOSURE = {"libnear.so.1": "bundle:lib/libnear.so.1", "libc.so": "/lib/ld-musl-x86_64.so.1"}
RELEASE = {
    "folder": "/releases/one",
    "loader": "/lib/ld-musl-x86_64.so.1",
    "named": [],
    "providers": {"bin/program": CLOSURE, "gstreamer-1.0/libplugin.so": CLOSURE},
}


@contextmanager
def board(engine: Engine, more: str = "") -> Iterator[ContainerSession]:
    """Yield a container with a release of a program, a plugin and the library that both need."""
    log = io.BytesIO()
    with engine.session(
        Job(image=MUSL.image(engine), environment={"LC_ALL": "C"}, rights=Rights.PACKAGES, cwd=HERE)
    ) as session:
        session.put(HERE, {name: (text.encode(), 0o644) for name, text in SOURCES.items()})
        code = session.run(["sh", "-c", _BUILD + more], log=log)
        assert code == 0, log.getvalue().decode()
        yield session
        assert session.run(["test", "!", "-e", "/ran"], log=log) == 0, "the program was run"


def test_programs_and_plugins_are_listed(engine: Engine) -> None:
    said: dict[str, object] = {}
    with board(engine) as session:
        check(facts_of(session, RELEASE), RELEASE, said.__setitem__)
    assert said["evidence"] in ("2 libraries resolved as planned", "4 libraries resolved as planned")


def test_a_library_that_is_not_found_is_named(engine: Engine) -> None:
    with (
        board(engine, "rm lib/libnear.so.1") as session,
        pytest.raises(AssertionError, match=r"libnear.so.1 not found \(bin/program, gstreamer-1.0/libplugin.so\)"),
    ):
        check(facts_of(session, RELEASE), RELEASE, lambda *_: None)


def test_a_symbol_that_is_not_found_is_named(engine: Engine) -> None:
    other = "echo 'int far(void) { return 1; }' > far.c; musl-gcc -shared -fPIC -Wl,-soname,libnear.so.1 "
    with (
        board(engine, f"{other} -o lib/libnear.so.1 far.c") as session,
        pytest.raises(AssertionError, match=r"bin/program: .*near: symbol not found"),
    ):
        check(facts_of(session, RELEASE), RELEASE, lambda *_: None)

"""The board's own loader takes every library from where the plan says."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from typing import Any


def _loaded(text: str) -> dict[str, str]:
    """Read the loader's list: `NAME => PATH (ADDRESS)`, or `NAME => not found`."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, arrow, rest = line.strip().partition(" => ")
        if arrow:
            found[name] = rest.rpartition(" (")[0] or rest
    return found


def test_every_library_comes_from_its_named_provider(
    host: Any, release: dict[str, Any], record_property: Callable[[str, object], None]
) -> None:
    folder = f"{release['root']}/releases/{release['id']}"
    wrong: list[str] = []
    count = 0
    for entry, providers in release["providers"].items():
        # The loader's list mode runs nothing of the program: https://man7.org/linux/man-pages/man8/ld.so.8.html
        if entry.startswith("gstreamer-1.0/"):  # a plugin cannot be started; the loader lists it all the same
            answer = host.run("%s --list %s", release["loader"], f"{folder}/{entry}")
        else:
            answer = host.run("LD_TRACE_LOADED_OBJECTS=1 %s", f"{folder}/{entry}")
        loaded = _loaded(answer.stdout)
        for name, path in loaded.items():
            if path == "not found":
                wrong.append(f"{entry}: {name} not found")
        for name, provider in providers.items():
            if name not in loaded:
                continue  # the loader itself has no arrow
            count += 1
            ours = provider.startswith("bundle:")
            inside = posixpath.normpath(loaded[name]).startswith(f"{folder}/")
            if ours != inside:
                wrong.append(f"{entry}: {name} comes from {loaded[name]}, planned was {provider}")
    record_property("evidence", f"{count} libraries resolved as planned")
    assert not wrong, "; ".join(wrong)
    assert count > 0, "the loader listed nothing: is the program for this board?"

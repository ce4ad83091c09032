"""The board's own loader takes every library from where the plan says."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from typing import Any

from recipes.rootfs.origin import Origin

_PLUGINS = "gstreamer-1.0/"


def _loaded(text: str) -> dict[str, str]:
    """Read the loader's list: `NAME => PATH (ADDRESS)`, or `NAME => not found`."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, arrow, rest = line.strip().partition(" => ")
        if arrow:
            found[name] = rest.rpartition(" (")[0] or rest
    return found


def _listed(host: Any, release: dict[str, Any], folder: str, entry: str) -> dict[str, str]:
    """Return what the loader says of a program or plugin; its list mode runs nothing of either.

    https://man7.org/linux/man-pages/man8/ld.so.8.html. A plugin cannot be started: the loader itself lists it, but for
    uClibc's, which can usually not be called; that one lists it beside what any program loads.
    """
    place = f"{folder}/{entry}"
    if not entry.startswith(_PLUGINS):
        return _loaded(host.run("LD_TRACE_LOADED_OBJECTS=1 %s", place).stdout)
    if "uClibc" not in release["loader"]:
        return _loaded(host.run("%s --list %s", release["loader"], place).stdout)
    programs = [f"{folder}/{program}" for program in release["providers"] if not program.startswith(_PLUGINS)]
    program = programs[0] if programs else host.find_command("gst-launch-1.0")
    return _loaded(host.run("LD_TRACE_LOADED_OBJECTS=1 LD_PRELOAD=%s %s", place, program).stdout)


def test_every_library_comes_from_its_named_provider(
    host: Any, release: dict[str, Any], record_property: Callable[[str, object], None]
) -> None:
    folder = f"{release['root']}/releases/{release['id']}"
    wrong: list[str] = []
    count = 0
    for entry, providers in release["providers"].items():
        loaded = _listed(host, release, folder, entry)
        if providers and not loaded:
            wrong.append(f"{entry}: the loader listed nothing")
        for name, path in loaded.items():
            if path == "not found":
                wrong.append(f"{entry}: {name} not found")
        for name, provider in providers.items():
            if name not in loaded:
                continue  # the loader itself has no arrow
            count += 1
            ours = Origin(provider).ours
            inside = posixpath.normpath(loaded[name]).startswith(f"{folder}/")
            if ours != inside:
                wrong.append(f"{entry}: {name} comes from {loaded[name]}, planned was {provider}")
    record_property("evidence", f"{count} libraries resolved as planned")
    assert not wrong, "; ".join(wrong)
    assert count > 0, "the loader listed nothing: is the program for this board?"

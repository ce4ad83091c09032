"""The board's own loader takes every library from where the plan says."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from typing import Any

import pytest

from deploy.verify.facts import Facts, loader_of, same_closures
from recipes.console import first_few
from recipes.rootfs.origin import Origin

_LOST = (
    # glibc's loader stops at the first one where it is called by itself, and lists all where it is asked otherwise.
    re.compile(r".*error while loading shared libraries: ([^:]+): cannot open shared object file"),
    re.compile(r"Error loading shared library ([^:]+):"),
)


def _faults(lines: list[str]) -> list[str]:
    """Return what a loader complains of, library by library, and symbol by symbol where it looks at symbols."""
    found = [f"{line.partition(' => ')[0]} not found" for line in lines if line.endswith("=> not found")]
    found += [f"{lost[1]} not found" for line in lines for form in _LOST if (lost := form.match(line))]
    # Symbols of a library that is not found are not found either.
    return found or [line for line in lines if line.startswith("Error relocating ") or ": version `" in line]


def _loaded(lines: list[str]) -> dict[str, str]:
    """Read the loader's list: `NAME => PATH (ADDRESS)`."""
    found: dict[str, str] = {}
    for line in lines:
        name, arrow, rest = line.partition(" => ")
        if arrow and rest != "not found":
            found[name] = rest.rpartition(" (")[0] or rest
    return found


def _misplaced(loaded: dict[str, str], providers: dict[str, str], folder: str) -> list[str]:
    """Return what comes from the wrong side: the board's where ours was planned, or ours in place of the board's."""
    return [
        f"{name} comes from {loaded[name]}, planned was {provider}"
        for name, provider in providers.items()
        if name in loaded and Origin(provider).ours != posixpath.normpath(loaded[name]).startswith(f"{folder}/")
    ]


def test_every_library_comes_from_its_named_provider(
    facts: Facts, release: dict[str, Any], record_property: Callable[[str, object], None]
) -> None:
    """One file is asked for each closure: those beside it that load the same from the same places stand behind it."""
    if facts.mute:
        pytest.skip(f"{loader_of(release)} was built without a mode that lists, and nothing is run to find out")
    wrong: dict[str, list[str]] = {}
    count = 0
    groups = same_closures(release["providers"])
    for entry, entries in groups.items():
        providers, lines = release["providers"][entry], list(facts.listings.get(entry, ()))
        loaded = _loaded(lines)
        faults = _faults(lines) + _misplaced(loaded, providers, facts.folder)
        if not loaded and not faults:
            faults = [f"the loader listed nothing{f': {lines[0]}' if lines else ''}"]
        for fault in faults:
            wrong.setdefault(fault, []).extend(entries)
        # The loader itself has no arrow, so not every provider is in the list.
        count += len(providers.keys() & loaded.keys())
    many = sum(len(entries) for entries in groups.values())
    asked = f", {len(groups)} closures of {many} files" if many > len(groups) else ""
    record_property("evidence", f"{count} librar{'y' if count == 1 else 'ies'} resolved as planned{asked}")
    assert not wrong, "; ".join(f"{fault} ({first_few(entries)})" for fault, entries in wrong.items())
    assert count > 0, "the loader listed nothing: is the program for this board?"

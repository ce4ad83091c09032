"""The board's own loader takes every library from where the plan says."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from recipes.arch import Libc
from recipes.console import first_few
from recipes.rootfs.loaderconf import libc_of
from recipes.rootfs.origin import Origin

_PLUGINS = "gstreamer-1.0/"
_LOST = (
    # glibc's loader stops at the first one where it is called by itself, and lists all where it is asked otherwise.
    re.compile(r".*error while loading shared libraries: ([^:]+): cannot open shared object file"),
    re.compile(r"Error loading shared library ([^:]+):"),
)
# Nothing that is asked about is run. The loaders of glibc and musl list by themselves, a program as well as a plugin:
# https://man7.org/linux/man-pages/man8/ld.so.8.html, musl's ldso/dynlink.c. uClibc's can usually not be called; where
# it was built so it lists in place of running, and its own text says whether it was.
_LIST = """
loader=%s how=%s
folder=$(cd %s && pwd -P) || exit 1
echo "folder=$folder"
if [ "$how" = trace ] && ! tr '\\0' '\\n' < "$loader" | grep -q LD_TRACE_LOADED_OBJECTS; then
    echo mute
    exit 0
fi
while read -r kind entry program; do
    echo "entry=$entry"
    case $how:$kind in
        list:*) "$loader" --list "$folder/$entry" ;;
        trace:program) LD_TRACE_LOADED_OBJECTS=1 "$folder/$entry" ;;
        trace:plugin)
            case $program in -) program=$(command -v gst-launch-1.0) ;; *) program=$folder/$program ;; esac
            [ -z "$program" ] || LD_TRACE_LOADED_OBJECTS=1 LD_PRELOAD="$folder/$entry" "$program" ;;
    esac 2>&1 < /dev/null
done
exit 0
"""


def _asked(providers: dict[str, dict[str, str]]) -> str:
    """Return a line for each entry; uClibc's loader lists a plugin beside what a program of ours loads."""
    programs = [entry for entry in providers if not entry.startswith(_PLUGINS)]
    kinds = {entry: "plugin" if entry.startswith(_PLUGINS) else "program" for entry in providers if providers[entry]}
    return "".join(f"{kind} {entry} {programs[0] if programs else '-'}\n" for entry, kind in kinds.items())


def _answers(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each entry, and the lines that the loader printed of it."""
    entry, lines = "", list[str]()
    for line in text.splitlines():
        if line.startswith("entry="):
            if entry:
                yield entry, lines
            entry, lines = line.partition("=")[2], []
        else:
            lines.append(line.strip())
    if entry:
        yield entry, lines


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
    host: Any, release: dict[str, Any], record_property: Callable[[str, object], None]
) -> None:
    loader = release["loader"] or release["search"]["loader"]
    how = "trace" if libc_of(loader) is Libc.UCLIBC else "list"
    answer = host.run(_LIST, loader, how, release["folder"], stdin=_asked(release["providers"]))
    head, _, rest = answer.stdout.partition("\n")
    if rest.startswith("mute"):
        pytest.skip(f"{loader} was built without a mode that lists, and nothing is run to find out")
    folder = head.partition("=")[2]
    answers = dict(_answers(rest))
    wrong: dict[str, list[str]] = {}
    count = 0
    for entry, providers in release["providers"].items():
        lines = answers.get(entry, [])
        loaded = _loaded(lines)
        faults = _faults(lines) + _misplaced(loaded, providers, folder)
        if providers and not loaded and not faults:
            faults = [f"the loader listed nothing{f': {lines[0]}' if lines else ''}"]
        for fault in faults:
            wrong.setdefault(fault, []).append(entry)
        # The loader itself has no arrow, so not every provider is in the list.
        count += len(providers.keys() & loaded.keys())
    record_property("evidence", f"{count} librar{'y' if count == 1 else 'ies'} resolved as planned")
    assert not wrong, "; ".join(f"{fault} ({first_few(entries)})" for fault, entries in wrong.items())
    assert count > 0, "the loader listed nothing: is the program for this board?"

"""What no loader lists: files that are opened by name, and what elements have that the launch scripts set."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from deploy.dedupe.byname import Presence
from deploy.verify.asked import UsedElement, read_launch
from deploy.verify.facts import Facts, json_object, plugin_element
from recipes.console import first_few
from recipes.text import one_line

_ALWAYS = frozenset({"name", "parent", "qos"})
"""Every element has the first two; the parser itself sets a name."""
_PROPERTY = re.compile(r"  ([A-Za-z][A-Za-z0-9_-]{0,80}) {0,40}: ")
_VERSION = re.compile(r"^  Version {1,40}(\S{1,40})$", re.MULTILINE)


def test_what_is_opened_by_name_is_there(
    facts: Facts, release: dict[str, Any], record_property: Callable[[str, object], None]
) -> None:
    """The board's files are looked for where the plan found them; of a loader that lists nothing its libraries too."""
    board = {row["provider"]: row for row in release["named"] if row["presence"] == Presence.BOARD}
    ours = {row["provider"].partition(":")[2]: row for row in release["named"] if row["presence"] == Presence.BUNDLE}
    libraries = [place for closure in release["providers"].values() for place in closure.values()] if facts.mute else []
    planned = {place for place in libraries if place.startswith("/")}
    if not (board or ours or planned):
        pytest.skip("nothing that this release gets is opened by name alone")
    lost = [f"{row['name']} ({row['by']}): {row['without']}" for place, row in board.items() if place in facts.absent]
    lost += [f"{row['name']} ({row['by']}): {row['without']}" for path, row in ours.items() if path not in facts.files]
    gone = sorted(facts.absent & planned - board.keys())
    told = [f"opened by name: {len(board) + len(ours)}"] if board or ours else []
    told += [f"libraries of the board: {len(planned)}"] if planned else []
    record_property("evidence", ", ".join(told))
    faults = lost + ([f"no longer on the board: {first_few(gone)}"] if gone else [])
    assert not faults, one_line("; ".join(faults))


def _alone(text: str, element: str) -> tuple[frozenset[str] | None, str]:
    """Return the properties of an element, None where it does not load, and its plugin's version with a blank behind.

    By gst-inspect-1.0 or by boardprobe; one that is too old to tell properties has none, and nobody misses any.
    """
    if "Factory Details" in text:
        return _inspected(text), "".join(f"{version} " for version in _VERSION.findall(text)[:1])
    report = json_object(text)
    elements = report.get("elements")
    loads = isinstance(elements, dict) and elements.get(element) == "loads"
    return (_told(text).get(element, frozenset()) if loads else None), ""


def _inspected(text: str) -> frozenset[str]:
    """Return the properties of an element that gst-inspect-1.0 printed."""
    listed = text.partition("Element Properties:")[2].partition("Element Signals:")[0]
    return frozenset(match[1] for line in listed.splitlines() if (match := _PROPERTY.match(line)))


def _told(out: str) -> dict[str, frozenset[str]]:
    """Return the properties that boardprobe tells, by element; none where it knows nothing of them."""
    rows = json_object(out).get("properties")
    rows = rows if isinstance(rows, dict) else {}
    return {str(name): frozenset(text.split()) for name, text in rows.items() if isinstance(text, str)}


def _unknown(used: UsedElement, known: Mapping[str, frozenset[str]]) -> list[str]:
    return sorted(used.properties.keys() - known[used.factory] - _ALWAYS) if used.factory in known else []


def test_elements_have_what_the_launch_scripts_set(
    facts: Facts, release: dict[str, Any], record_property: Callable[[str, object], None]
) -> None:
    """A fresh registry: what a plugin was when it was last looked at is not asked."""
    ours, known, version = plugin_element(release), dict[str, frozenset[str]](), ""
    if facts.boardprobe is not None:
        known |= _told(facts.boardprobe.out)
    if ours and facts.inspected is not None:
        alone, version = _alone(facts.inspected.out, ours)
        if alone is None:
            record_property("cause", "plugin-fails")
        said = one_line((facts.inspected.err or facts.inspected.out)[-300:])
        assert alone is not None, f"{ours} does not load without a registry: {said or f'exit {facts.inspected.code}'}"
        known |= {ours: alone} if alone else {}
    used = [(name, one) for name, stream in facts.streams.items() for one in read_launch(stream.launch).elements]
    looked = [one for _, one in used if one.factory in known]
    if not looked and not (ours and facts.inspected):
        none = "no launch script of this release starts a pipeline"
        pytest.skip("neither gst-inspect-1.0 nor boardprobe on this board says what elements have" if used else none)
    loads = f"{ours} {version}loads without a registry; " if facts.inspected and ours else ""
    count = sum(len(one.properties) for one in looked)
    record_property("evidence", one_line(f"{loads}of {len(looked)} elements, {count} properties are set and known"))
    faults = [f"{name}: {one.factory} has no {', '.join(lost)}" for name, one in used if (lost := _unknown(one, known))]
    assert not faults, one_line("; ".join(faults))

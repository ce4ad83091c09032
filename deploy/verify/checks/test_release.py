"""What was deployed is there, whole, and is what runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deploy.verify.facts import Facts
from recipes.text import one_line

_MOST_NAMED = 20
_OTHERS_WRITE = 0o022


def test_current_points_to_this_release(facts: Facts, release: dict[str, Any]) -> None:
    current = one_line(facts.current)
    assert facts.current.rpartition("/")[2] == release["id"], f"current is {current or 'absent'}"


def test_files_are_intact(
    facts: Facts, release: dict[str, Any], record_property: Callable[[str, object], None]
) -> None:
    """Every file is read back from the board in one round trip: a write that went wrong on flash shows here."""
    digests = {path: file.sha256 for path, file in facts.files.items()}
    wrong = [file["path"] for file in release["files"] if digests.get(file["path"]) != file["sha256"]]
    record_property("evidence", f"{len(release['files']) - len(wrong)} of {len(release['files'])} files intact")
    assert not wrong, f"damaged or missing: {_some(wrong)}"


def test_modes_are_as_planned(
    facts: Facts, release: dict[str, Any], record_property: Callable[[str, object], None]
) -> None:
    """What is to be started may be; nobody but its owner may change a file. A file that is missing is told elsewhere.

    Some file systems know one mode for all files, so one that may be started and need not be is no fault.
    """
    there = [file for file in release["files"] if facts.files.get(file["path"]) and facts.files[file["path"]].mode]
    dead = [file["path"] for file in there if file["mode"] & 0o100 and not facts.files[file["path"]].mode & 0o100]
    open_ = [file["path"] for file in there if facts.files[file["path"]].mode & _OTHERS_WRITE]
    count = sum(bool(file["mode"] & 0o100) for file in there)
    record_property("evidence", f"{count} of {len(there)} files can be started, none can be changed by others")
    told = [f"cannot be started: {_some(dead)}"] if dead else []
    told += [f"others may write to: {_some(open_)}"] if open_ else []
    assert not told, "; ".join(told)


def _some(paths: list[str]) -> str:
    more = f" and {len(paths) - _MOST_NAMED} more" if len(paths) > _MOST_NAMED else ""
    return f"{', '.join(paths[:_MOST_NAMED])}{more}"

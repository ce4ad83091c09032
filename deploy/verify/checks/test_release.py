"""What was deployed is there, whole, and is what runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def test_current_points_to_this_release(host: Any, release: dict[str, Any]) -> None:
    answer = host.run("readlink %s", f"{release['root']}/current")
    assert answer.stdout.strip().endswith(release["id"]), f"current is {answer.stdout.strip() or 'absent'}"


def test_files_are_intact(host: Any, release: dict[str, Any], record_property: Callable[[str, object], None]) -> None:
    """Every file is read back from the board in one round trip: a write that went wrong on flash shows here."""
    folder = f"{release['root']}/releases/{release['id']}"
    paths = " ".join(f"{folder}/{file['path']}" for file in release["files"])
    answer = host.run(f"sha256sum {paths}")
    found = {line.split()[1]: line.split()[0] for line in answer.stdout.splitlines() if len(line.split()) == 2}
    wrong = [file["path"] for file in release["files"] if found.get(f"{folder}/{file['path']}") != file["sha256"]]
    record_property("evidence", f"{len(release['files']) - len(wrong)} of {len(release['files'])} files intact")
    assert not wrong, f"damaged or missing: {', '.join(wrong)}"

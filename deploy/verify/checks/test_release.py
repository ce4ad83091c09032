"""What was deployed is there, whole, and is what runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

_LINE = re.compile(r"([0-9a-f]{64}) [ *]\./(.+)")
# The names come on stdin: thousands of them are longer than what a command line may be. A few dozen share one process.
_HASH = """
cd %s || exit 1
set --
while IFS= read -r path; do
    set -- "$@" "./$path"
    if [ $# -ge 64 ]; then sha256sum "$@"; set --; fi
done
if [ $# -gt 0 ]; then sha256sum "$@"; fi
exit 0
"""


def test_current_points_to_this_release(host: Any, release: dict[str, Any]) -> None:
    answer = host.run("readlink %s", f"{release['root']}/current")
    assert answer.stdout.strip().rpartition("/")[2] == release["id"], f"current is {answer.stdout.strip() or 'absent'}"


def test_files_are_intact(host: Any, release: dict[str, Any], record_property: Callable[[str, object], None]) -> None:
    """Every file is read back from the board in one round trip: a write that went wrong on flash shows here."""
    names = "".join(f"{file['path']}\n" for file in release["files"])
    answer = host.run(_HASH, release["folder"], stdin=names)
    digests = {line[2]: line[1] for text in answer.stdout.splitlines() if (line := _LINE.fullmatch(text))}
    wrong = [file["path"] for file in release["files"] if digests.get(file["path"]) != file["sha256"]]
    record_property("evidence", f"{len(release['files']) - len(wrong)} of {len(release['files'])} files intact")
    more = f" and {len(wrong) - 20} more" if len(wrong) > 20 else ""
    assert not wrong, f"damaged or missing: {', '.join(wrong[:20])}{more}"

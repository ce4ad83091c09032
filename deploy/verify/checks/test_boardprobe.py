"""What the board says of itself, through the libraries that the SDKs use."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest


def test_boardprobe_answers_without_an_error(
    host: Any, release: dict[str, Any], record_property: Callable[[str, object], None]
) -> None:
    if "bin/boardprobe" not in release["providers"]:
        pytest.skip("this release has no boardprobe")
    answer = host.run("%s", f"{release['root']}/current/run/boardprobe")
    assert answer.exit_status in (0, 1, 2), f"exit {answer.exit_status}: {answer.stderr.strip()[-300:]}"
    report = json.loads(answer.stdout)
    errors = [
        f"{finding['check']}: {finding['detail']}" for finding in report["findings"] if finding["level"] == "error"
    ]
    libraries = (
        f"curl {report['curl']}, {report['openssl'].partition(' (')[0]}, libwebsockets {report['libwebsockets']}"
    )
    loads = sum(state == "loads" for state in report.get("elements", {}).values())
    media = f", {loads} of {len(report['elements'])} elements load" if report.get("elements") else ""
    record_property("evidence", f"{report['machine']}, glibc {report['libc_version']}, {libraries}{media}")
    record_property("report", json.dumps(report, sort_keys=True))
    assert not errors, "; ".join(errors)

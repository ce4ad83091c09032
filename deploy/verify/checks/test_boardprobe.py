"""What the board says of itself, through the libraries that the SDKs use."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from deploy.verify.facts import Facts, probed_elements

_LIBRARIES = "curl {curl}, {openssl}, libwebsockets {libwebsockets}"
_TEXTS = ("machine", "libc_version", "curl", "openssl", "libwebsockets")
_FINDING = ("level", "check", "detail")


def _texts(value: object, *names: str) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(name), str) for name in names)


def _report(text: str) -> dict[str, Any]:
    """Return what boardprobe printed; fails with its first words where that is no report."""
    try:
        report = json.loads(text)
    except (ValueError, RecursionError):
        report = None
    elements, found = (report.get(name) for name in ("elements", "findings")) if isinstance(report, dict) else (0, 0)
    whole = _texts(report, *_TEXTS) and isinstance(found, list) and all(_texts(row, *_FINDING) for row in found)
    known = elements is None or (isinstance(elements, dict) and _texts(elements, *elements))
    assert whole and known, f"what it printed is no report: {text.strip()[:200]!r}"  # noqa: PT018 - one reason for both
    return dict(report)


def _not_loading(report: dict[str, Any], asked: list[str]) -> list[str]:
    """Return the elements that were asked for, here or by the launcher, and do not load; each with the reason."""
    states = dict.fromkeys(asked, "missing") | report.get("elements", {})
    told = {finding["detail"].partition(" ")[0].rstrip(":"): finding["detail"] for finding in report["findings"]}
    if report.get("gstreamer") == "missing":
        lost = [finding["detail"] for finding in report["findings"] if finding["check"] == "gstreamer"]
        return [f"GStreamer {detail}" for detail in lost] + [f"{name} does not load" for name in asked]
    return [told.get(name, f"{name} is missing") for name, state in states.items() if state != "loads"]


def test_boardprobe_answers_without_an_error(
    facts: Facts, release: dict[str, Any], record_property: Callable[[str, object], None]
) -> None:
    """Whatever the board's file asks about is among its launcher's words; a plugin that travels is asked about too."""
    if "bin/boardprobe" not in release["providers"]:
        pytest.skip("this release has no boardprobe")
    answer = facts.boardprobe
    assert answer is not None, "it was not started"
    asked = probed_elements(release)
    code, said = answer.code, answer.err[-300:]
    ended = f"a signal ended it ({code - 128})" if code > 128 else f"exit {code}"
    assert code in (0, 1, 2), f"{ended}: {said}"
    report = _report(answer.out)
    errors = [
        f"{finding['check']}: {finding['detail']}" for finding in report["findings"] if finding["level"] == "error"
    ]
    errors += _not_loading(report, asked)
    libraries = _LIBRARIES.format(**report | {"openssl": report["openssl"].partition(" (")[0]})
    loads = sum(state == "loads" for state in report.get("elements", {}).values())
    media = f", {loads} of {len(report['elements'])} elements load" if report.get("elements") else ""
    libc = f"{report.get('libc', 'glibc')} {report['libc_version']}".strip()
    record_property("evidence", f"{report['machine']}, {libc}, {libraries}{media}")
    record_property("report", json.dumps(report, sort_keys=True))
    assert not errors, "; ".join(errors)

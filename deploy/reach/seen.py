"""What was seen of an endpoint, and how a board is asked: lines that boardprobe reads, and its report."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deploy.reach.endpoints import Endpoint
from recipes.text import one_line

SECONDS = 12
"""For all endpoints together; what is not done by then has the state `timeout`."""
_WORD = re.compile(r"[\x21-\x7e]{1,510}")
_MOST = 24
"""Endpoints that boardprobe takes at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one side saw of an endpoint.

    Attributes
    ----------
    state:
        `ok`, or a word for what is wrong, such as `dns`, `refused`, `timeout`, `ca`; empty where nobody looked.
    stage:
        What it was at last busy with: `dns`, `tcp`, `tls`, `udp`.
    milliseconds:
        Until the answer, name and certificate included.
    notes:
        By name: `address`, `issuer`, `from`, `until`, `skew`, `mapped` and the like, made printable.
    """

    state: str = ""
    stage: str = ""
    milliseconds: int = 0
    notes: Mapping[str, str] = field(default_factory=dict)

    def number(self, name: str) -> int | None:
        """Return a note that is a whole number; None where it is none."""
        value = self.notes.get(name, "")
        return int(value) if re.fullmatch(r"-?[0-9]{1,12}", value, re.ASCII) else None


def asked_lines(endpoints: Sequence[Endpoint], seconds: int = SECONDS) -> list[str]:
    """Return the lines that ask boardprobe for endpoints; one with a word that is none is left out."""
    lines, trusted = [f"seconds {seconds}"], ""
    for number, one in enumerate(endpoints[:_MOST]):
        words = [one.kind, f"e{number}", *([one.transport] if one.kind == "turn" else []), one.host, str(one.port)]
        words += [word for host, port in one.others for word in (host, str(port))]
        words += [one.user, one.password] if one.user else []
        if not all(_WORD.fullmatch(word) for word in words):
            continue
        if one.ca and one.ca != trusted and _WORD.fullmatch(one.ca):
            trusted = one.ca
            lines.append(f"ca {one.ca}")
        lines.append(" ".join(words))
    return lines if len(lines) > 1 else []


def read_seen(text: str, endpoints: Sequence[Endpoint]) -> dict[str, Seen] | None:
    """Return what a board says by the endpoints' names; None where its answer is no report of boardprobe's."""
    try:
        report = json.loads(text)
    except (ValueError, RecursionError):
        return None
    rows = report.get("endpoints") if isinstance(report, dict) else None
    if not isinstance(rows, list):
        return None
    found = {}
    for row in rows[:_MOST]:
        name = row.get("name") if isinstance(row, dict) else None
        if isinstance(name, str) and (number := re.fullmatch(r"e([0-9]{1,2})", name, re.ASCII)):
            at = int(number[1])
            if at < len(endpoints):
                found[endpoints[at].name] = _seen(row)
    return found


_FIXED = {"name", "kind", "host", "port", "state", "stage", "ms"}


def _seen(row: Mapping[str, Any]) -> Seen:
    texts = {one_line(key, most=20): one_line(value, most=200) for key, value in row.items() if isinstance(value, str)}
    taken = row.get("ms")
    return Seen(
        state=texts.get("state") or "failed",
        stage=texts.get("stage", ""),
        milliseconds=taken if isinstance(taken, int) and not isinstance(taken, bool) and 0 <= taken < 10**6 else 0,
        notes={key: value for key, value in texts.items() if key not in _FIXED},
    )

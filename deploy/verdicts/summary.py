"""A verdict as Markdown, on the page that GitHub shows of a workflow's run.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#adding-a-job-summary
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from deploy.verdicts.record import CheckRecord, VerdictRecord
from recipes import console

VARIABLE = "GITHUB_STEP_SUMMARY"
_MOST_BYTES = 1 << 20
"""GitHub's limit for all that a step writes; what is longer is left out as a whole there."""
_CELL = 400
"""Characters of one cell: evidence may quote a board."""


def tell_github(record: VerdictRecord) -> None:
    """Append a verdict to the summary of a workflow's step; nothing where this is none, or where it is full.

    A page that cannot be written is no fault of the board's: it is said, and the verdict stays what it is.
    """
    if not (name := os.environ.get(VARIABLE)):
        return
    text = summary(record).encode()
    try:
        with Path(name).open("ab") as file:
            if file.tell() + len(text) <= _MOST_BYTES:
                file.write(text)
            else:
                console.say(f"{record.host}: no room is left on the page of this step ({VARIABLE})")
    except OSError as error:
        console.say(f"{record.host}: not on the page of this step ({VARIABLE}): {error.strerror}")


def summary(record: VerdictRecord) -> str:
    """Return a verdict in GitHub's Markdown: what is red first, what was seen of each stream, then all checks."""
    red = [check for check in record.checks if check.state == "failed"]
    lines = [f"### {_plain(record.host)}: {'green' if record.green else 'red'}", ""]
    lines += [f"Release `{record.release[:12]}`, {len(record.checks)} checks, {len(red)} red.", ""]
    if red:
        rows = [(_named(check), check.evidence, check.next_step) for check in red]
        lines += _table(("red", "what was seen", "next"), rows)
    for stream in record.streams:
        fresh = sum(fragment.new for fragment in stream.fragments)
        seen = f"{stream.width} x {stream.height}, {stream.rate:g} frames a second, {stream.kbps:g} kbit/s"
        lines += [f"**{_plain(stream.name)}**: {fresh} new fragments; {seen}", ""]
    every = _table(
        ("check", "result", "evidence"), [(_named(check), check.state, check.evidence) for check in record.checks]
    )
    return "\n".join([*lines, "<details><summary>All checks</summary>", "", *every, "</details>", "", ""])


def _named(check: CheckRecord) -> str:
    return f"{check.subject}: {check.name}" if check.subject else check.name


def _table(heads: tuple[str, ...], rows: list[tuple[str, str, str]]) -> list[str]:
    return [
        f"| {' | '.join(heads)} |",
        f"|{' --- |' * len(heads)}",
        *(f"| {' | '.join(map(_plain, row))} |" for row in rows),
        "",
    ]


def _plain(text: str) -> str:
    """Return text that is text in Markdown and in HTML: a board may have written it."""
    short = text if len(text) <= _CELL else text[: _CELL - 1] + "…"
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|~>&<@:])", lambda found: f"&#{ord(found[1])};", short)

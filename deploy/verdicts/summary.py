"""A verdict in the summary of a step of GitHub's CI: Markdown, bounded, and nothing in it acts.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#adding-a-job-summary
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from deploy.causes.catalogue import written_at
from deploy.verdicts.record import CheckRecord, VerdictRecord
from recipes import console, paths
from recipes.text import shown

VARIABLE = "GITHUB_STEP_SUMMARY"
"""Names the file of the summary; set by the runner."""
_MOST_BYTES = 1 << 20
"""Of the whole file: the runner drops a summary that is larger."""
_SPARE = 4096
_EVIDENCE, _NAME = 400, 120
"""Characters of one cell."""
_WORDS = {"failed": "✗ **red**", "skipped": "not made", "passed": "✓ green"}
_PUNCTUATION = re.compile(r"[!-+\-./:-@\[-`{-~]")


def summarize(record: VerdictRecord) -> None:
    """Append a verdict to the summary of this step; nothing where no runner asks for one, or its file is full."""
    name = os.environ.get(VARIABLE, "")
    if not name:
        return
    file = Path(name)
    try:
        taken = file.stat().st_size if file.exists() else 0
        text = summary(record, _MOST_BYTES - _SPARE - taken, source=_source()).encode()
        with file.open("ab") as stream:
            stream.write(text)
    except OSError as error:
        console.say(f"the summary of this step could not be written: {error}")  # the verdict counts all the same


def summary(record: VerdictRecord, most: int, *, source: str = "") -> str:
    """Return a verdict as Markdown of at most so many bytes, empty where that is too few; the red checks first.

    Parameters
    ----------
    source:
        Address of the folder that `docs` is in; empty: the causes are named without a link.
    """
    count = {state: sum(check.state == state for check in record.checks) for state in _WORDS}
    release = f", release {_fit(record.release[:12], 12)}" if record.release else ""
    title = f"### {_fit(record.host, _NAME)}: {'✓ green' if record.green else '✗ red'}{release}"
    counted = f"{count['passed']} green, {count['failed']} red, {count['skipped']} not made"
    head = f"\n{title}\n\n{counted}; {_fit(record.service, _NAME) or 'the board alone was asked'}.\n"
    left = most - len(head.encode())
    if left < _SPARE:
        return ""
    changed = "".join(f"- {_fit(change, _EVIDENCE)}\n" for change in record.changes[:8])
    rows = [*_rows(record, "failed", source), *_rows(record, "skipped", source), *_rows(record, "passed", source)]
    shut = count["failed"] == 0
    parts = [f"\nSince the verdict before:\n\n{changed}" if changed else ""]
    parts += [f"\n<details><summary>{len(rows)} checks</summary>\n" if shut else ""]
    parts += ["\n| | check | what was seen | cause, and what to do |\n| --- | --- | --- | --- |\n"]
    kept = "".join(parts)
    left -= len(kept.encode()) + _SPARE // 2
    for number, row in enumerate(rows):
        left -= len(row.encode())
        if left < 0:
            kept += f"| | | and {len(rows) - number} more, in the report | |\n"
            break
        kept += row
    return f"{head}{kept}{f'{chr(10)}</details>{chr(10)}' if shut else ''}"


def _rows(record: VerdictRecord, state: str, source: str) -> Iterator[str]:
    for check in (check for check in record.checks if check.state == state):
        label = f"{check.subject}: {check.name}" if check.subject else check.name
        cells = (_WORDS[state], _fit(label, _NAME), _fit(check.evidence, _EVIDENCE), _cure(check, source))
        yield f"| {' | '.join(cells)} |\n"


def _cure(check: CheckRecord, source: str) -> str:
    if check.state != "failed":
        return ""
    place = written_at(check.reason)
    named = f"[{_fit(check.reason, _NAME)}]({source}/{place})" if source and place else _fit(place, _NAME)
    step = _fit(check.next_step, _EVIDENCE)
    return "<br>".join(part for part in (named, step) if part)


def _fit(words: str, most: int) -> str:
    """Return a text in which neither Markdown nor HTML nor an address is left: every mark is written as its number."""
    text = " ".join(shown(words[:most], lines=False).split())
    return _PUNCTUATION.sub(lambda mark: f"&#{ord(mark[0])};", text)


def _source() -> str:
    """Return where this checkout is to be seen, on the commit that the runner has; empty where that is not known."""
    server, repository, commit = (os.environ.get(f"GITHUB_{name}", "") for name in ("SERVER_URL", "REPOSITORY", "SHA"))
    known = re.fullmatch(r"https://[A-Za-z0-9.-]{1,200}(:[0-9]{1,5})?", server)
    known = known and re.fullmatch(r"[A-Za-z0-9][\w.-]{0,100}/[A-Za-z0-9_][\w.-]{0,100}", repository, re.ASCII)
    workspace = os.environ.get("GITHUB_WORKSPACE", "")
    here = bool(workspace) and Path(workspace).resolve() == paths.CHECKOUT.resolve()
    if not (known and here and re.fullmatch(r"[0-9a-f]{40,64}", commit)):
        return ""
    return f"{server}/{repository}/blob/{commit}"

"""A fleet in one look: a table for a terminal, and a page that needs no other file."""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter
from collections.abc import Sequence
from html import escape

from deploy.fleet.survey import HostView
from deploy.verdicts.page import document
from recipes import console
from recipes.text import shown

COLUMNS = (
    "host",
    "release",
    "verified",
    "proof",
    "free",
    "clock",
    "certificate",
    "last fragment",
    "notes",
)
ROOMY = ("free", "clock", "certificate")
_STYLE = """
main{max-width:1200px}
.counts{display:grid;grid-template-columns:repeat(auto-fit,minmax(130px,1fr));gap:12px;margin:16px 0}
.counts div{background:var(--paper);border:1px solid var(--line);border-radius:10px;padding:12px 16px;font-size:13px;
color:var(--soft)}
.counts b{display:block;font-size:24px;color:var(--ink);line-height:1.25}
.counts .is-red b{color:var(--red)}.counts .is-amber b{color:var(--amber)}
:root{--amber:#9a6200}
.fleet td{white-space:nowrap}.fleet td.said{white-space:normal;min-width:190px}
.fleet td.host{font-weight:600;white-space:normal}.fleet td.host span{display:block;font-weight:400;color:var(--soft);
font-size:12.5px;overflow-wrap:anywhere}
.fleet .drift{color:var(--red)}.fleet .warn{color:var(--amber)}.fleet .away{color:var(--soft)}
.fleet tr.is-drift td.host{box-shadow:inset 3px 0 var(--red);padding-left:10px}
.fleet tr.is-warn td.host{box-shadow:inset 3px 0 var(--amber);padding-left:10px}
.fleet tr.is-off td.host{box-shadow:inset 3px 0 var(--grey);padding-left:10px}
.fleet tr.is-ok td.host{box-shadow:inset 3px 0 var(--green);padding-left:10px}
.fleet ul{list-style:none;padding:0}
.fleet .label{display:none}
@media(prefers-color-scheme:dark){:root{--amber:#d9a441}}
@media(max-width:820px){.fleet table,.fleet tbody,.fleet tr,.fleet td{display:block}.fleet tr:first-child{display:none}
.fleet tr{border-top:1px solid var(--line);padding:10px 0}.fleet td{border:0;padding:2px 0;white-space:normal}
.fleet td.host{font-size:16px}.fleet .label{display:inline-block;width:108px;color:var(--soft);font-size:13px}
.fleet td.said:empty,.fleet td.none{display:none}.fleet tr{display:flex;flex-direction:column}
.fleet td.host{order:-2}.fleet td.said{order:-1}.counts{grid-template-columns:repeat(2,1fr)}}
"""


def age_words(seconds: float | None) -> str:
    """Return how long ago something was: `40 s`, `3 h`, `12 d`; a dash where nobody knows."""
    if seconds is None:
        return "-"
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def cells(view: HostView, now: float) -> list[str]:
    """Return the cells of a host, in the order of COLUMNS."""
    if view.state != "ok":
        return [view.host, *("-" for _ in COLUMNS[2:]), view.error]

    def ago(at: int | None) -> str:
        return age_words(None if at is None else now - at)

    verified = "no" if not view.verified else ago(view.verified_at)
    proof = f"{view.proof}, {ago(view.proof_at)} old" if view.proof and view.proof_at else view.proof or "-"
    return [
        view.host,
        view.release[:12] or "nothing",
        verified if view.release else "-",
        proof,
        console.size(view.free) if view.free is not None else "-",
        f"{view.skew:+d} s" if view.skew is not None else "-",
        f"{view.certificate_days} d" if view.certificate_days is not None else "-",
        ago(view.fragment_at),
        "; ".join(said(view)),
    ]


def said(view: HostView) -> tuple[str, ...]:
    """Return what is to be said of a host, the worst first."""
    staged = (f"staged: {view.staged[:12]}",) if view.staged else ()
    return (*view.drift, *view.warnings, *staged)


def sort_key(view: HostView) -> tuple[int, str]:
    """Put the hosts that want a look first."""
    return (("drift", "warn", "off", "ok").index(kind_of(view)), view.host)


def kind_of(view: HostView) -> str:
    """Return `off`, `drift`, `warn` or `ok`."""
    if view.state != "ok":
        return "off"
    return "drift" if view.drift else "warn" if view.warnings else "ok"


def print_views(title: str, views: Sequence[HostView]) -> None:
    """Print the table."""
    now = time.time()
    rows = [cells(view, now) for view in sorted(views, key=sort_key)]
    console.table(title, COLUMNS, [[cell or "-" for cell in row] for row in rows], roomy=ROOMY)


def fleet_page(title: str, views: Sequence[HostView]) -> str:
    """Return the page: how many are how, then each host, those that want a look first."""
    now = dt.datetime.now(dt.UTC)
    counted = Counter(kind_of(view) for view in views)
    releases = Counter(view.release[:12] or "nothing" for view in views if view.state == "ok")
    state = "red" if counted["drift"] or counted["off"] else "green"
    word = "as it should be" if state == "green" else "wants a look"
    told = "".join(f"<span>{_fit(name)}: {count}</span>" for name, count in releases.most_common(8))
    head = f'<header><h1>{_fit(title)}</h1><span class="verdict {state}">{word}</span>'
    head += f'<div class="facts">{told}</div></header>'
    tiles = [
        (len(views), "hosts", ""),
        (counted["ok"], "as they should be", ""),
        (counted["drift"], "drifted", "is-red"),
        (counted["warn"], "with a warning", "is-amber"),
        (counted["off"], "without an answer", "is-red"),
    ]
    counts = "".join(
        f'<div class="{colour if count else ""}"><b>{count}</b>{words}</div>' for count, words, colour in tiles
    )
    rows = "\n".join(_row(view, now.timestamp()) for view in sorted(views, key=sort_key))
    names = "".join(f"<th>{_fit(name)}</th>" for name in COLUMNS)
    table = f"<table><tr>{names}</tr>\n{rows}\n</table>"
    body = f'{head}\n<div class="counts">{counts}</div>\n<section class="fleet">{table}</section>'
    return document(title, body, now.isoformat(timespec="seconds"), style=_STYLE)


def _row(view: HostView, now: float) -> str:
    kind = kind_of(view)
    values = cells(view, now)
    about = ", ".join([view.board, *view.groups, *(f"{name}={value}" for name, value in view.labels.items())])
    parts = [f'<td class="host">{_fit(view.host)}<span>{_fit(about)}</span></td>']
    if view.state == "ok":
        parts += [
            f'<td{" class=none" * (value == "-")}><span class="label">{name}</span>{_fit(value)}</td>'
            for name, value in zip(COLUMNS[1:-1], values[1:-1], strict=True)
        ]
        parts.append(f'<td class="said">{_list(view)}</td>')
    else:
        word = "does not answer" if view.state == "off" else "could not be asked"
        parts.append(f'<td class="said away" colspan="{len(COLUMNS) - 1}">{word}: {_fit(view.error)}</td>')
    return f'<tr class="is-{kind}">{"".join(parts)}</tr>'


def _list(view: HostView) -> str:
    rows = [*(("drift", words) for words in view.drift), *(("warn", words) for words in view.warnings)]
    rows += [("", f"staged: {view.staged[:12]}")] if view.staged else []
    return "<ul>" + "".join(f'<li class="{kind}">{_fit(words)}</li>' for kind, words in rows) + "</ul>" if rows else ""


def _fit(words: object) -> str:
    return escape(shown(str(words), lines=False))

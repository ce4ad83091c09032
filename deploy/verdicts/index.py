"""The page over all hosts: the last verdict of each, the red ones first; a link to its page, and its newest picture."""

from __future__ import annotations

import base64
import datetime as dt
from html import escape
from pathlib import Path
from urllib.parse import quote

from deploy.verdicts.page import document, utc
from deploy.verdicts.record import VerdictRecord, read_record
from recipes.text import shown

INDEX = "index.html"
"""Its name, beside the pages of the hosts."""
_MOST_HOSTS = 500
_MOST_PICTURE, _MOST_PICTURES = 256 << 10, 8 << 20
"""Bytes of one picture, and of all."""
_RED = 3
_STYLE = """
.hosts{display:grid;grid-template-columns:repeat(auto-fill,minmax(290px,1fr));gap:16px;margin-top:18px}
.host{display:block;background:var(--paper);border:1px solid var(--line);border-radius:10px;overflow:hidden;
color:inherit;text-decoration:none;border-top:4px solid var(--green)}
.host.is-red{border-top-color:var(--red)}.host:hover{border-color:var(--soft)}
.host img,.host .none{display:block;width:100%;aspect-ratio:16/9;object-fit:cover;background:var(--ground)}
.host .none{display:flex;align-items:center;justify-content:center;color:var(--soft);font-size:13px}
.host div.words{padding:12px 16px 14px}.host h2{display:flex;justify-content:space-between;gap:10px;margin:0 0 4px}
.host h2 b{overflow-wrap:anywhere}.host .verdict{font-size:12px;padding:2px 10px;align-self:start;flex:none}
.host p{margin:0;color:var(--soft);font-size:13px;overflow-wrap:anywhere}
.host ul{margin:8px 0 0;font-size:13.5px}.host li{overflow-wrap:anywhere}
"""


def index_page(folder: Path) -> str:
    """Return the page of all verdicts in a folder; a file that is none counts for nothing."""
    files = sorted(folder.glob("*.json"))[:_MOST_HOSTS]
    found = [(file, record) for file in files if (record := read_record(file)) is not None]
    rows = sorted(found, key=lambda one: (one[1].green, one[1].host))
    left, cards = _MOST_PICTURES, []
    for file, record in rows:
        picture = _picture(file.parent, record, left)
        left -= len(picture)
        cards.append(_card(file, record, picture))
    red = sum(not record.green for _, record in rows)
    state = "red" if red or not rows else "green"
    counted = f"{len(rows)} host{'s' * (len(rows) != 1)}, {red} red"
    made = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    head = f'<header><h1>Hosts</h1><span class="verdict {state}">{state}</span><div class="facts">'
    head += f"<span>{counted}</span><span>each as it was when it was verified last</span></div></header>"
    body = f'{head}\n<div class="hosts">\n{"".join(cards)}</div>'
    return document(counted, body, made, style=_STYLE)


def _card(file: Path, record: VerdictRecord, picture: bytes) -> str:
    state = "green" if record.green else "red"
    count = {kind: sum(check.state == kind for check in record.checks) for kind in ("passed", "failed", "skipped")}
    when = utc(record.made)
    page = f"{file.stem}.html"
    told = f"<p>{_fit(when)}{f', release {_fit(record.release[:12])}' if record.release else ''}</p>"
    told += f"<p>{count['passed']} green, {count['failed']} red, {count['skipped']} not made{_streams(record)}</p>"
    link = f'<a class="host is-{state}" href="{escape(quote(page))}">'
    title = f'<h2><b>{_fit(record.host)}</b><span class="verdict {state}">{state}</span></h2>'
    return f'{link}{_shown(picture)}<div class="words">{title}{told}{_reds(record)}</div></a>\n'


def _streams(record: VerdictRecord) -> str:
    names = [*(stream.name for stream in record.streams), *(channel.name for channel in record.channels)]
    return f"; {_fit(', '.join(names[:4]))}{' and more' * (len(names) > 4)}" if names else ""


def _reds(record: VerdictRecord) -> str:
    red = [check for check in record.checks if check.state == "failed"]
    labels = [f"{check.subject}: {check.name}" if check.subject else check.name for check in red]
    more = [f"and {len(labels) - _RED} more"] if len(labels) > _RED else []
    rows = "".join(f"<li>{_fit(label)}</li>" for label in [*labels[:_RED], *more])
    return f'<ul class="failed">{rows}</ul>' if rows else ""


def _picture(folder: Path, record: VerdictRecord, left: int) -> bytes:
    """Return the newest picture of a host; empty where there is none, or no room on the page."""
    names = [*(stream.picture for stream in record.streams), *(channel.picture for channel in record.channels)]
    for name in filter(None, names):
        file = folder / name
        if "/" in name or not name.endswith(".jpg") or file.is_symlink() or not file.is_file():
            continue
        if file.stat().st_size <= min(_MOST_PICTURE, left):
            return file.read_bytes()
    return b""


def _shown(picture: bytes) -> str:
    if not picture.startswith(b"\xff\xd8\xff"):
        return '<span class="none">no picture was asked for</span>'
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(picture).decode("ascii")}">'


def _fit(words: object) -> str:
    return escape(shown(str(words), lines=False))

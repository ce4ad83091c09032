"""One verdict as one HTML file that needs no other: checks with evidence, pictures, timelines, sizes, what changed.

Whatever is not ours in it is escaped and made printable. It has no script, and asks nothing of the network.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from deploy.causes.catalogue import written_at
from deploy.cloud.judge import CHECKS
from deploy.verdicts.further import drill_facts, soak_facts, soak_figures
from deploy.verdicts.record import ChannelRecord, CheckRecord, DrillRecord, SoakRecord, StreamRecord, VerdictRecord
from deploy.verdicts.timeline import draw_timeline
from recipes.text import shown

_STYLE = """
:root{--ink:#1d2733;--soft:#5b6875;--line:#e1e6eb;--paper:#fff;--ground:#f4f6f8;--green:#1e7d4a;--red:#b3261e;--grey:#7a8691}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5 "Segoe UI",Roboto,"DejaVu Sans",Arial,sans-serif}
main{max-width:1000px;margin:0 auto;padding:28px 20px 60px}
h1,h2,.why b{overflow-wrap:anywhere}
header{display:flex;gap:18px;align-items:center;flex-wrap:wrap;margin-bottom:18px}
h1{font-size:26px;margin:0}h2{font-size:18px;margin:0 0 12px}h3{font-size:15px;margin:0 0 8px}
section{background:var(--paper);border:1px solid var(--line);border-radius:10px;padding:18px 20px;margin:16px 0}
.verdict{font-weight:700;color:#fff;border-radius:20px;padding:4px 16px;text-transform:uppercase;letter-spacing:.06em}
.green{background:var(--green)}.red{background:var(--red)}
.facts{color:var(--soft);font-size:13.5px;width:100%}
.facts span{margin-right:18px;display:inline-block;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%;font-size:14px}
th{text-align:left;color:var(--soft);font-weight:600;font-size:12.5px;padding:0 10px 6px 0}
td{border-top:1px solid var(--line);padding:7px 10px 7px 0;vertical-align:top;overflow-wrap:anywhere}
td.state{white-space:nowrap;width:86px;font-weight:600}td.name{width:230px}td.number{text-align:right;white-space:nowrap}
.passed{color:var(--green)}.failed{color:var(--red)}.skipped{color:var(--grey);font-weight:400}
.evidence{overflow-wrap:anywhere}
.next{margin-top:3px;color:var(--soft);overflow-wrap:anywhere}
code{font:13px/1.4 ui-monospace,"DejaVu Sans Mono",Menlo,monospace}
.why{border-left:4px solid var(--red);padding:2px 0 2px 14px;margin:0 0 14px}
.why b{color:var(--red)}
.why:last-child{margin-bottom:0}
figure{margin:0;flex:0 1 360px}figure img{display:block;width:100%;border-radius:6px;background:#000}
.look+h3{margin-top:14px}
figure.chart{flex:0 1 440px}figure.chart svg{margin-top:4px}
figcaption{color:var(--soft);font-size:12.5px;margin-top:5px}
.look{display:flex;gap:22px;flex-wrap:wrap;align-items:flex-start}
dl{display:grid;grid-template-columns:auto 1fr;gap:3px 16px;margin:0;font-size:14px;flex:1 1 300px}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
svg{display:block;width:100%;height:auto;margin-top:14px}
.legend{color:var(--soft);font-size:12.5px;margin:4px 0 0}
.key{display:inline-block;width:10px;height:10px;border-radius:2px;margin:0 5px 0 14px}
.sizes td.name{width:34%}td.bars{width:50%;vertical-align:middle}
.bar{background:#2f6f8f;height:10px;border-radius:2px;min-width:1px}
ul{margin:0;padding-left:20px}footer{color:var(--soft);font-size:12.5px;margin-top:22px}
@media(prefers-color-scheme:dark){:root{--ink:#e6ebf0;--soft:#9aa7b4;--line:#2c3640;--paper:#171d23;--ground:#0f1418;
--green:#2f9e63;--red:#e0564c}text{fill:#9aa7b4}}
@media(max-width:640px){main{padding:16px 10px}section{padding:14px 12px}td.state{width:60px}td.name{width:110px}
td.bars{width:30%}}
@media print{body{background:#fff}section{break-inside:avoid}}
"""
_WORDS = {"passed": "✓ green", "failed": "✗ red", "skipped": "not made"}
_CAUSES = 6
_KEYS = {"#9db4c8": "before the look", "#2f6f8f": "new", "#c0392b": "missing", "#b9770e": "delay of the whole fragment"}
_LEGEND = (
    '<p class="legend">Height: bits a second; times are UTC.'
    + "".join(f'<span class="key" style="background:{colour}"></span>{words}' for colour, words in _KEYS.items())
    + "</p>"
)


def verdict_page(record: VerdictRecord, pictures: Mapping[str, bytes]) -> str:
    """Return the page.

    Parameters
    ----------
    pictures:
        JPEG by the names that the record has.
    """
    board = [check for check in record.checks if not check.subject and not check.part]
    looked = {stream.name for stream in record.streams} | {channel.name for channel in record.channels}
    unseen = [check for check in record.checks if check.subject and check.subject not in looked and not check.part]
    parts = [
        _head(record),
        _section("Why it is red", _causes(record.checks)),
        _section("Since the verdict before", _list(record.changes)),
        *(_stream(stream, record.checks, pictures) for stream in record.streams),
        *(_channel(channel, record.checks, pictures) for channel in record.channels),
        _section("Streams and channels that were not looked at", _table(unseen, subjects=True)),
        *(_drill(drill, record.checks) for drill in record.drills),
        _soak(record.soak, [check for check in record.checks if check.part == "soak"]),
        _section("On the board", _table(board)),
        _section("What the release weighs", _sizes(record.sizes)),
        _section("Notes", _list(record.notes)),
    ]
    title = f"{record.host}: {'green' if record.green else 'red'}"
    return document(title, "\n".join(part for part in parts if part), record.made)


def document(title: str, body: str, made: str, *, style: str = "") -> str:
    """Return a whole page that has no script and asks nothing of the network; its body is HTML already."""
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_fit(title)}</title>\n<style>{_STYLE}{style}</style>\n</head>\n<body>\n<main>\n{body}"
        f"\n<footer>Made by Boardcast, {_fit(utc(made))}.</footer>\n</main>\n</body>\n</html>\n"
    )


def utc(made: str) -> str:
    """Return a time as people read it."""
    return made.replace("T", " ", 1).replace("+00:00", " UTC")


def _fit(words: object) -> str:
    return escape(shown(str(words), lines=False))


def _section(title: str, body: str) -> str:
    return f"<section>\n<h2>{_fit(title)}</h2>\n{body}\n</section>" if body else ""


def _head(record: VerdictRecord) -> str:
    count = {state: sum(check.state == state for check in record.checks) for state in _WORDS}
    colour = "green" if record.green else "red"
    facts = [
        f"release {record.release[:12]}" if record.release else "no release known",
        f"{count['passed']} green, {count['failed']} red, {count['skipped']} not made",
        utc(record.made),
        record.service or "the board alone was asked",
    ]
    told = "".join(f"<span>{_fit(fact)}</span>" for fact in facts)
    return (
        f'<header><h1>{_fit(record.host)}</h1><span class="verdict {colour}">{colour}</span>'
        f'<div class="facts">{told}</div></header>'
    )


def _causes(checks: Sequence[CheckRecord]) -> str:
    red = [check for check in checks if check.state == "failed"]
    told = [
        f'<div class="why"><b>{_fit(_label(check))}</b><div class="evidence">{_fit(check.evidence)}</div>'
        f"{_next(check)}</div>"
        for check in red[:_CAUSES]
    ]
    more = len(red) - _CAUSES
    return "\n".join([*told, *([f"<p>and {more} more, below</p>"] if more > 0 else [])])


def _label(check: CheckRecord) -> str:
    side = {"nobody": "nobody reaches the service", "workstation": "this workstation"}.get(check.side, check.side)
    return f"{_subjected(check)}{f' ({side})' if side else ''}"


def _next(check: CheckRecord) -> str:
    lines = [f"next: <code>{_fit(check.next_step)}</code>"] if check.next_step else []
    lines += [f"more: <code>{_fit(place)}</code>"] if (place := written_at(check.reason)) else []
    return "".join(f'<div class="next">{line}</div>' for line in lines)


def _table(checks: Iterable[CheckRecord], *, subjects: bool = False) -> str:
    rows = []
    for (state, evidence), group in itertools.groupby(checks, key=lambda check: (check.state, check.evidence)):
        names = [_subjected(check) if subjects else check.name for check in group]
        rows += [
            f'<tr><td class="state {state}">{_WORDS[state]}</td><td class="name">{_fit(name)}</td>'
            f'<td class="evidence">{_fit(evidence) or "-"}</td></tr>'
            for name in ([", ".join(names)] if state == "skipped" else names)
        ]
    if not rows:
        return ""
    return f"<table><tr><th>result</th><th>check</th><th>evidence</th></tr>\n{chr(10).join(rows)}\n</table>"


def _list(rows: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{_fit(row)}</li>' for row in rows)}</ul>" if rows else ""


def _picture(name: str, pictures: Mapping[str, bytes], words: str) -> str:
    image = pictures.get(name, b"")
    if not image:
        return ""
    data = base64.b64encode(image).decode("ascii")
    return (
        f'<figure><img alt="{_fit(words)}" src="data:image/jpeg;base64,{data}">'
        f"<figcaption>{_fit(words)}</figcaption></figure>"
    )


def _facts(rows: Mapping[str, str]) -> str:
    return (
        f"<dl>{''.join(f'<dt>{_fit(name)}</dt><dd>{_fit(value)}</dd>' for name, value in rows.items() if value)}</dl>"
    )


def _stream(stream: StreamRecord, checks: Sequence[CheckRecord], pictures: Mapping[str, bytes]) -> str:
    new = [one for one in stream.fragments if one.new]
    delay = [one.server - one.producer - one.length for one in new]
    facts = {
        "promised": stream.promised,
        "arrives": _arrives(stream),
        "fragments": f"{len(new)} new of {len(stream.fragments)}, by {stream.source}",
        "delay": f"{sorted(delay)[len(delay) // 2]:.1f} s from the last picture to the whole fragment" if delay else "",
        "kept": f"{stream.retention_hours} h" if stream.retention_hours else "nothing (0 h)",
        "looked for": f"{stream.ended - stream.began:.1f} s",
        "clocks": _clocks(stream.workstation_ahead),
        "region": stream.region,
    }
    timeline = draw_timeline(stream)
    # A channel may have the name of a stream; its checks are its own.
    own = [check for check in checks if check.subject == stream.name and check.name in CHECKS and not check.part]
    caption = f"{stream.name}: {stream.width} x {stream.height}, as it arrived"
    body = f'<div class="look">{_picture(stream.picture, pictures, caption)}{_facts(facts)}</div>'
    body += f"{timeline}{_LEGEND}" if timeline else ""
    return _section(f"Stream {stream.name}", f"{body}\n<br>\n{_table(own)}")


def _arrives(stream: StreamRecord) -> str:
    parts = [
        f"{stream.width} x {stream.height}" if stream.width else "",
        f"{stream.rate:.1f} frames a second" if stream.rate else "",
        f"{stream.kbps:.0f} kbit/s" if stream.kbps else "",
        stream.codec,
    ]
    return ", ".join(part for part in parts if part) or "nothing that could be read"


def _clocks(ahead: float | None) -> str:
    if ahead is None:
        return "the service did not say its time"
    if not ahead:
        return "this workstation and the service agree"
    return f"this workstation is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the service"


def _channel(channel: ChannelRecord, checks: Sequence[CheckRecord], pictures: Mapping[str, bytes]) -> str:
    def seconds(value: float | None) -> str:
        return "" if value is None else f"{value:.2f} s after the offer"

    facts = {
        "master answered": seconds(channel.answered),
        "connected": seconds(channel.connected),
        "first picture": seconds(channel.first),
        "pictures": str(channel.frames),
        "packets lost": f"{channel.lost} of {channel.lost + channel.received}" if channel.received else "",
        "round trip": "" if channel.round_trip is None else f"{channel.round_trip * 1000:.1f} ms",
        "way": channel.way,
    }
    own = [check for check in checks if check.subject == channel.name and check.name not in CHECKS and not check.part]
    body = f'<div class="look">{_picture(channel.picture, pictures, f"{channel.name}, as a viewer got it")}'
    return _section(f"Channel {channel.name}", f"{body}{_facts(facts)}</div>\n<br>\n{_table(own)}")


def _soak(soak: SoakRecord | None, checks: Sequence[CheckRecord]) -> str:
    if soak is None:
        return ""
    body = f"{_facts(soak_facts(soak))}\n<br>\n{soak_figures(soak)}\n<br>\n{_table(checks, subjects=True)}"
    return _section(f"Watched for {soak.seconds:.0f} s", body)


def _drill(drill: DrillRecord, checks: Sequence[CheckRecord]) -> str:
    own = [check for check in checks if check.part == "drill" and check.name.endswith(f" {drill.kind}")]
    return _section(f"Drill: {drill.kind}", f"{_facts(drill_facts(drill))}\n<br>\n{_table(own, subjects=True)}")


def _subjected(check: CheckRecord) -> str:
    return f"{check.subject}: {check.name}" if check.subject else check.name


def _sizes(sizes: Mapping[str, int]) -> str:
    if not sizes:
        return ""
    most, total = max(sizes.values()) or 1, sum(sizes.values())
    rows = []
    for name, size in sorted(sizes.items(), key=lambda row: -row[1]):
        bar = f'<td class="bars"><div class="bar" style="width:{100 * size / most:.1f}%"></div></td>'
        rows.append(f'<tr><td class="name">{_fit(name)}</td>{bar}<td class="number">{size / 1024:,.1f} KiB</td></tr>')
    return f'<table class="sizes">{"".join(rows)}</table><p class="legend">{total / 1024:,.1f} KiB in all</p>'

"""The catalogue as a page: `python -m deploy.causes.page > docs/troubleshooting.md`; a test holds both together."""

from __future__ import annotations

import re
from collections.abc import Iterator

from deploy.causes.catalogue import CODES_PAGE, PAGE, Cause, Section, catalogue
from deploy.launch.statuscodes import symptom_table
from recipes.builder.diagnosis import CauseRule, cause_table

_HEAD = f"""\
# Troubleshooting

Made by `python -m deploy.causes.page > {PAGE}` from `deploy/causes/causes.toml` and the tables
that it names; edit these, not this page.

An error has four lines: what, `where`, `why`, `next`. `next` is a command or an edit. The exit code says which step it
was ([commands](commands.md#exit-codes)); `--json` prints the same as an object. `invoke verify` and `invoke doctor`
name what they found by the anchors of this page.

| you see | begin with |
| --- | --- |
| a command ends with an error | its `next`; then the section of its exit code |
| no picture arrives, or a wrong one | `invoke verify --host H --cloud`, then [what arrives](#verify-cloud) |
| pictures arrive, and a viewer has none | `invoke verify --host H --cloud`, then [viewers](#viewers) |
| a stream ends, or starts again and again | `invoke doctor --host H`, then [streaming](#streaming) and [logs](#logs) |
| a camera or a microphone is not found | `invoke probe --host H`, then [the board](#verify-board) |
| a status code of an SDK | [status codes](status-codes.md) |
"""
_COMMAND = re.compile(
    r"\b(?:invoke|aws|curl|grep|date|ntpd|chronyc)\b"
    r"(?: (?!says|lists|sends|goes|starts|from here|on the|in the)[^\s;,]+)+"
)
"""A command in a sentence: up to a punctuation mark, or the word that goes on with the sentence."""
_LEVELS = {"error": "Nothing streams", "warning": "It streams badly", "note": "Worth knowing"}


def troubleshooting_page() -> str:
    """Return the page as Markdown."""
    return "".join([_HEAD, *(_section(section) for section in catalogue().section)])


def _section(section: Section) -> str:
    text = f"\n{section.text.strip()}\n" if section.text else ""
    rows = {"builds": _builds, "symptoms": _symptoms}.get(section.rows, lambda: _table(section.cause))()
    return f'\n<a id="{section.name}"></a>\n## {section.title}\n{text}\n{"".join(rows)}'


def _table(rows: tuple[Cause, ...]) -> Iterator[str]:
    yield "| you see | why | do |\n| --- | --- | --- |\n"
    for cause in rows:
        steps = "; ".join(part for part in (cause.cure, _marked(cause.next_step)) if part)
        yield _row(f'<a id="{cause.name}"></a>{", ".join(cause.sees)}', cause.why, steps)


def _builds() -> Iterator[str]:
    yield "| why it failed | do |\n| --- | --- |\n"
    for rule in cause_table().rule:
        yield _row(f'<a id="build-{rule.name}"></a>{_plain(_filled(rule.because))}', _cure(rule))


def _cure(rule: CauseRule) -> str:
    """Return what to do about a failed build; lines behind the first are to be copied."""
    first, *lines = _filled(rule.cure).strip().split("\n")
    return "<br>".join([_plain(first), *(f"`{line.strip()}`" for line in lines if line.strip())])


def _filled(text: str) -> str:
    """Return a text with a word in place of what a log would fill in: `{repo}` is REPO."""
    return re.sub(r"\{(\w{1,40})\}", lambda group: group[1].upper(), text)


def _symptoms() -> Iterator[str]:
    page = CODES_PAGE.rpartition("/")[2]
    for level, words in _LEVELS.items():
        yield f"{'' if level == 'error' else chr(10)}**{words}**\n\n"
        for symptom in symptom_table().symptom:
            if symptom.level == level:
                yield f"- [{_plain(symptom.title)}]({page}#{symptom.name})\n"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _marked(text: str) -> str:
    """Return a next step whose commands stand between backquotes."""
    parts = text.split("`")
    marked = [_COMMAND.sub(r"`\g<0>`", part) if number % 2 == 0 else part for number, part in enumerate(parts)]
    return _plain("`".join(marked))


def _plain(text: str) -> str:
    """Return a text whose marks of HTML are shown, outside of backquotes."""
    parts = text.split("`")
    outside = [part.replace("<", "&lt;") if number % 2 == 0 else part for number, part in enumerate(parts)]
    return "`".join(outside)


if __name__ == "__main__":
    print(troubleshooting_page(), end="")

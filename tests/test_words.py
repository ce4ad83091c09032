"""The word list of docs/glossary.md holds in messages, help, docstrings, papers and the comments of TOML files."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GLOSSARY = ROOT / "docs" / "glossary.md"
HEADING = "## Say → not"


def phrases() -> dict[str, str]:
    """Return each phrase of the right column, and what to say instead."""
    table = GLOSSARY.read_text().partition(HEADING)[2]
    rows = [line.strip().strip("|").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    rows = [row for row in rows if "`" in row[-1]]
    return {phrase: say.strip() for say, wrong in rows for phrase in re.findall(r"`([^`]+)`", wrong)}


def pattern_of(phrase: str) -> re.Pattern[str]:
    """Read a phrase: any white space between words, `…` for up to six words of one sentence, whole words only."""
    words = [r"(?:[^\s.;:]+\s+){0,6}?" if word == "…" else re.escape(word) + r"\s+" for word in phrase.split()]
    body = "".join(words).removesuffix(r"\s+")
    return re.compile(rf"(?<![\w-]){body}(?![\w-])", re.IGNORECASE)


PATTERNS = {pattern_of(phrase): f"{phrase!r}: say {say}" for phrase, say in phrases().items()}


def hits(text: str) -> list[tuple[int, str]]:
    """Return the line, from 0 on, and the rule of each phrase in a text that nobody should write."""
    return sorted(
        (text.count("\n", 0, match.start()), rule)
        for pattern, rule in PATTERNS.items()
        for match in pattern.finditer(text)
    )


def literals(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each string, docstrings among them; a field of an f-string reads as one word."""
    tree = ast.parse(source)
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [str(part.value) if isinstance(part, ast.Constant) else "field" for part in node.values]
            yield node.lineno, "".join(parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.lineno, node.value


def code_files() -> list[Path]:
    return [*sorted((ROOT / "recipes").rglob("*.py")), *sorted((ROOT / "deploy").rglob("*.py")), ROOT / "tasks.py"]


def text_files() -> list[Path]:
    papers = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "bootstrap", "pyproject.toml")]
    tables = [
        path for folder in ("recipes", "deploy", "board-configs") for path in sorted((ROOT / folder).rglob("*.toml"))
    ]
    return [*papers, *sorted((ROOT / "docs").glob("*.md")), *tables]


@pytest.mark.parametrize("path", code_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_strings_and_docstrings_use_plain_words(path: Path) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line + offset}: {rule}"
        for line, text in literals(path.read_text())
        for offset, rule in hits(text)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", text_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_papers_and_tables_use_plain_words(path: Path) -> None:
    text = path.read_text()
    if path == GLOSSARY:
        text = text.partition(HEADING)[0]
    # A comment goes on in the next line.
    plain = re.sub(r"\n[ \t]*#", "\n ", text)
    found = [f"{path.relative_to(ROOT)}:{line + 1}: {rule}" for line, rule in hits(plain)]
    assert not found, "\n".join(found)


def test_the_list_is_read() -> None:
    assert len(PATTERNS) >= 20
    assert phrases()["cannot be had"].startswith("unavailable")


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("libssl is to be\n  had nowhere", True),
        ("held it, as it was, against the table", True),
        ("Upstream Mends this line", True),
        ("a stand-in for the SDK", False),
        ("the proof holds; the rest is checked against it", False),
        ("a recommendation, amended", False),
        ("what the board has is checked against it", False),
    ],
)
def test_a_phrase_is_found_across_lines_and_never_inside_a_word(text: str, wrong: bool) -> None:
    assert bool(hits(text)) is wrong


def test_a_message_in_pieces_is_read_as_one() -> None:
    source = 'raise Error(f"{soname} cannot "\n    "be had")'
    assert [rule for _, text in literals(source) for _, rule in hits(text)] == [
        "'cannot be had': say unavailable, not available"
    ]

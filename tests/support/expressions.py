"""GitHub's expressions, evaluated strictly: a name that nobody gave is an error here, and not an empty text.

https://docs.github.com/en/actions/reference/workflows-and-actions/expressions
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?)(?![\w.])|(?P<name>[A-Za-z_][\w-]*)"
    r"|(?P<sign>==|!=|<=|>=|&&|\|\||[!<>().,\[\]]))"
)
_HOLE = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_WORDS = {"true": True, "false": False, "null": None}
STATUS = ("always", "success", "failure", "cancelled")
"""A condition with none of these asks for success() too."""


class ExpressionError(Exception):
    """The expression is wrong, names something that is not there, or is more than this evaluator knows."""


@dataclass(frozen=True, slots=True)
class Status:
    """How the job, or what it needs, came out so far."""

    failed: bool = False
    cancelled: bool = False


def evaluate(text: str, contexts: Mapping[str, Any], status: Status | None = None) -> Any:
    """Return the value of what stands between `${{` and `}}`.

    Parameters
    ----------
    contexts:
        `github`, `matrix`, …: mappings. A key that is missing is an error; `vars` and `secrets` answer themselves.
    """
    tokens = list(_tokens(text))
    parser = _Parser(tokens, contexts, status)
    value = parser.either()
    if parser.at < len(tokens):
        raise ExpressionError(f"{text!r}: {tokens[parser.at][1]!r} is too much")
    return value


def filled(text: str, contexts: Mapping[str, Any], status: Status | None = None) -> str:
    """Return a text with each `${{ … }}` replaced by its value, as a runner writes it."""
    return _HOLE.sub(lambda found: as_text(evaluate(found[1], contexts, status)), text)


def value_of(text: str, contexts: Mapping[str, Any]) -> Any:
    """Return the value of a text that is one `${{ … }}` as a whole: it may be no text."""
    found = _HOLE.fullmatch(text.strip())
    return evaluate(found[1], contexts) if found else filled(text, contexts)


def holds(text: str, contexts: Mapping[str, Any], status: Status) -> bool:
    """Tell whether an `if:` holds; without a status function it also asks for success()."""
    found = _HOLE.fullmatch(text.strip())
    inner = found[1] if found else text
    asks = any(re.search(rf"\b{name}\s*\(", re.sub(r"'(?:[^']|'')*'", "", inner)) for name in STATUS)
    return truth(evaluate(inner if asks else f"success() && ({inner})", contexts, status))


def as_text(value: Any) -> str:
    """Return a value as it stands in a text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        raise ExpressionError("an object or an array is written as a text")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def truth(value: Any) -> bool:
    """Tell whether a value counts as true."""
    return value not in (False, 0, "", None)


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        if found is None:
            raise ExpressionError(f"{text!r}: not understood from {text[at:]!r} on")
        yield str(found.lastgroup), found[str(found.lastgroup)]
        at = found.end()


class _Parser:
    """Reads and evaluates in one go; both sides of && and || are looked at, so that a wrong name cannot hide."""

    def __init__(self, tokens: list[tuple[str, str]], contexts: Mapping[str, Any], status: Status | None) -> None:
        self.tokens, self.contexts, self.status, self.at = tokens, contexts, status, 0

    def peek(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def take(self, *wanted: str) -> str:
        """Return the next sign if it is one of these, else nothing."""
        if self.at < len(self.tokens) and self.tokens[self.at][0] == "sign" and self.peek() in wanted:
            self.at += 1
            return self.tokens[self.at - 1][1]
        return ""

    def need(self, sign: str) -> None:
        if not self.take(sign):
            raise ExpressionError(f"{sign!r} is missing before {self.peek() or 'the end'!r}")

    def either(self) -> Any:
        value = self.both()
        while self.take("||"):
            other = self.both()
            value = value if truth(value) else other
        return value

    def both(self) -> Any:
        value = self.compared()
        while self.take("&&"):
            other = self.compared()
            value = other if truth(value) else value
        return value

    def compared(self) -> Any:
        value = self.single()
        if sign := self.take("==", "!="):
            return _same(value, self.single()) is (sign == "==")
        if self.peek() in ("<", ">", "<=", ">="):
            raise ExpressionError("comparing by size is more than this evaluator knows")
        return value

    def single(self) -> Any:
        if self.take("!"):
            return not truth(self.single())
        if self.take("("):
            value = self.either()
            self.need(")")
            return value
        if self.at >= len(self.tokens):
            raise ExpressionError("something is missing at the end")
        kind, text = self.tokens[self.at]
        self.at += 1
        if kind == "text":
            return text[1:-1].replace("''", "'")
        if kind == "number":
            return float(text)
        if kind == "sign":
            raise ExpressionError(f"{text!r} stands where a value should")
        if text in _WORDS:
            return _WORDS[text]
        return self.called(text) if self.take("(") else self.looked_up(text)

    def called(self, name: str) -> Any:
        given = []
        if not self.take(")"):
            given.append(self.either())
            while self.take(","):
                given.append(self.either())
            self.need(")")
        if name in STATUS:
            return self.asked(name)
        if name not in _FUNCTIONS:
            raise ExpressionError(f"{name}() is more than this evaluator knows")
        return _FUNCTIONS[name](*given)

    def asked(self, name: str) -> bool:
        if self.status is None:
            raise ExpressionError(f"{name}() has no place here")
        failed, cancelled = self.status.failed, self.status.cancelled
        return {
            "always": True,
            "success": not (failed or cancelled),
            "failure": failed and not cancelled,
            "cancelled": cancelled,
        }[name]

    def looked_up(self, name: str) -> Any:
        where, value = name, _found(self.contexts, name, "the contexts that there are here")
        while sign := self.take(".", "["):
            if sign == "[":
                key = self.either()
                self.need("]")
            else:
                kind, key = self.tokens[self.at] if self.at < len(self.tokens) else ("", "")
                if kind != "name":
                    raise ExpressionError(f"{where}.: a name is missing")
                self.at += 1
            value = _found(value, key, where)
            where += f".{key}"
        return value


def _found(value: Any, key: Any, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise ExpressionError(f"{where} has no parts, and {key!r} is asked of it")
    if key not in value:
        raise ExpressionError(f"{key!r} is not in {where}: {', '.join(value)}")
    return value[key]


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left.casefold() == right.casefold()
    if type(left) is not type(right):
        raise ExpressionError(f"{left!r} and {right!r} are of two kinds: GitHub makes numbers of both")
    return bool(left == right)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "fromJSON": json.loads,
    "toJSON": lambda value: json.dumps(value, indent=2),
    "startsWith": lambda text, start: text.casefold().startswith(start.casefold()),
    "endsWith": lambda text, end: text.casefold().endswith(end.casefold()),
    "contains": lambda text, part: part.casefold() in text.casefold(),
}

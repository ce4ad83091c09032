"""The arguments of a call, read with their types and bounds: what a client sends is anything until it was looked at."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from deploy.kvs.errors import ServiceError, invalid

MOST_BODY = 1 << 20
"""Bytes of a call's body."""
_DEEPEST = 20


def parse_body(body: bytes) -> dict[str, Any]:
    """Read the JSON of a call; nothing at all is no arguments.

    Raises
    ------
    ServiceError
        It is no JSON object, or nested too deep.
    """
    try:
        found = json.loads(body) if body.strip() else {}
    except (ValueError, RecursionError):
        raise _garbled("the body is no JSON") from None
    if not isinstance(found, dict) or _depth(found) > _DEEPEST:
        raise _garbled("the body is no JSON object, or one that is nested too deep")
    return found


def _garbled(what: str) -> ServiceError:
    return ServiceError(400, "SerializationException", what)


def _depth(value: Any, level: int = 0) -> int:
    if level > _DEEPEST or not isinstance(value, dict | list):
        return level
    inside = value.values() if isinstance(value, dict) else value
    return max((_depth(part, level + 1) for part in inside), default=level + 1)


def text(arguments: Mapping[str, Any], name: str, *, needed: bool = False, most: int = 2048) -> str:
    """Return a text; nothing where it is left out.

    Raises
    ------
    ServiceError
        It is something else, too long, or left out where it is needed.
    """
    value = arguments.get(name)
    if value is None:
        if needed:
            raise invalid(f"{name} must be provided.")
        return ""
    if not isinstance(value, str):
        raise _garbled(f"{name} must be a string")
    if len(value) > most:
        raise invalid(f"{name} must be at most {most} characters long.")
    return value


def number(arguments: Mapping[str, Any], name: str, *, low: int, high: int, default: int | None = None) -> int:
    """Return a whole number within bounds.

    Parameters
    ----------
    default:
        Where it is left out; with None it is needed.

    Raises
    ------
    ServiceError
        It is something else, out of bounds, or left out where it is needed.
    """
    value = arguments.get(name, default)
    if value is None:
        raise invalid(f"{name} must be provided.")
    whole = value.is_integer() if isinstance(value, float) else isinstance(value, int) and not isinstance(value, bool)
    if not whole:  # JSON of Python's has NaN and Infinity too, which are no whole numbers
        raise _garbled(f"{name} must be a whole number")
    if not low <= value <= high:
        raise invalid(f"{name} must be between {low} and {high}.")
    return int(value)


def choice(arguments: Mapping[str, Any], name: str, known: Sequence[str], default: str = "") -> str:
    """Return one of the known words.

    Raises
    ------
    ServiceError
        It is another one, or left out where there is no default.
    """
    value = text(arguments, name) or default
    if value not in known:
        raise invalid(f"{name} must be one of {', '.join(known)}.")
    return value


def part(arguments: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a structure inside; an empty one where it is left out."""
    value = arguments.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _garbled(f"{name} must be a structure")
    return value


def items(arguments: Mapping[str, Any], name: str, *, most: int) -> list[Any]:
    """Return a list inside; an empty one where it is left out."""
    value = arguments.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise _garbled(f"{name} must be a list")
    if len(value) > most:
        raise invalid(f"{name} must have at most {most} members.")
    return value


def page(found: Sequence[Any], arguments: Mapping[str, Any], *, most: int, default: int) -> tuple[Sequence[Any], str]:
    """Return the page of a list that was asked for, and the token of the next; empty where it is the last."""
    import base64

    size = number(arguments, "MaxResults", low=1, high=most, default=default)
    token = text(arguments, "NextToken", most=1024)
    start = 0
    if token:
        try:
            start = int(base64.b64decode(token, validate=True).decode("ascii"))
        except ValueError:
            raise invalid("NextToken is not one that was given out.") from None
        if not 0 <= start <= len(found):
            raise invalid("NextToken is not one that was given out.")
    end = start + size
    return found[start:end], base64.b64encode(str(end).encode()).decode() if end < len(found) else ""

"""Who makes a request: noted once its signature was checked, and read by the handlers.

Loaded by what serves only: a key of aiohttp's is made while a module is loaded, or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from deploy.kvs.keys import Key


@dataclass(frozen=True)
class Caller:
    """Who calls, and for which region."""

    key: Key
    region: str


_CALLER = web.RequestKey("caller", Caller)


def set_caller(request: web.Request, caller: Caller) -> None:
    """Note who makes a request."""
    request[_CALLER] = caller


def caller_of(request: web.Request) -> Caller:
    """Return who makes a request, which was checked."""
    return request[_CALLER]

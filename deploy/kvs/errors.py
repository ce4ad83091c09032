"""Errors as the service answers them: a status, a type in a header, and a message."""

from __future__ import annotations

from recipes.text import shown

_LONGEST = 500


class ServiceError(Exception):
    """A request that is answered with an error.

    Parameters
    ----------
    status:
        HTTP status.
    code:
        The error's type as AWS names it, such as ResourceNotFoundException; clients read it from x-amzn-ErrorType.
    message:
        One sentence; what a client sent is made printable in it, and cut.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = shown(message)[:_LONGEST]


def not_found(what: str) -> ServiceError:
    """Say that there is no such stream, channel or fragment."""
    return ServiceError(404, "ResourceNotFoundException", what)


def invalid(what: str) -> ServiceError:
    """Say that an argument is missing, or not one."""
    return ServiceError(400, "InvalidArgumentException", what)


def denied(what: str) -> ServiceError:
    """Say that a caller may not do this."""
    return ServiceError(403, "AccessDeniedException", what)


def in_use(what: str) -> ServiceError:
    """Say that a name is taken, or a version is not the current one."""
    return ServiceError(400, "ResourceInUseException", what)


def limit_exceeded(what: str) -> ServiceError:
    """Say that a caller asks for more than the service gives."""
    return ServiceError(400, "ClientLimitExceededException", what)

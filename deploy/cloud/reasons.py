"""Why a check of the cloud's side is red: who saw what, the cause, and the command that comes next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from deploy.causes.boardside import BoardView
from deploy.causes.catalogue import catalogue


class Side(StrEnum):
    """Where the fault is, or from where the service is not reached."""

    BOARD = "board"
    WORKSTATION = "workstation"
    NOBODY = "nobody"
    SERVICE = "service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One cause.

    Attributes
    ----------
    cause:
        A sentence; what was seen stands before it.
    next_step:
        A command or an edit; HOST and STREAM in it are filled in.
    """

    side: Side
    cause: str
    next_step: str


REASONS: Mapping[str, Reason] = {
    cause.name: Reason(side=Side(cause.side), cause=cause.why, next_step=cause.next_step)
    for cause in catalogue().causes
    if cause.side
}
"""By name; those of the catalogue that are seen through the service."""
_UNREACHED: tuple[str, ...] = (
    "EndpointConnectionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ConnectionClosedError",
)
_UNREACHED += ("SSLError", "ProxyConnectionError", "HTTPClientError", "ClientConnectorError", "TimeoutError")
_CODES = {
    "ExpiredTokenException": "expired",
    "ExpiredToken": "expired",
    "RequestExpired": "expired",
    "NoCredentials": "credentials",
    "NoCredentialsError": "credentials",
    "PartialCredentialsError": "credentials",
    "TokenRetrievalError": "expired",
    "SSOTokenLoadError": "expired",
    "UnauthorizedSSOTokenError": "expired",
    "InvalidSignatureException": "signature",
    "SignatureDoesNotMatch": "signature",
    "UnrecognizedClientException": "signature",
    "InvalidClientTokenId": "signature",
    "RequestTimeTooSkewed": "signature",
    "AccessDeniedException": "denied",
    "NotAuthorizedException": "denied",
    "ClientLimitExceededException": "throttled",
    "ConnectionLimitExceededException": "throttled",
    "ThrottlingException": "throttled",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check of the cloud's side found.

    Attributes
    ----------
    subject:
        The stream or channel.
    state:
        passed, failed or skipped.
    evidence:
        What was seen, and for a red one who saw what, and the cause.
    figures:
        The numbers behind it, for reports.
    """

    subject: str
    check: str
    state: str
    evidence: str
    reason: str = ""
    side: str = ""
    next_step: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)


def unreached(code: str) -> bool:
    """Say whether a call failed before the service could answer."""
    return code in _UNREACHED


def reason_of(code: str, board: BoardView, *, channel: bool = False) -> str:
    """Return the reason for a call that failed, by its code and by what the board says."""
    if unreached(code):
        return {True: "workstation-blocked", False: "nobody", None: "workstation-unsure"}[board.reaches]
    if code in ("ResourceNotFoundException", "NoChannel"):
        return "no-channel" if channel else "no-stream"
    return _CODES.get(code, "refused")


def red(
    reason: str, subject: str, check: str, seen: str, *, board: BoardView | None = None, **figures: float
) -> Finding:
    """Return a red finding: what was seen, by whom, and why."""
    known = REASONS[reason]
    said = f"; the board says: {board.words}" if board and board.words else ""
    return Finding(
        subject=subject,
        check=check,
        state="failed",
        evidence=f"{seen}{said}. {known.cause[0].upper()}{known.cause[1:]}",
        reason=reason,
        side=known.side.value,
        next_step=known.next_step.replace("STREAM", subject),
        figures=figures,
    )


def ok(subject: str, check: str, seen: str, **figures: float) -> Finding:
    """Return a green finding."""
    return Finding(subject=subject, check=check, state="passed", evidence=seen, figures=figures)


def skipped(subject: str, check: str, why: str) -> Finding:
    """Return a check that could not be made, which is no evidence of anything."""
    return Finding(subject=subject, check=check, state="skipped", evidence=why)

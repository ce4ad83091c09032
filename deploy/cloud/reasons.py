"""Why a check of the cloud's side is red: who saw what, the cause, and the command that comes next. One table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from deploy.cloud.boardside import BoardView


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


_LOGS = "invoke logs --host HOST --stream STREAM says what the program did last"
_DOCTOR = "invoke doctor --host HOST"
REASONS: dict[str, Reason] = {
    "stopped": Reason(
        side=Side.BOARD,
        cause="the producer hangs, was stopped, or has lost its network: its process may still be there",
        next_step=_LOGS,
    ),
    "old": Reason(
        side=Side.BOARD, cause="what the stream has is of an earlier time; nothing comes now", next_step=_LOGS
    ),
    "never": Reason(
        side=Side.BOARD,
        cause="the stream is there, and nothing has ever come: the board cannot reach the service, or may not send",
        next_step=_DOCTOR,
    ),
    "elsewhere": Reason(
        side=Side.BOARD,
        cause="the board sends to another stream than its file says: an older launch script, or another region",
        next_step="invoke deploy --host HOST --again, or the other name in the board's file",
    ),
    "no-stream": Reason(
        side=Side.SERVICE,
        cause="there is no stream of that name in this account and region",
        next_step="aws kinesisvideo create-stream --stream-name STREAM --data-retention-in-hours 24",
    ),
    "two-producers": Reason(
        side=Side.BOARD,
        cause="two producers write one stream: each takes it from the other, and half of each is lost",
        next_step="another stream name for one of them: grep -rn STREAM board-configs/*/board.toml",
    ),
    "gaps": Reason(
        side=Side.BOARD,
        cause="pictures are lost between fragments: the uplink is too slow, or the producer starts again and again",
        next_step=_LOGS,
    ),
    "clock": Reason(
        side=Side.BOARD,
        cause="the board's clock is wrong: AWS refuses what is signed more than 5 minutes off",
        next_step="set it on the board and let it use NTP: ntpd -q, or chronyc makestep",
    ),
    "late": Reason(
        side=Side.BOARD,
        cause="pictures wait on the board before they are sent, or its clock is behind",
        next_step="a lower bitrate in the board's file, or a faster uplink; date -u on the board says its time",
    ),
    "black": Reason(
        side=Side.BOARD,
        cause="what arrives can be decoded and shows nothing: a lid, no light, or a sensor that is off",
        next_step="invoke board.probe --host HOST lists the cameras; look at the lens",
    ),
    "green": Reason(
        side=Side.BOARD,
        cause="an even green is what a decoder makes of zeros: the encoder is given empty pictures",
        next_step="`format` of the camera in the board's file; invoke board.probe --host HOST lists what it offers",
    ),
    "frozen": Reason(
        side=Side.BOARD,
        cause="fragments go on and the picture does not: camera or driver repeat one, or nothing at all moves there",
        next_step="invoke restart --host HOST --stream STREAM; `clock` of its video shows the time in the picture",
    ),
    "unreadable": Reason(
        side=Side.BOARD,
        cause="what the producer sends cannot be decoded, so no viewer shows it",
        next_step="`codec` and `profile` of the stream in the board's file; " + _LOGS,
    ),
    "no-sound": Reason(
        side=Side.BOARD,
        cause="the board's file has sound for this stream, and none arrives: microphone or encoder are not in it",
        next_step="invoke board.probe --host HOST lists microphones; " + _LOGS,
    ),
    "frame-rate": Reason(
        side=Side.BOARD,
        cause="the camera or the encoder is slower than the board's file says: low light, USB, or no CPU left",
        next_step="a rate that the camera has at this size: invoke board.probe --host HOST; then the board's file",
    ),
    "size": Reason(
        side=Side.BOARD,
        cause="the camera gives another size than the board's file asks for, or an older release still runs",
        next_step="invoke status --host HOST; invoke board.probe --host HOST lists the camera's sizes",
    ),
    "codec": Reason(
        side=Side.BOARD,
        cause="another encoder is at work than the board's file says, or another board writes the stream",
        next_step="invoke status --host HOST says which release runs",
    ),
    "bitrate": Reason(
        side=Side.BOARD,
        cause="the encoder does not keep to the bitrate of the board's file, so the uplink may not hold",
        next_step="`bitrate_property` and `bitrate_unit` of the stream in the board's file",
    ),
    "retention": Reason(
        side=Side.SERVICE,
        cause="the stream keeps nothing, so nothing can be played back or looked at later",
        next_step="aws kinesisvideo update-data-retention --stream-name STREAM --operation INCREASE_DATA_RETENTION "
        "--data-retention-change-in-hours 24 --current-version VERSION; or retention_period = 0 in the board's file",
    ),
    "workstation-blocked": Reason(
        side=Side.WORKSTATION,
        cause="the board reaches the service and this workstation does not: a firewall, a proxy, or its name server",
        next_step="curl -v https://kinesisvideo.REGION.amazonaws.com from here; or verify from another network",
    ),
    "nobody": Reason(
        side=Side.NOBODY,
        cause="neither this workstation nor the board reaches the service: the network of both, or the service itself",
        next_step="curl -v https://kinesisvideo.REGION.amazonaws.com; https://health.aws.amazon.com",
    ),
    "workstation-unsure": Reason(
        side=Side.WORKSTATION,
        cause="this workstation does not reach the service; whether the board does is not known from here",
        next_step="curl -v https://kinesisvideo.REGION.amazonaws.com from here; " + _DOCTOR,
    ),
    "board-blocked": Reason(
        side=Side.BOARD,
        cause="this workstation reaches the service and the board does not: its route, firewall, DNS or CA file",
        next_step=_DOCTOR,
    ),
    "board-expired": Reason(
        side=Side.BOARD,
        cause="the service refuses the board: its session token is over, and nothing there renews it",
        next_step="new keys in the board's file of credentials, or a certificate with a role alias, which renews them",
    ),
    "board-refused": Reason(
        side=Side.BOARD,
        cause="the board reaches the service, and is refused: its keys, or their policy",
        next_step="a policy with kinesisvideo:PutMedia, DescribeStream, GetDataEndpoint and CreateStream; " + _DOCTOR,
    ),
    "expired": Reason(
        side=Side.WORKSTATION,
        cause="the session token of this workstation's credentials is over; the board has others, and may well stream",
        next_step="aws sso login, or new keys; then the same command",
    ),
    "credentials": Reason(
        side=Side.WORKSTATION, cause="this workstation has no credentials", next_step="aws configure, or aws sso login"
    ),
    "signature": Reason(
        side=Side.WORKSTATION,
        cause="the service does not take this workstation's signature: a wrong key, or a clock that is off",
        next_step="date -u; aws sts get-caller-identity",
    ),
    "denied": Reason(
        side=Side.WORKSTATION,
        cause="this workstation's credentials may not read the stream; the board's are others",
        next_step="a policy with kinesisvideo:DescribeStream, ListFragments, GetDataEndpoint, "
        "GetMediaForFragmentList, GetImages and GetMedia",
    ),
    "throttled": Reason(
        side=Side.SERVICE, cause="too many calls at once, also of others", next_step="the same command in a minute"
    ),
    "refused": Reason(side=Side.SERVICE, cause="the service refuses the call", next_step=_DOCTOR),
    "no-channel": Reason(
        side=Side.SERVICE,
        cause="there is no signaling channel of that name in this account and region",
        next_step="aws kinesisvideo create-signaling-channel --channel-name STREAM",
    ),
    "no-master": Reason(
        side=Side.BOARD,
        cause="an offer to the channel was not answered: no master is connected, or it hangs",
        next_step=_LOGS,
    ),
    "no-connection": Reason(
        side=Side.NOBODY,
        cause="the master answers, and no way between it and this workstation was found: UDP is blocked, and TURN too",
        next_step="UDP 443 and 1024-65535 out of both networks, or TURN over TLS; " + _LOGS,
    ),
    "no-frames": Reason(
        side=Side.BOARD,
        cause="the connection stands, and no picture came through: the camera gives none, or DTLS failed",
        next_step=_LOGS,
    ),
    "few-frames": Reason(
        side=Side.BOARD,
        cause="too few pictures could be decoded: loss on the way, or a slow encoder",
        next_step="a lower bitrate or size in the board's file; " + _LOGS,
    ),
}
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

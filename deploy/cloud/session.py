"""Which service is asked, and the calls to it: boto3 with the user's profile, or the local service's address and CA.

Keys and session tokens stay in here and in what signs with them; nothing of them is ever part of an answer.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

from recipes.errors import ConfigError, UserError
from recipes.text import one_line

_Answer = TypeVar("_Answer")
_THREADS = 16
_ENDPOINT_SECONDS = 1800.0
THROTTLED = frozenset(
    {"ClientLimitExceededException", "ConnectionLimitExceededException", "ThrottlingException", "Throttling"}
)
"""A service's words for: too often. boto3 asks again by itself for some of them only."""
_WAITS = (0.4, 0.8, 1.6, 3.2)
"""Seconds, at most, before each time that is asked again."""
_WORDS = {
    "ResourceNotFoundException": "there is no such stream or channel, or nothing is kept of that time",
    "NoDataRetentionException": "the stream keeps nothing: its retention is 0 hours",
    "NotAuthorizedException": "these credentials may not do that",
    "AccessDeniedException": "these credentials may not do that",
    "UnrecognizedClientException": "the service does not know these credentials",
    "InvalidSignatureException": "the service refuses the signature: wrong keys, or a clock that is off",
    "ExpiredTokenException": "the credentials have expired",
    "ClientLimitExceededException": "too many calls at once: the service asks to wait",
    "InvalidCodecPrivateDataException": "the service cannot read the stream's codec data",
    "UnsupportedStreamMediaTypeException": "the stream's media are none that can be played",
    "MissingCodecPrivateDataException": "the stream has no codec data",
    "InvalidMediaFrameException": "a picture of the stream cannot be read",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Credentials of the local service."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Where the calls go.

    Attributes
    ----------
    region:
        As it is signed; empty for the profile's own.
    endpoint_url:
        Of the local service, for every call, by an address of this machine; empty for AWS.
    ca:
        PEM file of the authority that signed the local service's certificate; the machine's own authorities without.
    profile:
        Of the user's AWS configuration; the default one without it. Not used where there are `keys`.
    """

    region: str = ""
    endpoint_url: str = ""
    ca: Path | None = None
    profile: str = ""
    keys: Keys | None = None

    @property
    def is_local(self) -> bool:
        return bool(self.endpoint_url)


def chosen_service(region: str, profile: str, *, aws: bool = False) -> Service:
    """Return the local service where it runs and AWS is not asked for, else AWS with the user's profile.

    Parameters
    ----------
    region:
        Of the streams; the local service's busiest or the profile's own where it is empty.
    """
    from deploy.localkvs.lifecycle import DEFAULT_REGION, running

    local = None if aws or profile else running()
    if local is None:
        return Service(region=region, profile=profile)
    key = local.own_key()
    if not region:
        # The one that most streams are in: a board sends to the region of its own file.
        rows = local.ask("GET", "/-/status")
        regions = [str(row["region"]) for kind in ("streams", "channels") for row in rows.get(kind, [])]
        region = max(regions, key=regions.count, default=DEFAULT_REGION)
    return Service(
        region=region,
        endpoint_url=local.url,
        ca=local.authority,
        keys=Keys(access_key=key.access, secret_key=key.secret, session_token=key.token),
    )


class ServiceRefusalError(Exception):
    """The service did not do what it was asked for.

    Attributes
    ----------
    status:
        HTTP status for the page: 404 not there, 403 not allowed, 429 wait, 502 anything else.
    code:
        The service's own word, made printable.
    words:
        What that means, in a sentence.
    """

    def __init__(self, status: int, code: str, words: str) -> None:
        super().__init__(words)
        self.status, self.code, self.words = status, code, words


class Calls:
    """Calls of boto3, each in a thread; clients and endpoints are kept.

    Parameters
    ----------
    patient:
        Ask again a few seconds later where the service says that it is asked too much: by others too, mostly.
    """

    def __init__(self, service: Service, *, patient: bool = False) -> None:
        self._service = service
        self._waits = _WAITS if patient else ()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="watch")
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str], Any] = {}
        self._endpoints: dict[tuple[str, ...], tuple[float, Any]] = {}
        self._session = _session(service)
        self.region = str(self._session.region_name or "")
        if not self.region:
            raise ConfigError(
                "no region", why="neither the command nor the AWS profile names one", next_step="add --region REGION"
            )

    @property
    def service(self) -> Service:
        return self._service

    def close(self) -> None:
        """End the threads and the connections; a call that is under way is waited for, 20 s at most."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()

    async def in_thread(self, work: Callable[[], _Answer]) -> _Answer:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def ask(self, api: str, operation: str, endpoint: str = "", /, **words: Any) -> dict[str, Any]:
        """Call an operation of the service.

        Parameters
        ----------
        api, operation:
            As boto3 spells them: kinesisvideo, list_streams.
        endpoint:
            URL that the service named for it; the API's own without.

        Raises
        ------
        ServiceRefusalError
            In words, with the status that the page gets.
        """

        def work() -> dict[str, Any]:
            return dict(getattr(self._client(api, endpoint), operation)(**words))

        for wait in self._waits:
            try:
                return await self.in_thread(lambda: told(work))
            except ServiceRefusalError as refusal:
                if refusal.code not in THROTTLED:
                    raise
            # Not all who were refused at once come back at once.
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311
        return await self.in_thread(lambda: told(work))

    async def data_endpoint(self, stream_arn: str, operation: str) -> str:
        """Return the URL for an operation on a stream's media."""
        key = ("data", stream_arn, operation)
        if (kept := self._kept(key)) is None:
            answer = await self.ask("kinesisvideo", "get_data_endpoint", StreamARN=stream_arn, APIName=operation)
            kept = self._keep(key, str(answer["DataEndpoint"]))
        return str(kept)

    async def channel_endpoints(self, channel_arn: str) -> Mapping[str, str]:
        """Return the URLs of a channel for a viewer by protocol: WSS, HTTPS."""
        key = ("channel", channel_arn)
        if (kept := self._kept(key)) is None:
            wanted = {"Protocols": ["WSS", "HTTPS"], "Role": "VIEWER"}
            answer = await self.ask(
                "kinesisvideo",
                "get_signaling_channel_endpoint",
                ChannelARN=channel_arn,
                SingleMasterChannelEndpointConfiguration=wanted,
            )
            found = {str(row["Protocol"]): str(row["ResourceEndpoint"]) for row in answer["ResourceEndpointList"]}
            kept = self._keep(key, found)
        return dict(kept)

    async def signed_url(self, url: str, query: Mapping[str, str], seconds: int) -> str:
        """Return a WebSocket's URL with its query signed; it is good for `seconds` and is for our own use alone."""
        return await self.in_thread(lambda: told(lambda: self._signed(url, query, seconds)))

    def _signed(self, url: str, query: Mapping[str, str], seconds: int) -> str:
        from botocore.auth import SigV4QueryAuth
        from botocore.awsrequest import AWSRequest

        credentials = self._session.get_credentials()
        if credentials is None:
            raise ServiceRefusalError(403, "NoCredentials", "there are no credentials to sign with")
        host = urlsplit(url)
        request = AWSRequest(method="GET", url=f"{host.scheme}://{host.netloc}/?{urlencode(query)}")
        SigV4QueryAuth(credentials.get_frozen_credentials(), "kinesisvideo", self.region, expires=seconds).add_auth(
            request
        )
        return str(request.url)

    def _client(self, api: str, endpoint: str) -> Any:
        from botocore.config import Config

        url = endpoint or self._service.endpoint_url
        with self._lock:
            if (api, url) not in self._clients:
                waits = {"connect_timeout": 5, "read_timeout": 20, "retries": {"mode": "standard", "max_attempts": 3}}
                self._clients[api, url] = self._session.client(
                    api,
                    endpoint_url=url or None,
                    verify=str(self._service.ca) if self._service.ca else None,
                    config=Config(max_pool_connections=_THREADS, **waits),
                )
            return self._clients[api, url]

    def _kept(self, key: tuple[str, ...]) -> Any:
        until, value = self._endpoints.get(key, (0.0, None))
        return value if until > time.monotonic() else None

    def _keep(self, key: tuple[str, ...], value: Any) -> Any:
        self._endpoints[key] = (time.monotonic() + _ENDPOINT_SECONDS, value)
        return value


def _session(service: Service) -> Any:
    import boto3
    from botocore.exceptions import BotoCoreError

    keys = service.keys
    try:
        if keys is not None:
            return boto3.Session(
                aws_access_key_id=keys.access_key,
                aws_secret_access_key=keys.secret_key,
                aws_session_token=keys.session_token or None,
                region_name=service.region or None,
            )
        return boto3.Session(profile_name=service.profile or None, region_name=service.region or None)
    except BotoCoreError as error:
        raise ConfigError(
            "the AWS profile cannot be used", why=one_line(str(error)), next_step="aws configure list-profiles"
        ) from error


def told(work: Callable[[], _Answer]) -> _Answer:
    """Do a piece of work of boto3; its errors come out as a ServiceRefusalError, in words."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return work()
    except ClientError as error:
        refusal = _refusal(error.response)
    except BotoCoreError as error:
        name = type(error).__name__
        if name in ("NoCredentialsError", "PartialCredentialsError", "TokenRetrievalError", "SSOTokenLoadError"):
            refusal = ServiceRefusalError(403, name, "there are no credentials: aws configure, or aws sso login")
        else:
            refusal = ServiceRefusalError(502, name, f"the service does not answer ({name})")
    # Out here, so that it does not carry boto3's frames along: they hold connections, and what was signed.
    raise refusal


def _refusal(answer: Mapping[str, Any]) -> ServiceRefusalError:
    body = answer.get("Error", {})
    code = one_line(str(body.get("Code", "")), most=80)
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 502))
    said = one_line(str(body.get("Message", "")), most=200)
    words = _WORDS.get(code) or f"the service says {code}{f': {said}' if said else ''}"
    return ServiceRefusalError(status if status in (403, 404, 429) else 502, code, words)


def as_user_error(refusal: ServiceRefusalError, what: str) -> UserError:
    """Return a refusal as the end of a command."""
    return UserError(what, why=f"{refusal.words} ({refusal.code})")


def seconds_of(when: object) -> float:
    """Return a time that boto3 gave as seconds since 1970; 0 for what is none."""
    if isinstance(when, dt.datetime):
        return when.timestamp()
    return float(when) if isinstance(when, int | float) else 0.0

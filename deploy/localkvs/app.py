"""The service as one web application: who calls what, is it theirs to call, and errors as AWS tells them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from typing import Any

from aiohttp import web

from deploy.kvs.arguments import MOST_BODY, parse_body
from deploy.kvs.errors import ServiceError
from deploy.kvs.keys import Key
from deploy.kvs.names import region_of
from deploy.kvs.sigv4 import EMPTY, Signed, check_signature, signed_region
from deploy.kvsstore.caller import Caller, set_caller
from deploy.kvsstore.service import Handler, Service
from deploy.localkvs import channels, ingest, streams
from deploy.localkvs.admin import add_admin
from deploy.playback import routes
from deploy.signaling import ice, moto
from deploy.signaling.credentials import credentials
from deploy.signaling.hub import hub_of
from deploy.signaling.turn import Turn
from deploy.signaling.websocket import websocket

_EXPECTED = web.RequestKey("producer", ingest.Producer)
_Answer = Callable[["web.Request"], Awaitable["web.StreamResponse"]]
_log = logging.getLogger("boardcast.kvs")
_NAMED = re.compile(r":(?:stream|channel)/([a-zA-Z0-9_.-]{1,256})/")


def operations() -> dict[str, Handler]:
    """Return every call that is signed in its headers, by its path."""
    return {**streams.OPERATIONS, **channels.OPERATIONS, **routes.OPERATIONS, **ice.OPERATIONS}


def make_app(service: Service) -> web.Application:
    """Build the application of a service."""

    async def media(request: web.Request) -> web.StreamResponse:
        producer = request.get(_EXPECTED) or _producer(service, request)
        return await ingest.put_media(service, request, producer)

    async def expect(request: web.Request) -> web.StreamResponse | None:
        """Refuse before a byte of the body is sent, or say that it may come."""
        try:
            request[_EXPECTED] = _producer(service, request)
        except ServiceError as error:
            return _error(error, close=True)
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
        return None

    app = web.Application(client_max_size=MOST_BODY, middlewares=[_middleware(), _beside(service)])
    app.router.add_route("POST", "/putMedia", media, expect_handler=expect)
    for path, handler in operations().items():
        app.router.add_route("POST", f"/{path}", _call(service, handler))
    for path, handler in routes.ROUTES.items():
        app.router.add_route("GET", path, _play(service, handler))
    _add_signaling(app, service)
    add_admin(app, service)
    app.on_response_prepare.append(_sign_off(service))
    return app


def _add_signaling(app: web.Application, service: Service) -> None:
    """Add the WebSocket, and the keys that a device gets for its certificate."""

    async def connect(request: web.Request) -> web.StreamResponse:
        key = authorize(service, request)
        refuse_on_demand(service, _named({"ChannelARN": request.query.get("X-Amz-ChannelARN")}))
        return await websocket(service, request, key)

    async def lend(request: web.Request) -> web.StreamResponse:
        return await credentials(service, request)

    async def close(_: web.Application) -> None:
        await hub_of(service).close()
        if isinstance(turn := service.state.get("turn"), Turn):
            turn.stop()

    app.router.add_get("/", connect, allow_head=False)
    app.router.add_get("/role-aliases/{alias}/credentials", lend, allow_head=False)
    app.on_shutdown.append(close)


def _sign_off(service: Service) -> Any:
    async def sign_off(_: web.Request, response: web.StreamResponse) -> None:
        """Say who answers, and when by the service's own clock; each answer has an ID, which logs can name."""
        response.headers.setdefault("x-amzn-RequestId", str(uuid.uuid4()))
        response.headers["Server"] = "boardcast"
        response.headers["Date"] = formatdate(service.clock(), usegmt=True)

    return sign_off


def _middleware() -> Any:
    @web.middleware
    async def told_as_aws_does(request: web.Request, handler: _Answer) -> web.StreamResponse:
        try:
            return await handler(request)
        except ServiceError as error:
            _log.info("%s %s: %s", request.method, request.path, error)
            return _error(error)
        except web.HTTPRequestEntityTooLarge:
            return _error(ServiceError(413, "RequestEntityTooLargeException", "The request is too large."), close=True)
        except web.HTTPNotFound:
            return _error(ServiceError(404, "UnknownOperationException", "There is no such operation."))
        except web.HTTPMethodNotAllowed:
            return _error(ServiceError(405, "UnknownOperationException", "There is no such operation."))
        except (web.HTTPException, asyncio.CancelledError, ConnectionError):
            raise
        except Exception:  # noqa: BLE001  # the last line of defence of a server
            # What went wrong is the log's; who called learns that it was not their fault, as with AWS.
            _log.exception("%s %s failed", request.method, request.path)
            return _error(ServiceError(500, "InternalFailure", "The service failed; its log says why."), close=True)

    return told_as_aws_does


def _beside(service: Service) -> Any:
    """Answer what is signed for IoT, STS, IAM or S3, whatever its path."""

    @web.middleware
    async def beside(request: web.Request, handler: _Answer) -> web.StreamResponse:
        name = moto.service_of(request)
        return await handler(request) if name is None else await moto.answer(service, request, name)

    return beside


def _call(service: Service, handler: Handler) -> _Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        authorize(service, request, hashlib.sha256(body).hexdigest())
        arguments = parse_body(body)
        refuse_on_demand(service, _named(arguments))
        result = await handler(service, request, arguments)
        if isinstance(result, web.StreamResponse):
            return result
        return web.json_response(result)

    return answer


def _play(service: Service, handler: Handler) -> _Answer:
    """Answer a player, whose URL is all that it has."""

    async def answer(request: web.Request) -> web.StreamResponse:
        result = await handler(service, request, {})
        assert not isinstance(result, dict)  # noqa: S101
        return result

    return answer


def authorize(service: Service, request: web.Request, payload: str = EMPTY) -> Key:
    """Check a request's signature; the request knows its caller and region afterwards.

    Raises
    ------
    ServiceError
        As AWS refuses it.
    """
    path, _, query = request.raw_path.partition("?")
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers]
    signed = Signed(request.method, path, query, headers, payload)
    key = check_signature(signed, service.store.keys, now=service.clock())
    set_caller(request, Caller(key, region_of(request.host) or signed_region(signed)))
    return key


def refuse_on_demand(service: Service, name: str) -> None:
    """Refuse a call about a stream or channel, because somebody asked for it.

    Raises
    ------
    ServiceError
        Denied, expired or throttled, as AWS says it.
    """
    fault = service.store.faults.take(name, "denied", "expired", "throttled")
    if fault is None:
        return
    if fault.kind == "denied":
        raise ServiceError(403, "AccessDeniedException", f"User is not authorized to access {name} (on demand).")
    if fault.kind == "expired":
        raise ServiceError(403, "ExpiredTokenException", "The security token included in the request is expired")
    raise ServiceError(400, "ClientLimitExceededException", "Rate exceeded (on demand).")


def _named(arguments: Mapping[str, Any]) -> str:
    """Return the name of the stream or channel that a call is about; nothing where it is about none."""
    for name in ("StreamName", "ChannelName"):
        if isinstance(arguments.get(name), str):
            return str(arguments[name])
    for name in ("StreamARN", "ChannelARN", "ResourceARN"):
        if found := _NAMED.search(str(arguments.get(name, ""))[:2048]):
            return found[1]
    return ""


def _producer(service: Service, request: web.Request) -> ingest.Producer:
    authorize(service, request)
    producer = ingest.begin(service, request)
    refuse_on_demand(service, producer.stream.name)
    return producer


def _error(error: ServiceError, *, close: bool = False) -> web.Response:
    """Tell an error as AWS does: its type in a header, its message in the body."""
    response = web.Response(
        status=error.status,
        body=json.dumps({"Message": error.message}).encode(),
        content_type="application/json",
        headers={"x-amzn-ErrorType": error.code},
    )
    if close:
        response.force_close()
    return response

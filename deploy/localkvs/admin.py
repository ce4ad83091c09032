"""What the owner of a running service asks it: how it goes, to do something wrong on demand, to end.

On the same port as everything else, for who has the token of `state.json`, which its owner alone can read.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from deploy.kvs.errors import ServiceError
from deploy.kvs.tls import Authority
from deploy.kvsstore.faults import fault_from
from deploy.kvsstore.service import Service
from deploy.localkvs.ingest import Producer
from deploy.signaling.credentials import provision_thing
from deploy.signaling.hub import send_events

if TYPE_CHECKING:
    from aiohttp import web

_Work = Callable[[Service, dict[str, Any]], dict[str, Any]]


def add_admin(app: web.Application, service: Service) -> None:
    """Add the owner's paths to the application."""
    from aiohttp import web

    def guarded(work: _Work) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            given = request.headers.get("Authorization", "").removeprefix("Bearer ")
            wanted = service.state.get("admin", "")
            if not wanted or not hmac.compare_digest(given.encode(), wanted.encode()):
                raise ServiceError(403, "AccessDeniedException", "This is for the service's owner.")
            body = await request.read()
            return web.json_response(work(service, json.loads(body) if body else {}))

        return answer

    for (method, path), work in _PATHS.items():
        app.router.add_route(method, path, guarded(work))


def _key(service: Service, _: dict[str, Any]) -> dict[str, Any]:
    own = service.store.keys.own()
    return {"access": own.access, "secret": own.secret}


def _ask(service: Service, wanted: dict[str, Any]) -> dict[str, Any]:
    service.store.faults.ask(fault_from(wanted))
    return {"faults": _faults(service)}


def _clear(service: Service, _: dict[str, Any]) -> dict[str, Any]:
    return {"cleared": service.store.faults.clear()}


def _down(_: Service, __: dict[str, Any]) -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGTERM)
    return {}


def _thing(service: Service, wanted: dict[str, Any]) -> dict[str, Any]:
    """Make a device's certificate, and let it in with that."""
    authority: Authority = service.state["authority"]
    certificate, key = provision_thing(service.store, authority, wanted["thing"], wanted["alias"])
    return {"certificate": certificate.decode(), "key": key.decode()}


def _tell(service: Service, wanted: dict[str, Any]) -> dict[str, Any]:
    """Send those who are connected to a channel GO_AWAY or RECONNECT_ICE_SERVER."""
    return {"told": send_events(service, wanted["channel"], wanted["region"], wanted["event"])}


def _provision(service: Service, wanted: dict[str, Any]) -> dict[str, Any]:
    """Make streams and channels that are missing; those that are there stay as they are."""
    store = service.store
    for stream in wanted["streams"]:
        with contextlib.suppress(ServiceError):
            store.streams.create(stream["name"], region=stream["region"], retention_hours=stream["hours"])
    for channel in wanted["channels"]:
        with contextlib.suppress(ServiceError):
            store.channels.create(channel["name"], region=channel["region"])
    return {}


def _faults(service: Service) -> list[dict[str, Any]]:
    return [asdict(fault) for fault in service.store.faults.all()]


def _status(service: Service, _: dict[str, Any]) -> dict[str, Any]:
    producers: dict[int, Producer] = service.state.get("producers", {})
    now = service.clock()
    streams = []
    for stream in service.store.streams.all():
        count, size, last = service.store.fragments.facts(stream)
        producer = producers.get(stream.id)
        streams.append(
            {
                "name": stream.name,
                "region": stream.region,
                "retention_hours": stream.retention_hours,
                "fragments": count,
                "bytes": size,
                "last": last.server_ms / 1000 if last else None,
                "ago": round(now - last.server_ms / 1000, 3) if last else None,
                "behind": (last.server_ms - last.producer_ms) / 1000 if last else None,
                "producer": _producer(producer) if producer else None,
            }
        )
    hub = service.state.get("signaling")
    channels = [
        {"name": channel.name, "region": channel.region} | (hub.facts(channel.arn) if hub else {})
        for channel in service.store.channels.all()
    ]
    return {"pid": os.getpid(), "now": now, "streams": streams, "channels": channels, "faults": _faults(service)}


def _producer(producer: Producer) -> dict[str, Any]:
    return {
        "peer": producer.peer,
        "agent": producer.agent,
        "since": producer.since,
        "fragments": producer.count,
        "bytes": producer.size,
    }


_PATHS: dict[tuple[str, str], _Work] = {
    ("GET", "/-/status"): _status,
    ("GET", "/-/key"): _key,
    ("POST", "/-/faults"): _ask,
    ("DELETE", "/-/faults"): _clear,
    ("POST", "/-/provision"): _provision,
    ("POST", "/-/things"): _thing,
    ("POST", "/-/signaling"): _tell,
    ("POST", "/-/down"): _down,
}

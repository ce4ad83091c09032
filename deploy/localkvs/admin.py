"""What the owner of a running service asks it: how it goes, to do something wrong on demand, to end.

On the same port as everything else, for who has the token of `state.json`, which its owner alone can read.
"""

from __future__ import annotations

import hmac
import json
import os
import signal
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from deploy.kvs.errors import ServiceError
from deploy.kvsstore.faults import fault_from
from deploy.kvsstore.service import Service
from deploy.localkvs.ingest import Producer

if TYPE_CHECKING:
    from aiohttp import web


def add_admin(app: web.Application, service: Service) -> None:
    """Add the owner's paths to the application."""

    def let_in(request: web.Request) -> None:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        wanted = service.state.get("admin", "")
        if not wanted or not hmac.compare_digest(given.encode(), wanted.encode()):
            raise ServiceError(403, "AccessDeniedException", "This is for the service's owner.")

    async def status(request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        let_in(request)
        return web.json_response(_status(service))

    async def ask(request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        let_in(request)
        service.store.faults.ask(fault_from(json.loads(await request.read())))
        return web.json_response({"faults": _faults(service)})

    async def clear(request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        let_in(request)
        return web.json_response({"cleared": service.store.faults.clear()})

    async def down(request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        let_in(request)
        os.kill(os.getpid(), signal.SIGTERM)
        return web.json_response({})

    async def key(request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        let_in(request)
        own = service.store.keys.own()
        return web.json_response({"access": own.access, "secret": own.secret})

    app.router.add_get("/-/status", status)
    app.router.add_get("/-/key", key)
    app.router.add_post("/-/faults", ask)
    app.router.add_delete("/-/faults", clear)
    app.router.add_post("/-/down", down)


def _faults(service: Service) -> list[dict[str, Any]]:
    return [asdict(fault) for fault in service.store.faults.all()]


def _status(service: Service) -> dict[str, Any]:
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

"""Tasks of the local service: up, down, what it has, what it does wrong on demand, and boards that see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from invoke import Context

from deploy.cli.command import command
from recipes.errors import ConfigError, unknown

if TYPE_CHECKING:
    from deploy.localkvs.lifecycle import Running

_ACTIONS = ("up", "down", "status", "streams", "fault", "attach", "detach")


@command(
    positional=["action"],
    help={
        "action": "up, down, status, streams, fault, attach or detach",
        "words": "fault only: what to do wrong, such as 'error=4010 at=3', drop, stall, slow, 403, expired, throttled; "
        "of a channel also go-away, reconnect-ice",
        "stream": "fault only: name of the stream or channel; all without it",
        "clear": "fault only: take back what was asked for",
        "host": "attach and detach: name of a host in board-configs/hosts.toml",
        "port": "up only: port on 127.0.0.1; one that is free without it, the same each time",
        "turn": "up only: relay WebRTC through coturn, which has to be installed",
        "alone": "up only: for programs of this machine alone, without an address for boards; needs no engine",
    },
)
def kvs(
    _: Context,
    action: str,
    words: str = "",
    stream: str = "",
    clear: bool = False,
    host: str = "",
    port: int = 0,
    alone: bool = False,
    turn: bool = False,
    json: bool = False,
    dry_run: bool = False,
) -> None:
    """Run Kinesis Video Streams on this machine: no account, the real protocol."""
    from recipes import console

    if action not in _ACTIONS:
        raise unknown("action", action, _ACTIONS, next_step="invoke kvs up")
    if dry_run:
        told = {"action": action, "host": host, "words": words, "stream": stream}
        console.emit(told) if json else console.out(f"would {_DRY[action]}".format(host=host or "a host", words=words))
        return
    if action == "up":
        _up(port=port, alone=alone, turn=turn, json=json)
    elif action == "down":
        _down(json=json)
    elif action == "fault":
        _fault(words, stream, clear=clear, json=json)
    elif action in ("attach", "detach"):
        _attach(action, host, json=json)
    else:
        _print_status(whole=action == "status", json=json)


_EVENTS = {"go-away": "GO_AWAY", "reconnect-ice": "RECONNECT_ICE_SERVER"}
_DRY = {
    "up": "start the local service, with an address of its own on the network of the simulated boards",
    "down": "end the local service; what it keeps stays",
    "status": "print how the local service is",
    "streams": "print the streams and channels of the local service",
    "fault": "ask the local service to do wrong: {words}",
    "attach": "start the streams of {host} anew, in a view of their own in which the local service is AWS",
    "detach": "start the streams of {host} as they were",
}


def facts_of(running: Running) -> dict[str, Any]:
    """Return how programs of this machine, and boards, reach a service."""
    key = running.own_key()
    return {
        "endpoint_url": running.url,
        "ca_bundle": str(running.authority),
        "addresses": list(running.addresses),
        "aws_access_key_id": key.access,
        "folder": str(running.folder),
        "pid": running.state.pid,
    }


def _up(*, port: int, alone: bool, turn: bool, json: bool) -> None:
    from deploy.localkvs.lifecycle import bring_up, write_profile
    from deploy.sim.boards import NETWORK
    from recipes import console, paths

    running = bring_up(network="" if alone else NETWORK, port=port, turn=turn)
    profile = write_profile(running)
    facts = facts_of(running) | {"profile": str(profile)}
    if json:
        console.emit(facts)
        return
    console.out(
        f"the local service runs: {running.url}",
        *(f"  boards find it at {address}, port 443" for address in running.addresses),
        f"  boto3 and the AWS CLI: . {paths.shown_path(profile)}",
        "  next: invoke sim up --kvs, then invoke watch",
    )


def _down(*, json: bool) -> None:
    from deploy.localkvs.lifecycle import take_down
    from recipes import console

    was = take_down()
    console.emit({"was_up": was}) if json else console.out("the local service is down" if was else "it was not up")


def _fault(words: str, stream: str, *, clear: bool, json: bool) -> None:
    from dataclasses import asdict

    from deploy.kvsstore.faults import parse_fault
    from deploy.localkvs.lifecycle import require_running
    from recipes import console

    running = require_running()
    if words in _EVENTS:
        _tell(running, stream, _EVENTS[words], json=json)
        return
    if clear:
        count = running.ask("DELETE", "/-/faults")["cleared"]
        console.emit({"cleared": count}) if json else console.out(f"{count} taken back")
        return
    fault = parse_fault(words.split(), stream)
    asked = running.ask("POST", "/-/faults", asdict(fault))
    console.emit(asked) if json else console.out(f"asked for: {words} of {stream or 'any stream'}")


def _tell(running: Running, channel: str, event: str, *, json: bool) -> None:
    """Tell those who are connected to a channel to connect again, as the service does from time to time."""
    from recipes import console

    known = {row["name"]: row["region"] for row in running.ask("GET", "/-/status")["channels"]}
    if channel not in known:
        raise unknown("channel", channel, known, next_step="invoke kvs fault --stream CHANNEL go-away")
    told = running.ask("POST", "/-/signaling", {"channel": channel, "region": known[channel], "event": event})
    console.emit(told) if json else console.out(f"{event} went to {told['told']} of {channel}")


def _attach(action: str, host: str, *, json: bool) -> None:
    if not host:
        raise ConfigError(f"{action} which board?", next_step=f"invoke kvs {action} --host HOST")
    from deploy.commands.streams import print_services
    from deploy.kvsboards.attached import attach, detach
    from recipes import console

    if action == "detach":
        print_services(host, detach(host), json=json)
        return
    attached = attach(host)
    print_services(host, attached.services, json=json)
    if not json:
        console.out(f"  they find the local service at {attached.address}; back: invoke kvs detach --host {host}")


def _print_status(*, whole: bool, json: bool) -> None:
    from deploy.localkvs.lifecycle import require_running
    from recipes import console

    running = require_running()
    told = running.ask("GET", "/-/status")
    if json:
        console.emit((facts_of(running) if whole else {}) | told)
        return
    if whole:
        console.fields(
            "The local service",
            {
                "endpoint": running.url,
                "for boards": ", ".join(running.addresses) or "no address",
                "process": told["pid"],
            },
        )
    console.table("Streams", ["stream", "region", "fragments", "MB", "last", "behind", "producer"], _streams(told))
    console.table("Channels", ["channel", "region", "master", "viewers"], _channels(told))
    for fault in told["faults"]:
        console.out(f"fault on demand: {fault['kind']} of {fault['stream']}, {fault['times'] or 'every'} time(s)")


def _streams(told: dict[str, Any]) -> list[list[str]]:
    return [
        [
            stream["name"],
            stream["region"],
            f"{stream['fragments']:,}",
            f"{stream['bytes'] / 1e6:.1f}",
            "-" if stream["ago"] is None else f"{stream['ago']:.1f} s ago",
            "-" if stream["behind"] is None else f"{stream['behind']:.1f} s",
            "-" if not stream["producer"] else stream["producer"]["peer"],
        ]
        for stream in told["streams"]
    ]


def _channels(told: dict[str, Any]) -> list[list[str]]:
    return [
        [
            channel["name"],
            channel["region"],
            "connected" if channel.get("master") else "-",
            str(len(channel.get("viewers", []))),
        ]
        for channel in told["channels"]
    ]

"""What a board must see to take the local service for AWS: names, an authority, and keys. Worked out from its file."""

from __future__ import annotations

from dataclasses import dataclass, field

from deploy.boards.board import Board
from deploy.cloud.promise import board_promises, board_region
from deploy.kvs.keys import Key
from deploy.kvs.names import host_names
from deploy.localkvs.lifecycle import Running
from deploy.reach.endpoints import CA_FILE
from deploy.services.quoting import environment_file
from deploy.streams.model import PipelineStream
from deploy.streams.samples import UploaderSample
from deploy.streams.sinks import IotCertificate
from recipes.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Things:
    """A board's certificate as its file names it, and the thing that it is for."""

    iot: IotCertificate
    thing: str


@dataclass(frozen=True, kw_only=True)
class View:
    """What is put in front of a board's own files.

    Attributes
    ----------
    hosts:
        Lines for /etc/hosts.
    authority:
        The service's certificate, in PEM; it is added to what is in `ca_files`.
    secrets:
        Path on the board and content; for the board's root only.
    streams, channels:
        What the board's file says that it sends to, by region.
    """

    hosts: str
    authority: str
    ca_files: tuple[str, ...]
    secrets: dict[str, bytes] = field(default_factory=dict, repr=False)
    streams: tuple[tuple[str, str], ...] = ()
    channels: tuple[tuple[str, str], ...] = ()


def board_view(board: Board, running: Running, address: str) -> View:
    """Work out a board's view of the service at an address."""
    streams, channels, regions = sent_to(board)
    things = board_things(board)
    names = [name for region in sorted(regions) for name in host_names(region)]
    names += [thing.iot.endpoint for thing in things]
    ca_files = [board.file.environment.ca_file or CA_FILE, CA_FILE, *(thing.iot.ca_path for thing in things)]
    return View(
        hosts="".join(f"{address} {name}\n" for name in dict.fromkeys(names)),
        authority=running.authority.read_text(),
        ca_files=tuple(dict.fromkeys(ca_files)),
        secrets=_secrets(board, running, things),
        streams=streams,
        channels=channels,
    )


def sent_to(board: Board) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...], set[str]]:
    """Return names and regions of streams and of channels, and all regions."""
    promised = board_promises(board)
    streams = tuple((stream.name, stream.region) for stream in promised.streams)
    channels = tuple((channel.name, channel.region) for channel in promised.channels)
    return streams, channels, {board_region(board), *(region for _, region in streams)}


def board_things(board: Board) -> tuple[Things, ...]:
    """Return the certificates that a board's file names, the board's own and those of single streams."""
    found = dict[str, Things]()
    shared = board.file.credentials.iot
    for name, stream in board.file.streams.items():
        if isinstance(stream, UploaderSample):
            given = [(stream.iot or shared, stream.stream)]
        elif isinstance(stream, PipelineStream):
            given = [(getattr(sink, "iot", None) or shared, getattr(sink, "kvs", name)) for sink in stream.outputs]
        else:
            given = [(shared, stream.stream)]
        for iot, stream_name in given:
            if iot is not None:
                thing = Things(iot=iot, thing=iot.iot_thing_name or stream_name)
                found.setdefault(f"{iot.cert_path}\0{thing.thing}", thing)
    return tuple(found.values())


def _secrets(board: Board, running: Running, things: tuple[Things, ...]) -> dict[str, bytes]:
    """Return the files of keys: those of the service's owner, and a certificate for each thing."""
    made: dict[str, bytes] = {}
    if board.file.credentials.file:
        made[board.file.credentials.file] = environment_file(key_variables(running.own_key()))
    for thing in things:
        if thing.iot.cert_path in made:
            raise ConfigError(
                f"{thing.iot.cert_path} is to be the certificate of two things",
                why=f"the service knows one thing of a certificate, and {thing.thing} is another",
                next_step=f"[credentials.iot] of {board.name}: iot_thing_name = the name of the board's thing",
            )
        facts = running.ask("POST", "/-/things", {"thing": thing.thing, "alias": thing.iot.role_aliases})
        made[thing.iot.cert_path] = facts["certificate"].encode()
        made[thing.iot.key_path] = facts["key"].encode()
    return made


def key_variables(key: Key) -> dict[str, str]:
    """Return a key as the SDKs read it from their environment."""
    named = {"AWS_ACCESS_KEY_ID": key.access, "AWS_SECRET_ACCESS_KEY": key.secret}
    return named | ({"AWS_SESSION_TOKEN": key.token} if key.token else {})


def provision(running: Running, view: View, *, hours: int) -> None:
    """Make the streams and channels that a board's file names, those that are missing.

    Parameters
    ----------
    hours:
        Retention of a stream that is made.
    """
    wanted = {
        "streams": [{"name": name, "region": region, "hours": hours} for name, region in view.streams],
        "channels": [{"name": name, "region": region} for name, region in view.channels],
    }
    running.ask("POST", "/-/provision", wanted)

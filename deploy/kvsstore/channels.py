"""Signaling channels: made, found, listed, changed and deleted."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from deploy.kvs.errors import ServiceError, in_use, invalid, not_found
from deploy.kvs.names import ACCOUNT
from deploy.kvsstore.database import Database
from deploy.kvsstore.streams import NAME, checked_tags, new_version

_ARN = re.compile(r"arn:[a-z-]+:kinesisvideo:[a-z0-9-]+:[0-9]+:channel/[a-zA-Z0-9_.-]+/[0-9]+")
_KINDS = ("SINGLE_MASTER", "FULL_MESH")
_MOST_CHANNELS = 10_000
_COLUMNS = "id, region, name, arn, created, version, ttl, kind, tags"
_FIELDS = _COLUMNS.split(", ")


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel as it is described.

    Attributes
    ----------
    created:
        Seconds since 1970.
    ttl:
        Seconds that a message waits for its reader, 5 to 120.
    """

    id: int
    region: str
    name: str
    arn: str
    created: float
    version: str
    ttl: int
    kind: str
    tags: dict[str, str]


class Channels:
    """The channels of all regions."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def create(
        self,
        name: str,
        *,
        region: str,
        kind: str = "SINGLE_MASTER",
        ttl: int = 60,
        tags: Mapping[str, str] | None = None,
    ) -> Channel:
        """Make a channel; it is active at once.

        Raises
        ------
        ServiceError
            The name is no name or is taken, or a value is out of range.
        """
        _check(name, kind, ttl)
        with self._database.together():
            if self._rows("region = ? AND name = ?", region, name):
                raise in_use(f"The channel {name} already exists.")
            ((count,),) = self._database.read("SELECT count(*) FROM channels")
            if count >= _MOST_CHANNELS:
                raise ServiceError(400, "AccountChannelLimitExceededException", f"more than {_MOST_CHANNELS} channels")
            now = self._clock()
            arn = f"arn:aws:kinesisvideo:{region}:{ACCOUNT}:channel/{name}/{int(now * 1000)}"
            self._database.write(
                f"INSERT INTO channels ({_COLUMNS.partition(', ')[2]}) VALUES (?,?,?,?,?,?,?,?)",  # noqa: S608
                *(region, name, arn, now, new_version(), ttl, kind, json.dumps(checked_tags(tags or {}))),
            )
        return self.find(name=name, region=region)

    def find(self, *, name: str = "", arn: str = "", region: str = "") -> Channel:
        """Return a channel by its ARN, else by its name in a region.

        Raises
        ------
        ServiceError
            Neither is given, the ARN is none, or there is no such channel.
        """
        if arn and not _ARN.fullmatch(arn):
            raise invalid("ChannelARN is not the ARN of a channel")
        if not arn and not name:
            raise invalid("Either ChannelName or ChannelARN must be provided.")
        rows = self._rows("arn = ?", arn) if arn else self._rows("region = ? AND name = ?", region, name)
        if not rows or (name and rows[0].name != name):
            raise not_found("The requested channel is not found or not active.")
        return rows[0]

    def all(self, *, region: str = "", prefix: str = "") -> list[Channel]:
        """Return the channels of a region, or of all, by name."""
        rows = self._rows("region = ?", region) if region else self._rows("1")
        return sorted((channel for channel in rows if channel.name.startswith(prefix)), key=lambda found: found.name)

    def change(self, channel: Channel, version: str, *, ttl: int) -> Channel:
        """Change how long messages wait, where the channel is still of the version that the caller saw.

        Raises
        ------
        ServiceError
            It has another version by now, or the seconds are out of range.
        """
        if channel.version != version:
            raise ServiceError(400, "VersionMismatchException", f"The current version is {channel.version}.")
        _check(channel.name, channel.kind, ttl)
        self._database.write("UPDATE channels SET ttl = ?, version = ? WHERE id = ?", ttl, new_version(), channel.id)
        return self.find(arn=channel.arn)

    def tag(self, channel: Channel, tags: Mapping[str, str]) -> Channel:
        """Give a channel these tags in place of those that it has."""
        self._database.write("UPDATE channels SET tags = ? WHERE id = ?", json.dumps(checked_tags(tags)), channel.id)
        return self.find(arn=channel.arn)

    def delete(self, channel: Channel) -> None:
        """Forget a channel; who is connected is the hub's to send away."""
        self._database.write("DELETE FROM channels WHERE id = ?", channel.id)

    def _rows(self, where: str, *values: Any) -> list[Channel]:
        rows = self._database.read(f"SELECT {_COLUMNS} FROM channels WHERE {where}", *values)  # noqa: S608
        return [Channel(**dict(zip(_FIELDS, row, strict=True)) | {"tags": json.loads(row[-1])}) for row in rows]


def _check(name: str, kind: str, ttl: int) -> None:
    if not NAME.fullmatch(name):
        raise invalid("ChannelName must be 1 to 256 of a-z, A-Z, 0-9, _, . and -")
    if kind not in _KINDS:
        raise invalid("ChannelType must be SINGLE_MASTER or FULL_MESH")
    if not 5 <= ttl <= 120:
        raise invalid("MessageTtlSeconds must be between 5 and 120")

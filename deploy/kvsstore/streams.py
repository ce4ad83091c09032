"""Streams: made, found, listed, changed and deleted."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from deploy.kvs.errors import ServiceError, in_use, invalid, not_found
from deploy.kvs.names import ACCOUNT
from deploy.kvsstore.database import Database

NAME = re.compile(r"[a-zA-Z0-9_.-]{1,256}")
_ARN = re.compile(r"arn:[a-z-]+:kinesisvideo:[a-z0-9-]+:[0-9]+:stream/[a-zA-Z0-9_.-]+/[0-9]+")
MOST_HOURS = 87_600
"""Of retention: ten years."""
MOST_TAGS = 50
_MOST_STREAMS = 10_000


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream as it is described.

    Attributes
    ----------
    created:
        Seconds since 1970.
    retention_hours:
        Hours that a fragment is kept; with 0 it is not kept at all, only passed on.
    """

    id: int
    region: str
    name: str
    arn: str
    created: float
    version: str
    retention_hours: int
    media_type: str
    device_name: str
    kms_key_id: str
    tags: dict[str, str]


_COLUMNS = "id, region, name, arn, created, version, retention_hours, media_type, device_name, kms_key_id, tags"
_FIELDS = _COLUMNS.split(", ")


def new_version() -> str:
    """Return a version as the service gives out: 20 letters and digits that no other change has."""
    return "".join(secrets.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") for _ in range(20))


def checked_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags that the service takes.

    Raises
    ------
    ServiceError
        There are more than 50, or one is too long.
    """
    if len(tags) > MOST_TAGS:
        raise ServiceError(400, "TagsPerResourceExceededLimitException", f"more than {MOST_TAGS} tags")
    for name, value in tags.items():
        if not (isinstance(name, str) and isinstance(value, str) and 0 < len(name) <= 128 and len(value) <= 256):
            raise ServiceError(400, "InvalidResourceFormatException", "a tag is a name of 1 to 128 letters and a value")
    return dict(tags)


class Streams:
    """The streams of all regions."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def create(
        self,
        name: str,
        *,
        region: str,
        retention_hours: int = 0,
        media_type: str = "",
        device_name: str = "",
        kms_key_id: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> Stream:
        """Make a stream; it is active at once.

        Raises
        ------
        ServiceError
            The name is no name or is taken, the retention is out of range, or there are too many streams.
        """
        _check(name, retention_hours)
        with self._database.together():
            if self._rows("region = ? AND name = ?", region, name):
                raise in_use(f"The stream {name} already exists.")
            ((count,),) = self._database.read("SELECT count(*) FROM streams")
            if count >= _MOST_STREAMS:
                raise ServiceError(400, "AccountStreamLimitExceededException", f"more than {_MOST_STREAMS} streams")
            now = self._clock()
            arn = f"arn:aws:kinesisvideo:{region}:{ACCOUNT}:stream/{name}/{int(now * 1000)}"
            key = kms_key_id or f"arn:aws:kms:{region}:{ACCOUNT}:alias/aws/kinesisvideo"
            self._database.write(
                f"INSERT INTO streams ({_COLUMNS.partition(', ')[2]}) VALUES (?,?,?,?,?,?,?,?,?,?)",  # noqa: S608
                *(region, name, arn, now, new_version(), retention_hours, media_type, device_name, key),
                json.dumps(checked_tags(tags or {})),
            )
        return self.find(name=name, region=region)

    def find(self, *, name: str = "", arn: str = "", region: str = "") -> Stream:
        """Return a stream by its ARN, else by its name in a region.

        Raises
        ------
        ServiceError
            Neither is given, the ARN is none, or there is no such stream.
        """
        if arn and not _ARN.fullmatch(arn):
            raise invalid("StreamARN is not the ARN of a stream")
        if not arn and not name:
            raise invalid("Either StreamName or StreamARN must be provided.")
        rows = self._rows("arn = ?", arn) if arn else self._rows("region = ? AND name = ?", region, name)
        if not rows or (name and rows[0].name != name):
            raise not_found(f"The requested stream {name or arn} is not found or not active.")
        return rows[0]

    def all(self, *, region: str = "", prefix: str = "") -> list[Stream]:
        """Return the streams of a region, or of all, by name."""
        rows = self._rows("region = ?", region) if region else self._rows("1")
        return sorted((stream for stream in rows if stream.name.startswith(prefix)), key=lambda stream: stream.name)

    def change(self, stream: Stream, version: str, **values: Any) -> Stream:
        """Change fields of a stream that is still of the version that the caller saw.

        Raises
        ------
        ServiceError
            It has another version by now.
        """
        if stream.version != version:
            raise ServiceError(400, "VersionMismatchException", f"The current version is {stream.version}.")
        return self._set(stream, version=new_version(), **values)

    def tag(self, stream: Stream, tags: Mapping[str, str]) -> Stream:
        """Give a stream these tags in place of those that it has."""
        return self._set(stream, tags=json.dumps(checked_tags(tags)))

    def delete(self, stream: Stream) -> None:
        """Forget a stream; its fragments are the caller's to delete."""
        self._database.write("DELETE FROM streams WHERE id = ?", stream.id)

    def _set(self, stream: Stream, **values: Any) -> Stream:
        if not 0 <= int(values.get("retention_hours", 0)) <= MOST_HOURS:
            raise invalid(f"retention must be between 0 and {MOST_HOURS} hours")
        for column, value in values.items():
            assert column in _COLUMNS  # noqa: S101  # column names are ours, never a client's
            self._database.write(f"UPDATE streams SET {column} = ? WHERE id = ?", value, stream.id)  # noqa: S608
        return self.find(arn=stream.arn)

    def _rows(self, where: str, *values: Any) -> list[Stream]:
        rows = self._database.read(f"SELECT {_COLUMNS} FROM streams WHERE {where}", *values)  # noqa: S608
        return [Stream(**dict(zip(_FIELDS, row, strict=True)) | {"tags": json.loads(row[-1])}) for row in rows]


def _check(name: str, retention_hours: int) -> None:
    if not NAME.fullmatch(name):
        raise invalid("StreamName must be 1 to 256 of a-z, A-Z, 0-9, _, . and -")
    if not 0 <= retention_hours <= MOST_HOURS:
        raise invalid(f"DataRetentionInHours must be between 0 and {MOST_HOURS}")

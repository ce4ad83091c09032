"""Files by name in a folder, on an HTTP server, in an S3 bucket: the three places that a store of builds may be.

What is read comes in parts, as it was sent: nothing is held in memory as a whole, and nothing is decoded on the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import quote, urlsplit

from recipes.errors import BuildError
from recipes.files import whole_file
from recipes.text import one_line

_TIMEOUT = (10, 120)  # seconds to connect, and between two bytes
_PART = 1 << 18


class FolderPlace:
    """A directory, local or mounted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def chunks(self, name: str) -> Iterator[Iterator[bytes] | None]:
        path = self._folder / name
        if not path.is_file():  # a FIFO or a device is none
            yield None
            return
        with path.open("rb") as file:
            yield iter(lambda: file.read(_PART), b"")

    def write(self, name: str, content: IO[bytes]) -> None:
        with whole_file(self._folder / name) as file:
            while part := content.read(_PART):
                file.write(part)


class HttpPlace:
    """A server that answers GET, and PUT where it lets us write (WebDAV, an artefact repository)."""

    def __init__(self, base: str, *, insecure: bool = False) -> None:
        self._base = base.rstrip("/")
        self._insecure = insecure

    @contextmanager
    def chunks(self, name: str) -> Iterator[Iterator[bytes] | None]:
        import requests
        from urllib3.exceptions import HTTPError

        try:
            with requests.get(f"{self._base}/{quote(name)}", timeout=_TIMEOUT, stream=True) as answer:
                steps = [*answer.history, answer]
                if not self._insecure and any(urlsplit(step.url).scheme != "https" for step in steps):
                    raise BuildError("the store sends us on to a place without encryption", where=self._base)
                if answer.status_code in (403, 404):
                    yield None
                elif answer.status_code != 200:
                    raise BuildError(f"the store answers HTTP {answer.status_code}", where=self._base)
                else:
                    # As it was sent: a Content-Encoding would be unpacked without any limit of ours.
                    yield answer.raw.stream(_PART, decode_content=False)
        except (requests.RequestException, HTTPError) as error:
            raise BuildError(f"the store does not answer ({type(error).__name__})", where=self._base) from error

    def write(self, name: str, content: IO[bytes]) -> None:
        import requests

        try:
            # Not to where it sends us on: that may be anywhere.
            where = f"{self._base}/{quote(name)}"
            answer = requests.put(where, data=content, timeout=_TIMEOUT, allow_redirects=False)
        except requests.RequestException as error:
            raise BuildError(f"the store takes nothing ({type(error).__name__})", where=self._base) from error
        if answer.status_code >= 300:
            raise BuildError(f"the store refuses to take an entry: HTTP {answer.status_code}", where=self._base)


class S3Place:
    """A bucket; credentials, region and endpoint come from where every AWS tool takes them."""

    def __init__(self, where: str) -> None:
        split = urlsplit(where)
        self._where, self._bucket, self._prefix = where, split.netloc, split.path.strip("/")

    def _client(self) -> object:
        import boto3

        return boto3.client("s3")

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name

    @contextmanager
    def chunks(self, name: str) -> Iterator[Iterator[bytes] | None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._client().get_object(Bucket=self._bucket, Key=self._key(name))  # type: ignore[attr-defined]
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code not in ("NoSuchKey", "404", "AccessDenied"):
                raise BuildError(f"the bucket answers {one_line(code)}", where=self._where) from error
            yield None
            return
        except BotoCoreError as error:
            raise BuildError("the bucket does not answer", where=self._where, why=one_line(str(error))) from error
        try:
            yield answer["Body"].iter_chunks(_PART)
        except BotoCoreError as error:
            raise BuildError("the bucket stopped to answer", where=self._where, why=one_line(str(error))) from error
        finally:
            answer["Body"].close()

    def write(self, name: str, content: IO[bytes]) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._client().put_object(Bucket=self._bucket, Key=self._key(name), Body=content)  # type: ignore[attr-defined]
        except (BotoCoreError, ClientError) as error:
            raise BuildError("the bucket takes nothing", where=self._where, why=one_line(str(error))) from error

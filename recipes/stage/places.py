"""Files by name in a folder, on an HTTP server, in an S3 bucket: the three places that a store of builds may be."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, urlsplit

from recipes.errors import BuildError
from recipes.files import write_whole

_TIMEOUT = (10, 120)  # seconds to connect, and between two bytes


class FolderPlace:
    """A directory, local or mounted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> bytes | None:
        path = self._folder / name
        return path.read_bytes() if path.is_file() else None

    def write(self, name: str, data: bytes) -> None:
        write_whole(self._folder / name, data)


class HttpPlace:
    """A server that answers GET, and PUT where it lets us write (WebDAV, an artefact repository)."""

    def __init__(self, base: str) -> None:
        self._base = base.rstrip("/")

    def read(self, name: str) -> bytes | None:
        import requests

        try:
            answer = requests.get(f"{self._base}/{quote(name)}", timeout=_TIMEOUT)
        except requests.RequestException as error:
            raise BuildError(f"the store does not answer ({type(error).__name__})", where=self._base) from error
        if answer.status_code in (403, 404):
            return None
        if answer.status_code != 200:
            raise BuildError(f"the store answers HTTP {answer.status_code}", where=self._base)
        return bytes(answer.content)

    def write(self, name: str, data: bytes) -> None:
        import requests

        try:
            answer = requests.put(f"{self._base}/{quote(name)}", data=data, timeout=_TIMEOUT)
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

    def read(self, name: str) -> bytes | None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._client().get_object(Bucket=self._bucket, Key=self._key(name))  # type: ignore[attr-defined]
            return bytes(answer["Body"].read())
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in ("NoSuchKey", "404", "AccessDenied"):
                return None
            raise BuildError(f"the bucket answers {code}", where=self._where) from error
        except BotoCoreError as error:
            raise BuildError("the bucket does not answer", where=self._where, why=str(error)) from error

    def write(self, name: str, data: bytes) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._client().put_object(Bucket=self._bucket, Key=self._key(name), Body=data)  # type: ignore[attr-defined]
        except (BotoCoreError, ClientError) as error:
            raise BuildError("the bucket takes nothing", where=self._where, why=str(error)) from error

"""What the actions of our workflow do, as far as their documentation says: checkout, cache, artefacts.

Artefacts are zip files without modes and links, without files of a name that begins with a dot, written once; a cache
is a tar file that is found by its key and its paths, or the newest whose key begins so.

https://github.com/actions/upload-artifact#readme, https://github.com/actions/cache#readme
"""

from __future__ import annotations

import fnmatch
import hashlib
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

AfterJob = Callable[[bool], None]
"""What an action does when its job is over; it learns whether that was a success."""


class ActionError(Exception):
    """An action fails, and its step with it."""


@dataclass
class Store:
    """What outlives a job: a repository to check out, artefacts of this run, caches of this and earlier runs."""

    repository: Path
    commit: str
    folder: Path
    saved: list[str] = field(default_factory=list)
    """Keys of caches that were saved, the newest last."""

    @property
    def artefacts(self) -> Path:
        return self.folder / "artefacts"

    def names(self) -> list[str]:
        return sorted(path.stem for path in self.artefacts.glob("*.zip"))


@dataclass(frozen=True)
class Given:
    """A step's `with:`; what an action does not look at is an error, as nobody would have tried it."""

    values: Mapping[str, str]
    workspace: Path
    store: Store

    def only(self, *known: str) -> None:
        if odd := self.values.keys() - set(known):
            raise ActionError(f"inputs that this runner does not know: {', '.join(sorted(odd))}")

    def paths(self, name: str) -> list[Path]:
        found = [line.strip() for line in self.values[name].splitlines() if line.strip()]
        if any(set(line) & set("*?[]!~") for line in found):
            raise ActionError(f"{name}: patterns are more than this runner knows")
        return [self.workspace / line for line in found]


def git(*words: str, cwd: Path | None = None) -> str:
    # A job's folder may belong to the user that it runs as.
    done = subprocess.run(
        ["git", "-c", "safe.directory=*", *words], cwd=cwd, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ActionError(f"git {words[0]}: {done.stderr}")
    return done.stdout.strip()


def checkout(given: Given) -> tuple[dict[str, str], AfterJob | None]:
    """Fetch the one commit into an empty workspace."""
    given.only("persist-credentials")
    where = given.workspace
    if any(where.iterdir()):
        raise ActionError("the workspace is not empty")
    git("init", "--quiet", str(where))
    git("fetch", "--quiet", "--depth=1", f"file://{given.store.repository}", given.store.commit, cwd=where)
    git("checkout", "--quiet", "--detach", "FETCH_HEAD", cwd=where)
    return {}, None


def upload(given: Given) -> tuple[dict[str, str], AfterJob | None]:
    """Pack files or folders; a single file at the top, what is in a single folder without the folder's name."""
    given.only("name", "path", "if-no-files-found")
    name = given.values["name"]
    if not name or set(name) & set('":<>|*?\r\n\\/'):
        raise ActionError(f"{name!r} is no name for an artefact")
    target = given.store.artefacts / f"{name}.zip"
    if target.exists():
        raise ActionError(f"there is an artefact {name} already, and they do not change")
    [top] = given.paths("path")
    files = [top] if top.is_file() else sorted(path for path in top.rglob("*") if path.is_file())
    start = top.parent if top.is_file() else top
    # The documentation calls a file hidden whose name or folder begins with a dot.
    seen = [path for path in files if not any(p.startswith(".") for p in path.relative_to(given.workspace).parts)]
    if not seen:
        if given.values.get("if-no-files-found", "warn") == "error":
            raise ActionError(f"no files for {name}: {given.values['path']}")
        return {}, None
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in seen:
            archive.writestr(zipfile.ZipInfo(path.relative_to(start).as_posix()), path.read_bytes())
    return {}, None


def download(given: Given) -> tuple[dict[str, str], AfterJob | None]:
    """Unpack one artefact, or all that fit a pattern into one folder; every file gets the mode of any new file."""
    given.only("name", "path", "pattern", "merge-multiple")
    into = given.workspace / given.values.get("path", ".")
    if "name" in given.values:
        wanted = [given.values["name"]]
    elif given.values.get("merge-multiple") == "true":
        wanted = fnmatch.filter(given.store.names(), given.values["pattern"])
    else:
        raise ActionError("a folder per artefact is more than this runner knows")
    for name in wanted:
        archive = given.store.artefacts / f"{name}.zip"
        if not archive.is_file():
            raise ActionError(f"there is no artefact {name}: {', '.join(given.store.names())}")
        with zipfile.ZipFile(archive) as opened:
            for member in opened.namelist():
                target = into / member
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(opened.read(member))
    return {}, None


def restore(given: Given) -> tuple[dict[str, str], AfterJob | None]:
    """Unpack the cache of the key, else the newest that begins with one of the others; `cache-hit` is of the first."""
    given.only("path", "key", "restore-keys")
    key = given.values["key"]
    if not key or len(key) > 512 or "," in key:
        raise ActionError(f"{key!r} is no key of a cache")
    folder = _caches(given)
    found = key if (folder / f"{key}.tar").is_file() else ""
    for start in given.values.get("restore-keys", "").split():
        fits = [name for name in given.store.saved if name.startswith(start) and (folder / f"{name}.tar").is_file()]
        found = found or (fits[-1] if fits else "")
    if found:
        with tarfile.open(folder / f"{found}.tar") as archive:
            archive.extractall(given.workspace, filter="fully_trusted")
    # Nothing at all where nothing was found, as the action has it.
    return {"cache-hit": "" if not found else "true" if found == key else "false"}, None


def cache(given: Given) -> tuple[dict[str, str], AfterJob | None]:
    """Restore; where the key had nothing, save when the job was a success."""
    outputs, _ = restore(given)
    if outputs["cache-hit"] == "true":
        return outputs, None

    def save(success: bool) -> None:
        target = _caches(given) / f"{given.values['key']}.tar"
        there = [path for path in given.paths("path") if path.exists()]
        if not success or not there or target.exists():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(target, "w") as archive:
            for path in there:
                archive.add(path, path.relative_to(given.workspace).as_posix())
        given.store.saved.append(given.values["key"])

    return outputs, save


def _caches(given: Given) -> Path:
    """Return the folder of caches with these very paths: others are not looked at."""
    return given.store.folder / "caches" / hashlib.sha256(given.values["path"].encode()).hexdigest()[:16]


def forget(store: Store) -> None:
    """Drop the artefacts: the next run has its own."""
    shutil.rmtree(store.artefacts, ignore_errors=True)


ACTIONS: dict[str, Callable[[Given], tuple[dict[str, str], AfterJob | None]]] = {
    "actions/checkout": checkout,
    "actions/upload-artifact": upload,
    "actions/download-artifact": download,
    "actions/cache": cache,
    "actions/cache/restore": restore,
}

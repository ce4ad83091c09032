"""How what a container sees gets there: bound, copied into its own volume, or in a volume that stays.

An engine may not see the files of this program, though its socket is here: a socket that was given to a container, a
virtual machine that does not share the folder. Then it makes an empty folder of a path that it does not have, or mounts
what else is of that name there. Or a policy of its machine, such as SELinux's, keeps containers from reading it: then
nothing is labelled anew, for the files may be a person's own. So it is asked what it mounted, once per place.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from recipes import paths
from recipes.engine.confinement import is_readable
from recipes.engine.container import Job, Mount
from recipes.engine.services import LABEL
from recipes.engine.tarstream import empty_folder, pack_folder, read_chunks

_KERNEL = Path("/proc/sys/kernel/random/boot_id")
_ENTRIES = 200
"""Of a folder: as many are compared."""
# $@ what is mounted. Prints the id of the kernel's run, then of each its kind, device and inode, whether it may be
# read, and the names in it.
_LOOK = r"""
find / -maxdepth 0 -printf '' || exit 1
cat /proc/sys/kernel/random/boot_id
for path; do
    reads=no
    if [ -d "$path" ]; then ls "$path" > /dev/null 2>&1 && reads=yes; elif [ -r "$path" ]; then reads=yes; fi
    printf '\0\0%s\0%s\0%s' "$(stat -c %F "$path" 2>/dev/null)" "$(stat -c '%d %i' "$path" 2>/dev/null)" "$reads"
    [ ! -d "$path" ] || find "$path" -mindepth 1 -maxdepth 1 -printf '\0%f' 2>/dev/null
done
exit 0
"""


def is_copied(mount: Mount, job: Job, *, remote: bool) -> bool:
    """Tell whether a container gets a copy: it may write to it, or could not read the mount itself."""
    if mount.kept:
        return False
    return remote or not mount.read_only or not is_readable(mount.source, job.runs_as, deep=not mount.key)


def begin(container: Any, copied: Sequence[Mount], job: Job, *, podman: bool) -> None:
    """Fill a container's volume and start it.

    Podman copies into a new volume what its image has there, and gives it to the container's user, when it starts:
    and copies nothing into one that holds something already. So it is filled afterwards, and its top taken back.
    """
    if podman:
        container.start()
    _fill(container, copied, job)
    if not podman:
        container.start()
    elif job.volume:
        container.put_archive(str(job.volume), empty_folder(PurePosixPath("."), "0:0"))


def _fill(container: Any, mounts: Sequence[Mount], job: Job) -> None:
    """Make the working folder, its user's own, and copy what is not bound, in the container's own volume."""
    top = job.volume or PurePosixPath("/")
    if job.volume and job.cwd not in (top, *(mount.target for mount in job.mounts)):
        container.put_archive(str(top), empty_folder(job.cwd.relative_to(top), job.runs_as))
    for mount in mounts:
        _copy_in(container, mount, job.runs_as, top)


def _copy_in(container: Any, mount: Mount, user: str, top: PurePosixPath) -> None:
    """Copy a mount into a container, below `top`, owned by `user` (uid:gid)."""
    with pack_folder(mount.source, mount.target.relative_to(top), user) as archive:
        container.put_archive(str(top), read_chunks(archive))


def keyed_volumes(
    client: Any, mounts: Sequence[Mount], job: Job, labels: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """Return the volumes that take the place of mounts with a key, each filled once.

    A volume cannot be renamed, so a second, empty one named `….whole` says that the first was filled to its end.

    Parameters
    ----------
    labels:
        Of the container that fills one, by which it is found where this program ends meanwhile.
    """
    found = {}
    for mount in mounts:
        name, proof = f"{LABEL}-{mount.key}", f"{LABEL}-{mount.key}.whole"
        found[name] = {"bind": str(mount.target), "mode": "ro" if mount.read_only else "rw"}
        if not any(volume.name == proof for volume in client.volumes.list(filters={"name": proof})):
            client.volumes.create(name, labels={LABEL: "volume"})
            place = {name: {"bind": str(mount.target), "mode": "rw"}}
            filler = client.containers.create(job.image, ["true"], labels=dict(labels), volumes=place)
            try:
                # Podman follows no volume below the folder that it unpacks in: it is the volume itself.
                _copy_in(filler, mount, job.runs_as, mount.target)
            finally:
                filler.remove(force=True)
            client.volumes.create(proof, labels={LABEL: "volume"})
    return found


def first_unseen(container: Any, bound: Mapping[Path, PurePosixPath], known: set[Path]) -> Path | None:
    """Return the first of what is bound in a running container that the engine has something else of, or nothing.

    Parameters
    ----------
    known:
        Places that it was seen to have; those that are seen now are added.

    Notes
    -----
    An image without the programs that are asked says nothing, and is believed.
    """
    asked = {source: target for source, target in bound.items() if _place(source) not in known and _tells(source)}
    if not asked:
        return None
    code, printed = container.exec_run(["sh", "-c", _LOOK, "sh", *map(str, asked.values())], demux=True)
    kernel, *told = (printed[0] or b"").split(b"\0\0")
    if code != 0 or len(told) != len(asked):
        return None
    same_kernel = kernel.strip() == _kernel()
    for source, answer in zip(asked, told, strict=True):
        kind, number, reads, *names = answer.split(b"\0")
        there = source.stat()
        if same_kernel:  # a bind is the very file; a virtual machine's view of it has numbers of its own
            seen = number == f"{there.st_dev} {there.st_ino}".encode()
        elif source.is_file():
            seen = kind.startswith(b"regular")
        else:
            seen = {os.fsencode(entry) for entry in _entries(source)} <= set(names)
        if not seen or reads != b"yes":
            return source
        known.add(_place(source))
    return None


def _place(source: Path) -> Path:
    """Return what stands for a source: one of our own folders where it is in there."""
    real = source.resolve()
    ours = (folder.resolve() for folder in (paths.work(), paths.cache()))
    return next((folder for folder in ours if real.is_relative_to(folder)), real)


def _tells(source: Path) -> bool:
    """Tell whether a source is one that another in its place can be told from."""
    return source.is_file() or bool(_entries(source))


def _entries(folder: Path) -> list[str]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        return [entry.name for entry, _ in zip(entries, range(_ENTRIES), strict=False)]
    return []


def _kernel() -> bytes:
    with contextlib.suppress(OSError):
        return _KERNEL.read_bytes().strip()
    return b"none of Linux"

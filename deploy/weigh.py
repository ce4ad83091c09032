"""The size report of a board's bundle: what is weighed is what would be packed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from deploy import sizes, twins
from deploy.bundle import Bundle
from deploy.decision import DedupePlan
from deploy.sizes import Report
from recipes import paths, process
from recipes.elfsections import sections

PROGRAM = "mksquashfs"
COMPRESSIONS = ("xz", "gzip")
"""The first that the program knows is taken."""
SECONDS = 300
# The same bytes for the same files: no owner, attribute or time of this machine, and no more than one thread.
_FIXED = ("-all-root", "-no-xattrs", "-mkfs-time", "0", "-all-time", "0", "-noappend", "-processors", "1")


def weigh(made: Bundle, decided: DedupePlan, *, squashed: bool = False, free_flash: int | None = None) -> Report:
    """Read a bundle back and weigh each of its files.

    Parameters
    ----------
    squashed:
        Also pack all of them into one squashfs image: seconds.
    free_flash:
        Bytes that the board has for them.
    """
    blobs = made.blobs()
    contents = {file.path: blobs[file.blob] for file in made.manifest.files}
    kinds = {path: sizes.kinds(found) for path, data in contents.items() if (found := sections(data))}
    found_twice = tuple(twins.find(contents))
    report = replace(sizes.measure(contents, kinds, decided), free_flash=free_flash, twins=found_twice)
    if not squashed:
        return report
    size, note = squash({file.path: (contents[file.path], file.mode) for file in made.manifest.files})
    return replace(report, squashfs=size, squashfs_note=note)


def squash(contents: Mapping[str, tuple[bytes, int]]) -> tuple[int | None, str]:
    """Return the bytes of a squashfs image of these files (path to bytes and mode), and its compression.

    Without the program, or where it fails, None and why.
    """
    if shutil.which(PROGRAM) is None:
        return None, f"{PROGRAM} is not installed"
    paths.work().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="squashfs-", dir=paths.work()) as folder:
        tree, image = Path(folder) / "tree", Path(folder) / "image"
        tree.mkdir()
        for path, (data, mode) in sorted(contents.items()):
            file = tree / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
            file.chmod(mode)
        for inner in (tree, *(path for path in tree.rglob("*") if path.is_dir())):
            inner.chmod(0o755)
        said = ""
        for compression in COMPRESSIONS:
            argv = [PROGRAM, str(tree), str(image), *_FIXED, "-comp", compression, "-no-progress"]
            done = process.run(argv, timeout=SECONDS, check=False)
            if done.code == 0:
                return image.stat().st_size, compression
            said = " ".join(done.stderr.decode("utf-8", "replace").split())
        return None, f"{PROGRAM} failed: {said[:200]}"

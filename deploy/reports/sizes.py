"""Where the bytes of a bundle go: per library and section kind, raw and packed, against the naive set and a budget."""

from __future__ import annotations

import gzip
import lzma
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from deploy.bundle.load import Bundle
from deploy.dedupe.decision import Action, DedupePlan
from deploy.reports.static_twins import Twin, find_twins
from recipes import paths
from recipes.elf.sections import section_sizes
from recipes.errors import BuildError, ConfigError, ProofError
from recipes.text import one_line
from recipes.tools.box import tools

_UNITS = ("B", "KiB", "MiB", "GiB", "kB", "MB")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSizes:
    """One file that travels."""

    path: str
    raw: int
    gzip: int
    xz: int
    parts: Mapping[str, int]
    """Bytes by kind of section: code, data, symbols, other."""

    def as_dict(self) -> dict[str, object]:
        return {"path": self.path, "raw": self.raw, "gzip": self.gzip, "xz": self.xz, "parts": dict(self.parts)}


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeReport:
    """The sizes of one bundle."""

    files: tuple[FileSizes, ...]
    saved: int
    naive: int
    """Bytes without a decision: all that was built and all that it links, the C library aside."""
    squashfs: int | None = None
    """Bytes of one image of all files; None where none was made."""
    squashfs_note: str = "not asked for"
    """How the image is compressed, or why there is none."""
    free_flash: int | None = None
    """Bytes that the board has for it; None where nobody said."""
    twins: tuple[Twin, ...] = ()
    """Libraries that were linked statically into two of the files."""

    @property
    def raw(self) -> int:
        return sum(file.raw for file in self.files)

    @property
    def left(self) -> int | None:
        """Bytes free on the board once the files are there, as files; below 0 they do not fit."""
        return None if self.free_flash is None else self.free_flash - self.raw

    def as_dict(self) -> dict[str, object]:
        return {
            "raw": self.raw,
            "gzip": sum(file.gzip for file in self.files),
            "xz": sum(file.xz for file in self.files),
            "squashfs": self.squashfs,
            "squashfs_note": self.squashfs_note,
            "free_flash": self.free_flash,
            "left": self.left,
            "saved": self.saved,
            "naive": self.naive,
            "twins": [twin.as_dict() for twin in self.twins],
            "files": [file.as_dict() for file in self.files],
        }


def measure_sizes(
    contents: Mapping[str, bytes], sections: Mapping[str, Mapping[str, int]], decided: DedupePlan
) -> SizeReport:
    """Weigh the contents of a bundle, path to bytes; `sections` holds the section kinds of its ELF files."""
    files = tuple(
        FileSizes(
            path=path,
            raw=len(data),
            gzip=len(gzip.compress(data, compresslevel=9, mtime=0)),
            xz=len(lzma.compress(data, preset=6)),
            parts=sections.get(path, {"other": len(data)}),
        )
        for path, data in sorted(contents.items())
    )
    kept = {Action.KEEP, Action.KEEP_PRIVATE}
    left_out = sum(decision.size for decision in decided.decisions if decision.action not in kept)
    return SizeReport(files=files, saved=left_out, naive=sum(file.raw for file in files) + left_out)


def parse_size(text: str) -> int:
    """Return the bytes of a size such as `6MiB`; raises ConfigError for anything else.

    The units are spelled as people mean them: pydantic's own reading also takes `6Mb`, and what comes after it.
    """
    from pydantic import ByteSize, TypeAdapter

    size = re.fullmatch(r"\d+(?:\.\d+)?\s*([A-Za-z]*)", text.strip())
    if size is None or size[1] not in ("", *_UNITS):
        raise ConfigError(f"{text!r} is no size", why=f"units: {', '.join(_UNITS)}")
    return int(TypeAdapter(ByteSize).validate_python(size[0]))


def check_budget(report: SizeReport, budget: int) -> None:
    """Check a bundle against a budget in bytes.

    Raises
    ------
    ProofError
        It is larger; the three largest files are named.
    """
    if report.raw <= budget:
        return
    largest = sorted(report.files, key=lambda file: -file.raw)[:3]
    raise ProofError(
        f"the bundle has {report.raw:,} bytes, {report.raw - budget:,} more than its budget of {budget:,}",
        why="largest: " + ", ".join(f"{file.path} {file.raw:,}" for file in largest),
        next_step="invoke build --board BOARD --variant small; or let the board bring more: "
        "invoke bundle.why LIBRARY --board BOARD",
    )


def section_kinds(sections: Sequence[tuple[str, int, bool]]) -> dict[str, int]:
    """Sum sections (name, bytes, allocated) by what they are for."""
    kinds = {"code": 0, "data": 0, "symbols": 0, "other": 0}
    for name, size, allocated in sections:
        if name in (".text", ".init", ".fini", ".plt", ".plt.got", ".plt.sec"):
            kinds["code"] += size
        elif name in (
            ".dynsym",
            ".dynstr",
            ".symtab",
            ".strtab",
            ".gnu.hash",
            ".hash",
            ".gnu.version",
            ".gnu.version_r",
        ):
            kinds["symbols"] += size
        elif allocated and name.startswith((".rodata", ".data", ".eh_frame", ".ARM.ex", ".gcc_except", ".tdata")):
            kinds["data"] += size
        else:
            kinds["other"] += size
    return kinds


MKSQUASHFS = "mksquashfs"
SQUASHFS_COMPRESSIONS = ("xz", "gzip")
"""The first that the program knows is taken."""
SQUASHFS_SECONDS = 300
# The same bytes for the same files: no owner, attribute or time of this machine, and no more than one thread.
_FIXED = ("-all-root", "-no-xattrs", "-mkfs-time", "0", "-all-time", "0", "-noappend", "-processors", "1")


def weigh_bundle(
    made: Bundle, decided: DedupePlan, *, squashed: bool = False, free_flash: int | None = None
) -> SizeReport:
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
    kinds = {path: section_kinds(sections) for path, data in contents.items() if (sections := section_sizes(data))}
    twins = tuple(find_twins(contents))
    report = replace(measure_sizes(contents, kinds, decided), free_flash=free_flash, twins=twins)
    if not squashed:
        return report
    size, note = squashfs_size({file.path: (contents[file.path], file.mode) for file in made.manifest.files})
    return replace(report, squashfs=size, squashfs_note=note)


def squashfs_size(contents: Mapping[str, tuple[bytes, int]]) -> tuple[int | None, str]:
    """Return the bytes of a squashfs image of these files (path to bytes and mode), and its compression.

    Where neither this machine nor an engine has the program, or it fails, None and why.
    """
    paths.work().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="squashfs-", dir=paths.work()) as name:
        tree, out = Path(name) / "tree", Path(name) / "out"
        out.mkdir()
        _write_files(tree, contents)
        complaint = ""
        try:
            with tools(MKSQUASHFS) as box, box.writing(out):
                for compression in SQUASHFS_COMPRESSIONS:
                    words = [*_FIXED, "-comp", compression, "-no-progress"]
                    done = box.run([MKSQUASHFS, tree, out / "image", *words], timeout=SQUASHFS_SECONDS, check=False)
                    if done.code == 0:
                        break
                    complaint = " ".join(done.stderr.decode("utf-8", "replace").split())
                else:
                    return None, f"{MKSQUASHFS} failed: {complaint[:200]}"
        except BuildError as error:
            return None, one_line(error.what)
        return (out / "image").stat().st_size, compression


def _write_files(tree: Path, contents: Mapping[str, tuple[bytes, int]]) -> None:
    tree.mkdir()
    for path, (data, mode) in sorted(contents.items()):
        file = tree / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        file.chmod(mode)
    for inner in (tree, *(path for path in tree.rglob("*") if path.is_dir())):
        inner.chmod(0o755)

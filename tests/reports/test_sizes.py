"""The squashfs image of a bundle's files with the real program, and how the size report tells of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.cli.output import print_sizes
from deploy.dedupe.decision import DedupePlan
from deploy.reports import sizes
from deploy.reports.sizes import MKSQUASHFS, SizeReport, measure_sizes, squashfs_size
from recipes import process

pytestmark = pytest.mark.process
CONTENTS = {
    "bin/app": (b"#!/bin/sh\n" * 9000, 0o755),
    "lib/liba.so": (bytes(range(256)) * 400, 0o755),
    "share/deep/er/text": (b"text\n", 0o644),
}
PLAN = DedupePlan(decisions=(), proofs=(), payload=())


@pytest.fixture(autouse=True)
def _program(cache: Path) -> None:
    assert shutil.which(MKSQUASHFS), "./bootstrap test brings squashfs-tools"


def measured(**changes: object) -> SizeReport:
    made = measure_sizes({path: data for path, (data, _) in CONTENTS.items()}, {}, PLAN)
    return replace(made, **changes)  # type: ignore[arg-type]


def test_the_image_is_the_same_each_time_and_leaves_nothing_behind(tmp_path: Path) -> None:
    size, note = squashfs_size(CONTENTS)
    assert note == "xz"
    assert size is not None
    assert 0 < size < sum(len(data) for data, _ in CONTENTS.values())
    assert size % 4096 == 0
    old = os.umask(0o077)
    try:
        assert squashfs_size(dict(reversed(CONTENTS.items()))) == (size, "xz")
    finally:
        os.umask(old)
    assert list((tmp_path / "work").iterdir()) == []


def test_the_image_holds_every_file_and_its_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what is packed, and let the program's own tool read it."""
    images: list[Path] = []
    run = process.run

    def keep(argv: list[str], **options: Any) -> process.Result:
        done = run(argv, **options)
        images.append(Path(shutil.copy(argv[2], tmp_path / f"image{len(images)}")))
        return done

    monkeypatch.setattr(process, "run", keep)
    squashfs_size(CONTENTS)
    squashfs_size(CONTENTS)
    assert images[0].read_bytes() == images[1].read_bytes()
    target = tmp_path / "out"
    subprocess.run(["unsquashfs", "-q", "-n", "-d", str(target), str(images[0])], check=True, capture_output=True)
    for path, (data, mode) in CONTENTS.items():
        assert (target / path).read_bytes() == data
        assert (target / path).stat().st_mode & 0o777 == mode
        assert (target / path).stat().st_mtime == 0


def test_a_program_without_xz_packs_with_gzip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "SQUASHFS_COMPRESSIONS", ("none-such", "gzip"))
    size, note = squashfs_size(CONTENTS)
    assert (size is not None, note) == (True, "gzip")


def test_without_the_program_and_where_it_fails_there_is_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizes, "SQUASHFS_COMPRESSIONS", ("none-such",))
    size, note = squashfs_size(CONTENTS)
    assert size is None
    assert note.startswith("mksquashfs failed: ")
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    monkeypatch.setenv("PATH", str(tmp_path))
    why = "mksquashfs is not on this machine, and the tools image that has it cannot be used"
    assert squashfs_size(CONTENTS) == (None, why)


def test_the_report_tells_all_of_it_as_a_value() -> None:
    facts = measured(squashfs=8192, squashfs_note="xz", free_flash=1 << 20).as_dict()
    raw = sum(len(data) for data, _ in CONTENTS.values())
    assert facts["squashfs"] == 8192
    assert facts["squashfs_note"] == "xz"
    assert (facts["free_flash"], facts["left"]) == (1 << 20, (1 << 20) - raw)
    bare = measured().as_dict()
    assert (bare["squashfs"], bare["squashfs_note"], bare["free_flash"], bare["left"]) == (
        None,
        "not asked for",
        None,
        None,
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"squashfs": 8192, "squashfs_note": "xz"}, "; 8.0 KiB as one squashfs (xz))\n"),
        ({"squashfs_note": "mksquashfs is not installed"}, "; squashfs: mksquashfs is not installed)\n"),
        ({"free_flash": 1 << 20}, "leaves 836.1 KiB of 1.0 MiB free"),
        ({"free_flash": 1 << 10}, "does not fit: 186.9 KiB more than the 1.0 KiB that are free"),
    ],
)
def test_the_report_tells_it_to_a_reader(
    changes: dict[str, object], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    print_sizes(measured(**changes), "Bundle")
    printed = capsys.readouterr().out
    assert says in printed
    columns = next(line for line in printed.splitlines() if line.split()[:1] == ["file"]).split()
    assert columns == ["file", "bytes", "gzip", "xz", "squashfs", "code", "data", "symbols", "other"]
    total = next(line for line in printed.splitlines() if "all 3 files" in line)
    assert ("8.0 KiB" in total) == ("squashfs" in changes)

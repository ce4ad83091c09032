"""Runs in a target's container: compile every unit, lay out and run every pair, print each exit status.

One call does a whole target: starting a command in a container costs more than compiling a tiny library.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path("/corpus")


def compile_one(compiler: list[str], last: list[str], unit: dict[str, Any]) -> str:
    """Make one file; returns what the compiler said where there is none afterwards."""
    out = HERE / unit["path"]
    out.parent.mkdir(parents=True, exist_ok=True)
    source = out.parent / "source.c"
    source.write_text(unit["source"])
    words = [*compiler, "-O1", "-w", "-o", str(out), str(source), *unit["flags"]]
    if unit["soname"]:
        words.append(f"-Wl,-soname,{unit['soname']}")
    if unit["script"]:
        script = out.parent / "script.map"
        script.write_text(unit["script"])
        words.append(f"-Wl,--version-script={script}")
    words += [*(str(HERE / one) for one in unit["against"]), *last]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 and out.exists() else f"{' '.join(words)}\n{done.stdout}{done.stderr}"


def place_of(data: bytes | bytearray, at: str) -> int:
    """Return an offset: a number, a share of the file, the end, or something that the headers name."""
    order, wide = "<" if data[5] == 1 else ">", data[4] == 2
    if at.endswith("%"):
        return len(data) * int(at[:-1]) // 100
    if at == "last":
        return len(data) - 1
    phoff, sections = struct.unpack_from(order + ("QQ" if wide else "II"), data, 32 if wide else 28)
    if at == "sections":
        return int(sections)
    if at.startswith("program+"):
        return int(phoff) + int(at.partition("+")[2])
    return int(at)


def lay_out(root: Path, files: list[list[str]]) -> None:
    for place, what, *more in files:
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        if what == "copy":
            os.link(HERE / more[0], path)  # what is fetched afterwards has it once
        elif what == "link":
            path.symlink_to(more[0])
        elif what == "text":
            path.write_bytes(more[0].encode("latin-1"))
        else:
            data = bytearray((HERE / more[0]).read_bytes())
            at = place_of(data, more[1])
            if what == "cut":
                del data[at:]
            else:
                data[at : at + len(more[2]) // 2] = bytes.fromhex(more[2])
            path.write_bytes(data)


def system_files(folder: str) -> None:
    """Put the C library's files, links followed, where they are fetched from."""
    (HERE / "system").mkdir()
    for pattern in ("ld*.so*", "libc.so*", "libc.musl*", "libm.so*", "libgcc_s.so*"):
        for path in Path(folder).glob(pattern):
            if path.is_file():
                shutil.copy(path, HERE / "system" / path.name)


def run_one(runner: list[str], pair: dict[str, Any]) -> tuple[int, str]:
    root = HERE / "pairs" / pair["name"]
    lay_out(root, pair["files"])
    words = [*runner, str(root / "program")]
    try:
        # In place of the folders of the board's own loader; a RUNPATH serves only the file that has it.
        environment = os.environ | {"LD_BIND_NOW": "1", "LD_LIBRARY_PATH": str(root / "lib")}
        done = subprocess.run(words, env=environment, capture_output=True, check=False, timeout=30)
    except subprocess.TimeoutExpired:
        return 124, "it hung"
    except OSError as error:
        return 126, str(error)
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")[-300:]


def main() -> None:
    plan = json.loads((HERE / "plan.json").read_text())
    system_files(plan["system"])
    failed: dict[str, str] = {}
    with ThreadPoolExecutor(max_workers=2) as pool:
        for level in plan["levels"]:
            said = pool.map(lambda unit: compile_one(plan["compiler"], plan["last"], unit), level)
            failed |= {unit["path"]: text for unit, text in zip(level, said, strict=True) if text}
        pairs = [
            one for one in plan["pairs"] if not any(path in failed for _, _, *more in one["files"] for path in more[:1])
        ]
        results = dict(
            zip((one["name"] for one in pairs), pool.map(lambda one: run_one(plan["runner"], one), pairs), strict=True)
        )
    json.dump({"failed": failed, "results": results}, sys.stdout)


if __name__ == "__main__":
    main()

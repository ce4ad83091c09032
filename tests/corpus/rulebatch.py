"""Runs in a target's container: compile the units, lay out a root for each case, start its program in there.

A root is entered with chroot, so that every path means what it means on a board. The kernel's answer to where the
program is (/proc/self/exe) is put there as a link: a container may not mount /proc.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path("/corpus")
NOBODY = 65534
HANGS = 124
LONGEST = 20
DEPAUDIT = bytes.fromhex("fbfeff6f")


def compile_one(compiler: list[str], unit: dict[str, Any]) -> str:
    out = HERE / unit["path"]
    out.parent.mkdir(parents=True, exist_ok=True)
    source = out.with_suffix(".c")
    source.write_text(unit["source"])
    against = [str(HERE / one) for one in unit["against"]]
    words = [*compiler, "-O1", "-w", "-o", str(out), str(source), *unit["flags"], "-Wl,--no-as-needed", *against]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"{' '.join(words)}\n{done.stdout}{done.stderr}"


def lay_out(root: Path, case: dict[str, Any], system: dict[str, str]) -> None:
    for place, source in system.items():
        path = root / place.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, path)
    for place, what, value, patch in case["files"]:
        path = root / place.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if what == "link":
            path.symlink_to(value)
        elif what == "folder":
            path.mkdir()
        elif what == "fifo":
            os.mkfifo(path)
        elif what == "bytes":
            path.write_bytes(bytes.fromhex(value))
        else:
            data = bytearray((HERE / value).read_bytes())
            if patch == "both":  # DT_DEPAUDIT to DT_RPATH
                assert data.count(DEPAUDIT) == 1
                data = data.replace(DEPAUDIT, bytes([15, 0, 0, 0]))
            elif patch:
                data[18:20] = bytes.fromhex(patch)
            path.write_bytes(data)
            path.chmod(0o755)
    if case["private"]:
        (root / case["files"][0][0].lstrip("/")).chmod(0o600)
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/exe").symlink_to(case["real"])
    if case["ldconfig"]:
        subprocess.run(["ldconfig", "-r", str(root)], check=True, capture_output=True)


def run_one(case: dict[str, Any], system: dict[str, str]) -> tuple[int, str]:
    root = HERE / "cases" / case["name"]
    lay_out(root, case, system)
    environment = {"LD_LIBRARY_PATH": case["environment"]} if case["environment"] else {}

    def enter() -> None:
        os.chroot(root)
        os.chdir("/")
        if case["private"]:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)

    try:
        done = subprocess.run(
            ["/app/bin/program"], env=environment, capture_output=True, check=False, timeout=LONGEST, preexec_fn=enter
        )
    except subprocess.TimeoutExpired:
        return HANGS, "it hangs"
    except (subprocess.SubprocessError, OSError) as error:
        return 126, str(error)
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")[-300:]


def main() -> None:
    plan = json.loads((HERE / "plan.json").read_text())
    with ThreadPoolExecutor(max_workers=2) as pool:
        for level in plan["levels"]:
            for said in pool.map(lambda unit: compile_one(plan["compiler"], unit), level):
                if said:
                    sys.exit(said)
    json.dump({case["name"]: run_one(case, plan["system"]) for case in plan["cases"]}, sys.stdout)


if __name__ == "__main__":
    main()

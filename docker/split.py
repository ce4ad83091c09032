"""Take what only a debugger needs out of every linked ELF file of a tree, into files named by build id.

The layout is the one that gdb looks for below its debug-file-directory:
https://sourceware.org/gdb/current/onlinedocs/gdb.html/Separate-Debug-Files.html
"""

import os
import re
import subprocess
import sys
from pathlib import Path

tree, into, triple = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]


def tool(name: str, *words: str) -> str:
    return subprocess.run([f"{triple}-{name}", *words], check=True, capture_output=True, text=True).stdout


for path in sorted(tree.rglob("*")):
    if path.is_symlink() or not path.is_file():
        continue
    with path.open("rb") as file:
        head = file.read(18)
    kind = int.from_bytes(head[16:18], "little" if head[5:6] == b"\1" else "big")
    if head[:4] != b"\x7fELF" or kind not in (2, 3):
        continue
    path.chmod(path.stat().st_mode | 0o200)
    has_debug = " .debug_info " in tool("readelf", "--sections", "--wide", str(path))
    found = re.search(r"Build ID: ([0-9a-f]{4,})", tool("readelf", "--notes", str(path)))
    if has_debug and found:
        target = into / ".build-id" / found[1][:2] / f"{found[1][2:]}.debug"
        target.parent.mkdir(parents=True, exist_ok=True)
        tool("objcopy", "--only-keep-debug", str(path), str(target))
        target.chmod(0o644)
    when = path.stat().st_mtime
    tool("strip", "--strip-unneeded", str(path))
    os.utime(path, (when, when))

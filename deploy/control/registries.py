"""The registries that GStreamer keeps for the streams of a host, and the plugins that it has given up on there.

Each stream has a registry of its own, below its working folder: a plugin that failed to load once is noted in it and
not tried again, while the one of the person who logs in says that all is well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from deploy.boards.session import BoardSession
from deploy.probe.devices_gst import read_blacklist

_MOST_BYTES, _MOST_STREAMS = 131_072, 24
_READ = r"""
# $1 our folder on the board; stdin: of each stream its name and its working folder, a line each. Without an update
# GStreamer reads what is there, tries no plugin and writes nothing.
command -v gst-inspect-1.0 >/dev/null 2>&1 || exit 0
if timeout 5 true 2>/dev/null; then limited() { timeout 10 "$@"; }
elif timeout -t 5 true 2>/dev/null; then limited() { timeout -t 10 "$@"; }
else limited() { "$@"; }; fi
GST_REGISTRY_UPDATE=no; GST_PLUGIN_PATH=$1/current/gstreamer-1.0
export GST_REGISTRY_UPDATE GST_PLUGIN_PATH GST_REGISTRY
while IFS= read -r name && IFS= read -r folder; do
    for GST_REGISTRY in "$folder/.gst/registry.bin" "$1/current/.gst/registry.bin"; do
        if [ ! -f "$GST_REGISTRY" ] || [ -L "$GST_REGISTRY" ]; then continue; fi
        printf 'registry=%s %s\n' "$name" "$GST_REGISTRY"
        limited gst-inspect-1.0 -b </dev/null 2>/dev/null | head -c 4096
        break
    done
done
exit 0
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """What GStreamer remembers for one stream."""

    path: str
    """On the board."""
    blacklisted: tuple[str, ...]
    """Plugin files that it has given up on."""


def read_registries(session: BoardSession, root: str, folders: Mapping[str, str]) -> dict[str, Registry]:
    """Return the registry of each stream that has one, in one round trip that changes nothing.

    Parameters
    ----------
    folders:
        Name of each stream's program → its working folder on the board.
    """
    if not folders:
        return {}
    asked = "".join(f"{name}\n{folder}\n" for name, folder in list(folders.items())[:_MOST_STREAMS]).encode()
    answer = session.fetch(_READ, [root], [asked], most=_MOST_BYTES).decode("utf-8", "replace")
    return _registries(answer, root, folders)


def _registries(answer: str, root: str, folders: Mapping[str, str]) -> dict[str, Registry]:
    parts = re.split(r"^registry=(\S+) (.*)$", answer, flags=re.MULTILINE)
    found = {}
    for name, path, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        # A path is shown as a command to type: only one that was asked for is.
        if path in {f"{folders.get(name)}/.gst/registry.bin", f"{root}/current/.gst/registry.bin"}:
            found[name] = Registry(path=path, blacklisted=read_blacklist(text))
    return found

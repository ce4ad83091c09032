"""Plugins that travel, loaded with a fresh registry: one that is kept remembers a plugin, and a failed load too.

https://gstreamer.freedesktop.org/documentation/gstreamer/gstregistry.html
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from deploy.verify.facts import PLUGINS

_MOST = 120
"""Seconds for one plugin: an emulated board reads all of its own for some ten."""
# $1 the release's folder, $2 the plugin's file in it. The registry is in a folder of its own, which goes again.
_INSPECT = r"""
set -- %s %s %s
folder=$(mktemp -d) || exit 70
trap 'rm -rf "$folder"' EXIT
GST_REGISTRY=$folder/registry.bin GST_PLUGIN_PATH=$1/gstreamer-1.0
export GST_REGISTRY GST_PLUGIN_PATH
preload=$1/lib/libgcc_s.so.1
[ ! -e "$preload" ] || { LD_PRELOAD=$preload; export LD_PRELOAD; }
command -v gst-inspect-1.0 > /dev/null || exit 69
timeout "$3" gst-inspect-1.0 "$1/$2" 2>&1 < /dev/null
"""


def test_plugins_load_with_a_fresh_registry(
    host: Any, release: dict[str, Any], record_property: Callable[[str, object], None]
) -> None:
    plugins = [file["path"] for file in release["files"] if re.fullmatch(rf"{PLUGINS}lib[^/]+\.so", file["path"])]
    if not plugins:
        pytest.skip("no plugin travels")
    told = []
    for plugin in plugins:
        answer = host.run(_INSPECT, release["folder"], plugin, str(_MOST))
        if answer.rc == 69:
            pytest.skip("the board has no gst-inspect-1.0")
        version = re.search(r"^\s*Version\s+(\S+)", answer.stdout, re.MULTILINE)
        last = " ".join(answer.stdout.split())[-200:]
        assert answer.rc == 0 and version, f"{plugin} does not load (exit {answer.rc}): {last}"  # noqa: PT018
        name = plugin.rpartition("/")[2]
        features = re.search(r"(\d+) features", answer.stdout)
        told.append(f"{name} {version[1]}, {features[1] if features else '0'} features")
    record_property("evidence", "; ".join(told))

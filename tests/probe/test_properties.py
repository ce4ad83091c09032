"""What boardprobe says of elements' properties, on this machine's GStreamer, against what gst-inspect-1.0 says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from recipes import paths
from tests.support.compiler import compiled

pytestmark = [pytest.mark.process, pytest.mark.engine]
SOURCES = paths.CATALOG / "boardprobe" / "src"
MAIN = """
#include "probes.h"
#include "report.h"
int main(int count, char **words) {
    report_begin();
    probe_elements((const char *const *)words + 1, count - 1);
    return report_end();
}
"""
MAKE = "$CC -std=c11 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror -Wformat=2 -o told main.c media.c report.c -ldl\n"


@pytest.mark.skipif(shutil.which("gst-inspect-1.0") is None, reason="no GStreamer here to be compared with")
def test_properties_are_those_that_gst_inspect_lists(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    sources = {name: (SOURCES / name).read_text() for name in ("media.c", "report.c", "report.h", "probes.h")}
    made = compiled(request, tmp_path, sources | {"main.c": MAIN}, MAKE) / "told"
    environment = os.environ | {"GST_REGISTRY": str(tmp_path / "registry.bin")}
    words = [str(made), "fakesink", "no-such-element", "queue"]
    asked = subprocess.run(words, env=environment | {"BOARDPROBE_PROPERTIES": "yes"}, capture_output=True, check=False)
    report = json.loads(asked.stdout)
    assert report["elements"] == {"fakesink": "loads", "no-such-element": "missing", "queue": "loads"}
    assert report["properties"].keys() == {"fakesink", "queue"}
    for element, names in report["properties"].items():
        listed = subprocess.run(
            ["gst-inspect-1.0", element], env=environment, capture_output=True, text=True, check=True
        )
        told = set(names.split())
        assert len(told) > 8
        assert {name for name in told if re.search(rf"^  {name} *: ", listed.stdout, re.MULTILINE)} == told
    plain = subprocess.run(words, env=environment, capture_output=True, check=False)
    assert "properties" not in json.loads(plain.stdout), "who does not know of them gets what it got before"

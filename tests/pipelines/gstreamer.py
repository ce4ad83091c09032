"""GStreamer of this machine: what it has, and its own parser as the judge of what we render."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from deploy.pipelines.argv import GST_LAUNCH

# The properties that the known lines set, of the elements that a machine may lack.
STAND_INS = {
    "kvssink": "sink:stream-name=s,storage-size=u,log-config=s,credential-path=s,track-name=s,user-agent=s",
    "clockoverlay": "filter:time-format=s",
    "textoverlay": "filter:text=s",
    "alsasrc": "source:device=s",
    "libcamerasrc": "source:camera-name=s",
    "acmeenc": "filter:preset=s",
}


Judge = Callable[[list[tuple[str, ...]]], list[dict[str, Any]]]
"""Pipelines as words -> what GStreamer made of each."""


@functools.cache
def has_element(name: str) -> bool:
    inspect = shutil.which("gst-inspect-1.0")
    return inspect is not None and not subprocess.run([inspect, "--exists", name], check=False).returncode


def needs(*elements: str) -> None:
    lacking = [name for name in elements if not has_element(name)]
    if lacking or not shutil.which(GST_LAUNCH):
        pytest.skip(f"this machine's GStreamer lacks {', '.join(lacking) or GST_LAUNCH}")

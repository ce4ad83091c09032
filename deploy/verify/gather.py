"""A board asked everything that the checks need, in one round trip: what is asked, and the answer as it came."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from typing import Any

from deploy.boards.session import BoardSession
from deploy.probe.script import END, START_SCRIPT
from deploy.verify.facts import PLUGINS, loader_of, named_places, probed_elements, same_closures
from deploy.verify.script import GATHER
from recipes.arch import Libc
from recipes.errors import PreflightError
from recipes.rootfs.loaderconf import libc_of
from recipes.text import one_line

_FACTS_BYTES = 16 << 20
"""Thousands of files are some hundred KiB; a loader says a few KiB of each closure."""


def _asked(release: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is asked, a line each; uClibc's loader lists a plugin beside what a program of ours loads."""
    yield from (f"file {file['path']}" for file in release["files"])
    yield "files"
    yield from (f"named {path}" for path in named_places(release))
    programs = [entry for entry in release["providers"] if not entry.startswith(PLUGINS)]
    yield from (f"beside {entry}" for entry in programs[:1])
    for entry in same_closures(release["providers"]):
        yield f"{'plugin' if entry.startswith(PLUGINS) else 'program'} {entry}"
    yield from (f"script {row['name']}" for row in release["services"])
    yield from (f"service {row['name']} {row['status'] or '-'} {row['log']}" for row in release["services"])


def gather(session: BoardSession, release: Mapping[str, Any]) -> dict[str, Any]:
    """Ask a board everything in one round trip; returns its answer as `read_facts` takes it.

    Raises
    ------
    PreflightError
        The board was lost, or its answer has no end.
    """
    mark, loader = secrets.token_hex(8), loader_of(release)
    how = "trace" if libc_of(loader) is Libc.UCLIBC else "list"
    words: list[str] = []
    if "bin/boardprobe" in release["providers"]:
        words = [f"{release['root']}/current/run/boardprobe"]
        words += [word for element in probed_elements(release) for word in ("--element", element)]
    # The script is longer than what an SSH server takes as a command: it travels on stdin, before what it is asked.
    asked = "".join(f"{line}\n" for line in (GATHER, END, *_asked(release))).encode()
    begun = time.time()
    element = next(iter(probed_elements(release)), "-")
    arguments = [mark, release["root"], release["folder"], loader, how, element, *words]
    reply = session.run(START_SCRIPT, arguments, [asked], most=_FACTS_BYTES)
    if reply.code != 0 or not reply.out.rstrip("\n").endswith(f"\n@{mark} end"):
        raise PreflightError(
            "the board did not say all that the checks ask for",
            why=one_line((reply.err or reply.out)[-400:]) or f"exit code {reply.code}",
            next_step="the same command again",
        )
    return {"mark": mark, "begun": begun, "text": reply.out}

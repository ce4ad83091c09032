"""A board asked everything that the checks need, in one round trip: what is asked, and the answer as it came."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from deploy.boards.session import BoardSession
from deploy.probe.script import END, START_SCRIPT
from deploy.reach.ask import Reach
from deploy.reach.seen import asked_lines
from deploy.verify.facts import PLUGINS, loader_of, named_places, plugin_element, probed_elements, same_closures
from deploy.verify.script import GATHER
from recipes.arch import Libc
from recipes.errors import PreflightError
from recipes.rootfs.loaderconf import libc_of
from recipes.text import one_line

_FACTS_BYTES = 16 << 20
"""Thousands of files are some hundred KiB; a loader says a few KiB of each closure."""

DISCOVER = "bin/discoverNatBehavior"
"""The WebRTC SDK's program that finds out what a NAT does."""
NOWHERE = Reach()
"""No endpoint is asked about."""


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


def _network(release: Mapping[str, Any], reach: Reach) -> list[str]:
    """Return what is asked of the network; the SDK's program is asked too where the release has it."""
    lines = asked_lines(reach.endpoints)
    nat = next((one for one in reach.endpoints if one.kind == "nat"), None)
    if lines and nat and any(file["path"] == DISCOVER for file in release["files"]):
        lines.append(f"discover {nat.place}")
    return lines


def gather(session: BoardSession, release: Mapping[str, Any], reach: Reach = NOWHERE) -> dict[str, Any]:
    """Ask a board everything in one round trip; returns its answer as `read_facts` takes it.

    Parameters
    ----------
    reach:
        The endpoints that the board looks at meanwhile; this workstation does the same beside it.

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
    lines = [*(_network(release, reach) if words else []), "endpoints", *_asked(release)]
    # The script is longer than what an SSH server takes as a command: it travels on stdin, before what it is asked.
    asked = "".join(f"{line}\n" for line in (GATHER, END, *lines)).encode()
    begun = time.time()
    element = plugin_element(release) or "-"
    arguments = [mark, release["root"], release["folder"], loader, how, element, *words]
    with ThreadPoolExecutor(1) as beside:
        here = beside.submit(reach.look) if words and reach.endpoints else None
        reply = session.run(START_SCRIPT, arguments, [asked], most=_FACTS_BYTES)
    if reply.code != 0 or not reply.out.rstrip("\n").endswith(f"\n@{mark} end"):
        raise PreflightError(
            "the board did not say all that the checks ask for",
            why=one_line((reply.err or reply.out)[-400:]) or f"exit code {reply.code}",
            next_step="the same command again",
        )
    return {"mark": mark, "begun": begun, "text": reply.out, "here": here.result() if here else {}}

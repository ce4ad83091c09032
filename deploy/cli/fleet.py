"""Many boards verified side by side: each result as it is, in the order of their names."""

from __future__ import annotations

from collections.abc import Sequence

from deploy.fleet.workers import side_by_side
from deploy.release.deployment import HostVerdict, verdict_on
from deploy.verdicts.flow import CloudWay, Further, finish
from deploy.verdicts.publish import Published, publish_index
from deploy.verify.warm import ready
from recipes import paths

PARALLEL = 8
"""Boards at once: most of the time one waits for its board, and imports are made once for all."""
Finished = tuple[HostVerdict, Published | None]


def verify_hosts(
    names: Sequence[str],
    way: CloudWay | None,
    *,
    further: Further | None = None,
    fast: bool = False,
    parallel: int = PARALLEL,
) -> list[Finished]:
    """Check what runs on hosts, and where it is asked for what the service has of it; then write the papers.

    The service is asked of hosts that answered and have a release of ours, and of no others.

    Parameters
    ----------
    way:
        How the service is asked; None: it is not.
    further:
        Makes soak and drills.
    fast:
        Do not wait for pictures.
    parallel:
        Hosts at once.

    Raises
    ------
    ConfigError
        The AWS profile cannot be used.
    """
    service = way.service if way else None

    def work(name: str) -> Finished:
        return finish(verdict_on(name, fast=fast, service=service), way, further, index=False)

    try:
        with ready():
            return side_by_side(work, names, parallel)
    finally:
        write_index()


def write_index() -> None:
    """Write the page over all hosts, once: it reads the verdict of each."""
    folder = paths.work() / "verify"
    if folder.is_dir():
        publish_index(folder)

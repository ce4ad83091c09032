"""What `invoke status` does for many hosts: all asked side by side, then a table, JSON or a page."""

from __future__ import annotations

from pathlib import Path

from invoke import Exit

from deploy.cli.rollout import refuse_parallel
from deploy.fleet.page import fleet_page, print_views
from deploy.fleet.selection import EVERY, Selection, select_hosts
from deploy.fleet.survey import HostView, Manifests, view_of, with_drift
from deploy.fleet.workers import side_by_side
from recipes import console
from recipes.errors import FleetError
from recipes.files import write_whole
from recipes.progress import phases_of, progress


def survey(chosen: Selection, *, parallel: int, json: bool, html: str) -> None:
    """Ask all hosts that are meant, and show them.

    Parameters
    ----------
    html:
        File that the page is written to; none without it.

    Raises
    ------
    ConfigError
        Nothing is meant, or the page cannot be written.
    FleetError
        Some hosts did not answer; the others were shown.
    """
    refuse_parallel(parallel)
    hosts = select_hosts(chosen if chosen.named else Selection(groups=(EVERY,)))
    manifests, asked = Manifests(), list[str]()

    def look(host: str) -> HostView:
        with phases_of(host):
            found = view_of(host, manifests)
        asked.append(host)
        return found

    with progress(f"asking {len(hosts)} hosts") as step:
        step.at("")
        views = with_drift(side_by_side(look, hosts, parallel))
    title = chosen.words or "all hosts"
    if json:
        console.emit([view.as_dict() for view in views])
    else:
        print_views(title, views)
    if html:
        write_whole(Path(html), fleet_page(title.replace("--", ""), views).encode())
        console.say(f"page: {html}")
    if away := [view for view in views if view.state != "ok"]:
        error = FleetError(
            f"{len(away)} of {len(views)} hosts did not say how they are",
            why="\n       ".join(f"{view.host}: {view.error}" for view in away[:5]),
        )
        raise Exit(error.for_people(), int(error.code)) if json else error

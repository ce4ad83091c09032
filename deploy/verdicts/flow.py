"""What `invoke verify` does behind the board's checks: the cloud's side where it is asked for, and the papers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from deploy.boards.board import load_board
from deploy.boards.inventory import load_host
from deploy.bundle.load import Bundle, bundle_path, load_bundle
from deploy.bundle.manifest import Manifest
from deploy.cloud.session import Service, chosen_service
from deploy.release.deployment import HostVerdict
from deploy.verdicts.cloudside import Beyond, board_views, look_at_cloud, with_beyond, with_cloud
from deploy.verdicts.publish import Published, publish
from deploy.verify.verdict import Verdict
from recipes.errors import PreflightError, UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudWay:
    """How the cloud's side is asked.

    Attributes
    ----------
    watch:
        Seconds that each stream is watched at least.
    profile:
        Of the user's AWS configuration; empty: the local service where it runs, else AWS.
    """

    watch: int = 0
    profile: str = ""
    aws: bool = False

    def service(self, region: str) -> Service:
        return chosen_service(region, self.profile, aws=self.aws)


Further = Callable[[HostVerdict], Beyond]
"""Soak and drills of a host."""


def finish(
    outcome: HostVerdict, way: CloudWay | None, further: Further | None = None, *, index: bool = True
) -> tuple[HostVerdict, Published | None]:
    """Return an outcome with the cloud's side in it, and where its papers are; one without a verdict stays as it is.

    Parameters
    ----------
    further:
        Makes soak and drills, behind the look at the cloud's side; where the board cannot have them, the outcome has
        that error beside the verdict.
    index:
        False: the page of all hosts is written later, once for many.

    Raises
    ------
    ConfigError
        The AWS profile cannot be used.
    """
    verdict = outcome.verdict
    if verdict is None:
        return outcome, None
    board = load_board(load_host(outcome.host).board)
    look = None
    if way is not None:
        look = look_at_cloud(board, way.service, watch=way.watch, views=board_views(verdict.checks))
        verdict = with_cloud(verdict, look)
    beyond = Beyond()
    if further is not None:
        try:
            beyond = further(outcome)
        except PreflightError as error:  # what was seen before it stands all the same
            outcome = replace(outcome, error=error)
        verdict = with_beyond(verdict, beyond)
    return replace(outcome, verdict=verdict), publish(
        verdict, look, _manifest(board.name, verdict.release), beyond, index=index
    )


def publish_gate(verdict: Verdict, bundle: Bundle, *, index: bool = True) -> None:
    """Put down what the gate of a deploy saw, as `finish` does: a red one says why the release was taken back."""
    publish(verdict, None, bundle.manifest, index=index)


def _manifest(board: str, release: str) -> Manifest | None:
    """Return the manifest of a release whose bundle is here; None where it is not, or is not to be read."""
    try:
        path = bundle_path(board, release)
        return load_bundle(path).manifest if path.is_file() else None
    except UserError:
        return None

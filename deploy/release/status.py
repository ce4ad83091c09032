"""What runs on a host, what ran before, who brought it and when, and how much room is left."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from deploy.atboot.trial import told_reverted
from deploy.boards.board import load_board
from deploy.boards.inventory import host_target, load_host
from deploy.boards.probe import probe_host
from deploy.boards.session import connect
from deploy.bundle.load import bundles_folder
from deploy.release.preflight import look_before
from recipes import console
from recipes.text import one_line

_BROUGHT = """
for name in current previous; do
    by=''; { read -r by < "$1/$name/.deployed"; } 2>/dev/null
    echo "$name=$by"
done
exit 0
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostStatus:
    """The state of a host's releases; ids are empty where there is no such release."""

    host: str
    board: str
    release: str
    verified: bool
    """Whether the checks of the release that runs were green when it was deployed."""
    deployed_by: str
    """`user@workstation since TIME`; empty where nothing was written down."""
    previous: str
    previous_by: str
    newest: bool
    """Whether it is the last bundle that was made on this workstation."""
    root: str
    free: int
    """Bytes."""
    serving: str
    """The release that streams, where that is another one: a run was cut between the switch and the services."""
    locked: str
    """Who is at work there now; empty for nobody."""
    reverted: str = ""
    """That the board went back by itself at a start, in words; empty where it did not since the last deploy."""

    def as_dict(self) -> dict[str, object]:
        return asdict(self)

    def lines(self) -> dict[str, str]:
        """Return what is printed, by name."""
        runs = "nothing of ours"
        if self.release:
            state = "verified" if self.verified else "not verified: its checks were red, or did not run"
            runs = f"{self.release[:12]} ({state})"
        found = {"board": self.board, "runs": runs}
        if self.serving:
            which = "of no release" if self.serving == "nothing" else f"those of {self.serving[:12]}"
            found["streams"] = f"{which}: a run was cut before its services; invoke deploy --host {self.host}"
        if self.release:
            found["deployed by"] = _who(self.deployed_by)
            found["newest here"] = "yes" if self.newest else "no: another bundle was made on this workstation since"
        found["before it"] = f"{self.previous[:12]} ({_who(self.previous_by)})" if self.previous else "no release"
        if self.reverted:
            found["went back"] = self.reverted
        found["free"] = f"{console.size(self.free)} at {self.root}"
        return found | ({"at work there now": self.locked} if self.locked else {})


def _who(text: str) -> str:
    return text.replace(" since ", ", ") or "not written down"


def host_status(host_name: str) -> HostStatus:
    """Ask a host for the state of its releases, in three round trips over one connection.

    Raises
    ------
    PreflightError
        It does not answer.
    """
    board = load_board(load_host(host_name).board)
    root = board.file.root
    with connect(host_target(host_name)) as session:
        facts = probe_host(session, root, [])
        said = session.run(_BROUGHT, [root]).out.splitlines()
        footing = look_before(session, root, "")
    brought = {name: one_line(by) for name, _, by in (line.partition("=") for line in said)}
    latest = bundles_folder(board.name) / "latest"
    return HostStatus(
        host=host_name,
        board=board.name,
        release=facts.current,
        verified=facts.current in facts.confirmed,
        deployed_by=brought.get("current", ""),
        previous=facts.previous,
        previous_by=brought.get("previous", ""),
        newest=not latest.is_file() or latest.read_text().strip() == facts.current,
        root=root,
        free=facts.free_kib * 1024,
        serving=facts.serving if facts.serving not in ("", facts.current) else "",
        locked=footing.locked,
        reverted=told_reverted(facts.reverted),
    )

"""How each host of a fleet is: release, proof, room, clock, certificate, streams; and what is not as it should be.

A host is asked over one connection, in two round trips; a third brings the signed manifest where its bundle is not
here. Nothing is written there.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import re
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from deploy.boards.board import load_board
from deploy.boards.inventory import host_target, load_host
from deploy.boards.probe import HostFacts, probe_host
from deploy.boards.session import BoardSession, connect
from deploy.bundle.manifest import Manifest
from deploy.kvs.tls import certificate_end
from deploy.release.carried import find_release
from deploy.release.deployment import is_off
from deploy.release.recheck import ABSENT, changed_proofs, watched_paths
from deploy.ssh.answers import NAME, brief, framed, read_values
from deploy.transfer.lock import HOLDER
from deploy.verdicts.record import read_record
from deploy.verify.facts import json_object
from deploy.verify.verdict import SKEW_REFUSED
from recipes import console, paths
from recipes.errors import PreflightError, UserError
from recipes.rootfs.loaderconf import LD_CACHE
from recipes.text import one_line

ASK_SECONDS = 120.0
"""For all that one host is asked."""
LOW_FLASH, SHORT_DAYS, SKEW_TOLD = 2 << 20, 30, 60
"""From here on it is said: bytes that are free, days that a certificate is good for, seconds that a clock is off."""
_FILES = 20
_SCRIPT = brief(
    r"""
# $1 our folder, $2 how many changed files are named; stdin: `hash PATH`, `report NAME PATH`, `end PATH`.
root=$1
"""
    + HOLDER
    + r"""
echo; echo boardcast=begin
by=''; { read -r by < "$root/current/.deployed"; } 2>/dev/null
echo "by=$by"
when=$(date -r "$root/current/.confirmed" +%s 2>/dev/null || stat -c %Y "$root/current/.confirmed" 2>/dev/null)
echo "confirmed=$when"
staged=''; { read -r staged < "$root/.staged"; } 2>/dev/null
[ -z "$staged" ] || [ ! -d "$root/releases/$staged" ] || echo "staged=$staged"
if keeper=$(held "$root/.lock"); then echo "locked=$keeper"; fi
if cd "$root/current" 2>/dev/null && [ -f .list ]; then
    sed 's/^\([0-9a-f]*\)[.x]* /\1  .\//' .list | LC_ALL=C sha256sum -c - 2>/dev/null | {
        sound=0 bad=0
        while IFS= read -r line; do
            case $line in
                *': OK') sound=$((sound + 1)) ;;
                *': FAILED'*) bad=$((bad + 1)); [ "$bad" -gt "$2" ] || echo "changed=${line%: FAILED*}" ;;
            esac
        done
        echo "read=$sound $bad"
    }
fi
hash() { echo "${1:-odd}"; }
while IFS= read -r line; do
    path=/${line#*/}
    case $line in
        hash*)
            if [ -f "$path" ]; then echo "file=$(hash $(sha256sum "$path")) $path"
            elif [ -e "$path" ]; then echo "file=odd $path"
            else echo "file=absent $path"; fi
            ;;
        report*)
            set -- $line
            [ ! -r "$path" ] || echo "report=$2 $(head -c 4000 "$path" | tr -d '\n\r')"
            ;;
        end*)
            [ ! -r "$path" ] || echo "end=$(sed -n '/-BEGIN CERT/,/-END CERT/p' "$path" |
                sed -e '/-END CERT/,$d' -e '/-BEGIN CERT/d' | head -c 16000 | tr -d ' \n\r') $path"
            ;;
    esac
done
echo boardcast=end
exit 0
"""
)
_LINES: dict[str, tuple[str, str]] = {
    "by": (r".{0,300}", "read"),
    "confirmed": (r"\d{0,12}", "date -r"),
    "staged": (NAME, "read"),
    "locked": (r".{0,300}", "read"),
    "changed": (r".{1,4096}", "sha256sum -c"),
    "read": (r"\d{1,7} \d{1,7}", "sha256sum -c"),
    "file": (r"([0-9a-f]{64}|absent|odd) /.*", "sha256sum"),
    "report": (r"[\x21-\x7e]{1,128} .{0,4096}", "head"),
    "end": (r"[A-Za-z0-9+/=]{0,16384} /.*", "sed"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HostView:
    """How one host is; times in seconds since 1970, by this workstation's clock where the board's was known."""

    host: str
    board: str = ""
    groups: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    state: str
    """`ok`, `off` for one that does not answer, or `error`."""
    error: str = ""
    """Why there is no answer."""
    release: str = ""
    verified: bool = False
    verified_at: int | None = None
    deployed_by: str = ""
    proof: str = ""
    """`holds`, `changed` or `unknown`; empty where nothing runs."""
    proof_at: int | None = None
    """When it was proved on this board last: at the deploy."""
    proof_changes: tuple[str, ...] = ()
    """What the proof rests on, and is another one now."""
    changed_files: tuple[str, ...] = ()
    """Files of the release that are not what they were when they were sent."""
    staged: str = ""
    """A release that waits there to be switched on."""
    free: int | None = None
    """Bytes."""
    skew: int | None = None
    """Seconds that its clock is ahead."""
    certificate_days: int | None = None
    """Until the first of its certificates ends."""
    fragment_at: int | None = None
    """When a fragment was confirmed last, or was seen at the service."""
    streams: Mapping[str, str] = field(default_factory=dict)
    """By its name, what its program says of itself."""
    locked: str = ""
    """Who is at work there now."""
    drift: tuple[str, ...] = ()
    """What is not as it was deployed, or not as the others of its group are."""
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


class Manifests:
    """Manifests of releases, each read once for all hosts that run it."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Manifest] = {}
        self._turns: dict[tuple[str, str], threading.Lock] = {}
        self._lock = threading.Lock()

    def of(self, session: BoardSession, host: str, board: str, root: str, identity: str) -> Manifest | None:
        """Return a release's manifest; None where nothing that is trusted here says what it is made of."""
        key = (board, identity)
        with self._lock:
            turn = self._turns.setdefault(key, threading.Lock())
        # A bundle is megabytes: dozens of threads that read the same one at once would take as many times as much.
        with turn:
            if key not in self._known:
                try:
                    self._known[key] = find_release(session, host, board, root, identity)[0].manifest
                except UserError:
                    return None
            return self._known[key]


def view_of(host_name: str, manifests: Manifests) -> HostView:
    """Ask a host how it is; why it does not tell is a result too."""
    seen = HostView(host=host_name, state="ok")
    try:
        host = load_host(host_name)
        seen = replace(seen, board=host.board, groups=host.groups, labels=host.labels)
        with connect(host_target(host_name), seconds=ASK_SECONDS) as session:
            return _asked(session, seen, manifests)
    except UserError as error:
        if is_off(error):
            return replace(seen, state="off", error=one_line(error.why or error.what, most=300))
        why = ": ".join(part for part in (error.what, error.why) if part)
        return replace(seen, state="error", error=one_line(why, most=300))


def _asked(session: BoardSession, seen: HostView, manifests: Manifests) -> HostView:
    board = load_board(seen.board)
    root = board.file.root
    facts = probe_host(session, root, [])
    manifest = manifests.of(session, seen.host, board.name, root, facts.current) if facts.current else None
    ends = certificate_paths(board.file.model_dump())
    words = [f"end {path}" for path in ends]
    if manifest is not None:
        words += [f"hash {path}" for path in watched_paths(manifest)]
        words += [f"report {row.name} {row.status}" for row in manifest.services if row.status]
    reply = session.run(_SCRIPT, [root, str(_FILES)], ["".join(f"{word}\n" for word in words).encode() or b"\n"])
    if reply.code != 0:
        raise PreflightError(f"{seen.host} did not say how it is", why=one_line(reply.err))
    told = read_values(framed(reply.out), _LINES)
    return with_warnings(_read(seen, facts, manifest, told))


def _read(seen: HostView, facts: HostFacts, manifest: Manifest | None, told: Mapping[str, list[str]]) -> HostView:
    """Return a view with what a board said in it; its times are moved to this workstation's clock."""
    by = one_line(_one(told, "by"), most=200)
    confirmed = int(_one(told, "confirmed") or 0)
    verified = facts.current in facts.confirmed
    files = {path: digest for digest, _, path in (line.partition(" ") for line in told.get("file", ()))}
    changes = proof_changes(manifest, files) if manifest is not None else ()
    reports = {name: json_object(text) for name, _, text in (line.partition(" ") for line in told.get("report", ()))}
    changed = tuple(one_line(name.removeprefix("./"), most=200) for name in told.get("changed", ()))
    if (more := int((_one(told, "read") or "0 0").split()[1]) - len(changed)) > 0:
        changed += (f"and {more} more",)
    return replace(
        seen,
        release=facts.current,
        verified=verified,
        verified_at=confirmed - facts.skew if verified and confirmed else None,
        deployed_by=by,
        proof="" if not facts.current else "unknown" if manifest is None else "changed" if changes else "holds",
        proof_at=_since(by),
        proof_changes=changes,
        changed_files=changed,
        staged=_one(told, "staged") if _one(told, "staged") != facts.current else "",
        free=facts.free_kib * 1024,
        skew=facts.skew,
        certificate_days=_days(told.get("end", ()), dt.datetime.now(dt.UTC)),
        fragment_at=_fragment(seen.host, reports, facts.skew),
        streams={one_line(name): one_line(str(report.get("state", "")), most=40) for name, report in reports.items()},
        locked=one_line(_one(told, "locked"), most=200),
        drift=(f"its services are of {facts.serving[:12]}",) if facts.serving not in ("", facts.current) else (),
    )


def _one(told: Mapping[str, list[str]], name: str) -> str:
    return next(iter(told.get(name, ())), "")


def _since(by: str) -> int | None:
    """Return the time in `user@workstation since TIME`."""
    found = re.search(r" since (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)Z$", by)
    try:
        return int(dt.datetime.fromisoformat(f"{found[1]}+00:00").timestamp()) if found else None
    except ValueError:
        return None


def proof_changes(manifest: Manifest, files: Mapping[str, str]) -> tuple[str, ...]:
    """Return what a release's proofs rest on and is another one now; files: path to sha256, or `absent`. Pure."""
    found = [row.library for row, _ in changed_proofs(manifest, files)]
    if manifest.search.cache != files.get(LD_CACHE, ABSENT).replace(ABSENT, ""):
        found.append(LD_CACHE)
    return tuple(found)


def _days(rows: Iterable[str], now: dt.datetime) -> int | None:
    """Return the whole days until the first certificate ends, negative for one that ended; None where none is known."""
    ends = []
    for row in rows:
        try:
            ends.append(certificate_end(base64.b64decode(row.partition(" ")[0], validate=True)))
        except (ValueError, binascii.Error):
            continue  # what cannot be read says nothing
    return min((end - now).days for end in ends) if ends else None


def _fragment(host: str, reports: Mapping[str, Mapping[str, object]], skew: int) -> int | None:
    """Return when a fragment was confirmed last by the board's word, else when one was seen at the service last."""
    times = []
    for report in reports.values():
        updated, age = report.get("updated"), report.get("ack_age")
        if isinstance(updated, int) and isinstance(age, int) and 0 <= age < updated < 1 << 40:
            times.append(updated - age - skew)
    record = read_record(paths.work() / "verify" / f"{host}.json") if not times else None
    if record is not None:
        times += [int(one.server) for stream in record.streams for one in stream.fragments]
    return max(times, default=None)


def certificate_paths(settings: object) -> tuple[str, ...]:
    """Return the board's files of certificates that its settings name. Pure."""
    found: list[str] = []
    if isinstance(settings, Mapping):
        for name, value in settings.items():
            found += [str(value)] if name == "cert_path" and value else certificate_paths(value)
    elif isinstance(settings, Sequence) and not isinstance(settings, str):
        for value in settings:
            found += certificate_paths(value)
    return tuple(dict.fromkeys(found))


def with_warnings(view: HostView) -> HostView:
    """Return a view with what is to be said of it: what drifted by itself, and what will not last. Pure."""
    drift, warnings = list(view.drift), []
    if view.changed_files:
        drift.append(f"files changed: {console.first_few(view.changed_files)}")
    if view.proof == "changed":
        drift.append(f"changed since the proof: {console.first_few(view.proof_changes)}")
    if view.release and not view.verified:
        warnings.append("not verified")
    if view.skew is not None and abs(view.skew) >= SKEW_TOLD:
        warnings.append(f"clock {view.skew:+d} s{': refused by AWS' if abs(view.skew) >= SKEW_REFUSED else ''}")
    if view.free is not None and view.free < LOW_FLASH:
        warnings.append(f"{console.size(view.free)} free")
    if view.certificate_days is not None and view.certificate_days <= SHORT_DAYS:
        left = f"ends in {view.certificate_days} d" if view.certificate_days >= 0 else "has ended"
        warnings.append(f"a certificate {left}")
    if view.locked:
        warnings.append(f"at work there: {view.locked}")
    return replace(view, drift=tuple(drift), warnings=tuple(warnings))


def with_drift(views: Sequence[HostView]) -> list[HostView]:
    """Mark the hosts whose release is another one than most of their group's of the same board run. Pure.

    Of two that as many run, the one that was verified last counts.
    """
    kinds: dict[tuple[str, tuple[str, ...]], list[HostView]] = {}
    for view in views:
        kinds.setdefault((view.board, view.groups), []).append(view)
    usual = {kind: _usual(members) for kind, members in kinds.items()}
    marked = []
    for view in views:
        wanted = usual[view.board, view.groups]
        if view.state != "ok" or not wanted or view.release == wanted:
            marked.append(view)
            continue
        what = "another release" if view.release else "no release"
        marked.append(replace(view, drift=(f"{what}: most have {wanted[:12]}", *view.drift)))
    return marked


def _usual(views: Sequence[HostView]) -> str:
    running = [view for view in views if view.release]
    counted = Counter(view.release for view in running)
    newest = {
        view.release: max(view.verified_at or 0, 0) for view in sorted(running, key=lambda one: one.verified_at or 0)
    }
    return max(counted, key=lambda release: (counted[release], newest[release], release), default="")

"""Tasks of what is built from: sources and their pins; roots that are compiled against, or that a board has."""

from __future__ import annotations

from pathlib import Path

from invoke import Context, Exit

from deploy.cli.command import HOST, MIRROR, command
from recipes.errors import ConfigError

_ROOT = "a directory, a tar file, or the name of a board or a sysroot"


@command(
    iterable=["source", "mirror"],
    help={
        "source": "name in the lock; all that recipes build from without it",
        "everything": "also what the lock holds on request only",
        "mirror": MIRROR,
        "offline": "cache and mirrors only",
        "check": "fetch nothing: say what the cache lacks, each byte checked; exit code 3 if anything",
        "export": "write a mirror to this directory, for machines without internet",
    },
)
def fetch(
    _: Context,
    source: list[str],
    mirror: list[str],
    everything: bool = False,
    offline: bool = False,
    check: bool = False,
    export: str = "",
    json: bool = False,
    dry_run: bool = False,
) -> None:
    """Bring the locked sources into the cache, each byte checked."""
    from recipes import console
    from recipes.sources.fetch import export_mirror, fetch_pins, mirror_folders, missing_from_cache
    from recipes.sources.lock import load_lock
    from recipes.toolchains.debian_source import any_distribution
    from recipes.tools.box import shared_tools

    pins = load_lock()
    wanted = pins.pins if everything else pins.chosen(source)
    mirrors = mirror_folders(mirror)
    rows, lacking = [], 0
    with shared_tools():
        for pin in wanted:
            if check or dry_run:
                lacks = missing_from_cache(pin)
                lacking += bool(lacks)
                state = "whole in the cache" if not lacks else lacks if check else f"to be fetched: {pin.url}"
            else:
                brought = fetch_pins([pin], mirrors, offline=offline, distribution=any_distribution())
                state = "; patches: ".join(dict.fromkeys(one.rung for one in brought))
            rows.append([pin.name, pin.version, pin.pinned[:12], state])
        if export and not (check or dry_run):
            export_mirror(wanted, Path(export), mirrors, distribution=any_distribution())
    if json:
        console.emit([dict(zip(("name", "version", "pinned", "state"), row, strict=True)) for row in rows])
    else:
        console.table("Sources", ["source", "version", "pinned", "state"], rows)
        if export and not (check or dry_run):
            console.say(f"a mirror of them is in {export}: invoke build --arch ARCH --mirror {export}")
    if check and lacking:
        raise Exit(f"{lacking} of {len(rows)} sources are not whole in the cache: invoke fetch", 3)


@command(
    iterable=["mirror"],
    help={
        "update": "move this pin: give what changes with --to-…; the new source is fetched and checked first",
        "to_version": "new version",
        "to_commit": "new commit, 40 digits, of a repository",
        "to_ref": "tag by which a build asks for the commit",
        "to_sha256": "new hash of an archive",
        "to_file": "new file name of an archive",
        "to_url": "new address",
        "to_revision": "new version of an archive's source package, whose patches are applied",
        "to_patches": "new hash of that package's .debian.tar.xz",
        "check": "whether a default is past its end of life or older than the distribution's newest; exit code 2 then",
        "mirror": MIRROR,
        "offline": "cache and mirrors only",
    },
)
def pins(
    _: Context,
    mirror: list[str],
    update: str = "",
    to_version: str = "",
    to_commit: str = "",
    to_ref: str = "",
    to_sha256: str = "",
    to_file: str = "",
    to_url: str = "",
    to_revision: str = "",
    to_patches: str = "",
    check: bool = False,
    offline: bool = False,
    json: bool = False,
    dry_run: bool = False,
) -> None:
    """Show what is pinned, age and patch level; move a pin."""
    from recipes import console
    from recipes.sources.fetch import mirror_folders
    from recipes.sources.pins import move_pin
    from recipes.toolchains.debian_source import any_distribution

    if check and update:
        raise ConfigError("--check and --update are two things", next_step=f"invoke pins --update {update} without it")
    if check:
        _check_pins(offline=offline, json=json)
        return
    if not update:
        _show_pins(json=json)
        return
    given = {"version": to_version, "commit": to_commit, "refs": to_ref, "sha256": to_sha256}
    given |= {"file": to_file, "url": to_url, "revision": to_revision, "patches": to_patches}
    changes = {key: value for key, value in given.items() if value}
    where = ""
    if not dry_run:
        folders = mirror_folders(mirror)
        where = str(move_pin(update, changes, folders, offline=offline, distribution=any_distribution()))
    if json:
        console.emit({"name": update, "changes": changes, "file": where, "done": not dry_run})
    elif dry_run:
        console.out(f"{update}: {', '.join(f'{key} → {value}' for key, value in changes.items()) or 'nothing'}")
    else:
        console.out(f"{update} is moved in {where}; next: invoke build --arch ARCH")


def _show_pins(*, json: bool) -> None:
    import datetime as dt

    from recipes import console
    from recipes.sources.lock import load_lock
    from recipes.sources.pins import pin_age, pin_rows

    today = dt.datetime.now(dt.UTC).date()
    rows = pin_rows(load_lock(), today)
    if json:
        console.emit([row.as_dict() for row in rows])
        return
    table = [
        [
            *(row.name, row.revision or row.version, row.unit or "-", row.pinned[:12]),
            *(pin_age(row, today), row.flag or "-"),
        ]
        for row in rows
    ]
    columns = ["source", "version", "sdk", "pinned", "age", "flags"]
    console.table("Pins", columns, table, roomy=["sdk", "pinned"])


def _check_pins(*, offline: bool, json: bool) -> None:
    """Print the defaults that have to be moved; exit code 2 where there is one."""
    import datetime as dt

    from recipes import console
    from recipes.sources.lock import load_lock
    from recipes.sources.pins import stale_pins
    from recipes.toolchains.debian_source import any_distribution

    found = stale_pins(load_lock(), dt.datetime.now(dt.UTC).date(), None if offline else any_distribution())
    if json:
        console.emit([stale.as_dict() for stale in found])
    elif found:
        columns = ["source", "pinned", "because"]
        console.table("To be moved", columns, [[stale.name, stale.has, stale.because] for stale in found])
        console.out(*(stale.cure for stale in found if stale.cure))
    else:
        console.out(
            "every default is alive" + (", as far as the lock says" if offline else ", at its newest patch level")
        )
    if found:
        raise Exit(f"{len({stale.name for stale in found})} defaults are to be moved", 2)


@command(
    name="make",
    default=True,
    iterable=["name"],
    help={"name": "file in board-configs/sysroots; debian12-armv7 without it"},
)
def make_sysroot(_: Context, name: list[str], json: bool = False, dry_run: bool = False) -> None:
    """Unpack and index the roots that are compiled against."""
    from recipes import console
    from recipes.engine.docker import Engine
    from recipes.toolchains.sysroots import describe_sysroot, ensure_sysroot, known_sysroot, sysroot_spec

    sysroots: list[dict[str, object]] = []
    for wanted in name or ["debian12-armv7"]:
        spec = sysroot_spec(wanted)
        root = known_sysroot(wanted)
        if root is None and not dry_run:
            root = ensure_sysroot(wanted, Engine.connect())
        missing: dict[str, object] = {"sysroot": wanted, "to be made of": " ".join(spec.packages)}
        sysroots.append(describe_sysroot(root) if root else missing)
    if json:
        console.emit(sysroots)
    else:
        for facts in sysroots:
            console.fields("Sysroot", facts)


@command(
    positional=["root"],
    help={
        "root": _ROOT,
        "board": "also capture it as this board's index, for version control",
        "dry_run": "write nothing",
    },
)
def index(_: Context, root: str, board: str = "", json: bool = False, dry_run: bool = False) -> None:
    """Say what a root has for the loader: libraries, folders, what cannot be used."""
    from deploy.boards.index import capture_index, find_index
    from recipes import console
    from recipes.proof.consistency import cache_disagreements

    scanned = find_index(root)
    if board and not dry_run:
        capture_index(scanned, board)
    cache = cache_disagreements(scanned)
    facts: dict[str, object] = {
        "root": scanned.source,
        "elf files": len(scanned.files),
        "links": len(scanned.links),
        "loader": f"{scanned.loader} ({scanned.libc})" if scanned.loader else "none: glibc's rules are taken",
        "folders of the loader": " ".join(scanned.directories),
        "names in its cache": "no cache" if scanned.cache is None else len(scanned.cache),
        "not usable": len(scanned.damaged),
        "fingerprint": scanned.fingerprint[:16],
    }
    if json:
        console.emit(facts | {"damaged": scanned.damaged, "cache": cache})
        return
    console.fields("Root", facts)
    for path, reason in sorted(scanned.damaged.items()):
        console.out(f"  {path}: {reason}")
    for line in cache:
        console.out(f"  {line}")


@command(
    positional=["old", "new"],
    help={"old": _ROOT, "new": _ROOT},
)
def diff(_: Context, old: str, new: str, json: bool = False) -> None:
    """Say which libraries differ between two roots; what is lost comes first."""
    from deploy.boards.index import find_index
    from deploy.reports.root_diff import root_differences
    from recipes import console

    rows = root_differences(find_index(old), find_index(new))
    if json:
        console.emit([{"library": name, "change": change} for name, change in rows])
    elif rows:
        console.table("Changes", ["library", "change"], [list(row) for row in rows])
    else:
        console.out("the two roots have the same libraries")


@command(help={"host": HOST})
def pull(_: Context, host: str, json: bool = False, dry_run: bool = False) -> None:
    """Bring a live board's libraries, so that bundles are proved against them."""
    from deploy.boards.board import load_board
    from deploy.boards.inventory import host_target, load_host
    from deploy.boards.layers import board_path
    from deploy.boards.pull import pull_root
    from deploy.boards.session import connect
    from recipes import console
    from recipes.files import write_whole
    from recipes.rootfs.capture import INDEX_NAME
    from recipes.toolchains.sysroot_file import sysroot_difference
    from recipes.toolchains.vendor import parse_arch

    board = load_host(host).board
    file = load_board(board).file
    arch = parse_arch(file.arch)
    if dry_run:
        what = f"list its libraries and bring them to {board_path(board).parent}, with their index"
        if json:
            console.emit({"host": host, "would": what})
        else:
            console.out(f"{host}: would {what}")
        return
    with connect(host_target(host)) as session:
        done = pull_root(session, board, arch, ours=file.root)
    sysroot = board_path(board).parent.parent / "sysroots" / f"{board}.toml"
    if done.headers.toml and not sysroot.exists():
        write_whole(sysroot, done.headers.toml.encode())
    differs = sysroot_difference(sysroot.read_text(), done.headers) if sysroot.exists() else ""
    facts: dict[str, object] = {
        "root": str(done.root),
        "files": done.files,
        "links": done.links,
        "bytes": done.bytes,
        "fetched": done.fetched,
        "round trips": session.traffic.round_trips,
        "index": str(done.root.with_name(INDEX_NAME)),
        "sysroot": f"invoke sysroot --name {board}" if sysroot.exists() else "none",
        "headers": done.headers.because,
    }
    if differs:
        facts["differs"] = f"{sysroot} was there, and stays as it is: {differs}"
    console.emit(facts) if json else console.fields(f"Pulled from {host}", facts)

"""Tasks of roots: what is compiled against, what a board has, and what an update changed."""

from __future__ import annotations

from invoke import Context

from deploy.commands.command import HOST, command

_ROOT = "a directory, a tar file, or the name of a board or a sysroot"


@command(
    default=True,
    iterable=["name"],
    help={"name": "file in board-configs/sysroots; debian12-armv7 without it"},
)
def make(_: Context, name: list[str], json: bool = False, dry_run: bool = False) -> None:
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
    from deploy.boards.pull import pull_root
    from deploy.boards.session import connect
    from deploy.boards.sysroot_file import sysroot_difference
    from recipes import console, paths
    from recipes.files import write_whole
    from recipes.rootfs.capture import INDEX_NAME
    from recipes.toolchains.vendor import parse_arch

    board = load_host(host).board
    file = load_board(board).file
    arch = parse_arch(file.arch)
    if dry_run:
        what = f"list its libraries and bring them to board-configs/{board}/, with their index"
        if json:
            console.emit({"host": host, "would": what})
        else:
            console.out(f"{host}: would {what}")
        return
    with connect(host_target(host)) as session:
        done = pull_root(session, board, arch, ours=file.root)
    sysroot = paths.BOARDS / "sysroots" / f"{board}.toml"
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

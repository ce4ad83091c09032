"""Tasks of roots: what is compiled against, what a board has, and what an update changed."""

from __future__ import annotations

from invoke import Context

from deploy.commands.command import DRY, HOST, JSON, command

_ROOT = "a directory, a tar file, or the name of a board or a sysroot"


@command(
    default=True,
    iterable=["name"],
    help={"name": "file in board-configs/sysroots; debian12-armv7 without it", "json": JSON, "dry_run": DRY},
)
def make(_: Context, name: list[str], json: bool = False, dry_run: bool = False) -> None:
    """Unpack and index the roots that are compiled against."""
    from recipes import console, roots

    found = []
    for one in name or ["debian12-armv7"]:
        spec = roots.spec(one)
        root = roots.known_sysroot(one)
        if root is None and not dry_run:
            from recipes.engine import Engine

            root = roots.ensure_sysroot(one, Engine.connect())
        found.append(roots.describe(root) if root else {"sysroot": one, "to be made of": " ".join(spec.packages)})
    if json:
        console.emit(found)
    else:
        for facts in found:
            console.fields("Sysroot", facts)


@command(
    positional=["root"],
    help={
        "root": _ROOT,
        "board": "also capture it as this board's index, for version control",
        "json": JSON,
        "dry_run": "write nothing",
    },
)
def index(_: Context, root: str, board: str = "", json: bool = False, dry_run: bool = False) -> None:
    """Say what a root has for the loader: libraries, folders, what cannot be used."""
    from deploy import captured
    from recipes import console, loadercheck

    found = captured.load(root)
    if board and not dry_run:
        captured.capture(found, board)
    cache = loadercheck.disagreements(found)
    facts: dict[str, object] = {
        "root": found.source,
        "elf files": len(found.files),
        "links": len(found.links),
        "loader": f"{found.loader} ({found.libc})" if found.loader else "none: glibc's rules are taken",
        "folders of the loader": " ".join(found.directories),
        "names in its cache": "no cache" if found.cache is None else len(found.cache),
        "not usable": len(found.damaged),
        "fingerprint": found.fingerprint[:16],
    }
    if json:
        console.emit(facts | {"damaged": found.damaged, "cache": cache})
        return
    console.fields("Root", facts)
    for path, reason in sorted(found.damaged.items()):
        print(f"  {path}: {reason}")
    for line in cache:
        print(f"  {line}")


@command(
    positional=["old", "new"],
    help={"old": _ROOT, "new": _ROOT, "json": JSON, "dry_run": "accepted; this task only reads"},
)
def diff(_: Context, old: str, new: str, json: bool = False, dry_run: bool = False) -> None:
    """Say which libraries differ between two roots; what is lost comes first."""
    from deploy import captured, rootdiff
    from recipes import console

    rows = rootdiff.differences(captured.load(old), captured.load(new))
    if json:
        console.emit([{"library": name, "change": change} for name, change in rows])
    elif rows:
        console.table("Changes", ["library", "change"], [list(row) for row in rows])
    else:
        print("the two roots have the same libraries")


@command(help={"host": HOST, "json": JSON, "dry_run": DRY})
def pull(_: Context, host: str, json: bool = False, dry_run: bool = False) -> None:
    """Bring a live board's libraries, so that bundles are proved against them."""
    from deploy import pull as pulling
    from deploy.board import load_board, load_host
    from deploy.session import connect
    from deploy.sim import boards
    from recipes import console, indexfile, paths
    from recipes.arch import Arch

    board = load_host(host).board
    arch = Arch.parse(load_board(board).file.arch)
    if dry_run:
        print(f"{host}: would list its libraries and bring them to board-configs/{board}/, with their index")
        return
    with connect(boards.target(host)) as session:
        done = pulling.pull(session, board, arch)
    sysroot = paths.BOARDS / "sysroots" / f"{board}.toml"
    if done.headers.toml and not sysroot.exists():
        paths.write_whole(sysroot, done.headers.toml.encode())
    facts = {
        "root": str(done.root),
        "files": done.files,
        "links": done.links,
        "bytes": done.bytes,
        "fetched": done.fetched,
        "round trips": session.traffic.round_trips,
        "index": str(done.root.with_name(indexfile.NAME)),
        "sysroot": f"invoke sysroot --name {board}" if sysroot.exists() else "none",
        "headers": done.headers.because,
    }
    console.emit(facts) if json else console.fields(f"Pulled from {host}", facts)

"""Tasks of sources: fetch, check, export; what the lock pins, and how a pin is moved."""

from __future__ import annotations

from pathlib import Path

from invoke import Context, Exit

from deploy.commands.command import MIRROR, command


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

    pins = load_lock()
    wanted = pins.pins if everything else pins.chosen(source)
    mirrors = mirror_folders(mirror)
    rows, lacking = [], 0
    for pin in wanted:
        if check or dry_run:
            lacks = missing_from_cache(pin)
            lacking += bool(lacks)
            state = "whole in the cache" if not lacks else lacks if check else f"to be fetched: {pin.url}"
        else:
            state = fetch_pins([pin], mirrors, offline=offline)[0].rung
        rows.append([pin.name, pin.version, pin.pinned[:12], state])
    if export and not (check or dry_run):
        export_mirror(wanted, Path(export), mirrors)
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
    offline: bool = False,
    json: bool = False,
    dry_run: bool = False,
) -> None:
    """Show what is pinned, age and patch level; move a pin."""
    import datetime as dt

    from recipes import console
    from recipes.sources.fetch import mirror_folders
    from recipes.sources.lock import load_lock
    from recipes.sources.pins import move_pin, pin_age, pin_rows

    if update:
        given = {"version": to_version, "commit": to_commit, "refs": to_ref, "sha256": to_sha256}
        changes = {key: value for key, value in (given | {"file": to_file, "url": to_url}).items() if value}
        where = "" if dry_run else move_pin(update, changes, mirror_folders(mirror), offline=offline)
        if json:
            console.emit({"name": update, "changes": changes, "file": str(where), "done": not dry_run})
        elif dry_run:
            console.out(f"{update}: {', '.join(f'{key} → {value}' for key, value in changes.items()) or 'nothing'}")
        else:
            console.out(f"{update} is moved in {where}; next: invoke build --arch ARCH")
        return
    today = dt.datetime.now(dt.UTC).date()
    rows = pin_rows(load_lock(), today)
    if json:
        console.emit([row.as_dict() for row in rows])
        return
    table = [
        [row.name, row.version, row.unit or "-", row.pinned[:12], pin_age(row, today), row.flag or "-"] for row in rows
    ]
    columns = ["source", "version", "sdk", "pinned", "age", "flags"]
    console.table("Pins", columns, table, roomy=["sdk", "pinned"])

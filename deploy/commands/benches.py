"""The task of the benches."""

from __future__ import annotations

import sys

from invoke import Context, Exit

from deploy.commands.command import DRY, JSON, command
from recipes.errors import ConfigError


@command(
    positional=["what"],
    help={"what": "elf, build, emulation or deploy", "json": JSON, "dry_run": DRY},
)
def bench(_: Context, what: str, json: bool = False, dry_run: bool = False) -> None:
    """Measure ratios side by side in one run."""
    from recipes import paths, process

    script = paths.CHECKOUT / "tests" / "bench" / f"bench_{what}.py"
    known = sorted(path.stem.removeprefix("bench_") for path in script.parent.glob("bench_*.py"))
    if what not in known:
        raise ConfigError(f"no bench {what!r}", why=f"known: {', '.join(known)}", next_step="invoke bench elf")
    argv = [sys.executable, str(script), *(["--json"] if json else [])]
    if dry_run:
        print(" ".join(argv))
    elif code := process.passthrough(argv, env={"PYTHONPATH": str(paths.CHECKOUT)}):
        raise Exit("", code)

"""A release on trial: from the switch until its checks are green, and what says so on the board.

`.trial` is one line, `RELEASE START UPTIME`: which release, in which start of the board it was switched on, and how
many seconds old that start was. It is written out before the switch, and goes once the release is confirmed or taken
back. A board that finds one of an earlier start was switched off, or broke down, before anybody saw the release work:
it goes back by itself (`deploy.atboot.guard`), and leaves `.reverted`: `RELEASE BACK CLOCK`.
"""

from __future__ import annotations

from dataclasses import dataclass

# Of HOLDER (deploy.transfer.lock): `state` reads a process' line in /proc.
THIS_START = r"""
# Which start of the board this is: the kernel's, and process 1's for a container, which has its host's kernel. No clock
# is asked: that of a camera may be at 1970 after each start.
this_start() {
    start=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)
    state 1
    set -- $rest
    echo "${start:-none}:${20:-}"
}
uptime() { read -r up _ < /proc/uptime; echo "${up%%.*}"; }
"""
BEGIN_TRIAL = r"""
# $1 a release that is about to be switched on. What was confirmed is on trial no more.
begin_trial() {
    if [ -f "$root/releases/$1/.confirmed" ]; then rm -f "$root/.trial"; return; fi
    echo "$1 $(this_start) $(uptime)" > "$root/.trial.new" && mv -f "$root/.trial.new" "$root/.trial"
}
"""
END_TRIAL = r"""
# What is on trial is not what runs now: it was taken back.
tried=''
{ read -r tried _ < "$root/.trial"; } 2>/dev/null
[ "$tried" = "$id" ] || rm -f "$root/.trial"
"""
REVERTED_LINE = r"[0-9a-f]{1,64} [0-9a-f]{1,64} \d{1,12}"
"""What `.reverted` looks like."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reverted:
    """That a board went back by itself at a start: the release that was on trial, and the one before it."""

    release: str
    back: str
    clock: int
    """When, by the board's clock, in seconds since 1970: right after a start it may be far off."""

    def words(self) -> str:
        """Return what happened, for people."""
        went = f"went back to {self.back[:12]} by itself"
        return f"the board started anew before {self.release[:12]} was confirmed, and {went}"


def read_reverted(line: str) -> Reverted | None:
    """Read the line of `.reverted`; None for an empty one."""
    if not line:
        return None
    release, back, clock = line.split(" ")
    return Reverted(release=release, back=back, clock=int(clock))

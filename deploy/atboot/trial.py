"""A release on trial: from the switch until its checks are green, and what says so on the board.

`.trial` is one line, `RELEASE START UPTIME`: which release, in which start of the board it was switched on, and how
many seconds old that start was. It is written out before the switch, and goes once the release is confirmed or taken
back. A board that finds one of an earlier start was switched off, or broke down, before anybody saw the release work:
it goes back by itself (`deploy.atboot.guard`), and leaves `.reverted`: `RELEASE BACK CLOCK`.
"""

from __future__ import annotations

# Of HOLDER (deploy.transfer.lock): `state` reads a process' line in /proc.
THIS_START = r"""
# Which start of the board this is: the kernel's, and process 1's for a container, which has its host's kernel. No clock
# is asked: that of a camera may be at 1970 after each start.
this_start() {
    start=''; { read -r start < /proc/sys/kernel/random/boot_id; } 2>/dev/null
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


def told_reverted(line: str) -> str:
    """Say in words what `.reverted` of a board says; nothing for an empty line.

    When it was is not told: a board's clock may be far off right after a start.
    """
    if not line:
        return ""
    release, back, _ = line.split(" ")
    return f"the board started anew before {release[:12]} was confirmed, and went back to {back[:12]} by itself"

"""What a board runs to put in what a release brings for boot, and to take away what an earlier one brought.

POSIX sh and BusyBox, nothing else. Every value arrives as an argument.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from deploy.atboot.trial import END_TRIAL
from deploy.boards.session import BoardSession, Reply
from deploy.transfer.lock import LOCK

SERVICES = (
    r"""
# $1 our folder, $2 release id, empty for none, `current` for what is switched on; $3 who. Puts in what the release
# brings to be started at boot, takes away what an earlier one brought, and starts all but what runs as it is to be.
# What was put in is written down in `applied`, one folder for each service: a run that was cut is made good by the
# next.
# Prints `kept=NAME` for what was left alone, `down=NAME CENTISECONDS` for what was started again: from the order to
# stop until its program ran.
# `.serving` says whose programs the services start: it is renamed into place once all that is new is put in and before
# anything that was is touched. A board that loses its power at any moment starts the old release's streams, or the new
# one's: those that are of the other one only are there, find no program in the release that serves, and wait.
set -u
umask 022
root=$1 id=$2
"""
    + LOCK
    + r"""
lock "${3:-}"
if [ "$id" = current ]; then id=$(readlink "$root/current") || exit 82; id=${id##*/}; fi
applied=$root/applied
new=$root/releases/$id/services
[ -n "$id" ] && [ -f "$new/list" ] || new=''
listed() { [ -n "$new" ] && grep -qxF -e "$1" "$new/list"; }
bad=0
failed() { echo "service $1: $2" >&2; bad=1; }
call() { sh "$1/$2" < /dev/null 2>&1 | tail -n 3 >&2; }
serve() { echo "$1" > "$root/.serving.new" && sync && mv -f "$root/.serving.new" "$root/.serving" && sync; }
# $1 the folder of a service's record: every file that it put in, but for those that $2 has too.
take_files() {
    (cd "$1/files" 2>/dev/null && find . -type f) | while read -r file; do
        [ -n "$2" ] && [ -f "$2/files/$file" ] || rm -f "${file#.}"
    done
}
# A file is written beside its place and renamed: an init system never reads half of one, and no link is followed.
put_files() {
    (cd "$1/files" && find . -type f) > "$root/.files" || return 1
    while read -r file; do
        to=${file#.}
        mkdir -p "${to%/*}" && rm -f "$to.boardcast" && cp "$1/files/$file" "$to.boardcast" || return 1
        if [ -x "$1/files/$file" ]; then chmod 755 "$to.boardcast"; else chmod 644 "$to.boardcast"; fi
        mv -f "$to.boardcast" "$to" || return 1
    done < "$root/.files"
}
# $1 a service of the release: its record, its files, and what starts it at boot.
put_in() {
    record=$applied/$1
    rm -rf "$applied/.new"
    mkdir "$applied/.new" && cp -R "$new/$1/." "$applied/.new/" && echo "$id" > "$applied/.new/.from" || exit 70
    rm -rf "$record" && mv "$applied/.new" "$record" || exit 70
    put_files "$record" || { failed "$1" 'its files could not be written'; return 1; }
    sync
    said=$(sh "$record/enable" < /dev/null 2>&1) || { failed "$1" "$said"; return 1; }
}
# $1 a release, $2 a service: all that its program is made of, as the release lists it. What is of others is left out.
made_of() {
    [ "$2" = _boot ] || grep -v -e ' \.bundle/' -e ' services/' -e ' run/' "$root/releases/$1/.list"
    grep -F -e " services/$2/" -e " run/$2" "$root/releases/$1/.list"
}
# $1 a service: the release changes nothing of it. The same release once more is a repair, and starts all anew.
unchanged() {
    from=''
    { read -r from < "$applied/$1/.from"; } 2>/dev/null
    [ -n "$from" ] && [ "$before" != "$id" ] && made_of "$from" "$1" > "$root/.was" 2>/dev/null &&
        made_of "$id" "$1" > "$root/.is" && cmp -s "$root/.was" "$root/.is"
}
# $1 a service: its phase as its loop wrote it down, nothing where it did not. No process is started for it: this is
# asked while a stream is down.
phase() {
    phase='' pid='' looped=''
    while IFS='=' read -r key value; do
        case $key in state) phase=$value ;; pid) pid=$value ;; esac
    done 2>/dev/null < "/var/run/boardcast-$1/state"
    { read -r looped _ < "/var/run/boardcast-$1/supervisor"; } 2>/dev/null
    if [ "$phase" = running ] && ! { [ -d "/proc/$pid" ] && [ -d "/proc/${looped:-none}" ]; }; then phase=unknown; fi
}
clock() { read -r now _ < /proc/uptime; now=$((${now%.*} * 100 + 1${now#*.} - 100)); }
# $1 a service, $2 since when it is down: waits until its program runs, for a while; the checks judge the rest.
await() {
    clock
    end=$((now + 1500))
    while [ "$now" -lt "$end" ]; do
        phase "$1"
        case $phase in
            running) clock; echo "down=$1 $((now - $2))"; return ;;
            '' | failed | restarting) return ;;
        esac
        sleep 0.1 2>/dev/null || sleep 1
        clock
    done
}
go() { said=$(sh "$applied/$1/start" < /dev/null 2>&1) || failed "$1" "$said"; }
fresh='' broken='' before=''
{ read -r before < "$root/.serving"; } 2>/dev/null
if [ -n "$new" ]; then
    [ "$(id -u)" = 0 ] || { echo "only root may put in what starts at boot" >&2; exit 79; }
    if [ ! -d "$applied" ]; then
        mkdir -p "$applied" || exit 70
        serve nothing || exit 70
    fi
    while read -r name <&3; do
        [ ! -d "$applied/$name" ] || continue
        if put_in "$name"; then fresh="$fresh $name "; else broken="$broken $name "; fi
    done 3< "$new/list"
    serve "$id" || exit 70
elif [ -d "$applied" ]; then
    serve nothing || exit 70
fi
for record in "$applied"/*/; do
    [ -d "$record" ] || continue
    record=${record%/} name=${record##*/}
    listed "$name" && continue
    call "$record" remove
    take_files "$record" ''
    rm -rf "$record"
done
if [ -n "$new" ]; then
    while read -r name <&3; do
        case $broken in *" $name "*) continue ;; esac
        case $fresh in *" $name "*) go "$name"; continue ;; esac
        record=$applied/$name
        [ -d "$record" ] || continue
        phase "$name"
        if unchanged "$name" && { [ "$name" = _boot ] || [ "$phase" = running ]; }; then
            echo "kept=$name"
            # Nothing of it runs: no release has to stay for it.
            [ "$name" != _boot ] || echo "$id" > "$record/.from"
            continue
        fi
        if cmp -s "$record/stop" "$new/$name/stop" && cmp -s "$record/disable" "$new/$name/disable"; then
            # It streams on while its files are put in: what is read already is another file's, and `.serving` says
            # whose program is started, should it end by itself.
            take_files "$record" "$new/$name"
            put_in "$name" || continue
            clock
            since=$now
            call "$record" stop
        else
            clock
            since=$now
            call "$record" stop
            call "$record" disable
            take_files "$record" "$new/$name"
            put_in "$name" || continue
        fi
        go "$name"
        [ "$name" = _boot ] || await "$name" "$since"
    done 3< "$new/list"
else
    rm -f "$root/.serving"
    rm -rf "$applied/.new"
    rmdir "$applied" 2>/dev/null
fi
rm -f "$root/.files" "$root/.was" "$root/.is"
"""
    + END_TRIAL
    + r"""
sync
[ "$bad" = 0 ] || exit 80
exit 0
"""
)
_BY_INPUT = 'script=$(cat)\neval "$script"'


def put_in(session: BoardSession, root: str, identity: str, who: str) -> Reply:
    """Run SERVICES on a board; raises what `run` of the session does.

    It is longer than what an SSH server takes as a command (dropbear: 9,000 bytes), so it travels as input.
    """
    return session.run(_BY_INPUT, [root, identity, who], [SERVICES.encode()])


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicesMoved:
    """What became of services that ran before a switch and run after it."""

    kept: tuple[str, ...] = ()
    """Those that run on as they were: the release changes nothing of them."""
    down: Mapping[str, float] = field(default_factory=dict)
    """Name to the seconds from the order to stop until its program ran again."""


def services_moved(text: str) -> ServicesMoved:
    """Read what SERVICES printed; lines that it does not know are passed over."""
    kept = re.findall(r"^kept=([a-z0-9][a-z0-9._-]{0,62})$", text, re.MULTILINE)
    down = re.findall(r"^down=([a-z0-9][a-z0-9._-]{0,62}) (\d{1,7})$", text, re.MULTILINE)
    return ServicesMoved(kept=tuple(kept), down={name: int(hundredths) / 100 for name, hundredths in down})

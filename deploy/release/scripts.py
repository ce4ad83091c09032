"""What runs on a board, and what its exit codes say.

POSIX sh and BusyBox, nothing else. Every value arrives as an argument or on stdin.
"""

from __future__ import annotations

from deploy.atboot.trial import BEGIN_TRIAL, THIS_START
from deploy.boards.session import Reply
from deploy.ssh.answers import brief
from deploy.transfer.lock import LOCK
from deploy.transfer.receive import FLUSH, SUMS, UNPACK
from recipes.errors import PreflightError
from recipes.text import one_line

SWITCH = (
    LOCK
    + FLUSH
    + r"""
# rename(2) of a link is the switch: readers see the old release or the new one. Without `mv -T` the link is replaced
# by ln, which has a short moment without one.
point() {
    : "${moves:=$(mv --help 2>&1)}"
    case $moves in
        *-T*) ln -sfn "releases/$2" "$root/.$1.new" && mv -T -f "$root/.$1.new" "$root/$1" ;;
        *) ln -sfn "releases/$2" "$root/$1" ;;
    esac
}
target() { [ -L "$root/$1" ] && { t=$(readlink "$root/$1"); echo "${t##*/}"; }; }
# $1 the release that runs now. Says whether anything has to be started or taken away.
served() { if [ -d "$root/applied" ] || [ -f "$root/releases/$1/services/list" ]; then echo services=yes; fi; }
"""
)
SWEEP = r"""
# Takes out of the store what no release has; under the lock.
# Thousands of blobs are looked up by one process, and only where there are more than are wanted. Without a whole list
# of what is wanted nothing goes.
sweep() {
    if sed 's/ .*//' "$root"/releases/*/.list > "$root/.lock/wanted" &&
        [ "$(sort -u "$root/.lock/wanted" 2>/dev/null | wc -l)" -ne "$(cd "$root/store" && set -- * && echo $#)" ]; then
        cd "$root/store" && printf '%s\n' * | grep -vxFf "$root/.lock/wanted" | {
            set --
            while read -r blob; do
                set -- "$@" "./$blob"
                if [ $# -ge 128 ]; then rm -f "$@"; set --; fi
            done
            [ $# = 0 ] || rm -f "$@"
        }
    fi
}
"""
ACTIVATE = brief(
    r"""
# $1 our folder, $2 release id, $3 the list's sha256, $4 who; stdin: the list, "BLOB PATH" lines, packed as $5 says;
# where $6 is tar, in a tar with the links that it stands for, or with some; where it is edit, what makes the list of
# that of release $8, whose files are linked too. $7 the release's number. Builds the release beside the others, reads
# back every file but those that RECEIVE hashed under the mark ${10}: what ${11}, for `sed`, takes out of the list. Then
# switches; where $9 is `stage` it only says which one is ready for it. What is cut before the switch leaves `current`
# as it was.
set -u
umask 022
root=$1 id=$2 list=$3 who=${4:-} pack=${5:-none} form=${6:-list} number=${7:-0} old=${8:-} until=${9:-switch}
mark=${10:-} hashed=${11:-}
"""
    + SWITCH
    + UNPACK
    + SUMS
    + THIS_START
    + BEGIN_TRIAL
    + SWEEP
    + r"""
# What ends without the switch leaves nothing for a moment behind; on a full disk no release and no contents either, for
# what runs there needs the room.
made=''
unlock() {
    cd "$root" && rm -rf "releases/.$id.part" .hashes .sums .bad .fresh .edit .trial.new
    now=''
    if now=$(target current); then [ "$now" = "$id" ] || begin_trial "$now"; else rm -f .trial; fi
    dd if=/dev/zero of=.try bs=4096 count=16 2>/dev/null || {
        [ -z "$made" ] || [ "$now" = "$id" ] || rm -rf "releases/$made"
        rm -f .try; sweep
    }
    rm -rf "$root/.try" "$root/.lock"
}
# $1 a list, $2 for `sed`, what to leave out of it: writes it down as `.sums`, in the form of sha256sum.
sums() { sed -e "${2:-}" -e 's/^\([0-9a-f]*\)[.x]* /\1  .\//' "$1" > "$root/.sums"; }
place() { case $2 in */*) [ -d "$1/${2%/*}" ] || mkdir -p "$1/${2%/*}" || exit 70 ;; esac; }
repair() {
    # $1 a release that is there, $2 the same one, whole: what is damaged or lost is replaced, each file by a rename.
    sums "$2/.list"
    damaged "$1" "$root/.sums" > "$root/.bad"
    while read -r path; do
        place "$1" "$path"
        mv -f "$2/$path" "$1/$path" || exit 72
    done < "$root/.bad"
    mv -f "$2/.list" "$1/.list" || exit 72
}
# $1 the release that another is made of. Not a byte of it is written to: links go, and come.
edit() {
    unpack > "$root/.edit" && cp -al "$1/." "$part/" || return 1
    rm -f "$part/.list" "$part/.number" "$part/.deployed" "$part/.confirmed"
    sed -f "$root/.edit" "$1/.list" > "$part/.list" || return 1
    set -- $(sha256sum "$part/.list")
    [ "${1:-}" = "$list" ] || return 1
    while IFS= read -r line; do
        case $line in
            '#-'*) rm -f "$part/${line#??}" ;;
            '#+'*) line=${line#??}; blob=${line%% *} path=${line#* }
                place "$part" "$path"
                ln "$root/store/$blob" "$part/$path" || return 1 ;;
            *) break ;;
        esac
    done < "$root/.edit"
    # Nothing else may be in there, such as what a person put beside it, or a link to elsewhere.
    [ "$(find "$part" ! -type d | wc -l)" -eq "$(($(wc -l < "$part/.list") + 1))" ] || return 1
    [ -z "$(find "$part" ! -type d ! -type f)" ]
}
unlike() { rm -rf "$part" "$root/.edit"; exit 91; }
lock "$who"
[ -f "$root/.boardcast" ] || : > "$root/.boardcast"  # what is below is ours: no index of this board names it
part=$root/releases/.$id.part
rm -rf "$part"
mkdir -p "$part" || exit 70
linked=no
if [ "$form" = list ]; then unpack > "$part/.list"
elif [ "$form" = edit ]; then
    # Where that does not come to what it should, here or below, all of it is asked for.
    edit "$root/releases/$old" 2>/dev/null || unlike
    linked=tar mark='' # most of it is of that release, and not of the store
elif unpack | tar -C "$root" -xf - 2>/dev/null; then linked=$form; fi
# A line that was cut looks like the end of the list: a release of half the files must not come of it.
set -- $(sha256sum "$part/.list" 2>/dev/null)
[ "${1:-}" = "$list" ] || exit 77
# Where there is no tar, no hard link, or no room for a name in a header.
[ "$linked" = tar ] || while read -r blob path; do
    [ ! -f "$part/$path" ] || continue
    place "$part" "$path"
    ln "$root/store/$blob" "$part/$path" 2>/dev/null && continue
    cp "$root/store/$blob" "$part/$path" || exit 71
    mark='' # a copy is another file: it is read
done < "$part/.list"
last=''; { read -r last < "$root/.fresh"; } 2>/dev/null
[ -n "$mark" ] && [ "$last" = "$mark" ] || hashed=''
sums "$part/.list" "$hashed" || exit 70
echo "$number" > "$part/.number" && flush "$part" || exit 70
{ [ ! -s "$root/.sums" ] || damaged "$part" "$root/.sums"; } > "$root/.bad" || exit 70
[ "$form" != edit ] || [ ! -s "$root/.bad" ] || unlike
if [ -s "$root/.bad" ]; then
    # Named, so that the content goes too: the next run sends it again.
    while read -r path; do
        echo "damaged=${path#./}"
        while read -r blob file; do [ "./$file" != "$path" ] || rm -f "$root/store/$blob"; done < "$part/.list"
    done < "$root/.bad"
    rm -rf "$part"
    exit 73
fi
current=$(target current || true)
if [ -d "$root/releases/$id" ]; then
    # The same content again, after a run that was cut or to go back: what stands there, and was verified, stays.
    repair "$root/releases/$id" "$part"
    rm -rf "$part"
else
    made=$id
    mv "$part" "$root/releases/$id" || exit 72
fi
echo "$who" > "$root/releases/$id/.deployed"
if [ "$until" = stage ]; then
    flush "$root/releases/$id" "$root/releases"
    echo "$id" > "$root/.staged.new" && flush "$root/.staged.new" || exit 70
    mv -f "$root/.staged.new" "$root/.staged" || exit 72
    flush "$root"
    rm -f "$root/.hashes" "$root/.sums" "$root/.bad" "$root/.edit"
    made=''
    unlock
    exit 0
fi
begin_trial "$id" || exit 70
flush "$root/releases/$id" "$root/releases" "$root"
if [ "$current" != "$id" ]; then
    if [ -n "$current" ] && [ -f "$root/releases/$current/.confirmed" ]; then point previous "$current" || exit 72; fi
    point current "$id" || exit 72
fi
[ "$(cat "$root/.staged" 2>/dev/null)" != "$id" ] || rm -f "$root/.staged"  # it waits no more
flush "$root"
rm -f "$root/.hashes" "$root/.sums" "$root/.bad" "$root/.edit" "$root/.fresh"
served "$id"
echo "current=$(target current)"
"""
)
CONFIRM = brief(
    r"""
# $1 our folder, $2 release id, $3 how many releases stay, $4 who. The checks were green: it may be gone back to.
set -u
root=$1 id=$2 keep=$3
"""
    + SWITCH
    + SWEEP
    + r"""
lock "${4:-}"
# Another deploy, or a person, may have switched while the checks ran: what does not run is not confirmed.
[ "$(target current || true)" = "$id" ] || exit 78
: > "$root/releases/$id/.confirmed" && flush "$root/releases/$id" || exit 70
rm -f "$root/.trial" "$root/.reverted"
# A service that no release changed since runs on from the one that it was started from.
used=' '
[ ! -d "$root/applied" ] || used=" $(cat "$root"/applied/*/.from 2>/dev/null | tr '\n' ' ') "
staged=''; { read -r staged < "$root/.staged"; } 2>/dev/null
kept=0 back=$(target previous || true)
ls -dt "$root"/releases/*/ | while read -r dir; do
    name=${dir%/}; name=${name##*/}
    case $used in *" $name "*) continue ;; esac
    [ "$name" != "$staged" ] || continue
    if [ "$name" = "$id" ] || [ "$name" = "$back" ]; then kept=$((kept + 1)); continue; fi
    if [ "$kept" -lt "$keep" ] && [ -f "$dir/.confirmed" ]; then kept=$((kept + 1)); continue; fi
    rm -rf "$dir"
done
rm -rf "$root"/releases/.*.part "$root"/releases/.*.old "$root"/.lock.* "$root"/incoming/* "$root"/incoming/.packed-*
sweep
unlock
exit 0
"""
)
ROLL_BACK = brief(
    r"""
# $1 our folder, $2 the release that is to go, $3 keep: it may be gone back to; drop: it never held; $4 who.
set -u
root=$1 bad=$2
"""
    + SWITCH
    + r"""
lock "${4:-}"
current=$(target current || true)
back=$(target previous || true)
if [ "$current" != "$bad" ]; then served "$current"; unlock; echo "current=$current"; exit 0; fi
if [ -n "$back" ] && [ "$back" != "$bad" ] && [ -f "$root/releases/$back/.confirmed" ]; then
    point current "$back" || exit 72
    if [ "$3" = keep ]; then point previous "$bad" || exit 72; fi
elif [ "$3" = drop ] && [ ! -f "$root/releases/$bad/.confirmed" ]; then
    rm -f "$root/current"
else
    exit 74
fi
if [ "$3" = drop ] && [ ! -f "$root/releases/$bad/.confirmed" ]; then rm -rf "$root/releases/$bad"; fi
flush "$root" "$root/releases"
# Where there are services, it goes with the last of them that is put back.
[ -d "$root/applied" ] || rm -f "$root/.trial"
served "$(target current || true)"
unlock
echo "current=$(target current || true)"
"""
)
SERVICE = r"""
# $1 our folder, $2 the verb; stdin: names of services. Carries the verb out for each, by what was put in; prints
# `service=NAME` in front of what each says, `absent=NAME` for one that is not put in.
set -u
root=$1 verb=$2 bad=0
while read -r name; do
    if [ ! -f "$root/applied/$name/$verb" ]; then echo "absent=$name"; bad=1; continue; fi
    echo "service=$name"
    sh "$root/applied/$name/$verb" < /dev/null 2>&1 || { bad=1; echo "failed=$?"; }
done
exit "$bad"
"""
DAMAGED, UNLIKE = 73, 91
_REASONS = {
    70: "a folder could not be made",
    71: "what was sent could not be written",
    72: "a rename failed",
    DAMAGED: "a file was damaged on its way or on the flash; it was thrown away",
    74: "there is no verified release to go back to",
    75: "another deploy is at work there",
    76: "the board's shell was told to stop",
    77: "the list of files was cut on its way",
    78: "another release was switched on while the checks ran",
    79: "its user may not put in what starts at boot",
    80: "a service could not be put in or started",
    UNLIKE: "the release that runs is not what it was made as",
}

_CURES = {
    75: "wait for it to end, then give the same command again. It ends with its connection: where that workstation is "
    "gone for good, end the process on the board",
    79: 'log in as root, or set runs = "hand" for the streams in the board\'s file',
    80: "repair on the board what it names, then give the same command again",
}


class ServicesDownError(PreflightError):
    """The switch was made, and a service of what runs now could not be put in or started."""


def check_reply(reply: Reply, root: str) -> None:
    """Raise PreflightError for a script that did not run to its end, with the reason behind its exit code."""
    if reply.code == 0:
        return
    detail = one_line(f"{reply.out} {reply.err}"[-1000:])
    full = "; no space left on the board" if "No space" in detail else ""
    raise PreflightError(
        f"the board stopped: {_REASONS.get(reply.code, f'exit code {reply.code}')}{full}",
        where=root,
        why=detail,
        next_step=_CURES.get(reply.code, "the release that ran there runs on; fix the cause and repeat the command"),
    )

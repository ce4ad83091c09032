"""What runs on a board: POSIX sh and BusyBox, nothing else. Every value arrives as an argument or on stdin."""

from __future__ import annotations

from deploy.transfer.lock import LOCK
from deploy.transfer.receive import FLUSH, SUMS, UNPACK, terse

_SWITCH = (
    LOCK
    + FLUSH
    + r"""
# rename(2) of a link is the switch: readers see the old release or the new one. Without `mv -T` the link is replaced
# by ln, which has a short moment without one.
point() {
    rm -f "$root/.$1.new"
    if mv --help 2>&1 | grep -q -e '-T'; then
        ln -s "releases/$2" "$root/.$1.new" && mv -T -f "$root/.$1.new" "$root/$1"
    else
        ln -sfn "releases/$2" "$root/$1"
    fi
}
target() { [ -L "$root/$1" ] && { t=$(readlink "$root/$1"); echo "${t##*/}"; }; }
# $1 the release that runs now. Says whether anything has to be started or taken away.
served() { if [ -d "$root/applied" ] || [ -f "$root/releases/$1/services/list" ]; then echo services=yes; fi; }
"""
)
ACTIVATE = terse(
    r"""
# $1 our folder, $2 release id, $3 the list's sha256, $4 who; stdin: the list, "BLOB PATH" lines, packed as $5 says;
# where $6 is tar, in a tar with the links that it stands for, or with some; where it is edit, what makes the list of
# that of release $8, whose files are linked too. $7 the release's number. Builds the release beside the others, reads
# every file back, then switches. What is cut before the switch leaves `current` as it was.
set -u
umask 022
root=$1 id=$2 list=$3 who=${4:-} pack=${5:-none} form=${6:-list} number=${7:-0} old=${8:-}
"""
    + _SWITCH
    + UNPACK
    + SUMS
    + r"""
# $1 a list: writes it down as `.sums`, in the form of sha256sum.
sums() { sed 's/^\([0-9a-f]*\)[.x]* /\1  .\//' "$1" > "$root/.sums"; }
place() { case $2 in */*) [ -d "$1/${2%/*}" ] || mkdir -p "$1/${2%/*}" || exit 70 ;; esac; }
repair() {
    # $1 a release that is there, $2 the same one, whole: what is damaged or lost is replaced, each file by a rename.
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
    linked=tar
elif unpack | tar -C "$root" -xf - 2>/dev/null; then linked=$form; fi
# A line that was cut looks like the end of the list: a release of half the files must not come of it.
set -- $(sha256sum "$part/.list" 2>/dev/null)
[ "${1:-}" = "$list" ] || exit 77
# Where there is no tar, no hard link, or no room for a name in a header.
[ "$linked" = tar ] || while read -r blob path; do
    [ ! -f "$part/$path" ] || continue
    place "$part" "$path"
    ln "$root/store/$blob" "$part/$path" 2>/dev/null || cp "$root/store/$blob" "$part/$path" || exit 71
done < "$part/.list"
sums "$part/.list" && echo "$number" > "$part/.number" && flush "$part" || exit 70
damaged "$part" "$root/.sums" > "$root/.bad" || exit 70
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
    mv "$part" "$root/releases/$id" || exit 72
fi
echo "$who" > "$root/releases/$id/.deployed"
flush "$root/releases/$id" "$root/releases"
if [ "$current" != "$id" ]; then
    if [ -n "$current" ] && [ -f "$root/releases/$current/.confirmed" ]; then point previous "$current" || exit 72; fi
    point current "$id" || exit 72
fi
flush "$root"
rm -f "$root/.hashes" "$root/.sums" "$root/.bad" "$root/.edit"
served "$id"
echo "current=$(target current)"
"""
)
CONFIRM = terse(
    r"""
# $1 our folder, $2 release id, $3 how many releases stay, $4 who. The checks were green: it may be gone back to.
set -u
root=$1 id=$2 keep=$3
"""
    + _SWITCH
    + r"""
lock "${4:-}"
# Another deploy, or a person, may have switched while the checks ran: what does not run is not confirmed.
[ "$(target current || true)" = "$id" ] || exit 78
: > "$root/releases/$id/.confirmed" && flush "$root/releases/$id" || exit 70
kept=0
ls -dt "$root"/releases/*/ | while read -r dir; do
    name=${dir%/}; name=${name##*/}
    if [ "$name" = "$id" ] || [ "$name" = "$(target previous || true)" ]; then kept=$((kept + 1)); continue; fi
    if [ "$kept" -lt "$keep" ] && [ -f "$dir/.confirmed" ]; then kept=$((kept + 1)); continue; fi
    rm -rf "$dir"
done
rm -rf "$root"/releases/.*.part "$root"/releases/.*.old "$root"/.lock.* "$root"/incoming/* "$root"/incoming/.packed-*
# Thousands of blobs are looked up by one process, and only where there are more than are wanted. Without a whole list
# of what is wanted nothing goes.
if sed 's/ .*//' "$root"/releases/*/.list > "$root/.lock/wanted" &&
    [ "$(sort -u "$root/.lock/wanted" 2>/dev/null | wc -l)" -ne "$(ls "$root/store" | wc -l)" ]; then
    cd "$root/store" && printf '%s\n' * | grep -vxFf "$root/.lock/wanted" | {
        set --
        while read -r blob; do
            set -- "$@" "./$blob"
            if [ $# -ge 128 ]; then rm -f "$@"; set --; fi
        done
        [ $# = 0 ] || rm -f "$@"
    }
fi
unlock
exit 0
"""
)
ROLL_BACK = terse(
    r"""
# $1 our folder, $2 the release that is to go, $3 keep: it may be gone back to; drop: it never held; $4 who.
set -u
root=$1 bad=$2
"""
    + _SWITCH
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
served "$(target current || true)"
unlock
echo "current=$(target current || true)"
"""
)
SERVICES = terse(
    r"""
# $1 our folder, $2 release id, empty for none; $3 who. Puts in what the release brings to be started at boot, takes
# away what an earlier one brought, and starts all. What was put in is written down in `applied`, one folder for each
# service: a run that was cut is made good by the next.
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
    mkdir "$applied/.new" && cp -R "$new/$1/." "$applied/.new/" || exit 70
    rm -rf "$record" && mv "$applied/.new" "$record" || exit 70
    put_files "$record" || { failed "$1" 'its files could not be written'; return 1; }
    sync
    said=$(sh "$record/enable" < /dev/null 2>&1) || { failed "$1" "$said"; return 1; }
}
go() { said=$(sh "$applied/$1/start" < /dev/null 2>&1) || failed "$1" "$said"; }
fresh='' broken=''
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
        call "$record" stop
        # Where the new one starts in the same way, boot finds it at any moment.
        cmp -s "$record/disable" "$new/$name/disable" || call "$record" disable
        take_files "$record" "$new/$name"
        if put_in "$name"; then go "$name"; fi
    done 3< "$new/list"
else
    rm -f "$root/.serving"
    rm -rf "$applied/.new"
    rmdir "$applied" 2>/dev/null
fi
rm -f "$root/.files"
sync
[ "$bad" = 0 ] || exit 80
exit 0
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

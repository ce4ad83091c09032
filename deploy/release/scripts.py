"""What runs on a board: POSIX sh and BusyBox, nothing else. Every value arrives as an argument or on stdin.

One deploy at a time holds a board, from its first write to its last. Who holds the lock is the process of the SSH
server that has the connection: it lives as long as all the commands of a deploy, and not longer.
"""

from __future__ import annotations

HOLDER = r"""
# The rest of a process' line in /proc, behind its name: $2 is its parent, ${20} when it was started.
state() { rest=''; { read -r rest < "/proc/$1/stat"; } 2>/dev/null; rest=${rest##*) }; }
parent() { state "$1"; set -- $rest; echo "${2:-0}"; }
started() { state "$1"; set -- $rest; echo "${20:-}"; }
holder() {
    process=$$
    while [ "$process" -gt 1 ] 2>/dev/null; do
        name=''; { read -r name < "/proc/$process/comm"; } 2>/dev/null
        case $name in *sshd* | dropbear*) echo "$process"; return ;; esac
        process=$(parent "$process")
    done
    echo "$$"
}
boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)
me=$(holder)
# $1 a lock: prints who has it, where that is somebody else who lives. A run that was cut leaves its lock, its process
# is gone then, and after a reboot its number is another's.
held() {
    owner=''; born=''; start=''; by=''
    { read -r owner born start < "$1/pid"; } 2>/dev/null
    { read -r by < "$1/who"; } 2>/dev/null
    [ -n "$owner" ] && [ "$born" = "$boot" ] && [ "$owner" != "$me" ] || return 1
    [ -z "$start" ] || [ "$(started "$owner")" = "$start" ] || return 1
    kill -0 "$owner" 2>/dev/null || [ -d "/proc/$owner" ] || return 1
    echo "${by:-somebody} (process $owner on the board)"
}
"""
LOCK = (
    HOLDER
    + r"""
lock() {
    # $1: who we are, and since when.
    tries=0
    until mkdir "$root/.lock" 2>/dev/null; do
        [ -d "$root/.lock" ] || { mkdir "$root/.lock" || exit 70; break; }
        if keeper=$(held "$root/.lock"); then
            cat > /dev/null # what is still on its way is taken, so that the answer is heard
            echo "held by $keeper" >&2
            exit 75
        fi
        owner=''; { read -r owner _ < "$root/.lock/pid"; } 2>/dev/null
        tries=$((tries + 1))
        [ "$tries" -lt 6 ] || exit 75
        if [ -n "$owner" ] && [ "$owner" = "$me" ]; then break; fi
        # One that was made this moment has no owner yet.
        if [ -z "$owner" ] && [ "$tries" -lt 2 ]; then sleep 1; continue; fi
        # Of two that take it over at once, one moves it away.
        mv "$root/.lock" "$root/.lock.$$" 2>/dev/null && rm -rf "$root/.lock.$$"
    done
    echo "$1" > "$root/.lock/who"
    echo "$me $boot $(started "$me")" > "$root/.lock/pid"
    if [ "$me" = "$$" ]; then trap 'unlock' EXIT; else trap '[ $? = 0 ] || unlock' EXIT; fi
    trap 'exit 76' HUP INT TERM PIPE
}
unlock() { rm -rf "$root/.lock"; }
"""
)
RECEIVE = (
    r"""
# $1 our folder; $2 tar, or the name of a single blob whose bytes come on stdin; $3 who. Nothing enters the store
# unchecked.
set -u
umask 022
root=$1 what=$2
mkdir -p "$root/store" "$root/incoming" "$root/releases" || exit 70
"""
    + LOCK
    + r"""
lock "${3:-}"
cd "$root/incoming" || exit 70
if [ "$what" = tar ]; then tar -xf - || exit 71; else cat > "$what" || exit 71; fi
bad=0
keep() {
    # Of dozens of blobs at once: what has the hash that it is named by goes into the store, the rest is thrown away.
    hashes=$(sha256sum "$@") || exit 71
    chmod 644 "$@"
    set --
    while read -r hash blob; do
        if [ "$hash" != "${blob%.x}" ]; then echo "damaged=$blob"; rm -f "$blob"; bad=1; continue; fi
        case $blob in *.x) chmod 755 "$blob" ;; esac
        set -- "$@" "$blob"
    done <<EOT
$hashes
EOT
    [ $# = 0 ] || mv -f "$@" ../store/ || exit 72
}
set --
for blob in *; do
    [ -f "$blob" ] || continue
    set -- "$@" "$blob"
    if [ $# -ge 64 ]; then keep "$@"; set --; fi
done
[ $# = 0 ] || keep "$@"
[ "$bad" = 0 ] || exit 73
exit 0
"""
)
_SWITCH = (
    LOCK
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
ACTIVATE = (
    r"""
# $1 our folder, $2 release id, $3 the list's sha256, $4 who; stdin: the list, "BLOB PATH" lines. Builds the release
# beside the others, reads every file back, then switches. What is cut before the switch leaves `current` as it was.
set -u
umask 022
root=$1 id=$2 list=$3 who=${4:-}
"""
    + _SWITCH
    + r"""
hashes() {
    # $1 folder, $2 list: the hash of each file that is there, dozens by one process.
    (
        cd "$1" || exit 1
        set --
        while read -r blob path; do
            set -- "$@" "./$path"
            if [ $# -ge 64 ]; then sha256sum "$@"; set --; fi
        done
        [ $# = 0 ] || sha256sum "$@"
    ) < "$2" 2>/dev/null
}
whole() {
    # $1 folder, $2 list: every file of the list is there with its content; names the first that is not.
    hashes "$1" "$2" > "$root/.hashes"
    while read -r blob path <&3; do
        hash=''; file=''
        read -r hash file <&4 || true
        if [ "$hash $file" != "${blob%.x} ./$path" ]; then echo "damaged=$path"; bad=$blob; return 1; fi
    done 3< "$2" 4< "$root/.hashes"
}
lock "$who"
[ -f "$root/.boardcast" ] || : > "$root/.boardcast"  # what is below is ours: no index of this board names it
cat > "$root/.list" || exit 70
# A line that was cut looks like the end of the list: a release of half the files must not come of it.
set -- $(sha256sum "$root/.list")
[ "$1" = "$list" ] || exit 77
part=$root/releases/.$id.part
rm -rf "$part"
mkdir -p "$part" || exit 70
made=''
while read -r blob path; do
    case $path in
        */*) if [ "${path%/*}" != "$made" ]; then made=${path%/*}; mkdir -p "$part/$made" || exit 70; fi ;;
    esac
    ln "$root/store/$blob" "$part/$path" 2>/dev/null || cp "$root/store/$blob" "$part/$path" || exit 71
done < "$root/.list"
sync
if ! whole "$part" "$root/.list"; then
    rm -rf "$part"
    rm -f "$root/store/$bad"
    exit 73
fi
mv "$root/.list" "$part/.list" || exit 72
current=$(target current || true)
if [ -d "$root/releases/$id" ] && whole "$root/releases/$id" "$part/.list" > /dev/null; then
    # The same content again, after a run that was cut or to go back: what stands there, and was verified, stays.
    rm -rf "$part"
elif [ "$current" = "$id" ] && [ -d "$root/releases/$id" ]; then
    # A file of the running release was damaged: put the whole one in its place.
    mv "$root/releases/$id" "$root/releases/.$id.old" && mv "$part" "$root/releases/$id" || exit 72
    rm -rf "$root/releases/.$id.old"
else
    rm -rf "$root/releases/$id"
    mv "$part" "$root/releases/$id" || exit 72
fi
echo "$who" > "$root/releases/$id/.deployed"
sync
if [ "$current" != "$id" ]; then
    if [ -n "$current" ] && [ -f "$root/releases/$current/.confirmed" ]; then point previous "$current" || exit 72; fi
    point current "$id" || exit 72
fi
sync
served "$id"
echo "current=$(target current)"
"""
)
CONFIRM = (
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
: > "$root/releases/$id/.confirmed" && sync || exit 70
kept=0
ls -dt "$root"/releases/*/ | while read -r dir; do
    name=${dir%/}; name=${name##*/}
    if [ "$name" = "$id" ] || [ "$name" = "$(target previous || true)" ]; then kept=$((kept + 1)); continue; fi
    if [ "$kept" -lt "$keep" ] && [ -f "$dir/.confirmed" ]; then kept=$((kept + 1)); continue; fi
    rm -rf "$dir"
done
rm -rf "$root"/releases/.*.part "$root"/releases/.*.old "$root"/.lock.*
# Thousands of blobs are looked up by one process. Without a whole list of what is wanted nothing goes.
if cat "$root"/releases/*/.list | while read -r blob _; do echo "$blob" || exit 1; done > "$root/.lock/wanted"; then
    cd "$root/store" && printf '%s\n' * | grep -vxFf "$root/.lock/wanted" | while read -r blob; do rm -f "./$blob"; done
fi
unlock
exit 0
"""
)
ROLL_BACK = (
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
sync
served "$(target current || true)"
unlock
echo "current=$(target current || true)"
"""
)
SERVICES = (
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

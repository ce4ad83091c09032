"""What runs on a board: POSIX sh and BusyBox, nothing else. Every value arrives as an argument or on stdin."""

from __future__ import annotations

RECEIVE = r"""
# $1 our folder; $2 tar, or the name of a single blob whose bytes come on stdin. Nothing enters the store unchecked.
set -u
umask 022
root=$1
mkdir -p "$root/store" "$root/incoming" "$root/releases" || exit 70
cd "$root/incoming" || exit 70
if [ "$2" = tar ]; then tar -xf - || exit 71; else cat > "$2" || exit 71; fi
bad=0
for blob in *; do
    [ -f "$blob" ] || continue
    set -- $(sha256sum "$blob")
    if [ "$1" = "${blob%.x}" ]; then
        case $blob in *.x) chmod 755 "$blob" ;; *) chmod 644 "$blob" ;; esac
        mv -f "$blob" "../store/$blob" || exit 72
    else
        echo "damaged=$blob"
        rm -f "$blob"
        bad=1
    fi
done
[ "$bad" = 0 ] || exit 73
exit 0
"""
_SWITCH = r"""
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
lock() {
    # A run that was cut leaves its lock; its process is gone then, and after a reboot its number may be another's.
    boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)
    if ! mkdir "$root/.lock" 2>/dev/null; then
        owner=''; born=''
        read -r owner born 2>/dev/null < "$root/.lock/pid" || true
        if [ -n "$owner" ] && [ "$born" = "$boot" ] && kill -0 "$owner" 2>/dev/null; then
            echo "locked by process $owner" >&2
            exit 75
        fi
        rm -rf "$root/.lock"
        mkdir "$root/.lock" || exit 75
    fi
    echo "$$ $boot" > "$root/.lock/pid"
    trap 'rm -rf "$root/.lock"' EXIT
    trap 'exit 76' HUP INT TERM PIPE
}
"""
ACTIVATE = (
    r"""
# $1 our folder, $2 release id, $3 the list's sha256; stdin: the list, "BLOB PATH" lines. Builds the release beside the
# others, reads every file back, then switches to it. Whatever is cut before the switch leaves `current` as it was.
set -u
umask 022
root=$1 id=$2 list=$3
"""
    + _SWITCH
    + r"""
whole() {
    # $1 folder, $2 list: every file of the list is there with its content; names the first that is not.
    while read -r blob path; do
        hash=$(sha256sum "$1/$path" 2>/dev/null)
        if [ "${hash%% *}" != "${blob%.x}" ]; then echo "damaged=$path"; bad=$blob; return 1; fi
    done < "$2"
}
lock
[ -f "$root/.boardcast" ] || : > "$root/.boardcast"  # what is below is ours: no index of this board names it
cat > "$root/.list" || exit 70
# A line that was cut looks like the end of the list: a release of half the files must not come of it.
set -- $(sha256sum "$root/.list")
[ "$1" = "$list" ] || exit 77
part=$root/releases/.$id.part
rm -rf "$part"
mkdir -p "$part" || exit 70
while read -r blob path; do
    case $path in */*) mkdir -p "$part/${path%/*}" || exit 70 ;; esac
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
sync
if [ "$current" != "$id" ]; then
    if [ -n "$current" ] && [ -f "$root/releases/$current/.confirmed" ]; then point previous "$current" || exit 72; fi
    point current "$id" || exit 72
fi
sync
echo "current=$(target current)"
"""
)
CONFIRM = (
    r"""
# $1 our folder, $2 release id, $3 how many releases stay. The checks were green: the release may be gone back to.
set -u
root=$1 id=$2 keep=$3
"""
    + _SWITCH
    + r"""
lock
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
rm -rf "$root"/releases/.*.part "$root"/releases/.*.old
for blob in "$root"/store/*; do
    [ -f "$blob" ] || continue
    cat "$root"/releases/*/.list | grep -q "^${blob##*/} " || rm -f "$blob"
done
exit 0
"""
)
ROLL_BACK = (
    r"""
# $1 our folder, $2 the release that is to go, $3 keep: it may be gone back to; drop: it never held.
set -u
root=$1 bad=$2
"""
    + _SWITCH
    + r"""
lock
current=$(target current || true)
back=$(target previous || true)
if [ "$current" != "$bad" ]; then echo "current=$current"; exit 0; fi
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
echo "current=$(target current || true)"
"""
)

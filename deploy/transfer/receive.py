"""What a board runs to take contents: each is hashed before it enters the store, and what a cut left is gone on with.

POSIX sh and BusyBox, nothing else. Every value arrives as an argument or on stdin.
"""

from __future__ import annotations

from deploy.transfer.lock import LOCK

FLUSH = r"""
# Writes out what has to survive a power cut, before the rename that makes it count: of our file system alone where
# `sync` can (coreutils 8.24, BusyBox with FEATURE_SYNC_FANCY), else of all. Without any sync, `fsync` of the names.
flush() { sync -f "$root" 2>/dev/null || sync 2>/dev/null || fsync "$@"; }
"""
UNPACK = r"""
unpack() { if [ "$pack" = none ]; then cat; else "$pack" -dc; fi; }
"""
RECEIVE = (
    r"""
# $1 our folder; $2 what comes: tar, nothing, or the name of one content; $3 how it is packed: zstd, xz, gzip or none;
# $4 who; $5 a file in `incoming` to read instead of stdin. Nothing enters the store unchecked.
# A content in `incoming` has its name, and so has what a cut left of one; NAME@BYTES is what follows these bytes of it.
set -u
umask 022
root=$1 what=$2 pack=${3:-none}
mkdir -p "$root/store" "$root/incoming" "$root/releases" || exit 70
"""
    + LOCK
    + FLUSH
    + UNPACK
    + r"""
lock "${4:-}"
cd "$root/incoming" || exit 70
join() {
    for rest in *@*; do
        [ -f "$rest" ] || continue
        blob=${rest%@*}
        if [ -f "$blob" ] && [ "$(wc -c < "$blob")" -eq "${rest##*@}" ]; then cat "$rest" >> "$blob" || failed; fi
        rm -f "$rest"
    done
}
failed() {
    # Where the disk is full nothing stays: what runs there needs the room. Else the next run begins with what came.
    dd if=/dev/zero of=.try bs=4096 count=16 2>/dev/null || rm -f ./*
    rm -f .try
    exit 71
}
join
[ -z "${5:-}" ] || exec < "$5" || exit 71
case $what in
    tar) if [ "$pack" = none ]; then tar -xf -; else unpack | tar -xf -; fi || failed ;;
    nothing) ;;
    *)
        unpack > "$what" || failed
        exit 0
        ;;
esac
[ -z "${5:-}" ] || rm -f "$5"
join
bad=0
keep() {
    # Of many contents at once: what has the hash that it is named by goes into the store, the rest is thrown away.
    hashes=$(sha256sum "$@") || exit 71
    set --
    while read -r hash blob; do
        if [ "$hash" != "${blob%.x}" ]; then echo "damaged=$blob"; rm -f "$blob"; bad=1; continue; fi
        case $blob in
            *.x) [ -x "$blob" ] || chmod 755 "$blob" ;;
            *) [ ! -x "$blob" ] || chmod 644 "$blob" ;;
        esac
        set -- "$@" "$blob"
    done <<EOT
$hashes
EOT
    [ $# = 0 ] || mv -f "$@" ../store/ || exit 72
}
flush ./*
set --
for blob in *; do
    [ -f "$blob" ] || continue
    set -- "$@" "$blob"
    if [ $# -ge 128 ]; then keep "$@"; set --; fi
done
[ $# = 0 ] || keep "$@"
[ "$bad" = 0 ] || exit 73
exit 0
"""
)

"""What a board runs to take contents: each is hashed before it enters the store, and what a cut left is gone on with.

POSIX sh and BusyBox, nothing else. Every value arrives as an argument or on stdin.
"""

from __future__ import annotations

from deploy.ssh.answers import brief
from deploy.transfer.delta import PATCH
from deploy.transfer.lock import LOCK

FLUSH = r"""
# Writes out what has to survive a power cut, before the rename that makes it count: of our file system alone where
# `sync` can (coreutils 8.24, BusyBox with FEATURE_SYNC_FANCY), else of all. Without any sync, `fsync` of the names.
flush() { sync -f "$root" 2>/dev/null || sync 2>/dev/null || fsync "$@"; }
"""
SUMS = r"""
# $1 a folder, $2 a file in the form of sha256sum: prints the names in it whose file is lost or damaged. One process
# reads all: a shell's own `read` asks the kernel for each byte.
damaged() {
    (
        cd "$1" || exit 1
        LC_ALL=C sha256sum -c "$2" 2>/dev/null > "$root/.hashes" && exit 0
        if [ -s "$root/.hashes" ]; then sed -n 's/: FAILED.*$//p' "$root/.hashes"; exit 0; fi
        # A BusyBox without FEATURE_MD5_SHA1_SUM_CHECK.
        while read -r hash name; do
            set -- $(sha256sum "$name" 2>/dev/null)
            [ "${1:-}" = "$hash" ] || echo "$name"
        done < "$2"
    )
}
"""
UNPACK = r"""
unpack() { if [ "$pack" = none ]; then cat; else "$pack" -dc; fi; }
"""
RECEIVE = brief(
    r"""
# $1 our folder; $2 what comes: tar, nothing, the name of one content, or `later` by another way; `basis` for
# what rsync is to begin with, "BLOB PATH" lines, `failed` where it did not come to its end; $3 how it is packed:
# zstd, xz, gzip or none; $4 who; $5 a file in `incoming` to read instead of stdin; $6 a mark of this deploy, which
# `.fresh` has once all that came was hashed here: before the switch it is not read again. Nothing enters the store
# unchecked.
# A content in `incoming` has its name, and so has what a cut left of one; NAME@BYTES is what follows these bytes of it.
set -u
umask 022
root=$1 what=$2 pack=${3:-none} from=${5:-} mark=${6:-}
mkdir -p "$root/store" "$root/incoming" "$root/releases" || exit 70
"""
    + LOCK
    + FLUSH
    + UNPACK
    + SUMS
    + PATCH
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
    # A packed file that cannot be unpacked is damaged: it comes anew.
    dd if=/dev/zero of=.try bs=4096 count=16 2>/dev/null || rm -f ./*
    rm -f .try .sums .bad ${from:+"$from"}
    exit 71
}
rm -rf ../.basis .[0-9a-f]*.?????? # of rsync
join
case $what in
    later) exit 0 ;;
    failed) failed ;;
    basis)
        mkdir ../.basis || exit 70
        while read -r blob path; do ln "../current/$path" "../.basis/$blob" 2>/dev/null; done
        exit 0
        ;;
esac
[ -z "$from" ] || exec < "$from" || exit 71
case $what in
    tar) if [ "$pack" = none ]; then tar -xf -; else unpack | tar -xf -; fi || failed ;;
    nothing) ;;
    *)
        unpack > "$what" || failed
        exit 0
        ;;
esac
rm -f .packed-*
join
patch
flush ./*
# One process looks at thousands of names: what has the wrong mode, and what has to have which hash.
LC_ALL=C ls -ln | sed -n -e '/^-..x.*\.x$/d' -e 's/^-.* \([^ ]*\.x\)$/755 \1/p' -e 's/^-..x.* \([^ ]*\)$/644 \1/p' |
    while read -r mode blob; do chmod "$mode" "./$blob"; done
ls | sed -e 's/^\(.*\)\.x$/\1  .\/&/;t' -e 's/.*/&  .\/&/' > .sums || failed
set -- ./*
[ -e "$1" ] || set --
[ "$(wc -l < .sums)" -eq $# ] || failed # a name that is not on the list would not be checked
# What has the hash that it is named by goes into the store, the rest is thrown away.
bad=0
if [ -s .sums ]; then damaged . .sums > .bad || failed; fi
if [ -s .bad ]; then
    bad=1
    while read -r blob; do echo "damaged=${blob#./}"; rm -rf "$blob"; done < .bad
fi
rm -f .sums .bad
[ -z "$mark" ] || echo "$mark" > ../.fresh
# By one process, unless they are more than a command line takes.
mv -f ./* ../store/ 2>/dev/null || for blob in *; do [ ! -f "$blob" ] || mv -f "$blob" ../store/ || exit 72; done
[ "$bad" = 0 ] || exit 73
exit 0
"""
)

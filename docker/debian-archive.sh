#!/bin/sh
# Prints the line of apt's list for a suite: with the archive that this system is set up with, or the one that is named.
#   debian-archive.sh deb|deb-src SUITE
# MIRROR (an address), KEYRING (a file), COMPONENTS and SNAPSHOT (a date) may be in the environment. Where only a date is
# named, the archive's address of that day is the one that the system's own set-up mentions (Debian's images do).
set -eu
kind=$1 suite=$2
uri='' signed=''
plain=$(grep -hs -m1 '^deb ' /etc/apt/sources.list || true)
if [ -n "$plain" ]; then
    uri=$(printf '%s\n' "$plain" | sed -E 's/^deb +(\[[^]]*\] +)?([^ ]+).*/\2/')
    signed=$(printf '%s\n' "$plain" | sed -nE 's/^deb +\[.*signed-by=([^] ]+).*/\1/p')
else
    uri=$(sed -n 's/^URIs: *\([^ ]*\).*/\1/p' /etc/apt/sources.list.d/*.sources 2> /dev/null | head -n 1)
    signed=/usr/share/keyrings/debian-archive-keyring.gpg
fi
dates=''
if [ -n "${SNAPSHOT-}" ]; then
    # What a day's index says of its own validity is over by now.
    dates=' check-valid-until=no'
    uri=${MIRROR-}
    [ -n "$uri" ] || uri=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources 2> /dev/null \
        | sed -nE 's,^# *(https?://[^ ]+/debian)/[0-9]{8}T[0-9]{6}Z/?$,\1,p' | head -n 1)
    if [ -z "$uri" ]; then
        echo "the archive of $SNAPSHOT: this image mentions no address of snapshots" >&2
        exit 1
    fi
    uri=${uri%/}/$SNAPSHOT
elif [ -n "${MIRROR-}" ]; then
    uri=$MIRROR
fi
[ -n "$uri" ] || { echo "this system is set up with no archive of packages" >&2; exit 1; }
[ -z "${KEYRING-}" ] || signed=$KEYRING
options="${signed:+signed-by=$signed}$dates"
options=${options# }
echo "$kind ${options:+[$options] }$uri $suite ${COMPONENTS:-main}"

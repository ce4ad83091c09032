"""What a board is asked once for all checks: POSIX sh and BusyBox, nothing else. Lists arrive on stdin.

Every part of the answer stands below a line `@MARK NAME`; nobody but this run knows the mark, so nothing that a program
of the board prints is taken for such a line.
"""

from __future__ import annotations

from deploy.probe.script import HOLDERS
from deploy.reach.endpoints import VIEW_FOLDER

LOG_BYTES = 32_768
"""Of the end of a stream's log, in which known lines are looked for."""
PROBE_SECONDS = 120
"""Boardprobe's own time limits are shorter; one that hangs all the same is ended then, and said to be."""
DISCOVER_SECONDS = 15
"""For the SDK's discoverNatBehavior."""
SERVICE_LOOK = r"""
look() { # a service's state, and what its program wrote of itself: a few lines, and at most 8 KiB
    echo "service=$1"
    sh "$root/applied/$1/status" < /dev/null 2>&1 | head -c 8192
    echo
    [ "$2" = - ] || echo "report=$(head -c 8192 "$2" 2>/dev/null | tr -d '\n')"
}
"""
"""Of `root`; asked with the name of a service and its file, `-` for none."""
LOOK = (
    "root=%s\n"
    + SERVICE_LOOK
    + r"""
while read -r name file; do look "$name" "$file"; done
echo end
"""
)
"""The same of several services, once more."""
LAST_REFUSAL = r"""
tail -n 200 %s 2>/dev/null | sed -n -e '/: started, restarts so far/{h;d;}' -e H -e '${x;p;}' |
    grep -E 'answers [45][0-9][0-9]|broken: |Exception|0x520000(10|37|51)' | tail -n 5 | cut -c 1-400
"""
"""Of a log: the newest lines since the last start that say that the service refuses, or is not reached."""
# Nothing that is asked about is run. The loaders of glibc and musl list by themselves, a program as well as a plugin:
# https://man7.org/linux/man-pages/man8/ld.so.8.html, musl's ldso/dynlink.c. uClibc's can usually not be called; where
# it was built so it lists in place of running, and its own text says whether it was. It is asked of ELF files only that
# name this loader: what names another one, or none, would run.
GATHER = (
    (
        HOLDERS
        + r"""
# $1 the mark, $2 our folder, $3 the release's, $4 the loader, $5 how it is asked: list, or trace; $6 the element of our
# plugin, - for none; then the words that start boardprobe, none for none. stdin: lines for `boardprobe --endpoints`,
# `discover SERVER` for the SDK's program, `endpoints`;
# `file PATH` lines, `files`, then `named`, `beside`, `program`, `plugin`, `script` and `service`.
mark=$1 root=$2 folder=$3 loader=$4 how=$5 element=$6
shift 6
part() { echo; echo "@$mark $*"; }
asked='' server=''
while IFS= read -r line && [ "$line" != endpoints ]; do
    case $line in
        discover*) server=${line#* } ;;
        *) asked="$asked$line
" ;;
    esac
done
everything() {
part board
echo "clock=$(date +%s)"
folder=$(cd "$folder" 2>/dev/null && pwd -P)
echo "folder=$folder"
echo "current=$(readlink "$root/current" 2>/dev/null)"
up=''; { read -r up rest < /proc/uptime; } 2>/dev/null
echo "uptime=${up%%.*}"
echo "df=$(df -Pk "$root" 2>/dev/null | tail -n 1)"
echo "statfs=$(stat -f -c '%b %a %S' "$root" 2>/dev/null)"
for comm in /proc/[0-9]*/comm; do
    name=''; { read -r name < "$comm"; } 2>/dev/null
    case $name in chronyd | ntpd | openntpd | sntp | timesyncd | systemd-timesyn*) echo "time=$name" ;; esac
done
value=''; { read -r value < /sys/class/rtc/rtc0/since_epoch; } 2>/dev/null
echo "rtc=$value"
[ ! -e /run/systemd/timesync/synchronized ] || echo "synchronized=yes"
# What testinfra asks of every host before it looks at the first file.
answer() { said=$($1 2>/dev/null); part "answer $? $1"; echo "$said"; }
for command in 'uname -s' 'uname -m' 'cat /etc/os-release'; do answer "$command"; done
if [ ! -f /etc/os-release ]; then
    for command in 'cat /etc/redhat-release' 'cat /etc/alpine-release' 'lsb_release -a'; do answer "$command"; done
fi
part memory
grep -E '^(MemTotal|MemFree|MemAvailable|Buffers|Cached):' /proc/meminfo 2>/dev/null
stop() { # ends a process and its children: one that is left would hold the pipe that is read
    for status in /proc/[0-9]*/status; do
        while read -r key value; do
            child=${status#/proc/}
            [ "$key $value" != "PPid: $1" ] || kill -9 "${child%/status}"
        done < "$status"
    done
    kill -9 "$1"
}
watched() { # a part with what a program prints, bounded, and `said` with what it complains of and how it ended
    title=$1
    shift
    part "$title"
    {
        said=$(
            "$@" 2>&1 >&3 3>&- < /dev/null &
            process=$!
            (
                read -r up rest < /proc/uptime
                end=$((${up%%.*} + SECONDS))
                while kill -0 "$process"; do
                    sleep 1
                    read -r up rest < /proc/uptime
                    [ "${up%%.*}" -lt "$end" ] || stop "$process"
                done
            ) > /dev/null 2>&1 3>&- < /dev/null &
            wait "$process"
            echo "exit=$?"
        )
    } 3>&1
    part "said $title"
    echo "$said"
}
[ -z "$folder" ] || cd "$folder" || folder=''
if [ "$how" = trace ] && ! tr '\0' '\n' < "$loader" 2>/dev/null | grep -q LD_TRACE_LOADED_OBJECTS; then
    part mute
    how=mute
fi
have() { command -v "$1" > /dev/null 2>&1; }
inspect() { # our plugin alone and without a registry: fast, and nothing that once failed is remembered
    none=/proc/self/none
    export GST_REGISTRY=$none/registry.bin GST_PLUGIN_PATH="$folder/gstreamer-1.0"
    export GST_PLUGIN_SYSTEM_PATH=$none GST_PLUGIN_SYSTEM_PATH_1_0=$none
    [ ! -e lib/libgcc_s.so.1 ] || export LD_PRELOAD="$folder/lib/libgcc_s.so.1"
    if have gst-inspect-1.0; then exec gst-inspect-1.0 "$element"; fi
    exec bin/boardprobe --element "$element"
}
offered() { # what cameras and microphones offer
    if [ -x bin/boardprobe ]; then
        watched offered bin/boardprobe --video --sound
    elif have v4l2-ctl; then
        for path in /dev/video[0-3]; do
            [ ! -e "$path" ] || watched "v4l2 $path" v4l2-ctl -d "$path" --all --list-formats-ext
        done
    fi
}
devices=''
part devices
for path in /dev/video[0-9]* /dev/snd/pcmC*c; do
    [ ! -e "$path" ] || { devices=yes; echo "$path"; }
done
if [ -n "$devices" ]; then
    for path in /dev/* /dev/v4l/by-id/* /dev/v4l/by-path/*; do # names that udev gives
        if [ -L "$path" ]; then echo "link $path $(readlink -f "$path")"; fi
    done
    part holders
    holders | head -c 8192
fi
programs() { # of the release, and of GStreamer
    # A boardprobe that does not know the variable says nothing of properties.
    export BOARDPROBE_PROPERTIES=yes
    [ $# = 0 ] || watched boardprobe "$@"
    if [ "$element" = - ]; then :
    elif have gst-inspect-1.0 || [ -x bin/boardprobe ]; then watched inspect inspect; fi
    [ -z "$devices" ] || offered
}
files() { part files; sha256sum "$@"; LC_ALL=C ls -ldn "$@"; }
named() { head -c 4 "$1" | grep -q ELF && grep -q ld-uClibc "$1"; } 2>/dev/null
list() {
    case $how:$1 in
        list:*) "$loader" --list "$folder/$2" ;;
        trace:program) if named "$2"; then LD_TRACE_LOADED_OBJECTS=1 "$folder/$2"; fi ;;
        trace:plugin)
            program=$(command -v "$beside")
            if [ -n "$program" ] && named "$program"; then
                LD_TRACE_LOADED_OBJECTS=1 LD_PRELOAD="$folder/$2" "$program"
            fi
            ;;
    esac
}
"""
        + SERVICE_LOOK
        + r"""
beside=gst-launch-1.0
answers() { # to the lines on stdin
set --
while IFS= read -r line; do
    rest=${line#* }
    case ${line%% *} in
        file)
            set -- "$@" "./$rest"
            if [ $# -ge 64 ]; then files "$@" 2>/dev/null; set --; fi
            ;;
        files) [ $# = 0 ] || files "$@" 2>/dev/null ;;
        named) [ -e "$rest" ] || part "absent $rest" ;;
        beside) beside=$folder/$rest ;;
        program | plugin)
            part "entry $rest"
            list "${line%% *}" "$rest" 2>&1 < /dev/null
            ;;
        script)
            part "script $rest"
            tail -n 1 "run/$rest" 2>/dev/null | head -c 16384
            ;;
        service)
            set -- $rest
            part "service $1"
            look "$1" "$2"
            part "log $1"
            LC_ALL=C ls -ln "$3" "$3".* 2>/dev/null
            part "tail $1"
            tail -c LOGBYTES "$3" 2>/dev/null
            ;;
    esac
done
}
# Programs wait for their libraries and for devices: they run beside the rest, and what they say comes last.
exec 5<&0 < /dev/null
programs "$@" 5<&- | { answers <&5 5<&-; cat; }
exec 5<&-
}
# The SDK's own program asks a STUN server about the NAT; it ends by itself, or is ended.
discover() {
    [ -n "$server" ] || return 0
    AWS_KVS_LOG_LEVEL=7 "$folder/bin/discoverNatBehavior" -s "stun:$server" 2>&1 < /dev/null &
    process=$!
    (
        left=DISCOVER
        while [ "$left" -gt 0 ] && kill -0 "$process"; do sleep 1; left=$((left - 1)); done
        [ "$left" -gt 0 ] || kill -9 "$process"
    ) > /dev/null 2>&1 4>&- < /dev/null &
    wait "$process"
}
# What is asked of the network may hold a password: it comes by a pipe, and is in no argument and no file.
network() {
    if [ -s VIEW/mounts ]; then
        set -- unshare -m sh -c "$enter" boardcast VIEW "$1"
    fi
    discover 2>&1 | {
        "$@" --endpoints 2>&1 <<END
$asked
END
        part discovered
        head -c 8192
    }
}
# Its streams take another service for AWS, in a view of their own: so does this.
enter='
mount --make-rprivate / 2>/dev/null || mount -o rprivate / 2>/dev/null || :
while read -r own target; do mount --bind "$1/$own" "$target"; done < "$1/mounts"
shift
exec "$@"
'
# The network takes seconds, so it is asked beside all else; its answer goes through a pipe and stands behind the rest.
if [ -z "$asked" ] || [ $# = 0 ]; then
    everything "$@"
else
    {
        { network "$1" >&4 3>&- & everything "$@" >&3 4>&-; wait; } 4>&1 | {
            told=$(head -c 65536)
            part network
            echo "$told"
        }
    } 3>&1
fi
part end
exit 0
"""
    )
    .replace("SECONDS", str(PROBE_SECONDS))
    .replace("LOGBYTES", str(LOG_BYTES))
    .replace("DISCOVER", str(DISCOVER_SECONDS))
    .replace("VIEW", VIEW_FOLDER)
)

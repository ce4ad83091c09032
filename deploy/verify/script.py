"""What a board is asked once for all checks: POSIX sh and BusyBox, nothing else. Lists arrive on stdin.

Every part of the answer stands below a line `@MARK NAME`; nobody but this run knows the mark, so nothing that a program
of the board prints is taken for such a line.
"""

from __future__ import annotations

from deploy.probe.script import HOLDERS

LOG_BYTES = 32_768
"""Of the end of a stream's log, in which known lines are looked for."""
PROBE_SECONDS = 120
"""Boardprobe's own time limits are shorter; one that hangs all the same is ended then, and said to be."""
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
# Nothing that is asked about is run. The loaders of glibc and musl list by themselves, a program as well as a plugin:
# https://man7.org/linux/man-pages/man8/ld.so.8.html, musl's ldso/dynlink.c. uClibc's can usually not be called; where
# it was built so it lists in place of running, and its own text says whether it was. It is asked of ELF files only that
# name this loader: what names another one, or none, would run.
GATHER = (
    (
        HOLDERS
        + r"""
# $1 the mark, $2 our folder, $3 the release's, $4 the loader, $5 how it is asked: list, or trace; $6 the element of our
# plugin, - for none; then the words that start boardprobe, none for none. stdin: `file PATH` lines, `files`, then
# `named`, `beside`, `program`, `plugin`, `script` and `service`.
mark=$1 root=$2 folder=$3 loader=$4 how=$5 element=$6
shift 6
part() { echo; echo "@$mark $*"; }
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
watched() { # a part with what a program prints, bounded, and `said` with what it complains of and how it ended
    title=$1
    shift
    part "$title"
    {
        said=$(
            "$@" 2>&1 >&3 3>&- < /dev/null &
            process=$!
            (
                left=SECONDS
                while [ "$left" -gt 0 ] && kill -0 "$process"; do sleep 1; left=$((left - 1)); done
                [ "$left" -gt 0 ] || kill -9 "$process"
            ) > /dev/null 2>&1 3>&- < /dev/null &
            wait "$process"
            echo "exit=$?"
        )
    } 3>&1
    part "said $title"
    echo "$said"
}
# A boardprobe that does not know the variable says nothing of properties.
export BOARDPROBE_PROPERTIES=yes
[ $# = 0 ] || watched boardprobe "$@"
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
    exec gst-inspect-1.0 "$element"
}
if [ "$element" != - ] && have gst-inspect-1.0; then watched inspect inspect; fi
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
    part holders
    holders | head -c 8192
    offered
fi
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
part end
exit 0
"""
    )
    .replace("SECONDS", str(PROBE_SECONDS))
    .replace("LOGBYTES", str(LOG_BYTES))
)

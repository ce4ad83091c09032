r"""The script of the probe: POSIX sh for dash, BusyBox ash and bash; it runs in one round trip and changes nothing.

On stdin, where the script itself arrives too, it gets lines: a nonce, seconds for one tool, `yes` to ask the tools of
devices even where the kernel shows none, `yes` for GStreamer or `kept` for where it is fast, a folder of plugins or
nothing, a folder for GStreamer's registry or nothing, the path of a boardprobe or nothing, then the folders whose free
space is asked for. It answers in frames::

    == NONCE name LIMIT argument
    (bytes of the tool or file, at most LIMIT)
    == NONCE . CODE

The nonce is made anew for each probe and travels on stdin, so that no output, banner or name of a process can hold it:
whatever a tool prints, it cannot end its frame or begin another. `head -c` cuts each answer on the board, `timeout`
ends each tool that may hang; after three tools that had to be ended no further one is started. The one thing that may
be written is GStreamer's registry, in the folder that was given for it; without one it is kept from writing any.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MOST_ANSWER = 2 << 20
"""Bytes of a whole answer that are read; an emulated Debian with all of GStreamer sends 103,000."""
MOST_FRAMES = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One tool's or file's answer."""

    name: str
    argument: str
    text: str
    code: int | None
    """The tool's exit code; None where it was not started or its end never came."""
    cut: bool
    """Longer than its limit: what is missing is at the end."""

    @property
    def lines(self) -> list[str]:
        return self.text.split("\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a board sent, taken apart."""

    banner: str
    """What came before the first frame: a shell's greeting, a prompt."""
    frames: tuple[Frame, ...]
    whole: bool
    """The script came to its end, and nothing was left off."""

    def first(self, name: str) -> Frame | None:
        return next((frame for frame in self.frames if frame.name == name), None)

    def text(self, name: str) -> str:
        """Return the text of the first frame of this name; empty where there is none."""
        frame = self.first(name)
        return frame.text if frame else ""

    def every(self, name: str) -> list[Frame]:
        return [frame for frame in self.frames if frame.name == name]


def read_answer(answer: bytes, nonce: str) -> Answer:
    r"""Take an answer apart; never raises, whatever was sent.

    Bytes that are no UTF-8 become `\x..`; line ends of CR LF become LF, as a terminal in between makes them.
    """
    mark = b"\n== " + nonce.encode() + b" "
    banner, *pieces = (b"\n" + answer[:MOST_ANSWER].replace(b"\r\n", b"\n")).split(mark, MOST_FRAMES * 2)
    frames: list[Frame] = []
    whole = False
    for at, piece in enumerate(pieces):
        head, _, body = piece.partition(b"\n")
        words = head.decode("utf-8", "backslashreplace").split(" ", 2)
        if words[0] == ".":
            continue
        follows = pieces[at + 1].partition(b"\n")[0] if at + 1 < len(pieces) else b""
        code = re.fullmatch(rb"\. ([0-9]{1,3})", follows)
        limit = int(words[1]) if len(words) > 1 and re.fullmatch(r"[0-9]{1,6}", words[1]) else 0
        whole = words[0] == "whole" and code is not None
        frames.append(
            Frame(
                name=words[0],
                argument=words[2].strip() if len(words) > 2 else "",
                text=body[:limit].decode("utf-8", "backslashreplace"),
                code=int(code[1]) if code else None,
                cut=len(body) >= limit > 0,
            )
        )
    greeting = banner[:4096].decode("utf-8", "backslashreplace").strip()
    return Answer(banner=greeting, frames=tuple(frames), whole=whole and len(answer) <= MOST_ANSWER)


_FRAMES = r"""
# shellcheck disable=SC2317,SC2329  # functions are called by name, through `asked`
LC_ALL=C; export LC_ALL
umask 077
exec 3>&1
IFS= read -r nonce; IFS= read -r seconds; IFS= read -r thorough; IFS= read -r gstreamer; IFS= read -r plugins
IFS= read -r registry; IFS= read -r prober
have() { command -v "$1" >/dev/null 2>&1; }
# A board may have busybox without the links that name its applets.
if have busybox; then
    for tool in head dd od hexdump uname id date df sed ls readlink grep timeout sleep; do
        have "$tool" || eval "$tool() { busybox $tool \"\$@\"; }"
    done
fi
# Whether `head -c` and `timeout` are as they should be, answers show that are needed anyway: each program costs time.
release=$(head -c 4096 /etc/os-release 2>/dev/null)
if [ -n "$release" ] || [ "$(printf 'xy' | head -c 1 2>/dev/null)" = x ]; then bound() { head -c "$1"; }
elif [ "$(printf 'xy' | dd bs=1 count=1 2>/dev/null)" = x ]; then
    bound() { dd bs=1 count="$1" 2>/dev/null; }
    release=$(bound 4096 2>/dev/null </etc/os-release)
else bound() { :; }; fi
late=0
if names=$(timeout -k 1 5 uname -s -r -m 2>/dev/null); then limited() { timeout -k 1 "$seconds" "$@"; }
elif names=$(timeout 5 uname -s -r -m 2>/dev/null); then limited() { timeout "$seconds" "$@"; }
elif names=$(timeout -t 5 uname -s -r -m 2>/dev/null); then limited() { timeout -t "$seconds" "$@"; }
else
    names=$(uname -s -r -m 2>/dev/null)
    limited() {
        "$@" & job=$!
        { sleep "$seconds"; kill "$job"; sleep 1; kill -9 "$job"; } >/dev/null 2>&1 & dog=$!
        wait "$job"; ended=$?
        kill "$dog" 2>/dev/null
        return "$ended"
    }
fi
begin() { printf '\n== %s %s\n' "$nonce" "$*"; }
end() { printf '\n== %s . %s\n' "$nonce" "$1"; }
# NAME LIMIT ARGUMENT COMMAND...: what a command prints on both streams, and its exit code.
asked() {
    begin "$1" "$2" "$3"
    limit=$2; shift 3
    if [ "$late" -lt 3 ]; then
        code=$( { { "$@" </dev/null 2>&1 3>&- 4>&-; echo "$?" >&4; } | bound "$limit" >&3; } 4>&1 )
    else
        code=skipped
    fi
    case $code in 124 | 137 | 143) late=$((late + 1)) ;; esac
    end "$code"
}
# NAME LIMIT ARGUMENT COMMAND...: the same of a command whose answer is short by its nature.
direct() { begin "$1" "$2" "$3"; shift 3; "$@" </dev/null 2>&1 3>&-; end "$?"; }
# NAME LINES FILE: a file that the kernel makes, read by the shell itself.
kernel() {
    [ -r "$3" ] || return 0
    begin "$1" 65536 "$3"
    left=$2
    while [ "$left" -gt 0 ] && IFS= read -r line; do printf '%s\n' "$line"; left=$((left - 1)); done <"$3" 2>/dev/null
    end 0
}
plain() { case $1 in *[!A-Za-z0-9/._+:@-]*) return 1 ;; esac; }
"""
_SYSTEM = r"""
basics() {
    printf 'uname %s\n' "$names"
    printf 'id '; id
    printf 'clock '; date +%s
    if [ ! -r /proc/self/smaps ] && have getconf; then printf 'page_size '; getconf PAGESIZE; fi
    printf 'libc %s\n' "$libc"
}
libc=
have getconf && libc=$(getconf GNU_LIBC_VERSION 2>/dev/null)
asked basics 2048 '' basics
begin release 4096 /etc/os-release; printf '%s\n' "$release"; end 0
kernel version 1 /proc/version
kernel hostname 1 /proc/sys/kernel/hostname
kernel uptime 1 /proc/uptime
kernel alignment 8 /proc/cpu/alignment
kernel cpu 24 /proc/cpuinfo
kernel memory 48 /proc/meminfo
kernel mounts 200 /proc/mounts
kernel smaps 8 /proc/self/smaps

# The file and not /proc/self/exe: under an emulator that is the emulator.
shell=/bin/sh
[ -r "$shell" ] || shell=/proc/$$/exe
dump() { head -c 1024 "$shell" | hexdump -v -C; }
if have od && od -An -v -tx1 -N 4 "$shell" >/dev/null 2>&1; then direct elf 6144 od od -An -v -tx1 -N 1024 "$shell"
elif have hexdump; then asked elf 6144 hexdump dump; fi
set --; version=
for path in /lib/ld-* /lib/ld.so* /lib32/ld-* /lib64/ld-* /lib/*/ld-linux* /lib/libc.so* /lib/*/libc.so.6 \
    /lib/libuClibc* /lib/libc-*.so /sbin/init /etc/localtime /usr/lib/libgstreamer-1.0.so.0 \
    /usr/lib/*/libgstreamer-1.0.so.0 /usr/local/lib/libgstreamer-1.0.so.0; do
    if [ -e "$path" ] || [ -L "$path" ]; then set -- "$@" "$path"; fi
    case $path in *'*'*) ;; */libgstreamer*) [ -L "$path" ] && version=linked ;; esac
done
[ "$#" -gt 0 ] && asked links 16384 '' ls -ld "$@"
if [ -n "$libc" ]; then :
elif have ldd; then asked ldd 512 '' limited ldd --version
else
    for path in /lib/ld-musl-*.so.1; do [ -x "$path" ] && asked ldd 512 "$path" limited "$path"; done
    for path in /lib/ld-linux*.so.* /lib64/ld-linux*.so.*; do
        [ -x "$path" ] && asked ldd 512 "$path" limited "$path" --version
    done
fi

begin init 1024
name=; IFS= read -r name 2>/dev/null </proc/1/comm; printf 'comm %s\n' "$name"
for path in /run/systemd/system /sbin/procd /run/openrc /sbin/openrc /etc/inittab /etc/rc.common /etc/init.d \
    /etc/init.d/rcS /.dockerenv; do [ -e "$path" ] && printf 'has %s\n' "$path"; done
end 0

begin time 2048
for path in /proc/[0-9]*/comm; do
    name=; IFS= read -r name 2>/dev/null <"$path"
    case $name in
    chronyd | ntpd | openntpd | systemd-timesyn | sntp | ntpclient | ptp4l | phc2sys | ntpd-rs)
        pid=${path#/proc/}; printf 'daemon %s %s\n' "${pid%/comm}" "$name" ;;
    esac
done 2>/dev/null
for path in /sys/class/rtc/rtc*/since_epoch; do
    [ -r "$path" ] || continue
    value=; IFS= read -r value <"$path" && printf 'rtc %s\n' "$value"
done 2>/dev/null
end 0
if [ -f /etc/TZ ]; then direct timezone 128 /etc/TZ head -c 128 /etc/TZ; fi
if [ -d /run/systemd/system ] && have timedatectl; then asked timedatectl 1024 '' limited timedatectl; fi
if have chronyc; then asked chrony 1024 '' limited chronyc -n tracking; fi

known='/etc/ssl/certs/ca-certificates.crt /etc/ssl/cert.pem /etc/ssl/ca-bundle.pem /etc/pki/tls/certs/ca-bundle.crt
/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem /usr/share/ca-certificates/ca-bundle.crt /etc/cert.pem
/usr/local/share/certs/ca-root-nss.crt'
set --
for path in $known; do [ -s "$path" ] && set -- "$@" "$path"; done
begin ca 2048; for path in "$@"; do printf '%s\n' "$path"; done; end 0
[ "$#" -gt 0 ] && direct certificates 2048 '' grep -c 'BEGIN.* CERTIFICATE-----' /dev/null "$@"

begin tools 4096
for tool in bash busybox tar gzip xz zstd sha256sum sync openssl curl wget systemctl rc-service ubus start-stop-daemon \
    logread journalctl timeout setsid flock v4l2-ctl media-ctl libcamera-hello rpicam-hello cam arecord aplay \
    gst-launch-1.0 gst-inspect-1.0 gst-device-monitor-1.0 ffmpeg gdb strace readelf; do
    have "$tool" && printf '%s\n' "$tool"
done
end 0

while IFS= read -r folder; do
    base=$folder
    while [ -n "$base" ] && [ ! -d "$base" ]; do base=${base%/*}; done
    base=$(cd -P "${base:-/}" 2>/dev/null && pwd)
    begin folder 1024 "$folder"; printf '%s\n' "$base"; end 0
    direct df 1024 "$folder" df -Pk "${base:-/}"
done
"""
_DEVICES = r"""
begin video 4096
for path in /sys/class/video4linux/video*; do
    name=; IFS= read -r name 2>/dev/null <"$path/name" || continue
    printf '/dev/%s %s\n' "${path##*/}" "$name"
done
end 0
nodes=
# The tools are asked where the kernel shows devices, or where they are to be asked anyway.
some() { [ "$thorough" = yes ] || { for path in "$@"; do [ -e "$path" ] && return 0; done; return 1; }; }
if have v4l2-ctl && some /dev/video[0-9]*; then
    nodes=$(limited v4l2-ctl --list-devices 2>&1 </dev/null 3>&- | bound 16384)
    begin v4l2-list 16384; printf '%s\n' "$nodes"; end 0
fi
count=0
set -f
for node in $nodes; do
    case $node in /dev/video[0-9]*) plain "$node" || continue ;; *) continue ;; esac
    count=$((count + 1)); [ "$count" -le 24 ] || break
    asked v4l2 32768 "$node" limited v4l2-ctl -d "$node" --all --list-formats-ext
done
set +f

# Our own program makes the calls of the tools that are missing, and those that tell a sound device's rates. It is run
# where it belongs to who logged in: another's could be anything.
# shellcheck disable=SC3067  # dash, bash and BusyBox have -O
if [ -n "$prober" ] && [ -x "$prober" ] && [ -O "$prober" ]; then :
elif have boardprobe; then prober=boardprobe
else prober=; fi
set --
have v4l2-ctl || { some /dev/video[0-9]* && set -- --video; }
some /dev/snd/* && set -- "$@" --sound
if [ -n "$prober" ] && [ "$#" -gt 0 ]; then asked boardprobe 65536 "$prober" limited "$prober" "$@"; fi

if have arecord && some /proc/asound /dev/snd/*; then asked arecord 8192 '' limited arecord -l; fi
if have aplay && some /proc/asound /dev/snd/*; then asked aplay 8192 '' limited aplay -l; fi
kernel sound-cards 64 /proc/asound/cards
kernel sound-pcm 128 /proc/asound/pcm
count=0
for path in /proc/asound/card[0-9]*/stream[0-9]*; do
    [ -r "$path" ] || continue
    count=$((count + 1)); [ "$count" -le 8 ] || break
    kernel sound-stream 200 "$path"
done

"""
HOLDERS = r"""
holders() {
    # shellcheck disable=SC2012  # BusyBox's find has neither -printf nor -lname
    ls -l /proc/[0-9]*/fd 2>/dev/null | sed -n -e '/^\/proc\//h' -e '/ -> \/dev\/video/{G;s/\n/ /;p;}' \
        -e '/ -> \/dev\/snd\//{G;s/\n/ /;p;}' | while IFS= read -r line; do
        device=${line##* -> }; pid=${device##*/proc/}; pid=${pid%%/*}; device=${device%% *}
        name=; IFS= read -r name 2>/dev/null <"/proc/$pid/comm"
        printf '%s %s %s\n' "$pid" "$device" "$name"
    done
    # Other users' files are not shown to everybody; who has a sound device is.
    for path in /proc/asound/card[0-9]*/pcm[0-9]*[cp]/sub[0-9]*/status; do
        pid=
        while IFS= read -r line; do case $line in owner_pid*) pid=${line##*[: ]} ;; esac; done <"$path"
        [ -n "$pid" ] || continue
        device=${path#/proc/asound/card}; card=${device%%/*}; device=${device#*/pcm}; device=${device%%/*}
        name=; IFS= read -r name 2>/dev/null <"/proc/$pid/comm"
        printf 'owner %s /dev/snd/pcmC%sD%s %s\n' "$pid" "$card" "$device" "$name"
    done 2>/dev/null
}
"""
"""Prints who has devices of video and sound open: `PID DEVICE NAME`, or `owner PID DEVICE NAME` by the kernel."""
_HOLD = r"""
for path in /dev/video[0-9]* /dev/snd/*; do
    [ -e "$path" ] && { asked holders 8192 '' holders; break; }
done
"""
_GSTREAMER = r"""
begin gst-files 32768
for path in /usr/lib/gstreamer-1.0/libgst*.so /usr/lib/*/gstreamer-1.0/libgst*.so; do
    [ -e "$path" ] && printf 'plugin %s\n' "$path"
done
end 0
# Without a folder of ours: read the registry that is there, or scan and keep nothing, for /proc takes no new file. Such
# a scan takes seconds on a slow board, so it gets five times as many.
given=$seconds
if [ -n "$registry" ] && [ -d "$registry" ]; then
    GST_REGISTRY=$registry/probe.bin; export GST_REGISTRY
    [ -f "$GST_REGISTRY" ] || seconds=$((given * 5))
else
    kept=
    for path in "${XDG_CACHE_HOME:-${HOME:-/root}/.cache}"/gstreamer-1.0/registry.*.bin; do
        [ -f "$path" ] && kept=yes
    done
    if [ -n "$kept" ]; then GST_REGISTRY_UPDATE=no; export GST_REGISTRY_UPDATE
    else GST_REGISTRY=/proc/self/none/registry.bin; export GST_REGISTRY; seconds=$((given * 5)); fi
fi
# Our plugin is asked for apart from all others and without a memory: that is fast, and the loader's words come with it.
kvssink() {
    GST_REGISTRY=/proc/self/none/registry.bin; GST_PLUGIN_PATH=$plugins
    GST_PLUGIN_SYSTEM_PATH=/proc/self/none; GST_PLUGIN_SYSTEM_PATH_1_0=/proc/self/none
    export GST_REGISTRY GST_PLUGIN_PATH GST_PLUGIN_SYSTEM_PATH GST_PLUGIN_SYSTEM_PATH_1_0
    limited gst-inspect-1.0 kvssink
}
# Plugins that draw text make fontconfig write its caches, below this folder.
FONTCONFIG_SYSROOT=/proc/self/none; export FONTCONFIG_SYSROOT
# `kept`: only where a registry is there, which makes it fast.
[ "$gstreamer" = kept ] && { [ -n "${kept:-}" ] || [ -f "${GST_REGISTRY:-}" ]; } && gstreamer=yes
if [ "$gstreamer" = yes ] && have gst-inspect-1.0; then
    [ -z "$version" ] && asked gst-version 512 '' limited gst-inspect-1.0 --version
    list=$(limited gst-inspect-1.0 2>&1 </dev/null 3>&- | bound 262144)
    [ -f "$GST_REGISTRY" ] && seconds=$given
    begin gst-list 262144; printf '%s\n' "$list"; end 0
    case $list in
    *'blacklist entr'*) asked gst-blacklist 4096 '' limited gst-inspect-1.0 -b ;;
    *'Total count'*) ;;
    *) late=$((late + 1)) ;;
    esac
    [ -n "$plugins" ] && asked gst-kvssink 16384 "$plugins" kvssink
    if have gst-device-monitor-1.0 && some /proc/asound /dev/snd/* /dev/video[0-9]*; then
        asked gst-devices 65536 '' limited gst-device-monitor-1.0
    fi
fi
begin whole 0; end 0
exit 0
"""
PROBE_SCRIPT = _FRAMES + _SYSTEM + _DEVICES + HOLDERS + _HOLD + _GSTREAMER
END = "# end of the probe"
# dropbear refuses a long command ("String too long"), and the script has over 10 KB: it travels on stdin, first of all.
# The shell's own `read` takes a byte at a time from a pipe, so what follows the script is still there for it.
START_SCRIPT = f"""
code=
while IFS= read -r line && [ "$line" != '{END}' ]; do code="$code$line
"; done
eval "$code"
"""

"""What runs on a board in a drill: POSIX sh and BusyBox. Whatever is changed there puts itself back, by its own timer.

Before something is changed, the command that changes it back is written down. It is carried out when the time is over,
on SIGTERM, and by whoever asks for it; a reboot ends all of it, since nothing is written but into memory.
"""

from __future__ import annotations

FOLDER = "/var/run/boardcast-drill"
"""On the board: in memory."""
_HOLD = r"""
# $1 `can`, `hold` or `undo`; $2 our folder in memory; $3 seconds; then what the fault needs.
verb=$1 dir=$2 seconds=$3
shift 3
umask 077
mkdir -p "$dir" || exit 70
changed() { # a command that takes back what comes next; the last one is carried out first
    { echo "$1"; cat "$dir/undo" 2>/dev/null || :; } > "$dir/undo.new" && mv -f "$dir/undo.new" "$dir/undo"
}
undo() {
    [ ! -f "$dir/undo" ] || sh "$dir/undo" > /dev/null 2>&1
    rm -f "$dir/undo" "$dir/pid" "$dir/begun"
}
sleeper=''
over() { [ -z "$sleeper" ] || kill "$sleeper" 2>/dev/null; undo; rm -rf "$dir"; exit 0; }
hold() {
    echo $$ > "$dir/pid"
    trap over TERM INT HUP QUIT
    if ! said=$(can "$@"); then
        echo "cannot $said" > "$dir/said"; cat "$dir/said"
        return 3
    fi
    if ! made=$(make "$@" 2>&1); then
        undo
        echo "cannot ${made:-it failed}" > "$dir/said"; cat "$dir/said"
        return 3
    fi
    echo "begun $said" > "$dir/said"; cat "$dir/said"
    sleep "$seconds" > /dev/null 2>&1 & sleeper=$!
    wait "$sleeper"
    sleeper=''
    over
}
"""
_VERBS = r"""
case $verb in
    can) can "$@" ;;
    hold) hold "$@" ;;
    undo)
        pid=''
        { read -r pid < "$dir/pid"; } 2>/dev/null
        [ -z "$pid" ] || kill -s TERM "$pid" 2>/dev/null
        left=5
        while [ -n "$pid" ] && [ "$left" -gt 0 ] && [ -f "$dir/pid" ]; do sleep 1; left=$((left - 1)); done
        undo
        rm -rf "$dir"
        ;;
esac
"""
# Who watches the board stays in: packets to the peer of this very session, from the port that it came to. Addresses
# that are on the board's own network are reached without a gateway, so routes shut them out one by one.
# https://wiki.nftables.org, iptables(8), ip-route(8)
CUT = (
    _HOLD
    + r"""
# $1 address of who is logged in, $2 port of the board's SSH server, then names and addresses of the service.
addresses() {
    for name in "$@"; do
        case $name in
            *[!0-9.]*)
                case $name in *:*) echo "$name"; continue ;; esac
                while read -r address names; do
                    for one in $names; do [ "$one" != "$name" ] || echo "$address"; done
                done < /etc/hosts
                ;;
            *) echo "$name" ;;
        esac
    done
    { netstat -tn || ss -tn; } 2>/dev/null | sed -n 's/.* \[\{0,1\}\([0-9a-fA-F.:]*\)\]\{0,1\}:443 .*/\1/p'
}
way() {
    # A kernel may lack what a tool is for: only a try tells. 192.0.2.0/24 is nobody's, RFC 5737.
    if nft 'add table inet boardcast_try; delete table inet boardcast_try'; then
        echo nft
    elif iptables -w -N BOARDCAST-TRY && iptables -w -X BOARDCAST-TRY; then
        echo iptables
    elif ip route add blackhole 192.0.2.255/32 && ip route del blackhole 192.0.2.255/32; then
        echo routes
    fi
} > "$dir/way" 2>/dev/null
can() {
    [ "$(id -u)" = 0 ] || { echo "who logs in is not root"; return 3; }
    how=''
    way
    read -r how < "$dir/way"
    [ -n "$how" ] || { echo "neither nft, iptables nor ip can shut packets out here"; return 3; }
    if [ "$how" = routes ]; then
        peer=$1
        shift 2
        for address in $(addresses "$@"); do
            [ "${address#::ffff:}" != "$peer" ] || {
                echo "the service is at $peer, from where this session comes: routes cannot tell the two apart"
                return 3
            }
        done
    fi
    echo "$how"
}
make() {
    read -r how < "$dir/way"
    case $how in
        nft) by_nft "$@" ;;
        iptables) by_iptables "$@" ;;
        routes) by_routes "$@" ;;
    esac
}
by_nft() {
    family=ip
    case $1 in *:*) family=ip6 ;; esac
    changed 'nft delete table inet boardcast_drill'
    nft "add table inet boardcast_drill
add chain inet boardcast_drill out { type filter hook output priority 0; policy accept; }
add rule inet boardcast_drill out oifname lo accept
add rule inet boardcast_drill out $family daddr $1 tcp sport $2 accept
add rule inet boardcast_drill out drop"
}
by_iptables() {
    for tool in iptables ip6tables; do
        command -v "$tool" > /dev/null || continue
        chain=BOARDCAST-DRILL
        "$tool" -w -N "$chain" 2>/dev/null || { [ "$tool" = ip6tables ] && continue; return 1; }
        changed "$tool -w -X $chain"
        changed "$tool -w -F $chain"
        "$tool" -w -A "$chain" -o lo -j RETURN || return 1
        case $tool:$1 in
            iptables:*:*) ;;
            iptables:* | ip6tables:*:*) "$tool" -w -A "$chain" -d "$1" -p tcp --sport "$2" -j RETURN || return 1 ;;
        esac
        "$tool" -w -A "$chain" -j DROP || return 1
        changed "$tool -w -D OUTPUT -j $chain"
        "$tool" -w -I OUTPUT 1 -j "$chain" || return 1
    done
}
by_routes() {
    peer=$1
    shift 2
    # Whoever comes by a gateway keeps a route of its own.
    said=$(ip route get "$peer" 2>/dev/null)
    case $said in
        *" via "*" dev "*)
            gate=${said#* via } card=${said#* dev }
            changed "ip route del $peer"
            ip route add "$peer" via "${gate%% *}" dev "${card%% *}" || return 1
            ;;
    esac
    shut() { changed "ip $1 route del blackhole $2"; ip $1 route add blackhole "$2"; }
    for address in $(addresses "$@" | sort -u); do
        case $address in
            ::ffff:*) shut '' "${address#::ffff:}/32" ;;
            *:*) shut -6 "$address/128" ;;
            127.*) ;;
            *) shut '' "$address/32" ;;
        esac
    done 2>/dev/null
    # All else, by two routes that are nearer than the default one and farther than the board's own network.
    shut '' 0.0.0.0/1 && shut '' 128.0.0.0/1 || return 1
    case $peer in *:*) ;; *) shut -6 2000::/3 2>/dev/null || : ;; esac
}
"""
    + _VERBS
)
# A camera that is gone: one on USB is switched off at its port, any other is taken from its driver.
# https://docs.kernel.org/usb/authorization.html
CAMERA = (
    _HOLD
    + r"""
# $1 where sysfs is, then the cameras' devices.
place() { # DEVICE: the file to write to, and what takes it away and gives it back
    name=$(readlink -f "$2") name=${name##*/}
    device=$(readlink -f "$1/class/video4linux/$name/device") || return 1
    [ -n "$device" ] && [ -d "$device" ] || return 1
    above=$device
    while [ "$above" != / ] && [ -n "$above" ]; do
        if [ -w "$above/authorized" ] && [ -e "$above/idVendor" ]; then
            take="echo 0 > '$above/authorized'" give="echo 1 > '$above/authorized'"
            return 0
        fi
        above=${above%/*}
    done
    driver=$(readlink -f "$device/driver") || return 1
    [ -w "$driver/unbind" ] && [ -w "$driver/bind" ] || return 1
    take="echo '${device##*/}' > '$driver/unbind'" give="echo '${device##*/}' > '$driver/bind'"
}
can() {
    [ "$(id -u)" = 0 ] || { echo "who logs in is not root"; return 3; }
    sys=$1
    shift
    for camera in "$@"; do
        place "$sys" "$camera" || { echo "the driver of $camera cannot let go of it"; return 3; }
    done
    echo "$take"
}
make() {
    sys=$1
    shift
    for camera in "$@"; do
        place "$sys" "$camera" || return 1
        changed "$give"
        eval "$take" || return 1
    done
}
"""
    + _VERBS
)
# A source that is part of the program: the program stands still, as it does whose camera gives no picture.
STANDSTILL = (
    _HOLD
    + r"""
# Process ids, each with its birth.
same() {
    stat=''
    read -r stat 2>/dev/null < "/proc/${1%:*}/stat" || return 1
    birth=${1#*:}
    set -- ${stat##*) }
    [ $((${20} - birth)) -le 10 ] && [ $((birth - ${20})) -le 10 ]
}
can() {
    for one in "$@"; do same "$one" || { echo "process ${one%:*} runs no more"; return 3; }; done
    echo "$#"
}
make() {
    for one in "$@"; do
        changed "kill -s CONT ${one%:*}"
        kill -s STOP "${one%:*}" || return 1
    done
}
"""
    + _VERBS
)
# Starts a script that holds a fault, in a session of its own, so that it outlives this one: its timer is on the board.
DETACH = r"""
# $1 our folder in memory, then the words of the script; stdin: the script.
dir=$1
shift
umask 077
rm -rf "$dir"
mkdir -p "$dir" || exit 70
cat > "$dir/fault"
have() { command -v "$1" > /dev/null 2>&1; }
set -- /bin/sh "$dir/fault" "$@"
if have setsid; then
    setsid "$@" < /dev/null > /dev/null 2>&1 &
elif have nohup; then
    nohup "$@" < /dev/null > /dev/null 2>&1 &
else
    (trap '' HUP; exec "$@") < /dev/null > /dev/null 2>&1 &
fi
left=20
while [ ! -s "$dir/said" ] && [ "$left" -gt 0 ]; do sleep 1; left=$((left - 1)); done
cat "$dir/said" 2>/dev/null || { echo "cannot start"; exit 3; }
"""
# $1 our folder in memory.
UNDO = r"""
[ ! -f "$1/fault" ] || sh "$1/fault" undo "$1" 0
"""
# $1 our folder on the board; stdin: services. Says which process was killed.
KILL = r"""
while read -r service; do
    pid=$(sh "$1/applied/$service/status" < /dev/null 2>/dev/null | sed -n 's/^pid=\([0-9][0-9]*\)$/\1/p' | head -n 1)
    [ -n "$pid" ] && [ "$pid" -gt 1 ] || { echo "none $service"; continue; }
    if kill -s KILL "$pid" 2>/dev/null; then echo "killed $service $pid"; else echo "none $service"; fi
done
exit 0
"""
# Which start of the board this is: the kernel's word for it, and when process 1 was born, which a container has anew.
BOOT = r"""
boot='' stat=''
{ read -r boot < /proc/sys/kernel/random/boot_id; read -r stat < /proc/1/stat; } 2>/dev/null
set -- ${stat##*) }
echo "boot=$boot.${20}"
[ "$(id -u)" = 0 ] && echo root=yes
command -v reboot > /dev/null 2>&1 && echo reboot=yes
exit 0
"""
REBOOT = r"""
(trap '' HUP; sleep 1; exec reboot) < /dev/null > /dev/null 2>&1 &
"""
# Where this session comes from, and births of processes. $@ process ids.
PEER = r"""
echo "$SSH_CONNECTION"
for pid in "$@"; do
    stat=''
    { read -r stat < "/proc/$pid/stat"; } 2>/dev/null || continue
    rest=${stat##*) }
    echo "born $pid $(set -- $rest; echo "${20}")"
done
exit 0
"""

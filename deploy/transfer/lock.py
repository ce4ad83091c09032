"""Who holds a board: one deploy at a time, from its first write to its last.

Who holds the lock is the process of the SSH server that has the connection: it lives as long as all the commands of a
deploy, and not longer.
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
boot=''; { read -r boot < /proc/sys/kernel/random/boot_id; } 2>/dev/null
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
ITSELF = "the board itself, at its start"
"""Who takes a release back, and puts in its services, where the power went while one was on trial."""
LOCK = (
    HOLDER
    + r"""
lock() {
    # $1: who we are, and since when. What a board does at its start is over soon: that is waited for.
    tries=0 waited=0
    until mkdir "$root/.lock" 2>/dev/null; do
        [ -d "$root/.lock" ] || { mkdir "$root/.lock" || exit 70; break; }
        if keeper=$(held "$root/.lock"); then
            case $keeper in
                "ITSELF"*) waited=$((waited + 1)); [ "$waited" -gt 60 ] || { sleep 1; continue; } ;;
            esac
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
""".replace("ITSELF", ITSELF)
)
SILENT_SECONDS = 30
"""A deploy whose connection brings nothing for so long is over: one that lives asks its board every 5 s."""
WATCH = (
    HOLDER
    + r"""
# $1 our folder. Prints what became of who holds the lock: `free`, `alive`, or `ended` where its workstation is gone and
# the connection still stands. What its SSH server reads is counted by the kernel; SSH's own questions are among it.
root=$1
counted() {
    count=''
    while read -r name value; do
        case $name in rchar: | voluntary_ctxt_switches:) count=$count$value ;; esac
    done 2>/dev/null < "/proc/$owner/$1"
    echo "$count"
}
held "$root/.lock" > /dev/null || { echo free; exit 0; }
source=io
[ -n "$(counted io)" ] || source=status
before=$(counted "$source")
[ -n "$before" ] || { echo alive; exit 0; }
left=SECONDS
while [ "$left" -gt 0 ]; do
    sleep 1
    held "$root/.lock" > /dev/null || { echo free; exit 0; }
    [ "$(counted "$source")" = "$before" ] || { echo alive; exit 0; }
    left=$((left - 1))
done
kill "$owner" 2>/dev/null
sleep 1
kill -9 "$owner" 2>/dev/null
echo ended
exit 0
"""
).replace("SECONDS", str(SILENT_SECONDS))

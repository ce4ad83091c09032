# Starts and stops the supervising loop where no init system does that by itself. The loop writes its own process id.
# PROCESS: when it was born, in the kernel's own count.
born() {
    stat=''
    read -r stat 2>/dev/null <"/proc/$1/stat" || return 1
    # shellcheck disable=SC2086  # numbers, cut at blanks
    set -- ${stat##*) }
    born=${20}
}
# BORN SINCE: the same birth, in ticks. An emulator of user programs may be a tick off for a process of its own.
same_birth() {
    case $1$2 in '' | *[!0-9]*) return 1 ;; esac
    [ -n "$1" ] && [ -n "$2" ] && [ $(($1 - $2)) -le 10 ] && [ $(($2 - $1)) -le 10 ]
}
alive() {
    holder='' since_boot=''
    read -r holder since_boot 2>/dev/null <"$state/supervisor" || return 1
    born "$holder" && same_birth "$born" "$since_boot"
}
# PROCESS: it is the service's user's. The file that names it is that user's too, and may name any process.
own() {
    # shellcheck disable=SC2046,SC2012  # the owner's number, in a column of its own
    set -- $(ls -ldn "/proc/$1" 2>/dev/null)
    [ "${3:-}" = "$(id -u "$user")" ]
}
# A fifth of a second, or a whole one where sleep takes no fraction; `naps` is how many make a second.
naps=5
sleep 0.01 2>/dev/null || naps=1
nap() { if [ "$naps" = 5 ]; then sleep 0.2; else sleep 1; fi; }
have() { command -v "$1" >/dev/null 2>&1; }
# The loop in the background, in a session of its own, as the service's user.
background() {
    if have start-stop-daemon; then
        set -- -S -b -p "$state/none" -x /bin/sh
        [ "$(id -un)" = "$user" ] || set -- "$@" -c "$user"
        start-stop-daemon "$@" -- "$script"
        return
    fi
    set -- /bin/sh "$script"
    # shellcheck disable=SC2016  # for the other shell
    [ "$(id -un)" = "$user" ] || set -- su -s /bin/sh -c 'exec /bin/sh "$0"' "$user" "$script"
    # Started from a log-in over SSH, it must outlive that.
    if have setsid; then
        setsid "$@" </dev/null >/dev/null 2>&1 &
    elif have nohup; then
        nohup "$@" </dev/null >/dev/null 2>&1 &
    else
        (trap '' HUP; exec "$@") </dev/null >/dev/null 2>&1 &
    fi
}
start() {
    if alive; then echo "$name runs already"; return 0; fi
    make_folders || return 1
    background || return 1
    left=$((30 * naps))
    while ! alive; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || { echo "$name did not start" >&2; return 1; }
        nap
    done
}
stop() {
    alive && own "$holder" || return 0
    # Not SIGINT: a shell that was started with & ignores it, and cannot change that. To the loop the two are the same.
    kill -s TERM "$holder" 2>/dev/null
    left=$((stop_seconds * naps))
    while alive && [ "$left" -gt 0 ]; do
        nap
        left=$((left - 1))
    done
    alive && own "$holder" || return 0
    kill -s KILL "$holder" 2>/dev/null
    read -r holder since_boot 2>/dev/null <"$state/program" || return 0
    if born "$holder" && same_birth "$born" "$since_boot" && own "$holder"; then kill -s KILL "$holder" 2>/dev/null; fi
}
case ${1:-} in
    start | stop) "$1" ;;
    restart | reload) stop && start ;;
    status)
        cat "$state/state" 2>/dev/null
        alive
        ;;
    *)
        echo "usage: $0 start|stop|restart|status" >&2
        exit 2
        ;;
esac

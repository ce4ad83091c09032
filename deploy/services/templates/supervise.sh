# Starts the program, waits for its end and starts it again: 1, 2, 4 … seconds later, and never gives up. What happened is
# in the log and in $state/state. SIGINT, SIGTERM and SIGQUIT end it: the program gets SIGINT, then SIGTERM, then SIGKILL.
# It runs as the service's user, for every init system alike; the init system watches over this loop.
set -u
umask 077
exec 3>&2
stopping='' wanted='' pid='' sleeper='' logger='' killer='' watcher='' stalled='' nap=''
restarts=0 last='' reason='' since=0 wait=$first_wait phase=waiting

up() { read -r now _ </proc/uptime; now=${now%%.*}; }
clock() { date +%s; }
# PROCESS: when it was born, in the kernel's own count: a number that was given anew has another.
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
# FILE: the process that it names, if that still runs.
alive() {
    holder='' since_boot=''
    read -r holder since_boot 2>/dev/null <"$1" || return 1
    born "$holder" && same_birth "$born" "$since_boot"
}
say() {
    line="$(date -u +%Y-%m-%dT%H:%M:%SZ) $name: $1"
    { printf '%s\n' "$line" >&3; } 2>/dev/null
    [ -z "$logger" ] || { printf '%s\n' "$line" >&4; } 2>/dev/null
}
report() {
    [ "$phase" = "$1" ] || since=$(clock)
    phase=$1
    printf '%s\n' "state=$1" "pid=$pid" "since=$since" "restarts=$restarts" "last_exit=$last" "reason=$reason" \
        >"$state/.state" && mv -f "$state/.state" "$state/state"
}
# SIGKILL for what sleeps: a process that was just forked loses any other signal.
pause() {
    [ -z "$stopping" ] || return 0
    sleep "$1" 3>&- 4>&- & sleeper=$!
    [ -n "$stopping" ] || wait "$sleeper" 2>/dev/null
    kill -s KILL "$sleeper" 2>/dev/null
    sleeper=''
}

# The log: two generations, changed at the end of a line. dd writes what it reads at once, and in whole.
keep_log() {
    trap '' INT TERM HUP QUIT
    exec 3>&-
    while :; do
        size=0
        [ ! -f "$log" ] || size=$(wc -c <"$log") || size=0
        if [ "$size" -ge "$limit" ]; then
            if [ "$(tail -c 1 "$log" | wc -l)" -gt 0 ] || [ "$size" -ge $((limit + 65536)) ]; then
                mv -f "$log" "$log.1" && size=0
            fi
        fi
        reads=$(((limit - size) / 4096 + 1))
        [ "$reads" -ge 1 ] || reads=1
        [ "$reads" -le 256 ] || reads=256
        told=$(LC_ALL=C dd bs=4096 count="$reads" 2>&1 >>"$log") || {
            # No room: the older generation makes some. The program must not stand still for its log's sake.
            rm -f "$log.1"
            told=$(LC_ALL=C dd bs=4096 count=16 2>&1 >/dev/null)
        }
        case $told in 0+0*) return ;; esac
    done
}
open_log() {
    [ -z "$logger" ] || exec 4>&-
    rm -f "$state/pipe"
    { printf '' >>"$log"; } 2>/dev/null
    mkfifo "$state/pipe" || return 1
    keep_log <"$state/pipe" 2>/dev/null & logger=$!
    exec 4>"$state/pipe"
}
# It ends when nobody holds the pipe any more; what the program left running elsewhere may.
give_up() {
    trap '[ -z "$nap" ] || kill "$nap" 2>/dev/null; exit 0' TERM
    sleep 2 & nap=$!
    wait "$nap"
    kill -s KILL "$logger" 2>/dev/null
}
last_words() { tail -n 1 "$log" 2>/dev/null | tr -d '\000-\037\177' | cut -c 1-200; }

# A group by its negative number: some shells take it behind -- alone; BusyBox's takes no --, sends all the same, and says
# that it failed: the program would get the signal twice.
dashes=''
if kill -0 -- $$ 2>/dev/null; then dashes=--; fi
# shellcheck disable=SC2086  # one word or none
group() { kill -s "$1" $dashes "-$pid" 2>/dev/null; }
send() { group "$1" || kill -s "$1" "$pid" 2>/dev/null; }
step() { say "still there: SIG$1"; send "$1"; }
# Runs beside, and only as long as the program does: its number may soon be another's.
insist() {
    trap '[ -z "$nap" ] || kill "$nap" 2>/dev/null; exit 0' TERM
    sleep "$int_seconds" 3>&- 4>&- & nap=$!
    wait "$nap"
    alive "$state/program" || return
    step TERM
    sleep "$term_seconds" 3>&- 4>&- & nap=$!
    wait "$nap"
    alive "$state/program" || return
    step KILL
}
end_program() {
    [ -n "$pid" ] && [ -z "$killer" ] || return 0
    send INT
    insist & killer=$!
}
on_stop() {
    first=$stopping stopping=$1
    [ -n "$first" ] || say "told to stop by SIG$1"
    end_program
    [ -z "$sleeper" ] || kill -s KILL "$sleeper" 2>/dev/null
}
on_stall() {
    [ -z "$stopping$stalled" ] || return 0
    stalled="stalled: its log had nothing like $stall_pattern for $stall_seconds s"
    say "$stalled"
    end_program
}
# A loop before this one was killed, and left the program behind: two of them would fight for the camera.
end_orphan() {
    alive "$state/program" || return 0
    pid=$holder
    say "process $pid of an earlier loop still runs: stopping it"
    send INT
    left=$int_seconds
    while alive "$state/program" && [ "$left" -gt 0 ]; do sleep 1; left=$((left - 1)); done
    if alive "$state/program"; then step TERM; fi
    left=$term_seconds
    while alive "$state/program" && [ "$left" -gt 0 ]; do sleep 1; left=$((left - 1)); done
    if alive "$state/program"; then step KILL; fi
    pid=''
}

has_route() {
    while read -r _ to _ _ _ _ _ mask _; do
        [ "$to$mask" != 0000000000000000 ] || return 0
    done 2>/dev/null </proc/net/route
    while read -r to bits _ _ _ _ _ _ _ card; do
        [ "$to$bits" != 0000000000000000000000000000000000 ] || [ "$card" = lo ] || return 0
    done 2>/dev/null </proc/net/ipv6_route
    return 1
}
has_clock() { [ "$(clock)" -ge "$clock_floor" ]; }
# TEST WHAT: waits for it, with a bound.
await() {
    up
    until=$((now + patience)) before=$reason
    while ! "$1" && [ -z "$stopping" ]; do
        up
        if [ "$now" -ge "$until" ]; then
            say "no $2 within $patience s: starting without"
            break
        fi
        reason="waits for $2"
        report waiting
        pause 2
    done
    reason=$before
}

# The working folder holds what can be made again; of more than its bound, the files in it go.
bound_folder() {
    used=$(du -sk "$work" 2>/dev/null) || return 0
    [ "${used%%[!0-9]*}" -gt "$work_kib" ] || return 0
    say "more than $work_kib KiB in $work: its files are removed"
    for file in "$work"/* "$work"/.[!.]*; do
        case $file in "$log" | "$log.1" | "$environment_file") continue ;; esac
        [ ! -f "$file" ] || rm -f "$file"
    done
}
# What is to run: the launch script of the release that the services were put in from last. `current` is ahead of it for
# a moment of each deploy, and stays so where the power is cut in that moment: what streams is the old release then,
# whole, or the new one. A stream that this release has not, or not any more, waits.
choose() {
    [ -n "$wanted" ] || wanted=$command
    command=$wanted serving=''
    { read -r serving <"${wanted%/current/run/*}/.serving"; } 2>/dev/null
    case $serving in
        '' | */* | .*) ;;
        nothing) command=${wanted%/current/run/*}/releases/nothing/run/${wanted##*/} ;;
        *)
            [ ! -d "${wanted%/current/run/*}/releases/$serving" ] ||
                command=${wanted%/current/run/*}/releases/$serving/run/${wanted##*/}
            ;;
    esac
}
launch() {
    choose
    kill -0 "$logger" 2>/dev/null || open_log || return 1
    bound_folder
    cd "$work" 2>/dev/null || { reason="no folder $work"; return 1; }
    [ -x "$command" ] || { reason="no program $command"; return 1; }
    set -- "$command"
    # A shell lets what it starts with & ignore SIGINT; a program that wants it asks for it. env can take that back, and
    # takes a word with = for a variable.
    case $command in *=*) ;; *) [ -z "$default_int" ] || set -- env --default-signal=INT "$@" ;; esac
    [ -z "$own_group" ] || set -- setsid "$@"
    say "started, restarts so far: $restarts"
    # In a process of its own, which then becomes the program: no variable of the file meets one of this loop.
    (read_environment || exit 78; exec "$@") </dev/null >&4 2>&1 3>&- 4>&- & pid=$!
    born "$pid" && echo "$pid $born" >"$state/program"
    report running
    if [ -n "$stall_pattern" ]; then watch 3>&- 4>&- & watcher=$!; fi
    [ -z "$stopping" ] || end_program
}
hits() { cat <&5 | LC_ALL=C grep -c -E -e "$stall_pattern"; }
# Looks at what the log has anew, through a file that stays open: nothing is read twice.
watch() {
    trap '[ -z "$nap" ] || kill "$nap" 2>/dev/null; exit 0' TERM
    tick=$((stall_seconds / 4))
    [ "$tick" -le 15 ] || tick=15
    command exec 5<"$log" || return
    cat <&5 >/dev/null
    up
    seen=$now
    while :; do
        sleep "$tick" 5<&- & nap=$!
        wait "$nap"
        alive "$state/program" || return
        matches=$(hits)
        if [ -f "$log" ] && ! [ "$log" -ef /proc/self/fd/5 ]; then
            # Another generation has begun: the rest of the old one counts too.
            matches=$((matches + $(hits)))
            command exec 5<"$log" && matches=$((matches + $(hits)))
        fi
        up
        if [ "$matches" -gt 0 ]; then
            seen=$now
        elif [ $((now - seen)) -ge "$stall_seconds" ]; then
            kill -s USR1 $$
            return
        fi
    done
}
# What the log has from the last start on.
this_run() {
    tail -c 16384 "$log" 2>/dev/null | LC_ALL=C sed -n -e H -e "/^[0-9TZ:-]* $name: started, /h" -e '${x;p;}'
}
await_end() {
    while :; do
        wait "$pid" 2>/dev/null
        last=$?
        kill -0 "$pid" 2>/dev/null || break
    done
    # A signal that came in together with the end: the first answer was its number. 127: nothing more is known.
    wait "$pid" 2>/dev/null
    again=$?
    [ "$again" -eq 127 ] || last=$again
    [ -z "$killer" ] || kill "$killer" 2>/dev/null
    [ -z "$watcher" ] || kill "$watcher" 2>/dev/null
    # What the program itself left running would hold the camera.
    group KILL
    pid='' killer='' watcher=''
    rm -f "$state/program"
}
# Says why the program ended, and returns whether starting it again may help.
judge() {
    if [ "$last" -gt 128 ]; then reason="killed by signal $((last - 128))"; else reason="ended with exit code $last"; fi
    [ -z "$stalled" ] || reason=$stalled
    # The log is written by another process: the wait before a restart, of which this is the first second, is enough.
    pause 1
    for code in $incurable_exits; do
        [ "$code" != "$last" ] || { reason="exit code $last, which a restart does not cure: $(last_words)"; return 1; }
    done
    for_each_incurable
}
# PATTERN MEANING
incurable() {
    this_run | LC_ALL=C grep -q -E -e "$1" || return 0
    reason="$2, which a restart does not cure"
    return 1
}

# A trap, and not to ignore it: what is started from here gets the default back.
trap : PIPE HUP
trap 'on_stop INT' INT
trap 'on_stop TERM' TERM
trap 'on_stop QUIT' QUIT
trap on_stall USR1
mkdir -p "$state" 2>/dev/null
# `[ -w ]` says yes to root on a file system that is mounted to be read only: only a try tells.
(: >"$state/.try") 2>/dev/null && rm -f "$state/.try" || { echo "$name: cannot write in $state" >&2; exit 70; }
if alive "$state/supervisor"; then
    echo "$name: process $holder does this already" >&2
    exit 0
fi
# Read by another process: of itself a program under user emulation reads when the emulator was ready, on a busy machine
# long after the kernel's own count.
stat=$(cat "/proc/$$/stat" 2>/dev/null)
# shellcheck disable=SC2086  # numbers, cut at blanks
set -- ${stat##*) }
[ -z "${20:-}" ] || echo "$$ ${20}" >"$state/supervisor"
own_group='' default_int=''
if setsid true 2>/dev/null; then own_group=yes; fi
if env --default-signal=INT true 2>/dev/null; then default_int=yes; fi
open_log || { echo "$name: cannot make a pipe in $state" >&2; exit 70; }
if [ -n "$stall_pattern" ]; then
    echo | LC_ALL=C grep -q -E -e "$stall_pattern"
    [ $? -lt 2 ] || { say "the stall rule is no regular expression: $stall_pattern"; stall_pattern=''; }
fi
end_orphan
if [ -z "${CREDENTIALS_DIRECTORY:-}" ]; then
    rm -rf "$state/credentials"
    link_credentials
fi
while [ -z "$stopping" ]; do
    [ -z "$needs_network" ] || await has_route "default route"
    [ -z "$needs_clock" ] || await has_clock "clock past $clock_floor"
    [ -z "$stopping" ] || break
    up
    begun=$now stalled=''
    if launch; then await_end; cured=yes; else last=127; cured=no; fi
    [ -z "$stopping" ] || break
    up
    ran=$((now - begun))
    [ "$ran" -lt "$steady_seconds" ] || wait=$first_wait
    report restarting
    if [ "$cured" = no ] || judge; then
        pending=$wait
        wait=$((wait * 2))
        [ "$wait" -le "$longest_wait" ] || wait=$longest_wait
        next=restarting
    else
        pending=$retry_seconds next=failed
    fi
    [ -z "$stopping" ] || break
    restarts=$((restarts + 1))
    say "$reason, after $ran s: restart $restarts in $pending s"
    report "$next"
    [ "$cured" = no ] || pending=$((pending - 1))
    [ "$pending" -le 0 ] || pause "$pending"
done
reason="stopped by SIG$stopping"
say "stopped"
report stopped
exec 4>&-
give_up & sleeper=$!
wait "$logger" 2>/dev/null
kill "$sleeper" 2>/dev/null
wait "$sleeper" 2>/dev/null
rm -f "$state/pipe" "$state/supervisor"
exit 0

"""One sample of a board: memory, descriptors, threads and processor time of its services, heat, and how they are.

One round trip a sample, so nothing of it stays on the board: neither a file nor a process. POSIX sh and BusyBox are
enough. https://man7.org/linux/man-pages/man5/proc.5.html
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deploy.boards.session import BoardSession
from deploy.bundle.manifest import ServiceRow
from deploy.services.systems import ServiceState, parse_status
from deploy.verify.facts import read_report
from deploy.verify.script import SERVICE_LOOK
from recipes.errors import PreflightError
from recipes.text import one_line

TICKS = 100
"""Of processor time in a second: USER_HZ, which is 100 on every architecture that boards have."""
_SAMPLE_BYTES = 1 << 20
# $1 the mark, $2 our folder. stdin: a service a line, with the file that its program writes of itself, - for none. A
# service is its program and all that this started; the loop that watches over it is the program's parent.
SAMPLE = (
    r"""
mark=$1 root=$2
part() { echo; echo "@$mark $*"; }
part board
up=''; { read -r up rest < /proc/uptime; } 2>/dev/null
echo "uptime=$up"
while read -r name value rest; do
    case $name in MemAvailable: | MemFree: | Buffers: | Cached:) echo "${name%:}=$value" ;; esac
done < /proc/meminfo
for zone in /sys/class/thermal/thermal_zone*; do
    heat='' kind='' least=''
    { read -r heat < "$zone/temp"; } 2>/dev/null || continue
    { read -r kind < "$zone/type"; } 2>/dev/null
    for trip in "$zone"/trip_point_*_type; do
        limit=''
        { read -r limit < "$trip"; } 2>/dev/null
        case $limit in passive | hot | critical) ;; *) continue ;; esac
        { read -r limit < "${trip%type}temp"; } 2>/dev/null || continue
        case $limit in '' | *[!0-9]* | 0) continue ;; esac
        if [ -z "$least" ] || [ "$limit" -lt "$least" ]; then least=$limit; fi
    done
    echo "zone=$heat ${least:--} ${zone##*/} $kind"
done
pairs=''
parents() { # all processes, each with its parent: a name may have blanks and brackets
    for stat in /proc/[0-9]*/stat; do
        line=''
        { read -r line < "$stat"; } 2>/dev/null || continue
        number=${stat#/proc/}
        set -- ${line##*) }
        pairs="$pairs ${number%/stat}:$2"
    done
}
family() { # PROCESS: it, and all that is below it
    found=" $1 " grown=yes
    while [ -n "$grown" ]; do
        grown=''
        for pair in $pairs; do
            case $found in *" ${pair%%:*} "*) continue ;; esac
            case $found in *" ${pair#*:} "*) found="$found${pair%%:*} " grown=yes ;; esac
        done
    done
}
process() { # KIND PROCESS
    rss=- threads=- open=- line=''
    while read -r key value rest; do
        case $key in VmRSS:) rss=$value ;; Threads:) threads=$value ;; esac
    done 2>/dev/null < "/proc/$2/status" || return
    { read -r line < "/proc/$2/stat"; } 2>/dev/null || return
    name=${line#*\(} kind=$1 number=$2
    set -- "/proc/$2/fd"/*
    case $1 in */fd/\*) ;; *) open=$# ;; esac
    echo "$kind=$number $rss $threads $open ${line##*) }|${name%)*}"
}
"""
    + SERVICE_LOOK
    + r"""
parents
while read -r service file; do
    part "service $service"
    said=$(look "$service" "$file")
    echo "$said"
    part "processes $service"
    pid=$(echo "$said" | sed -n '/^report=/d;s/^pid=\([0-9][0-9]*\)$/\1/p' | head -n 1)
    [ -n "$pid" ] && [ -d "/proc/$pid" ] || continue
    loop=''
    for pair in $pairs; do case $pair in "$pid":*) loop=${pair#*:} ;; esac; done
    case $loop in '' | 0 | 1) ;; *) process loop "$loop" ;; esac
    family "$pid"
    for one in $found; do process own "$one"; done
done
part end
exit 0
"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFact:
    """One process: KiB of memory that it has, threads, open descriptors, ticks of processor time; None: not known."""

    pid: int
    name: str
    born: int
    """In ticks since the kernel started: a number that was given anew has another."""
    ticks: int
    rss: int | None
    threads: int | None
    descriptors: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSample:
    """One service: its program with all that this started, and the loop that watches over it."""

    state: ServiceState
    report: Mapping[str, Any]
    processes: tuple[ProcessFact, ...]
    """The program first."""
    loop: ProcessFact | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """A thermal zone: degrees Celsius now, and from where on the board slows down or switches off; None: not known."""

    name: str
    heat: float
    limit: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A board at one moment."""

    at: float
    """Seconds since the soak began."""
    uptime: float | None
    memory_free: int | None
    """KiB that programs may still get."""
    zones: tuple[Zone, ...] = ()
    services: Mapping[str, ServiceSample] = field(default_factory=dict)


def take_sample(session: BoardSession, root: str, rows: Sequence[ServiceRow], at: float) -> Sample:
    """Ask a board how it is, in one round trip.

    Raises
    ------
    PreflightError
        The board was lost, or its answer has no end.
    """
    mark = secrets.token_hex(8)
    asked = "".join(f"{row.name} {row.status or '-'}\n" for row in rows).encode()
    reply = session.run(SAMPLE, [mark, root], [asked], most=_SAMPLE_BYTES)
    if reply.code != 0 or not reply.out.rstrip("\n").endswith(f"\n@{mark} end"):
        why = one_line((reply.err or reply.out)[-400:]) or f"exit code {reply.code}"
        raise PreflightError("the board did not say how it is", why=why, next_step="the same command again")
    return read_sample(reply.out, mark, at)


def read_sample(text: str, mark: str, at: float) -> Sample:
    """Read what a board answered. Pure; anything may be in it, and what cannot be read is not known."""
    parts = re.split(rf"^@{mark} (.*)\n", text, flags=re.MULTILINE)
    bodies = dict(zip(parts[1::2], parts[2::2], strict=True))
    told = [line.partition("=") for line in bodies.get("board", "").splitlines()]
    single = {name: value for name, _, value in told}
    free = _number(single.get("MemAvailable", ""))
    if free is None and (plain := _number(single.get("MemFree", ""))) is not None:
        free = plain + (_number(single.get("Buffers", "")) or 0) + (_number(single.get("Cached", "")) or 0)
    up = re.fullmatch(r"\d{1,12}(\.\d{1,6})?", single.get("uptime", ""), re.ASCII)
    zones = (_zone(value) for name, _, value in told if name == "zone")
    names = [title.removeprefix("service ") for title in bodies if title.startswith("service ")]
    return Sample(
        at=at,
        uptime=float(up[0]) if up else None,
        memory_free=free,
        zones=tuple(zone for zone in zones if zone)[:_ZONES],
        services={name: _service(bodies, name) for name in names},
    )


_ZONES = 16


def _service(bodies: Mapping[str, str], name: str) -> ServiceSample:
    text = bodies[f"service {name}"]
    own, loop = list[ProcessFact](), list[ProcessFact]()
    for line in bodies.get(f"processes {name}", "").splitlines():
        kind, _, rest = line.partition("=")
        if kind in ("own", "loop") and (fact := _process(rest)):
            (own if kind == "own" else loop).append(fact)
    return ServiceSample(
        state=parse_status(text), report=read_report(text), processes=tuple(own), loop=loop[0] if loop else None
    )


def _process(text: str) -> ProcessFact | None:
    figures, _, name = text.partition("|")
    words = figures.split()
    if len(words) < 24 or (pid := _number(words[0])) is None:
        return None
    # From the fifth on they are those of /proc/PID/stat, from its third on.
    user, system, born = (_number(words[place]) for place in (15, 16, 23))
    if user is None or system is None or born is None:
        return None
    return ProcessFact(
        pid=pid,
        name=one_line(name, most=40),
        born=born,
        ticks=user + system,
        rss=_number(words[1]),
        threads=_number(words[2]),
        descriptors=_number(words[3]),
    )


def _zone(text: str) -> Zone | None:
    words = text.split()
    if len(words) < 3 or not re.fullmatch(r"-?\d{1,7}", words[0], re.ASCII):
        return None
    limit = _number(words[1])
    name = one_line(" ".join(words[3:]) or words[2], most=40)
    return Zone(name=name, heat=int(words[0]) / 1000, limit=None if limit is None else limit / 1000)


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,15}", text, re.ASCII) else None

"""The board itself, read from its answer: loader and C library, kernel, mounts, memory, clock, init system, users.

Every reader takes the answer and a list for what is not as it should be, and never raises: a wrong answer is "unknown"
in the facts, and the list names the command and the line.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping

from deploy.probe.facts import (
    CaBundle,
    Clock,
    Folder,
    Holder,
    Kernel,
    Memory,
    Mount,
    Unread,
    User,
    Userland,
    number,
    short,
)
from deploy.probe.script import Answer
from recipes.arch import FloatAbi, Identity, Libc

MOST_MOUNTS = 200
_DF = re.compile(r"\S.{0,255}?\s+([0-9]+|-)\s+([0-9]+|-)\s+(-?[0-9]+|-)\s+(?:[0-9]{1,3}%|-)\s+/.{0,255}")
_ID = re.compile(r"uid=([0-9]{1,10})(?:\(([^)]{0,64})\))?")
_GLIBC = re.compile(r"(?:GLIBC|GNU libc|glibc|stable release version)[^\n]{0,80}?([0-9]\.[0-9]{1,3}(?:\.[0-9]{1,3})?)")
_MUSL = re.compile(r"musl libc[^\n]{0,60}\n+Version ([0-9]{1,2}\.[0-9]{1,3}\.[0-9]{1,3})")
_UCLIBC = re.compile(r"(?:ld-uClibc|libuClibc)-([0-9]{1,2}\.[0-9]{1,3}\.[0-9]{1,3})\.so")
_LATER = 7258118400
"""2200-01-01: no clock is right beyond it."""
_EM_ARM = 40
_ARM_SOFT, _ARM_HARD = 0x200, 0x400
"""EF_ARM_ABI_FLOAT_*, ELF for the Arm architecture, chapter 5.2."""
_PT_INTERP = 3


class Reader:
    """The answer of one probe, and what of it could not be read."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.unread: list[Unread] = []
        self.basics = self._labelled("basics")
        self.links = dict(read_links(answer.text("links")))
        """Files of the loader, init system, clock and GStreamer that are there, and what their links lead to."""

    def doubt(self, command: str, line: str, why: str) -> None:
        if len(self.unread) < 50:
            self.unread.append(Unread(command=short(command, 120), line=short(line, 120), why=why))

    def count(self, command: str, text: str, *, most: int = 2**53) -> int | None:
        """Read a number; what is none is noted with its command, and a missing answer too."""
        value = number(text, most=most)
        if value is None:
            self.doubt(command, text, "no number" if text.strip() else "no answer")
        return value

    def _labelled(self, name: str) -> dict[str, str]:
        """Return `label value` lines, the first of each label."""
        known: dict[str, str] = {}
        for line in self.answer.text(name).split("\n"):
            label, _, value = line.strip().partition(" ")
            known.setdefault(label, value.strip())
        return known


def read_links(text: str) -> list[tuple[str, str]]:
    """Read `ls -ld`: path and, for a link, what it leads to."""
    lines = (re.search(r" (/\S{1,200})(?: -> (\S{1,200}))?$", line[:512]) for line in text.split("\n"))
    return [(short(match[1]), short(match[2] or "")) for match in lines if match][:100]


def read_user(reader: Reader) -> User:
    text = reader.basics.get("id", "")
    match = _ID.match(text)
    uid = number(match[1], most=2**32 - 1) if match else None
    if not match or uid is None:
        reader.doubt("id", text, "no uid=NUMBER")
        return User()
    groups = re.findall(r"[0-9]{1,10}\(([^)]{1,64})\)", text.partition("groups=")[2])
    return User(uid=uid, name=short(match[2] or "", 64), groups=tuple(short(group, 64) for group in groups)[:64])


def read_kernel(reader: Reader) -> Kernel:
    words = reader.basics.get("uname", "").split()
    if len(words) != 3:
        reader.doubt("uname -s -r -m", " ".join(words), "not three words")
    known = words if len(words) == 3 else ["", "", ""]
    smaps = re.search(r"^KernelPageSize:\s+([0-9]{1,9}) kB", reader.answer.text("smaps"), re.MULTILINE)
    page = number(reader.basics.get("page_size", ""), most=2**26) or (int(smaps[1]) * 1024 if smaps else None)
    if page is None:
        reader.doubt("getconf PAGESIZE", reader.basics.get("page_size", ""), "no number")
    mode = re.search(r"^User faults:\s+([0-9]{1,3})\b", reader.answer.text("alignment"), re.MULTILINE)
    cpu = re.search(r"^CPU architecture\s*:\s*([0-9]{1,2})", reader.answer.text("cpu"), re.MULTILINE)
    return Kernel(
        release=short(known[1], 100),
        machine=short(known[2], 40),
        version=short(reader.answer.text("version")),
        page_size=page or None,
        alignment=int(mode[1]) if mode else None,
        cpu_architecture=int(cpu[1]) if cpu else None,
    )


def read_userland(reader: Reader) -> Userland:
    """Go by the shell's ELF header and by the loaders that are there, not by the kernel's name of the machine."""
    lines = [
        f"{path} -> {target}" if target else path
        for path, target in reader.links.items()
        if path.startswith("/lib") and "/libgst" not in path
    ][:40]
    header = _bytes(reader.answer)
    loader = _interpreter(header) or _only_loader(lines)
    identity = _identity(header)
    if identity is None:
        reader.doubt("od -An -v -tx1 of the shell", header[:16].hex(" "), "no ELF header of 32 or 64 bits")
    elif identity.machine == _EM_ARM and identity.bits == 32 and identity.float_abi is FloatAbi.NONE:
        names = [loader] if loader else [line.split(" ")[0] for line in lines]
        identity = Identity(bits=32, little=identity.little, machine=_EM_ARM, float_abi=_float_of(names))
    libc, version = _libc(reader, loader, lines)
    return Userland(identity=identity, loader=loader, loaders=tuple(lines), libc=libc, libc_version=version)


def read_memory(reader: Reader) -> Memory:
    text = reader.answer.text("memory")
    kib = {name: number(value) for name, value in re.findall(r"^(\w{1,40}):\s+([0-9]{1,15}) kB", text, re.MULTILINE)}
    if kib.get("MemTotal") is None:
        reader.doubt("/proc/meminfo", text[:80], "no MemTotal in kB")
    free = [kib.get(name) for name in ("MemFree", "Buffers", "Cached")]
    # Kernels before 3.14 have no MemAvailable; free and cached is the nearest to it.
    older = sum(value for value in free if value is not None) if None not in free else None
    return Memory(
        total_kib=kib.get("MemTotal"),
        available_kib=kib.get("MemAvailable", older),
        swap_kib=kib.get("SwapTotal"),
    )


def read_mounts(reader: Reader) -> tuple[Mount, ...]:
    mounts: list[Mount] = []
    for line in reader.answer.text("mounts").split("\n")[:MOST_MOUNTS]:
        words = line.split(" ")
        if len(words) < 4 or not words[1].startswith("/"):
            if line.strip():
                reader.doubt("/proc/mounts", line, "not device, folder, type and options")
            continue
        # The kernel writes blanks in names as \040: fs/proc_namespace.c.
        folder = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), words[1])
        options = frozenset(short(option, 60) for option in words[3].split(",")[:40])
        mounts.append(Mount(device=short(words[0]), folder=short(folder), kind=short(words[2], 40), options=options))
    return tuple(mounts)


def read_folders(reader: Reader, mounts: tuple[Mount, ...]) -> tuple[Folder, ...]:
    folders: list[Folder] = []
    sizes = {frame.argument: frame for frame in reader.answer.every("df")}
    for frame in reader.answer.every("folder")[:64]:
        base = frame.text.split("\n")[0]
        size = free = None
        if frame.argument in sizes:
            lines = [line[:512].strip() for line in sizes[frame.argument].lines if line.strip()] or [""]
            # A long device name makes some df break the line in two, -P or not.
            match = _DF.fullmatch(lines[-1]) or _DF.fullmatch(" ".join(lines[-2:]))
            if match:
                size, free = number(match[1]), number(match[3])
            else:
                reader.doubt(f"df -Pk {base}", lines[-1], "not a line of df")
        around = [mount for mount in mounts if f"{base.rstrip('/')}/".startswith(f"{mount.folder.rstrip('/')}/")]
        # Of two mounts at one place the later one is seen.
        mount = max(enumerate(around), key=lambda pair: (len(pair[1].folder), pair[0]))[1] if around else None
        folders.append(Folder(asked=short(frame.argument), base=short(base), free_kib=free, size_kib=size, mount=mount))
    return tuple(folders)


def read_clock(reader: Reader, now: float) -> Clock:
    """Read the clock; `now` is this machine's time at the middle of the round trip."""
    seconds = reader.count("date +%s", reader.basics.get("clock", ""), most=_LATER)
    known = [line.split() for line in reader.answer.text("time").split("\n")]
    sources = sorted({short(words[2], 40) for words in known if len(words) == 3 and words[0] == "daemon"})
    hardware = [number(words[1], most=_LATER) for words in known if len(words) == 2 and words[0] == "rtc"]
    local = reader.links.get("/etc/localtime", "")
    status = reader.answer.text("timedatectl")
    # "NTP synchronized" until systemd 238, "System clock synchronized" from 239 on.
    told = re.search(r"(?:NTP|System clock) synchronized: (yes|no)\b", status)
    chrony = re.search(r"^Leap status\s+: (.{1,40})$", reader.answer.text("chrony"), re.MULTILINE)
    synchronized = told[1] == "yes" if told else chrony[1] != "Not synchronised" if chrony else None
    zone = reader.answer.text("timezone").strip() or local.rpartition("zoneinfo/")[2]
    return Clock(
        seconds=seconds,
        skew=round(seconds - now) if seconds is not None else None,
        synchronized=synchronized,
        sources=tuple(sources)[:8],
        zone=short(zone, 64),
        rtc=hardware[0] if hardware else None,
    )


def read_init(reader: Reader) -> str:
    """Return which init system runs: systemd, procd, openrc, sysv, busybox or none (a container, a bare kernel)."""
    lines = [line.strip().partition(" ") for line in reader.answer.text("init").split("\n")]
    present = {value for label, _, value in lines if label == "has"}
    single = {label: value for label, _, value in reversed(lines) if label != "has"}
    comm, target = single.get("comm", ""), reader.links.get("/sbin/init", "")
    if "/run/systemd/system" in present or comm == "systemd":
        return "systemd"
    if comm == "procd" or ("/sbin/procd" in present and comm == "init"):
        return "procd"
    if comm not in ("init", "linuxrc", "busybox", "openrc-init"):
        return "none"
    if present & {"/run/openrc", "/sbin/openrc"}:
        return "openrc"
    if "busybox" in target or comm in ("linuxrc", "busybox") or "/etc/init.d/rcS" in present:
        return "busybox"
    return "sysv" if "/etc/inittab" in present else "none"


def read_ca_bundles(reader: Reader) -> tuple[CaBundle, ...]:
    pairs = (line.strip().rpartition(":") for line in reader.answer.text("certificates").split("\n"))
    counts: Mapping[str, int | None] = {path: number(count, most=100_000) for path, _, count in pairs}
    paths = [line.strip() for line in reader.answer.text("ca").split("\n") if line.startswith("/")]
    return tuple(CaBundle(path=short(path), certificates=counts.get(path)) for path in paths[:16])


def read_holders(text: str) -> tuple[Holder, ...]:
    """Read who has devices open; `owner` is what the kernel says of sound devices that no process was seen to have."""
    holders: list[Holder] = []
    pattern = re.compile(r"(owner )?([0-9]{1,7}) (/dev/(?:video[0-9]{1,4}|snd/\S{1,32}))(?: (.{0,64}))?")
    for line in text.split("\n")[:256]:
        if match := pattern.fullmatch(line.rstrip()):
            holder = Holder(pid=int(match[2]), device=short(match[3], 64), process=short(match[4] or "", 64))
            seen = match[1] and any(other.device == holder.device for other in holders)
            if holder not in holders and not seen:
                holders.append(holder)
    return tuple(holders)


def read_system_name(text: str) -> str:
    """Return the name and version of /etc/os-release."""
    fields = dict(re.findall(r"^([A-Z_]{1,40})=[\"']?(.{0,200}?)[\"']?$", text, re.MULTILINE))
    return short(fields.get("PRETTY_NAME") or fields.get("NAME", ""), 100)


def _bytes(answer: Answer) -> bytes:
    """Return the beginning of the shell's file from a dump by od or hexdump."""
    frame = answer.first("elf")
    if frame is None:
        return b""
    lines = frame.lines
    if frame.argument == "hexdump":
        lines = [line[8:].partition("|")[0] for line in lines]
    return bytes(int(pair, 16) for line in lines for pair in re.findall(r"(?<!\S)[0-9a-f]{2}(?!\S)", line))


def _order(header: bytes) -> str:
    return "<" if header[5] == 1 else ">"


def _identity(header: bytes) -> Identity | None:
    if len(header) < 52 or header[:4] != b"\x7fELF" or header[4] not in (1, 2) or header[5] not in (1, 2):
        return None
    (machine,) = struct.unpack_from(f"{_order(header)}H", header, 18)
    bits = 32 if header[4] == 1 else 64
    abi = FloatAbi.NONE
    if machine == _EM_ARM and bits == 32:
        (flags,) = struct.unpack_from(f"{_order(header)}I", header, 36)
        abi = FloatAbi.HARD if flags & _ARM_HARD else FloatAbi.SOFT if flags & _ARM_SOFT else FloatAbi.NONE
    return Identity(bits=bits, little=header[5] == 1, machine=machine, float_abi=abi)


def _interpreter(header: bytes) -> str:
    """Return the loader that a program asks for, where its name is within the bytes that were sent."""
    if _identity(header) is None:
        return ""
    order, wide = _order(header), header[4] == 2
    try:
        (table,) = struct.unpack_from(f"{order}Q" if wide else f"{order}I", header, 32 if wide else 28)
        size, count = struct.unpack_from(f"{order}HH", header, 54 if wide else 42)
        for at in range(min(count, 64)):
            entry = table + at * size
            kind, *_ = struct.unpack_from(f"{order}I", header, entry)
            if kind == _PT_INTERP:
                (offset,) = struct.unpack_from(f"{order}Q" if wide else f"{order}I", header, entry + (8 if wide else 4))
                name = header[offset : offset + 128].partition(b"\0")[0].decode("utf-8", "backslashreplace")
                return short(name) if name.startswith("/") else ""
    except (struct.error, OverflowError):
        return ""
    return ""


def _only_loader(lines: list[str]) -> str:
    """Return the loader of a board whose shell is static: where there is but one."""
    pattern = r"(/lib[0-9]*/ld-(?:linux|musl|uClibc)[\w.-]*\.so\.[0-9]+)(?: -> .*)?"
    paths = {match[1] for match in (re.fullmatch(pattern, line) for line in lines) if match}
    return paths.pop() if len(paths) == 1 else ""


def _float_of(loaders: list[str]) -> FloatAbi:
    """Tell by the loader's name: ld-linux-armhf.so.3 and ld-musl-armhf.so.1 are those of hard float."""
    if any("armhf" in name for name in loaders):
        return FloatAbi.HARD
    soft = any(re.search(r"/ld-(linux\.so\.3|musl-arm\.so\.1|uClibc)", name) for name in loaders)
    return FloatAbi.SOFT if soft else FloatAbi.NONE


def _libc(reader: Reader, loader: str, lines: list[str]) -> tuple[Libc | None, str]:
    """Tell whose C library it is: by the loader that the shell asks for, else by what is in the folders."""
    told = reader.answer.text("ldd")
    files = "\n".join(lines)
    names = loader or files
    kinds = ((Libc.MUSL, r"ld-musl-"), (Libc.UCLIBC, r"ld-uClibc|libuClibc"), (Libc.GLIBC, r"ld-linux|/ld-2\.|/ld\.so"))
    libc = next((kind for kind, pattern in kinds if re.search(pattern, names)), None)
    version = None
    if libc is Libc.MUSL:
        version = _MUSL.search(told)
    elif libc is Libc.UCLIBC:
        version = _UCLIBC.search(files)
    elif libc is Libc.GLIBC:
        version = _GLIBC.search(reader.basics.get("libc", "") or told) or _GLIBC.search(told)
    if libc is None:
        reader.doubt("ls -ld /lib/ld-*", files[:120], "no loader of glibc, musl or uClibc")
    elif version is None:
        reader.doubt("ldd --version", told[:120], "names no version")
    return libc, version[1] if version else ""

"""The board itself: by its own programs, not by the kernel's word; a strange answer is "unknown", with its line."""

from __future__ import annotations

import json

import pytest

from deploy.probe.facts import BoardFacts
from recipes.arch import FloatAbi, Libc
from tests.probe.answers import CAMERA_BOARD, LINK, MOUNTS, NOW, elf, facts, sample


def commands(board: BoardFacts) -> set[str]:
    return {unread.command for unread in board.unread}


def test_a_whole_board() -> None:
    board = facts(CAMERA_BOARD)
    assert board.whole
    assert board.unread == ()
    assert (board.hostname, board.system, board.uptime) == (
        "raspberrypi", "Raspbian GNU/Linux 12 (bookworm)", 93784,
    )  # fmt: skip
    assert (board.user.uid, board.user.name, board.user.groups) == (0, "root", ("root", "video", "audio"))
    assert (board.kernel.release, board.kernel.machine) == ("6.1.21-v8+", "aarch64")
    assert (board.kernel.page_size, board.kernel.alignment, board.kernel.cpu_architecture) == (4096, 2, 8)
    assert (board.userland.libc, board.userland.libc_version) == (Libc.GLIBC, "2.36")
    assert board.userland.loader == "/lib/ld-linux-armhf.so.3"
    assert (board.memory.total_kib, board.memory.available_kib, board.memory.swap_kib) == (945364, 740000, 0)
    assert (board.clock.skew, board.clock.synchronized, board.clock.sources) == (0, True, ("systemd-timesyn",))
    assert board.clock.zone == "Asia/Tokyo"
    assert [(bundle.path, bundle.certificates) for bundle in board.ca_bundles] == [
        ("/etc/ssl/certs/ca-certificates.crt", 142)
    ]
    assert [node.path for node in board.cameras] == ["/dev/video0"]
    assert [device.hw for device in board.microphones] == ["hw:0,0", "hw:0,1", "hw:1,0"]
    assert board.microphones[2].rates == (8000, 16000, 48000)


def test_facts_are_json() -> None:
    read = json.loads(json.dumps(facts(CAMERA_BOARD).as_dict()))
    assert (read["arch"], read["cameras"]) == ("armv7", ["/dev/video0"])
    assert read["userland"]["identity"]["float_abi"] == "hard"
    assert read["video"][0]["formats"][0]["sizes"][0]["rates"] == [30.0]


@pytest.mark.parametrize(
    ("uname", "program", "arch"),
    [
        # The common one: Raspberry Pi OS of 32 bits with its default kernel.
        ("aarch64", elf(40, flags=0x5000400, interpreter="/lib/ld-linux-armhf.so.3"), "armv7"),
        ("armv7l", elf(40, flags=0x5000400, interpreter="/lib/ld-linux-armhf.so.3"), "armv7"),
        ("armv8l", elf(40, flags=0x5000400, interpreter="/lib/ld-linux-armhf.so.3"), "armv7"),
        # armv5 programs on an armv7 kernel.
        ("armv7l", elf(40, flags=0x5000200, interpreter="/lib/ld-linux.so.3"), "armv5"),
        # No float flag in the header: then the loader's name tells.
        ("armv7l", elf(40, flags=0x5000000, interpreter="/lib/ld-linux.so.3"), "armv5"),
        ("armv7l", elf(40, flags=0x5000000, interpreter="/lib/ld-musl-armhf.so.1"), "armv7"),
        ("armv7l", elf(40, flags=0x5000000, interpreter="/lib/loader"), ""),
        # Raspbian on the first Pi: hard float, and no ARMv7 instruction.
        ("armv6l", elf(40, flags=0x5000400, interpreter="/lib/ld-linux-armhf.so.3"), ""),
        ("aarch64", elf(183, bits=64, interpreter="/lib/ld-linux-aarch64.so.1"), "aarch64"),
        ("x86_64", elf(62, bits=64, interpreter="/lib64/ld-linux-x86-64.so.2"), "x86_64"),
        ("x86_64", elf(3, interpreter="/lib/ld-linux.so.2"), ""),
        ("mips", elf(8, interpreter="/lib/ld.so.1"), "mipsel"),
        ("mips", elf(8, little=False, interpreter="/lib/ld.so.1"), ""),
        ("armv7l", "no dump\n", ""),
        ("armv7l", "7f 45 4c 46\n", ""),
    ],
)
def test_the_programs_decide_not_uname(uname: str, program: str, arch: str) -> None:
    board = facts({"basics": f"uname Linux 5.10 {uname}\n", "elf od": program})
    assert board.arch == arch


def test_an_old_processor_below_a_hard_float_loader() -> None:
    frames = {"basics": "uname Linux 5.10 armv7l\n", "elf od": elf(40, flags=0x400), "cpu": "CPU architecture: 6\n"}
    assert facts(frames).arch == ""


def test_a_dump_by_hexdump() -> None:
    lines = elf(40, flags=0x5000400, interpreter="/lib/ld-linux-armhf.so.3").splitlines()
    dump = "".join(f"{at * 16:08x}  {line.strip()}  |.ELF............|\n" for at, line in enumerate(lines))
    board = facts({"elf hexdump": dump})
    assert board.userland.identity is not None
    assert (board.userland.identity.float_abi, board.userland.loader) == (FloatAbi.HARD, "/lib/ld-linux-armhf.so.3")


@pytest.mark.parametrize(
    ("frames", "libc", "version"),
    [
        ({"ldd": "ldd (GNU libc) 2.31\n", "links": LINK + "/lib/ld-linux-armhf.so.3\n"}, Libc.GLIBC, "2.31"),
        ({"ldd": "ldd (Ubuntu GLIBC 2.35-0) 2.35\n", "links": LINK + "/lib/ld-linux.so.3\n"}, Libc.GLIBC, "2.35"),
        ({"ldd": "musl libc (armhf)\nVersion 1.2.3\nDynamic\n", "links": LINK + "/lib/ld-musl-armhf.so.1\n"},
         Libc.MUSL, "1.2.3"),
        ({"links": LINK + "/lib/ld-uClibc.so.1 -> ld-uClibc-1.0.43.so\n"}, Libc.UCLIBC, "1.0.43"),
        ({"links": LINK + "/lib/ld-musl-mipsel-sf.so.1\n"}, Libc.MUSL, ""),
        ({"links": ""}, None, ""),
    ],
)  # fmt: skip
def test_whose_c_library(frames: dict[str, str], libc: Libc | None, version: str) -> None:
    userland = facts(frames).userland
    assert (userland.libc, userland.libc_version) == (libc, version)


@pytest.mark.parametrize(
    ("text", "target", "init"),
    [
        ("comm systemd\nhas /run/systemd/system\nhas /etc/init.d\n", "/lib/systemd/systemd", "systemd"),
        ("comm procd\nhas /sbin/procd\nhas /etc/rc.common\nhas /etc/inittab\n", "", "procd"),
        ("comm init\nhas /run/openrc\nhas /sbin/openrc\nhas /etc/inittab\n", "/bin/busybox", "openrc"),
        ("comm init\nhas /etc/inittab\nhas /etc/init.d\n", "../bin/busybox", "busybox"),
        ("comm linuxrc\nhas /etc/inittab\n", "", "busybox"),
        ("comm init\nhas /etc/inittab\nhas /etc/init.d\n", "", "sysv"),
        ("comm sshd\nhas /etc/init.d\n", "/lib/systemd/systemd", "none"),
        ("", "", "none"),
    ],
)
def test_init_systems(text: str, target: str, init: str) -> None:
    arrow = f" -> {target}" if target else ""
    assert facts({"init": text, "links": f"{LINK}/sbin/init{arrow}\n"}).init == init


@pytest.mark.parametrize(
    ("text", "free"),
    [
        (sample("df-busybox"), 62756),
        (sample("df-coreutils-long"), 366291),
        ("df: /opt: can't find mount point\n", None),
        ("Filesystem 1024-blocks Used Available Use% Mounted on\n", None),
        ("Filesystem 1024-blocks Used Available Use% Mounted on\nudev - - - - /dev\n", None),
        ("Filesystem 1K-blocks Used Available Use% Mounted on\n/dev/a 1 99999999999999999999999 1 1% /\n", 1),
        ("/dev/a 1 1 99999999999999999999999 1% /\n", None),
        ("", None),
    ],
)
def test_free_space_or_unknown(text: str, free: int | None) -> None:
    board = facts({"mounts": MOUNTS, "folder /opt/x": "/opt\n", "df /opt/x": text})
    assert board.folders[0].free_kib == free
    assert board.folders[0].mount is not None
    assert board.folders[0].mount.device == "/dev/root"


def test_a_df_that_complains_is_named_with_its_line() -> None:
    board = facts({"folder /opt/x": "/opt\n", "df /opt/x": "df: /opt: can't find mount point\n"})
    assert [(unread.command, unread.line) for unread in board.unread if unread.command.startswith("df")] == [
        ("df -Pk /opt", "df: /opt: can't find mount point")
    ]


@pytest.mark.parametrize("text", ["%s", "", "-1", "1e9", "99999999999999999999", "١٢٣", "date: invalid"])
def test_a_clock_that_is_no_number_is_unknown(text: str) -> None:
    board = facts({"basics": f"clock {text}\n"})
    assert (board.clock.seconds, board.clock.skew) == (None, None)
    assert "date +%s" in commands(board)


@pytest.mark.parametrize("text", ["uid=root", "", "root", "uid=-1(x)", "id: not found", "uid=99999999999(x)"])
def test_a_user_that_is_no_number_is_unknown(text: str) -> None:
    board = facts({"basics": f"id {text}\n"})
    assert board.user.uid is None
    assert "id" in commands(board)


def test_a_prompt_and_a_banner_in_front_change_nothing() -> None:
    banner = "\r\n*** Welcome to cam ***\r\n\x1b[2Jroot@cam:~# clock 5\n== x clock 9\n"
    greeted = facts(CAMERA_BOARD, banner=banner)
    plain = facts(CAMERA_BOARD)
    assert greeted.banner.startswith("*** Welcome to cam ***")
    assert "\x1b" not in greeted.banner
    assert greeted.clock == plain.clock
    assert greeted.unread == ()


def test_a_number_of_the_kernel_that_is_none() -> None:
    frames = CAMERA_BOARD | {"basics": "uname Linux\npage_size many\n", "memory": "MemTotal: lots\n", "uptime": "x\n"}
    board = facts(frames)
    assert (board.kernel.page_size, board.memory.total_kib, board.uptime) == (None, None, None)
    assert {"uname -s -r -m", "getconf PAGESIZE", "/proc/meminfo"} <= commands(board)


def test_the_page_size_without_getconf() -> None:
    board = facts({"smaps": "00400000-00500000 r-xp 0 0:0 0 /bin/sh\nSize: 16 kB\nKernelPageSize:       16 kB\n"})
    assert board.kernel.page_size == 16384


def test_memory_of_a_kernel_without_memavailable() -> None:
    board = facts({"memory": "MemTotal: 60000 kB\nMemFree: 1000 kB\nBuffers: 200 kB\nCached: 3000 kB\n"})
    assert board.memory.available_kib == 4200


def test_mounts_with_blanks_and_the_later_of_two() -> None:
    board = facts({"mounts": MOUNTS + "tmpfs / tmpfs ro 0 0\nbroken\n", "folder /x": "/\n"})
    stick = board.mounts[3]
    assert (stick.folder, stick.read_only, stick.noexec) == ("/media/usb stick", True, False)
    assert board.folders[0].mount is not None
    assert board.folders[0].mount.kind == "tmpfs"
    assert "/proc/mounts" in commands(board)


@pytest.mark.parametrize(
    ("frames", "synchronized"),
    [
        ({"timedatectl": sample("timedatectl-215")}, False),
        ({"timedatectl": sample("timedatectl-252")}, True),
        ({"chrony": "Reference ID    : 00000000 ()\nLeap status     : Not synchronised\n"}, False),
        ({"chrony": "Leap status     : Normal\n"}, True),
        ({"timedatectl": "Failed to connect to bus\n"}, None),
        ({}, None),
    ],
)
def test_whether_the_clock_is_synchronized(frames: dict[str, str], synchronized: bool | None) -> None:
    assert facts(frames).clock.synchronized is synchronized


def test_the_clock_is_compared_with_ours() -> None:
    clock = facts({"basics": f"clock {int(NOW) - 7200}\n", "time": "rtc 12\n", "timezone": "JST-9\n"}).clock
    assert (clock.skew, clock.rtc, clock.zone, clock.sources) == (-7200, 12, "JST-9", ())


def test_who_holds_devices() -> None:
    text = "812 /dev/video0 gst-launch-1.0\n" * 2 + "9 /dev/snd/pcmC1D0c a b\nx y z\n7 /etc/passwd a\n"
    board = facts({"holders": text})
    assert [(holder.pid, holder.device, holder.process) for holder in board.holders] == [
        (812, "/dev/video0", "gst-launch-1.0"),
        (9, "/dev/snd/pcmC1D0c", "a b"),
    ]


def test_a_static_shell_has_the_loader_of_the_board() -> None:
    board = facts({"elf od": elf(62, bits=64), "links": f"{LINK}/lib64/ld-linux-x86-64.so.2 -> /lib/x/ld.so\n"})
    assert (board.userland.loader, board.userland.libc) == ("/lib64/ld-linux-x86-64.so.2", Libc.GLIBC)


def test_who_has_a_sound_device_is_told_by_the_kernel_where_no_process_shows_it() -> None:
    text = "31 /dev/video0 cam\n31 /dev/snd/pcmC0D0c cam\nowner 32 /dev/snd/pcmC0D0c cam\nowner 7 /dev/snd/pcmC1D0p \n"
    assert [(holder.pid, holder.device, holder.process) for holder in facts({"holders": text}).holders] == [
        (31, "/dev/video0", "cam"),
        (31, "/dev/snd/pcmC0D0c", "cam"),
        (7, "/dev/snd/pcmC1D0p", ""),
    ]

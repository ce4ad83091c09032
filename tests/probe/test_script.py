"""The script itself under each shell, on this machine: true facts, any set of tools, and nothing changed."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import stat
import subprocess
import time
from pathlib import Path

import pytest

from deploy.probe.facts import BoardFacts, Kvssink
from deploy.probe.probe import ProbeRequest, read_facts
from deploy.probe.script import END, PROBE_SCRIPT, START_SCRIPT, read_answer
from recipes.errors import ConfigError
from tests.probe.answers import NONCE, SAMPLES

pytestmark = pytest.mark.process
SHELLS = {"dash": ("dash",), "bash": ("bash", "--posix"), "busybox": ("busybox", "ash")}
BASICS = ("head", "od", "uname", "id", "date", "df", "sed", "ls", "readlink", "grep", "timeout", "sleep", "true")


def probe(
    shell: str,
    *,
    request: ProbeRequest | None = None,
    path: Path | None = None,
    home: Path | None = None,
    seconds: float = 60,
) -> tuple[BoardFacts, bytes]:
    """Run the script as a session does: the shell's argument, its input on stdin."""
    program = shutil.which(SHELLS[shell][0])
    if program is None:
        pytest.skip(f"{shell} is not on this machine")
    environment = {"PATH": str(path) if path else os.environ["PATH"], "HOME": str(home or "/nonexistent")}
    done = subprocess.run(
        [program, *SHELLS[shell][1:], "-c", START_SCRIPT, "boardcast"],
        input=(request or ProbeRequest(gstreamer=False)).stdin(NONCE),
        env=environment,
        capture_output=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    return read_facts(read_answer(done.stdout, NONCE), host="here", now=time.time()), done.stdout


def tool(folder: Path, name: str, script: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def private(folder: Path, *names: str) -> Path:
    """Make a PATH of these programs of this machine and nothing else."""
    folder.mkdir()
    for name in names:
        (folder / name).symlink_to(str(shutil.which(name)))
    return folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return private(tmp_path / "bin", *BASICS)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_facts_of_this_machine(shell: str) -> None:
    board, _ = probe(shell)
    assert board.whole
    assert board.unread == ()
    assert board.kernel.page_size == os.sysconf("SC_PAGE_SIZE")
    assert (board.kernel.release, board.kernel.machine) == (platform.release(), platform.machine())
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1024
    assert board.memory.total_kib is not None
    assert abs(board.memory.total_kib - total) <= total / 100
    assert board.clock.skew is not None
    assert abs(board.clock.skew) <= 5
    assert board.user.uid == os.getuid()
    assert board.hostname == platform.node()
    libc, version = platform.libc_ver()
    assert (str(board.userland.libc), board.userland.libc_version) == (libc, version)
    assert {"tar", "sha256sum"} <= board.tools
    # Not bash's or dash's: BusyBox may be one static file, and it is a program of the same machine.
    assert board.arch == {"x86_64": "x86_64", "aarch64": "aarch64"}.get(platform.machine(), board.arch)


@pytest.mark.parametrize("shell", SHELLS)
def test_free_space_is_that_of_the_nearest_folder(shell: str, tmp_path: Path) -> None:
    (tmp_path / "with blank").mkdir()
    (tmp_path / "link").symlink_to("with blank")
    wanted = tmp_path / "link" / "not" / "there"
    board, _ = probe(shell, request=ProbeRequest(gstreamer=False, folders=(str(wanted), "/proc")))
    ours, proc = board.folders
    assert (ours.asked, ours.base) == (str(wanted), str((tmp_path / "with blank").resolve()))
    assert ours.free_kib is not None
    assert abs(ours.free_kib - shutil.disk_usage(tmp_path).free / 1024) < 512 * 1024
    assert proc.mount is not None
    assert proc.mount.kind == "proc"


def test_the_script_is_clean_for_shellcheck(tmp_path: Path) -> None:
    file = tmp_path / "probe.sh"
    file.write_text(PROBE_SCRIPT)
    done = subprocess.run(["shellcheck", "-s", "sh", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_command_is_short_enough_for_dropbear() -> None:
    assert len(f"sh -c {shlex.quote(START_SCRIPT)} boardcast") < 1000
    assert END not in PROBE_SCRIPT.split("\n")


FAKES = {
    "v4l2-ctl": f"""
case "$*" in
--list-devices) cat {SAMPLES}/v4l2-list-seed.txt ;;
"-d /dev/video0 --all --list-formats-ext") cat {SAMPLES}/v4l2-node-1.18.txt ;;
"-d /dev/video1 --all --list-formats-ext") cat {SAMPLES}/v4l2-meta-1.18.txt ;;
*) exit 3 ;;
esac""",
    "arecord": f'[ "$*" = -l ] && cat {SAMPLES}/arecord-seed.txt',
    "aplay": f'[ "$*" = -l ] && cat {SAMPLES}/aplay-seed.txt',
    "gst-inspect-1.0": f"""
case "$*" in
--version) echo "GStreamer 1.22.3" ;;
-b) echo "Blacklisted files:"; echo "  libgstdvb.so"; echo; echo "Total count: 1 blacklisted file" ;;
kvssink) [ "$GST_PLUGIN_PATH" = /opt/boardcast/current/lib ] && cat {SAMPLES}/gst-kvssink.txt ;;
'') cat {SAMPLES}/gst-inspect-blacklist.txt; echo "$GST_REGISTRY" >"$HOME/asked" ;;
esac""",
    "gst-device-monitor-1.0": f"cat {SAMPLES}/gst-device-monitor-seed.txt",
    "getconf": 'echo "glibc 2.28"',
    "uname": "echo Linux 4.19.0 armv7l",
    "id": "echo 'uid=1001(cam) gid=1001(cam) groups=1001(cam),44(video)'",
    "date": "echo 120",
    "df": f"cat {SAMPLES}/df-busybox.txt",
    "ldd": "echo 'ldd (GNU libc) 2.28'",
}


@pytest.mark.parametrize("shell", SHELLS)
def test_each_tool_replaced_by_one_that_prints_a_sample(shell: str, path: Path, tmp_path: Path) -> None:
    (path / "cat").symlink_to(str(shutil.which("cat")))
    for name, script in FAKES.items():
        (path / name).unlink(missing_ok=True)
        tool(path, name, script)
    registry = tmp_path / "registry"
    registry.mkdir()
    request = ProbeRequest(thorough=True, plugin_path="/opt/boardcast/current/lib", registry=str(registry))
    board, _ = probe(shell, request=request, path=path, home=tmp_path)
    assert board.whole
    assert (board.kernel.release, board.kernel.machine, board.kernel.page_size) == ("4.19.0", "armv7l", 4096)
    assert (board.user.uid, board.user.groups, board.clock.seconds) == (1001, ("cam", "video"), 120)
    assert board.userland.libc_version == "2.28"
    assert {folder.free_kib for folder in board.folders} == {62756}
    assert [(node.path, len(node.formats)) for node in board.cameras] == [("/dev/video0", 2)]
    assert [device.hw for device in board.microphones] == ["hw:0,0", "hw:0,1", "hw:1,0"]
    assert [device.hw for device in board.speakers] == ["hw:0,0"]
    assert [device.kind for device in board.devices] == ["Audio/Source", "Video/Source"]
    assert board.gstreamer.kvssink is Kvssink.LOADS
    # A library of this machine's own GStreamer tells its version before its tools are asked.
    assert board.gstreamer.version == "1.22.3" or list(Path("/usr/lib").rglob("libgstreamer-1.0.so.0"))
    assert board.gstreamer.blacklisted == ("libgstdvb.so",)
    assert (tmp_path / "asked").read_text() == f"{registry}/probe.bin\n"


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("links", [True, False], ids=["applets", "busybox alone"])
def test_a_path_with_nothing_but_busybox(shell: str, links: bool, tmp_path: Path) -> None:
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("busybox is not on this machine")
    folder = private(tmp_path / "bin", "busybox")
    if links:
        subprocess.run([busybox, "--install", "-s", folder], check=True, capture_output=True)
    board, _ = probe(shell, path=folder)
    assert board.whole
    assert board.kernel.release == platform.release()
    assert board.kernel.page_size == os.sysconf("SC_PAGE_SIZE")
    assert board.clock.skew is not None
    assert board.user.uid == os.getuid()
    assert board.userland.identity is not None
    assert all(folder.free_kib for folder in board.folders)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_path_with_nothing_at_all(shell: str, tmp_path: Path) -> None:
    """BusyBox may run its applets without a PATH; the others have the kernel's files only."""
    board, _ = probe(shell, path=private(tmp_path / "bin"))
    assert board.whole
    assert board.memory.total_kib
    assert board.kernel.page_size == os.sysconf("SC_PAGE_SIZE")
    assert board.mounts


@pytest.mark.parametrize("shell", SHELLS)
def test_an_endless_tool_is_cut_and_a_silent_one_ended(shell: str, path: Path) -> None:
    tool(path, "v4l2-ctl", "while :; do echo '== 0 . 0'; done")
    tool(path, "arecord", "trap '' TERM; while :; do sleep 1; done")
    tool(path, "aplay", "printf '\\033[2J\\000\\377'; exec sleep 60")
    begun = time.monotonic()
    board, sent = probe(shell, request=ProbeRequest(thorough=True, gstreamer=False, seconds=1), path=path, seconds=20)
    assert time.monotonic() - begun < 10
    assert board.whole
    assert board.clock.skew is not None
    assert len(sent) < 400_000


@pytest.mark.parametrize("shell", SHELLS)
def test_a_board_without_timeout_has_a_limit_too(shell: str, path: Path) -> None:
    (path / "timeout").unlink()
    tool(path, "arecord", "exec sleep 60")
    tool(path, "aplay", f"exec {shutil.which('cat')} {SAMPLES}/aplay-seed.txt")
    begun = time.monotonic()
    board, _ = probe(shell, request=ProbeRequest(thorough=True, gstreamer=False, seconds=1), path=path, seconds=20)
    # BusyBox as a shell may have an applet where the PATH has none.
    assert time.monotonic() - begun < 10
    assert board.whole
    assert [device.hw for device in board.speakers] == ["hw:0,0"]


@pytest.mark.parametrize("shell", SHELLS)
def test_after_three_tools_that_hang_no_other_is_waited_for(shell: str, path: Path) -> None:
    nodes = "".join(f"/dev/video{at}\\n\\t" for at in range(20))
    tool(path, "v4l2-ctl", f'[ "$1" = --list-devices ] && {{ printf "cam (usb):\\n\\t{nodes}"; exit; }}; exec sleep 60')
    begun = time.monotonic()
    board, _ = probe(shell, request=ProbeRequest(thorough=True, gstreamer=False, seconds=1), path=path, seconds=30)
    assert time.monotonic() - begun < 10
    assert len(board.video) == 20
    assert board.whole


@pytest.mark.parametrize("shell", SHELLS)
def test_a_tool_cannot_forge_a_frame(shell: str, path: Path) -> None:
    """It sees neither the nonce in its arguments, nor in the environment, nor on stdin, nor in the shell's argv."""
    tool(
        path, "arecord", f"{shutil.which('cat')}; {shutil.which('env')}; echo \"$*\"; tr '\\0' ' ' </proc/$PPID/cmdline"
    )
    _, sent = probe(shell, request=ProbeRequest(thorough=True, gstreamer=False), path=path)
    answer = read_answer(sent, NONCE).first("arecord")
    assert answer is not None
    assert answer.text
    assert NONCE not in answer.text


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        if not stat.S_ISSOCK(status.st_mode):
            found[str(path)] = (status.st_mtime_ns, status.st_size)
    return found


@pytest.mark.parametrize("shell", SHELLS)
def test_nothing_is_changed_not_even_a_registry(shell: str, tmp_path: Path) -> None:
    """With GStreamer's real tools where this machine has them."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "kept").write_text("x")
    before = listing(tmp_path)
    folders = (str(tmp_path), str(home / "new"))
    board, _ = probe(shell, request=ProbeRequest(folders=folders, seconds=20), home=home, seconds=120)
    assert board.whole
    assert listing(tmp_path) == before
    if shutil.which("gst-inspect-1.0"):
        assert "queue" in board.gstreamer.elements
        assert board.gstreamer.whole


@pytest.mark.skipif(not shutil.which("gst-inspect-1.0"), reason="no GStreamer on this machine")
def test_a_plugin_that_does_not_load_is_told_with_the_loaders_words(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "registry").mkdir()
    (tmp_path / "plugins" / "libgstkvssink.so").write_text("short")
    request = ProbeRequest(plugin_path=str(tmp_path / "plugins"), registry=str(tmp_path / "registry"), seconds=20)
    board, _ = probe("dash", request=request, home=tmp_path)
    assert board.gstreamer.kvssink is Kvssink.FAILS
    assert "file too short" in board.gstreamer.why
    assert [path.name for path in (tmp_path / "registry").iterdir()] == ["probe.bin"]


@pytest.mark.parametrize(
    "request_",
    [
        ProbeRequest(folders=("relative",)),
        ProbeRequest(folders=("/a\n/b",)),
        ProbeRequest(plugin_path="/x\x1b"),
        ProbeRequest(registry="x"),
        ProbeRequest(folders=("/x",) * 17),
        ProbeRequest(seconds=0),
    ],
)
def test_what_cannot_be_asked(request_: ProbeRequest) -> None:
    with pytest.raises(ConfigError):
        request_.stdin(NONCE)

"""Passwords: from files that nobody else can read into properties, and never to be seen anywhere else."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from tests.support.boardstream import AVC, SINK, Boardstream
from tests.support.rtspcamera import RtspCamera

pytestmark = pytest.mark.process
GIVE_UP = 78
PASSWORD = 'sword fish\\"!é'


def secret(folder: Path, text: str = PASSWORD + "\n", mode: int = 0o600) -> Path:
    path = folder / "password"
    path.write_text(text)
    path.chmod(mode)
    return path


def camera_words(port: int) -> list[str]:
    source = f"rtspsrc name=src location=rtsp://127.0.0.1:{port}/ protocols=tcp user-id=admin"
    return f"{source} ! rtph264depay ! h264parse ! {AVC} ! {SINK}".split()


def watch(pid: int, seen: list[bytes], ended: threading.Event) -> None:
    """Keep all that the kernel shows of a process, from the moment that it is there."""
    while not ended.is_set():
        for name in ("cmdline", "environ", "comm"):
            try:
                seen.append(Path(f"/proc/{pid}/{name}").read_bytes())
            except OSError:
                return
        time.sleep(0.01)


def test_a_password_is_used_and_never_seen(made: Boardstream, units: list[bytes], tmp_path: Path) -> None:
    seen: list[bytes] = []
    ended = threading.Event()
    with RtspCamera(units=units, password=PASSWORD) as camera:
        option = ["--property-file", f"src.user-pw={secret(tmp_path)}"]
        with made.started(camera_words(camera.port), option, {"GST_DEBUG": "rtspsrc:3"}) as stream:
            watcher = threading.Thread(target=watch, args=(stream.process.pid, seen, ended))
            watcher.start()
            stream.wait_for("streaming:")
            stream.stop()
            ended.set()
            watcher.join()
            written = stream.said + stream.status_file.read_text()
    assert camera.allowed >= 3
    assert len(seen) > 20
    assert any(b"--property-file" in text for text in seen), "the command line was seen"
    assert not [text for text in seen if PASSWORD.encode() in text]
    assert PASSWORD not in written


def test_a_wrong_password_is_told_and_not_tried_again(made: Boardstream, units: list[bytes], tmp_path: Path) -> None:
    with RtspCamera(units=units, password="another") as camera:
        option = ["--property-file", f"src.user-pw={secret(tmp_path)}"]
        code, said = made.ran(camera_words(camera.port), option)
    assert code == GIVE_UP, said
    assert "give-up: src: the camera refuses the user name or the password" in said
    assert PASSWORD not in said


def test_an_address_with_a_password_is_told_without_it(made: Boardstream) -> None:
    for address in ("rtsp://admin:hidden7@nosuch.invalid/a", "rtsp://nosuch.invalid/user=x_password=hidden7&a=1"):
        words = f"rtspsrc name=src location={address} debug=true ! fakesink".split()
        _, said = made.ran(words, ["--start", "5"])
        assert "hidden7" not in said


@pytest.mark.parametrize(
    ("text", "mode", "reason"),
    [
        ("a\nb\n", 0o600, "has more than one line"),
        ("", 0o600, "its first line is empty"),
        ("\n", 0o600, "its first line is empty"),
        ("a\0b", 0o600, "is not UTF-8 text"),
        ("x" * 5000, 0o600, "is too large for what it should hold"),
        ("hidden7\n", 0o604, "is open to every user: chmod 600"),
    ],
)
def test_a_file_that_holds_no_password(made: Boardstream, tmp_path: Path, text: str, mode: int, reason: str) -> None:
    path = secret(tmp_path, text, mode)
    code, said = made.ran(["rtspsrc", "name=src", "!", "fakesink"], ["--property-file", f"src.user-pw={path}"])
    assert code == GIVE_UP
    assert f"give-up: {path}: {reason}" in said
    assert "hidden7" not in said


def test_links_pipes_and_folders_are_refused(made: Boardstream, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(secret(tmp_path))
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(mode=0o700)
    for name, reason in {
        "link": "is a link",
        "pipe": "is not a file",
        "folder": "is not a file",
        "none": "No such",
    }.items():
        option = ["--property-file", f"src.user-pw={tmp_path / name}"]
        code, said = made.ran(["rtspsrc", "name=src", "!", "fakesink"], option)
        assert code == GIVE_UP
        assert f"{name}: {reason}" in said


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("other.user-pw", "the pipeline has no element named other"),
        ("src.nosuch", "src has no property nosuch"),
        ("src.latency", "is no value for latency of src"),
    ],
)
def test_a_value_is_in_no_message_about_it(made: Boardstream, tmp_path: Path, target: str, reason: str) -> None:
    code, said = made.ran(["rtspsrc", "name=src", "!", "fakesink"], ["--property-file", f"{target}={secret(tmp_path)}"])
    assert code == GIVE_UP
    assert reason in said
    assert PASSWORD not in said


def test_a_number_from_a_file_is_set_too(made: Boardstream, tmp_path: Path) -> None:
    words = ["videotestsrc", "name=src", "!", "fakesink"]
    code, said = made.ran(words, ["--once", "--property-file", f"src.num-buffers={secret(tmp_path, '3')}"])
    assert code == 0, said


def test_a_description_in_a_file_is_run_and_never_quoted(made: Boardstream, tmp_path: Path) -> None:
    path = secret(tmp_path, "videotestsrc num-buffers=3 ! fakesink\n")
    code, said = made.ran([], ["--once", "--file", str(path)])
    assert code == 0, said
    for text in (
        "rtspsrc user-pw=my hidden7 ! fakesink",
        "rtspsrc user-pw=my hidden7=1 ! fakesink",
        "rtspsrc ! fakesink ! hidden7://",
    ):
        code, said = made.ran([], ["--file", str(secret(tmp_path, text))])
        assert code == GIVE_UP, said
        assert f"give-up: {path}: " in said
        assert "hidden7" not in said

"""What a board lists: read strictly, because a hostile one may list anything."""

from __future__ import annotations

import io
import math
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from deploy.boards import pull
from deploy.boards.listing import LIST_SCRIPT, TOPS, Listing, folders_behind, more_folders, read_listing
from deploy.boards.pull import pull_root
from deploy.boards.session import TEXT_BYTES, Reply, Traffic
from recipes import paths
from recipes.arch import ARCHES
from recipes.errors import PreflightError, UserError
from recipes.rootfs.loaderconf import LD_CACHE
from tests.support.loadercache import glibc
from tests.support.smallelf import small_elf

D = "d" * 64
END = "end\t\n"


def test_what_an_honest_board_prints_is_read() -> None:
    text = (
        "link\t/lib64\tusr/lib64\n"
        "top\t/usr/lib\n"
        "ours\t/opt/boardcast\n"
        f"{D}  /usr/lib/with space/liba.so.1\n"
        f"{'e' * 64}  /usr/lib/libb.so\n"
        "-rwxr-xr-x    1 0        0          123456 Jan  1  1970 /usr/lib/libb.so\n"
        "-rw-r--r--. 1 0 0 77 Nov 22 10:00 /usr/lib/with space/liba.so.1\n"
        "link\t/usr/lib/liba.so\twith space/liba.so.1\n"
        "link\t/etc/alternatives/liblapack.so\t/usr/lib/x\n"
        f"{D}  /etc/ld.so.cache\n"
        f"{D}  /usr/lib/bad\x1bname.so\n" + END
    )
    found = read_listing(text, TOPS)
    assert found.files == {
        "/usr/lib/with space/liba.so.1": D,
        "/usr/lib/libb.so": "e" * 64,
        "/etc/ld.so.cache": D,
    }
    assert found.sizes == {"/usr/lib/libb.so": 123456, "/usr/lib/with space/liba.so.1": 77}
    assert found.links["/usr/lib/liba.so"] == "with space/liba.so.1"
    assert found.places == ("/usr/lib",)


def test_what_is_no_library_is_listed_as_what_it_is() -> None:
    text = (
        f"{D}  /usr/lib/liba.so.1\n"
        "-rw-r-----    1 0        0             77 Jan  1  1970 /usr/lib/liba.so.1\n"
        "-rw-------    1 0        0             77 Jan  1  1970 /usr/lib/libhidden.so.1\n"
        "drwxr-xr-x    2 0        0              0 Jan  1  1970 /usr/lib/libb.so.1\n"
        "prw-r--r--    1 0        0              0 Jan  1  1970 /usr/lib/libc c.so.1\n"
        "crw-r--r--    1 0        0         1,   3 Jan  1  1970 /usr/lib/libd.so\n"
        "link\t/usr/lib/libe.so\t/data/e\nat\t/data/e\nat\t/usr/lib/liba.so.1\nat\t/usr/../etc/shadow\n" + END
    )
    found = read_listing(text, ("/usr/lib",))
    assert found.others == {
        "/usr/lib/libhidden.so.1": "a file that cannot be read",
        "/usr/lib/libb.so.1": "folder",
        "/usr/lib/libc c.so.1": "FIFO",
        "/usr/lib/libd.so": "device",
        "/data/e": "not looked into",
    }
    assert found.private == {"/usr/lib/liba.so.1", "/usr/lib/libhidden.so.1"}
    assert found.files == {"/usr/lib/liba.so.1": D}


@pytest.mark.process
@pytest.mark.parametrize("shell", ["dash", "busybox"])
def test_the_script_lists_what_a_loader_would_open(tmp_path: Path, shell: str) -> None:
    if not (found := shutil.which(shell)):
        pytest.skip(f"no {shell} here")
    folder = tmp_path / "lib"
    (folder / "libfolder.so.1").mkdir(parents=True)
    os.mkfifo(folder / "libfifo.so.1")
    (folder / "libempty.so.1").touch()
    (folder / "liblinked.so.1").symlink_to("../blob")
    (tmp_path / "blob").touch()
    (folder / "libdangling.so.1").symlink_to("gone")
    words = [found, *(["sh"] if shell == "busybox" else []), "-c", LIST_SCRIPT, "boardcast", "", str(folder)]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert f"at\t{tmp_path}/blob" in told.splitlines()
    listed = read_listing(told.replace(str(tmp_path), "/opt/board"), ["/opt/board/lib"])
    assert listed.others == {
        "/opt/board/lib/libfolder.so.1": "folder",
        "/opt/board/lib/libfifo.so.1": "FIFO",
        "/opt/board/blob": "not looked into",
    }
    assert [path for path in listed.files if path.startswith("/opt/board")] == ["/opt/board/lib/libempty.so.1"]
    assert "/opt/board/lib/libdangling.so.1" in listed.links


def test_what_is_ours_is_left_out_whatever_the_board_lists() -> None:
    listed = f"top\t/opt\nours\t/opt/b\n{D}  /opt/b/store/x.so\n{D}  /opt/bb/x.so\nlink\t/opt/b/current.so\tx\n{END}"
    found = read_listing(listed, TOPS)
    assert found.files == {"/opt/bb/x.so": D}
    assert found.links == {}
    assert read_listing(f"ours\t/tmp/boardcast\n{END}", TOPS).ours == ("/tmp/boardcast",)


@pytest.mark.hostile(kind="board")
@pytest.mark.parametrize(
    "line",
    [
        f"{D}  /../../../dev/zero",
        f"{D}  /usr/lib/../../dev/zero",
        f"{D}  /usr/lib//liba.so",
        f"{D}  //usr/lib/liba.so",
        f"{D}  /dev/zero",
        f"{D}  /etc/shadow",
        f"{D}  /root/.ssh/id_ed25519",
        "link\t/etc/passwd\tx",
        "link\t/usr/lib/../../root/x.so\ty",
        "top\t/",
        "top\t/proc/self",
        "top\trelative",
        "top\t/usr/lib/..",
        "ours\t/",
    ],
)
def test_a_path_that_leads_elsewhere_ends_the_pull(line: str) -> None:
    with pytest.raises(PreflightError, match="no honest board lists"):
        read_listing(f"{line}\n{END}", TOPS)


@pytest.mark.hostile(kind="board")
def test_too_much_and_a_cut_list_are_told() -> None:
    sizes = f"{D}  /usr/lib/liba.so\n-rw-r--r-- 1 0 0 1099511627776 Jan 1 1970 /usr/lib/liba.so\n"
    with pytest.raises(PreflightError, match="no honest board lists") as caught:
        read_listing(sizes + END, TOPS)
    assert "1,099,511,627,776 bytes" in caught.value.why
    many = "".join(f"{D}  /lib/l{n}.so\n-rw-r--r-- 1 0 0 1000000000 Jan 1 1970 /lib/l{n}.so\n" for n in range(9))
    with pytest.raises(PreflightError, match="lists too much"):
        read_listing(many + END, TOPS)
    with pytest.raises(PreflightError, match="was cut"):
        read_listing(f"{D}  /usr/lib/liba.so\n{D}  /usr/li", TOPS)


def test_folders_that_the_loader_names_are_looked_into_too() -> None:
    confs = {
        "/etc/ld.so.conf": b"include /etc/ld.so.conf.d/*.conf\n/usr/lib/inside\n",
        "/etc/ld.so.conf.d/vendor.conf": b"/oem/usr/lib\n/oem/usr/lib/sub\n/proc/x\n/usr/../dev\n",
        "/etc/ld-musl-armhf.path": b"/lib:/vendor/lib\n/data/lib",
        LD_CACHE: glibc([("libv.so.1", "/cached/lib/libv.so.1", 0x0903, 0)]),
    }
    found = more_folders(confs, ("/lib", "/usr/lib"))
    assert found == ["/cached/lib", "/data/lib", "/oem/usr/lib", "/vendor/lib"]
    assert more_folders({LD_CACHE: b"damaged"}, ()) == []


def test_folders_that_links_lead_to_are_looked_into_too() -> None:
    links = {
        "/usr/lib/liba.so.1": "/data/vendor/liba.so.1.2",
        "/usr/lib/libb.so": "../../oem/usr/lib/libb.so.1",
        "/usr/lib/libc.so": "libc.so.6",
        "/usr/lib/libd.so": "libgone.so",
        "/usr/lib/libe.so": "/proc/self/libe.so",
        "/usr/lib/libf.so": "/libf.so",
        "/lib": "/elsewhere",
    }
    listing = Listing(files={"/usr/lib/libc.so.6": D}, links=links, places=("/usr/lib",))
    assert folders_behind(listing) == ["/data/vendor", "/oem/usr/lib"]


class HostileSession:
    """A board that answers what a test gives it: the list first, then a stream for each batch."""

    def __init__(self, listing: str, stream: bytes) -> None:
        self.traffic = Traffic()
        self.deadline = math.inf
        self.listing, self.stream = listing, stream

    def run(
        self, script: str, arguments: Sequence[str] = (), stdin: Iterable[bytes] = (), *, most: int = TEXT_BYTES
    ) -> Reply:
        answer = self.listing if arguments else "boardcast=begin\nmachine=armv7l\nboardcast=end\n"
        return Reply(code=0, out=answer, err="")

    def fetch(self, script: str, arguments: Sequence[str] = (), stdin: Iterable[bytes] = (), *, most: int) -> bytes:
        return self.stream


def stream(*members: tuple[str, bytes, bytes]) -> bytes:
    """Return a tar stream of (name, kind, content or target)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                info.linkname = content.decode()
                archive.addfile(info)
    return buffer.getvalue()


@pytest.mark.hostile(kind="board")
@pytest.mark.parametrize(
    ("member", "says"),
    [
        (("usr/lib/liba.so", tarfile.SYMTYPE, b"/etc/passwd"), "it is a symbolic link"),
        (("usr/lib/liba.so", tarfile.LNKTYPE, b"etc/passwd"), "it is a hard link"),
        (("usr/lib/liba.so", tarfile.CHRTYPE, b""), "it is a device, FIFO or socket"),
        (("usr/lib/liba.so", tarfile.FIFOTYPE, b""), "it is a device, FIFO or socket"),
        (("usr/lib/liba.so", tarfile.GNUTYPE_SPARSE, b""), "a member of the unknown kind b'S'"),
        (("usr/lib/other.so", tarfile.REGTYPE, b"x"), "a file of another name"),
        (("../../etc/cron.d/x", tarfile.REGTYPE, b"x"), "a file of another name"),
        (("/etc/cron.d/x", tarfile.REGTYPE, b"x"), "a file of another name"),
    ],
)
def test_a_stream_with_anything_else_is_refused(home: Path, member: tuple[str, bytes, bytes], says: str) -> None:
    session = HostileSession(f"top\t/usr/lib\n{D}  /usr/lib/liba.so\n{END}", stream(member))
    with pytest.raises(PreflightError, match=r"was not asked for|is damaged") as caught:
        pull_root(session, "cam", ARCHES["armv7"])
    assert caught.value.why == says
    assert not list((paths.work() / "pull" / "cam").iterdir())


@pytest.mark.hostile(kind="board")
def test_other_content_than_was_listed_is_not_kept(home: Path) -> None:
    sent = stream(("usr/lib/liba.so", tarfile.REGTYPE, small_elf()))
    session = HostileSession(f"top\t/usr/lib\n{D}  /usr/lib/liba.so\n{END}", sent)
    with pytest.raises(PreflightError, match="changed while they were read"):
        pull_root(session, "cam", ARCHES["armv7"])
    assert not list((paths.work() / "pull" / "cam").iterdir())
    session.stream = b"no tar at all" * 100
    with pytest.raises(PreflightError, match="is damaged"):
        pull_root(session, "cam", ARCHES["armv7"])


def test_a_board_without_a_library_is_told_so(home: Path) -> None:
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    sent = stream(("etc/ld.so.conf", tarfile.REGTYPE, b""))
    with pytest.raises(PreflightError, match="lists no libraries"):
        pull_root(HostileSession(f"{empty}  /etc/ld.so.conf\n{END}", sent), "cam", ARCHES["armv7"])


@pytest.mark.hostile(kind="board")
def test_a_link_in_the_pulls_folder_is_not_followed(home: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"")
    digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    (tmp_path / digest).symlink_to(tmp_path / "secret")
    assert not pull._have(tmp_path, digest)
    (tmp_path / digest).unlink()
    (tmp_path / digest).touch()
    assert pull._have(tmp_path, digest)


def test_a_board_of_another_machine_is_refused_before_anything_is_written(home: Path) -> None:
    here = paths.BOARDS / "cam"
    here.mkdir(parents=True)
    (here / "index.json").write_text("the good one")
    session = HostileSession(END, b"")
    with pytest.raises(UserError, match="this is no cam; nothing was written") as caught:
        pull_root(session, "cam", ARCHES["aarch64"])
    assert "armv7l" in caught.value.why
    assert [path.name for path in here.iterdir()] == ["index.json"]
    assert not (paths.work() / "pull").exists()


def test_batches_are_bounded_in_files_and_bytes() -> None:
    files = {f"/lib/{n:03}.so": D for n in range(200)}
    listing = Listing(files=files, sizes=dict.fromkeys(files, 1 << 20))
    batches = list(pull._batches(files, listing))
    assert sum(map(len, batches)) == 200
    assert max(map(len, batches)) == 16
    assert max(map(len, pull._batches(files, Listing(files=files)))) == 64

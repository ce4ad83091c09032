"""The probe on a board that is a folder of this machine: what it finds out by doing, and who else could write there."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploy.boards.probe import HostFacts, open_to_others, parse_facts, probe_host
from deploy.boards.session import Reply
from recipes.errors import PreflightError
from recipes.process import run as run_process
from tests.support.localboard import ARCH, LocalSession

ROOT = "/opt/boardcast"


@pytest.mark.process
def test_a_root_that_is_not_there_yet_is_probed_where_it_would_be_made(tmp_path: Path) -> None:
    facts = probe_host(LocalSession(), str(tmp_path / "a" / "b"), [str(tmp_path), "/bin/sh"])
    assert facts.writable
    assert facts.executes
    assert facts.identity is not None
    assert ARCH.matches(facts.identity)
    assert facts.free_kib > 0
    assert (facts.uid, facts.gid) == (os.getuid(), os.getgid())
    assert facts.folders[0].path == str(tmp_path)
    assert facts.folders[-1].path == "/"
    assert facts.files[str(tmp_path)] == "odd", "a folder is no file, and is not nothing"
    assert not list(tmp_path.iterdir()), "nothing is left"
    assert open_to_others(facts, str(tmp_path / "a" / "b")) == ""


@pytest.mark.process
def test_a_profile_that_prints_without_a_line_break_hides_nothing(tmp_path: Path) -> None:
    class Chatty(LocalSession):
        def run(self, script: str, *words: Any, **more: Any) -> Reply:
            return super().run(f"printf '%s' 'ACME camera # '\n{script}", *words, **more)

    facts = probe_host(Chatty(), str(tmp_path), [])
    assert facts.machine in ARCH.machine


@pytest.mark.process
def test_a_link_on_the_way_is_followed_for_its_owners(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real").chmod(0o777)
    (tmp_path / "link").symlink_to("real")
    facts = probe_host(LocalSession(), str(tmp_path / "link" / "boardcast"), [])
    assert open_to_others(facts, str(tmp_path / "link" / "boardcast")) == (
        f"{tmp_path}/real may be written to by everybody (drwxrwxrwx)"
    )


@pytest.mark.process
@pytest.mark.skipif(os.getuid() != 0, reason="mounting takes root")
@pytest.mark.parametrize(("options", "writable", "executes"), [("ro", False, True), ("noexec", True, False)])
def test_read_only_and_noexec_are_found_by_trying(tmp_path: Path, options: str, writable: bool, executes: bool) -> None:
    mounted = run_process(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(tmp_path)], check=False)
    if mounted.code != 0:
        pytest.skip("this machine mounts nothing")
    try:
        facts = probe_host(LocalSession(), f"{tmp_path}/boardcast", [])
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
    assert facts.writable is writable
    if writable:
        assert facts.executes is executes


def facts_of(*folders: tuple[str, int, int, str], uid: int = 1000, gid: int = 1000) -> HostFacts:
    lines = [f"folder={mode} {owner} {group} {path}" for mode, owner, group, path in folders]
    return parse_facts("\n".join([f"uid={uid}", f"gid={gid}", *lines]), now=0)


SLASH = ("drwxr-xr-x", 0, 0, "/")


@pytest.mark.hostile(kind="board")
@pytest.mark.parametrize(
    ("folders", "says"),
    [
        ([("drwxr-xr-x", 0, 0, "/opt")], ""),
        ([("drwxr-xr-x", 1000, 1000, ROOT), ("drwxr-xr-x", 0, 0, "/opt")], ""),
        ([("drwxrwxr-x", 1000, 1000, ROOT), ("drwxrwsr-x", 0, 50, "/opt")], ""),
        ([("drwxr-xr-x", 1001, 1001, ROOT)], f"{ROOT} belongs to user 1001"),
        ([("drwxr-xr-x", 1000, 1000, ROOT), ("drwxrwxrwx", 0, 0, "/opt")], "/opt may be written to by everybody"),
        ([("drwxr-xr-x", 1000, 1000, ROOT), ("drwxrwxrwt", 0, 0, "/opt")], ""),
        ([("drwxrwxrwt", 0, 0, "/opt")], "/opt may be written to by everybody"),
        ([("drwxrwxrwt", 1000, 1000, ROOT)], f"{ROOT} may be written to by everybody"),
        ([("drwxrwxr-x", 0, 100, "/opt")], "/opt may be written to by group 100"),
        ([("lrwxrwxrwx", 0, 0, "/opt")], ""),
        ([("drwxr-xr-x", 0, 0, ROOT), ("lrwxrwxrwx", 1000, 0, f"{ROOT}/store")], f"{ROOT}/store is a link"),
        ([("drwxr-xr-x", 0, 0, ROOT), ("drwxrwxrwx", 0, 0, f"{ROOT}/incoming")], f"{ROOT}/incoming may be written to"),
    ],
)
def test_whoever_else_may_write_on_the_way_is_told(folders: list[tuple[str, int, int, str]], says: str) -> None:
    told = open_to_others(facts_of(*folders, SLASH), ROOT)
    assert told.startswith(says)
    assert bool(told) is bool(says)


def listed(*entries: str, mode: str = "drwxrwxr-x+", group: int = 0) -> HostFacts:
    lines = [f"folder={mode} 0 {group} /opt", "folder=drwxr-xr-x 0 0 /", *(f"acl={entry} /opt" for entry in entries)]
    return parse_facts("\n".join(["uid=1000", "gid=1000", *lines]), now=0)


BASE = ("user::rwx", "group::r-x", "other::r-x")


@pytest.mark.hostile(kind="board")
@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ((), "/opt has an access list (ls shows a +), and the board has no getfacl"),
        ((*BASE, "mask::rwx", "user:1000:rwx", "user:0:rwx", "group:1000:rwx", "group:50:rwx"), ""),
        ((*BASE, "mask::rwx", "user:1001:rwx"), "/opt may be written to by user 1001"),
        ((*BASE, "mask::r-x", "user:1001:rwx"), ""),
        ((*BASE, "mask::rwx", "user:1001:r-x"), ""),
        ((*BASE, "mask::rwx", "group:100:-w-"), "/opt may be written to by group 100"),
        ((*BASE, "default:user:1001:rwx", "default:mask::rwx"), "/opt may be written to by user 1001"),
        ((*BASE, "default:user:1001:rwx", "default:mask::r-x", "mask::rwx"), ""),
        ((*BASE, "user:1001:rwx", "mask::rwx", "default:mask::r-x"), "/opt may be written to by user 1001"),
        ((*BASE, "default:other::rwx"), "/opt may be written to by everybody"),
    ],
)
def test_an_access_list_lets_nobody_else_in(entries: tuple[str, ...], says: str) -> None:
    told = open_to_others(listed(*entries), ROOT)
    assert told.startswith(says)
    assert bool(told) is bool(says)


def test_the_groups_right_of_a_listed_folder_is_not_its_mask() -> None:
    assert open_to_others(listed(*BASE, "mask::rwx", group=100), ROOT) == ""
    told = open_to_others(listed("user::rwx", "group::rwx", "mask::rwx", "other::r-x", group=100), ROOT)
    assert told.startswith("/opt may be written to by group 100")


@pytest.mark.hostile(kind="board")
@pytest.mark.parametrize("entry", ["user:1001:rwx", "user:x:rwx /opt", "user:1001:rwxs /opt", "\x1b[2J /opt"])
def test_an_entry_that_getfacl_cannot_print_is_refused(entry: str) -> None:
    with pytest.raises(PreflightError, match="cannot be read"):
        parse_facts(f"acl={entry}", now=0)


def access_list(*entries: tuple[int, int, int]) -> bytes:
    """Return an access list as the kernel keeps it: tag, rights, number (linux/posix_acl_xattr.h)."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


NOBODY_IN_PARTICULAR = 0xFFFFFFFF


@pytest.mark.process
@pytest.mark.hostile(kind="board")
@pytest.mark.parametrize("rights", [5, 7])
def test_a_folder_with_a_real_access_list_is_judged(tmp_path: Path, rights: int) -> None:
    rows = ((1, 7), (2, rights), (4, 5), (16, 7), (32, 5))  # owner, user 4711, group, mask, others
    data = access_list(*((tag, right, 4711 if tag == 2 else NOBODY_IN_PARTICULAR) for tag, right in rows))
    try:
        os.setxattr(tmp_path, "system.posix_acl_access", data)
    except OSError:
        pytest.skip("this file system has no access lists")
    facts = probe_host(LocalSession(), str(tmp_path), [])
    assert facts.folders[0].listed
    told = open_to_others(facts, str(tmp_path))
    if shutil.which("getfacl"):
        assert ("user 4711" in told) is (rights == 7)
    else:
        assert "no getfacl" in told

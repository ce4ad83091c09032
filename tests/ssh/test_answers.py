"""Answers of a board: what is whole is read, and whatever else comes is an error that names line and command."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deploy.boards.introduce import read_self
from deploy.boards.listing import read_listing
from deploy.boards.probe import parse_facts
from deploy.ssh.answers import BEGIN, END, framed, program_identity, runs_there
from recipes.arch import ARCHES
from recipes.errors import PreflightError
from tests.support.localboard import ARCH
from tests.support.smallelf import small_elf

GOOD = "machine=armv7l\nuid=0\nclock=1700000000\nfree_kib=500\nwritable=yes\ntool=tar\n"
LINES = [
    "machine=armv7l",
    "uid=root",
    "clock=%s",
    "free_kib=Available",
    "elf=zz",
    "folder=",
    "file=x y",
    "blob=\t",
    "=",
]


@pytest.mark.hostile(kind="board")
@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("free_kib=Available", "df -Pk"),
        ("free_kib=df: /opt: can't find mount point", "df -Pk"),
        ("clock=%s", "date +%s"),
        ("uid=root", "id -u"),
        ("clock=" + "9" * 5000, "date +%s"),
        ("uid=٣", "id -u"),
        ("folder=drwxr-xr-x root root /opt", "ls -ldn"),
        ("file= /lib/libz.so.1", "sha256sum"),
        ("writable=maybe", "mkdir"),
    ],
)
def test_a_value_that_its_command_cannot_print_is_told_with_both(line: str, command: str) -> None:
    with pytest.raises(PreflightError) as caught:
        parse_facts(GOOD + line + "\n", now=0)
    assert caught.value.where.startswith(line[:100])
    assert f"`{command}`" in caught.value.why
    assert caught.value.code == 5


@pytest.mark.hostile(kind="board")
def test_a_line_that_nobody_asked_for_is_told() -> None:
    with pytest.raises(PreflightError, match="cannot be read") as caught:
        parse_facts(GOOD + "Welcome to \x1b[31mBusyBox\n", now=0)
    assert caught.value.where == r"Welcome to \x1b[31mBusyBox"


@pytest.mark.parametrize("noise", ["", "Welcome!\n", "\r\n*** ACME camera ***\r\n# ", "root@cam:~# \n"])
def test_a_banner_in_front_is_passed_over(noise: str) -> None:
    glued = noise.endswith("# ")
    text = f"{noise}{'' if not glued else chr(10)}{BEGIN}\n{GOOD}{END}\n"
    assert parse_facts(framed(text), now=0).machine == "armv7l"


@pytest.mark.hostile(kind="board")
@pytest.mark.parametrize("text", ["", "menu> ", f"{BEGIN}\n{GOOD}", f"{GOOD}{END}\n", f"x{BEGIN}\n{GOOD}{END}\n"])
def test_an_answer_without_its_marks_is_none(text: str) -> None:
    with pytest.raises(PreflightError, match=r"did not answer|is not whole"):
        framed(text)


@pytest.mark.hostile(kind="board")
@given(st.binary(max_size=300), st.lists(st.sampled_from(LINES), max_size=3))
@example(b"\xff\xfe\0", [])
def test_no_bytes_at_all_end_in_a_traceback(noise: bytes, lines: list[str]) -> None:
    body = "\n".join([*lines, noise.decode("utf-8", "replace")])
    for text in (noise.decode("utf-8", "replace"), body, f"{BEGIN}\n{body}\n{END}\n", f"{body}\nend\t\n"):
        for read in (
            lambda answer: parse_facts(framed(answer), now=0),
            lambda answer: parse_facts(answer, now=0),
            lambda answer: read_self(framed(answer)),
            read_self,
            lambda answer: read_listing(answer, ["/lib"]),
        ):
            try:
                read(text)
            except PreflightError as error:
                assert error.what
                assert (error.where + error.why).replace("\n", " ").isprintable()


@pytest.mark.parametrize("name", sorted(ARCHES))
def test_a_program_tells_its_machine_by_its_first_bytes(name: str) -> None:
    wanted = ARCHES[name].identity
    head = bytearray(small_elf(machine=wanted.machine)[:64].ljust(64, b"\0"))
    found = program_identity(bytes(head).hex())
    assert found == program_identity(base64.b64encode(head).decode())
    assert found is not None
    assert found.machine == wanted.machine


def test_this_machines_shell_is_told() -> None:
    found = program_identity(Path("/bin/sh").read_bytes()[:64].hex())
    assert found is not None
    assert ARCH.matches(found)


@pytest.mark.parametrize("text", ["", "zz", "7f45", "2321" * 32, base64.b64encode(b"#!/bin/sh" * 8).decode()])
def test_what_is_no_program_tells_nothing(text: str) -> None:
    assert program_identity(text) is None


@pytest.mark.parametrize(
    ("has", "machine", "wanted", "runs"),
    [
        ("armv7", "armv7l", "armv7", True),
        ("armv7", "aarch64", "armv7", True),  # Raspberry Pi OS for 32 bits, with its usual kernel
        ("armv5", "armv7l", "armv5", True),
        ("armv7", "armv6l", "armv7", False),  # the processor lacks what armv7 has
        ("aarch64", "aarch64", "armv7", False),
        ("armv5", "armv7l", "armv7", False),
        ("x86_64", "x86_64", "x86_64", True),
    ],
)
def test_the_boards_own_programs_say_what_runs_there(has: str, machine: str, wanted: str, runs: bool) -> None:
    arch = ARCHES[wanted]
    assert runs_there(ARCHES[has].identity, machine, arch.identity, arch.machine) is runs

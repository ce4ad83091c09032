"""The table of status codes: what each line means, read alike by BusyBox's grep, GNU's grep and Python."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import tasks
from deploy.launch import statuscodes
from deploy.launch.statuscodes import (
    Symptom,
    code_patterns,
    incurable_exits,
    incurable_lines,
    needed_text,
    symptom_of_code,
    symptom_of_exit,
    symptom_of_line,
    symptom_table,
)
from recipes.errors import ConfigError
from tests.support.streamlogs import FORMS, HEALTHY, SYMPTOMS

TABLE = {symptom.name: symptom for symptom in symptom_table().symptom}


def code_lines(symptom: Symptom) -> list[str]:
    """Return lines with the codes and acknowledgements of a symptom, in every form that the SDKs print."""
    lines = []
    for code in symptom.codes:
        number = int(code, 16)
        forms = FORMS if number >= 0x1000 else FORMS[:3]
        for shown in (code, f"0x{number:08X}", f"0x{number:x}"):
            lines += [form.format(hex=shown, decimal=number) for form in forms]
    for ack in symptom.acks:
        lines += [f'{{"EventType":"ERROR","FragmentTimecode":160,"ErrorId":{ack}}}', f'{{"ErrorId" : {ack}, "x": 1}}']
    return lines


SAMPLES = [(name, line) for name in TABLE for line in (*SYMPTOMS[name], *code_lines(TABLE[name]))]


def test_every_symptom_has_samples_and_no_other_has() -> None:
    assert list(SYMPTOMS) == list(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_a_line_is_told_as_what_it_is(name: str) -> None:
    told = {line: getattr(symptom_of_line(line), "name", None) for sample, line in SAMPLES if sample == name}
    assert {line: seen for line, seen in told.items() if seen != name} == {}


@pytest.mark.parametrize("name", TABLE)
def test_every_pattern_is_there_for_a_line(name: str) -> None:
    lines = [line for sample, line in SAMPLES if sample == name]
    idle = [pattern for pattern in TABLE[name].patterns if not any(re.search(pattern, line) for line in lines)]
    assert not idle


@pytest.mark.parametrize("line", HEALTHY)
def test_what_is_well_is_no_symptom(line: str) -> None:
    assert symptom_of_line(line) is None


def test_the_quick_look_leaves_nothing_out() -> None:
    for symptom in TABLE.values():
        for pattern in symptom.patterns:
            fits = [line for _, line in SAMPLES if re.search(pattern, line)]
            assert fits, pattern
            assert all(needed_text(pattern) in line for line in fits), pattern


@pytest.mark.process
@pytest.mark.parametrize("grep", [("grep",), ("busybox", "grep")], ids=["GNU", "BusyBox"])
def test_every_pattern_is_read_alike(grep: tuple[str, ...], tmp_path: Path) -> None:
    if shutil.which(grep[0]) is None:
        pytest.skip(f"no {grep[0]} on this machine")
    lines = [*(line for _, line in SAMPLES), *HEALTHY]
    text = tmp_path / "log"
    text.write_text("\n".join(lines) + "\n")
    patterns = [*("|".join(symptom.patterns) for symptom in TABLE.values() if symptom.patterns)]
    for pattern in (*patterns, *(pattern for pattern, _ in incurable_lines())):
        done = subprocess.run(
            [*grep, "-n", "-E", "-e", pattern, str(text)],
            env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        found = [int(line.partition(":")[0]) for line in done.stdout.splitlines()]
        assert done.returncode == 0, (pattern, done.stderr)
        assert found == [at for at, line in enumerate(lines, 1) if re.search(pattern, line)], pattern


def test_a_number_that_is_no_status_is_none() -> None:
    assert symptom_of_line("Wrote 1375731728 bytes") is None
    assert symptom_of_line("Current state: 0x000000000000000f") is None
    assert symptom_of_line("flags 0x520000101") is None
    assert code_patterns("0x0000000f") == ("[Ss]tatus( code)?[:= ]{1,3}0x0{0,7}[fF]([^0-9a-fA-F]|$)",)


def test_what_a_restart_does_not_cure() -> None:
    meanings = [meaning for _, meaning in incurable_lines()]
    for name in ("stream-type-mismatch", "access-denied", "clock-signature", "ca-unreadable", "not-negotiated"):
        assert TABLE[name].title in meanings
    for name in ("uplink-stalled", "rtsp-gone", "call-failed", "timestamps", "log-configuration"):
        assert TABLE[name].title not in meanings
    assert incurable_exits() == (64, 78, 126, 127, 132, 135)


def test_codes_and_exits_are_found() -> None:
    assert getattr(symptom_of_code(0x5200007C), "name", "") == "stream-type-mismatch"
    assert getattr(symptom_of_exit(78), "name", "") == "given-up"
    assert symptom_of_code(0x52000FFF) is None
    assert symptom_of_exit(3) is None


def boardstream_source(name: str) -> str:
    return (Path(statuscodes.__file__).parents[2] / "recipes/catalog/streamer/src" / name).read_text()


def test_boardstream_and_the_table_agree() -> None:
    """What its own table gives up, no restart cures here either; each of its exit codes is known."""
    known = re.findall(r"\{(0x[0-9a-f]{8}), (CODE_\w+),", boardstream_source("causes.c"))
    assert len(known) >= 20
    wrong = [code for code, verdict in known if TABLE_OF[code].restart is (verdict == "CODE_GIVE_UP")]
    assert not wrong
    codes = [int(code) for code in re.findall(r"CODE_\w+ = (\d+)", boardstream_source("codes.h"))]
    assert sorted(code for code in codes if code) == [64, 74, 75, 78]
    assert all(symptom_of_exit(code) for code in codes if code)


TABLE_OF = {code: symptom for symptom in TABLE.values() for code in symptom.codes}


def test_the_words_of_boardstream_are_known() -> None:
    said = re.findall(r'\{"([A-Za-z ]+)", CODE_GIVE_UP', boardstream_source("causes.c"))
    assert len(said) >= 5
    assert not [word for word in said if (symptom := symptom_of_line(word)) is None or symptom.restart]


@pytest.mark.parametrize("name", TABLE)
def test_the_next_step_exists(name: str) -> None:
    known = set(tasks.ns.task_names) | {alias for names in tasks.ns.task_names.values() for alias in names}
    assert set(re.findall(r"\binvoke ([a-z][a-z._-]*)", TABLE[name].next_step)) <= known


GOOD = """schema = 1
[[symptom]]
name = "a"
title = "t"
lines = ['abc']
meaning = "m"
cure = "c"
next = "n"
restart = true
level = "error"
source = "https://example.com/x"
"""


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("'abc'", r"'a\bc'", "must be an extended regular expression"),
        ("'abc'", "'ab.*c'", "must be an extended regular expression"),
        ("'abc'", "'abc|def'", "must be an extended regular expression"),
        ("'abc'", "'ab{c'", "must be an extended regular expression"),
        ("'abc'", "'(ab'", "must be an extended regular expression"),
        ("'abc'", "'a?b?c?'", "must be an extended regular expression"),
        ("lines = ['abc']", "codes = ['0x5200007C']", "must be a status code"),
        ("lines = ['abc']", "lines = []", "needs at least one of"),
        ("lines = ['abc']", "exits = [300]", "less than or equal to 255"),
        ("title", "tittle", "did you mean 'title'"),
        ("https", "http", "must be an address"),
        ("", GOOD.partition("\n")[2], "is there twice"),
    ],
)
def test_a_fault_of_the_table_is_told(old: str, new: str, fault: str, tmp_path: Path) -> None:
    path = tmp_path / "statuscodes.toml"
    path.write_text(GOOD.replace(old, new, 1) if old else GOOD + new)
    with pytest.raises(ConfigError) as caught:
        symptom_table(path)
    assert fault in caught.value.why
    path.write_text(GOOD)
    assert symptom_table(path).symptom[0].name == "a"

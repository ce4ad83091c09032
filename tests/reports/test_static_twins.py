"""The same library in two outputs: told by names, by content alone, and not told of files that share little."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.reports.static_twins import SYMBOLS, Twin, find_twins, group_twins
from recipes.toolchains.debian_root import BoardRoot
from tests.support.compiler import compiled

pytestmark = [pytest.mark.process, pytest.mark.engine]


def library(name: str, functions: int) -> str:
    """Write a C library: functions that say what went wrong, each in words of its own, and a table."""
    lines = ["#include <stdio.h>", f"const unsigned {name}_table[64] = {{"]
    lines += [f"0x{(hash_of(name) * (number + 1)) % 0xFFFFFFFF:08x}u," for number in range(64)]
    lines.append("};")
    for number in range(functions):
        lines.append(
            f"int {name}_step_{number}(int a, const char *who) {{\n"
            f'  if (a > {number + 3}) {{ fprintf(stderr, "{name}: step {number} of %s went past its end\\n", who);'
            f" return -{number + 1}; }}\n"
            f"  return a * {number + 7} + (int){name}_table[(a + {number}) & 63];\n}}"
        )
    return "\n".join(lines) + "\n"


def hash_of(name: str) -> int:
    return int.from_bytes(name.encode(), "big") % 1_000_003


def user(name: str, used: str, functions: int) -> str:
    """Write the code of an output of its own, which calls all of a library."""
    calls = "".join(f"  a += {used}_step_{number}(a, who);\n" for number in range(functions))
    externs = "".join(f"int {used}_step_{number}(int, const char *);\n" for number in range(functions))
    body = f'{externs}__attribute__((visibility("default"))) int {name}_run(int a, const char *who) {{\n{calls}'
    return body + f"  return {name}_step_0(a, who);\n}}\n{library(name, 6)}"


HELPER = "static int clamp(int a) { return a < 0 ? 0 : a; }\nint helper(int a) { return clamp(a) + 1; }\n"
CXX = """
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>
struct @NAME@ { std::map<std::string, std::vector<std::string>> all; std::shared_ptr<int> count; };
std::string @NAME@_get(@NAME@ &it, const std::string &key, size_t at) {
  it.count = std::make_shared<int>(1);
  std::function<std::string(std::string)> twice = [](std::string s) { return s + s; };
  it.all[key].push_back(key.substr(at));
  return twice(it.all.at(key).at(at).insert(at, "@NAME@"));
}
"""
SOURCES = {
    "common.c": library("common", 40),
    "first.c": user("first", "common", 40),
    "second.c": user("second", "common", 40),
    "left.c": library("left", 60) + HELPER,
    "right.c": library("right", 60) + HELPER,
    "one.cpp": CXX.replace("@NAME@", "one"),
    "two.cpp": CXX.replace("@NAME@", "two"),
    "main.c": "int main(void) { return 0; }\n",
}
SCRIPT = r"""
for kind in default hidden; do
    flags="-O2 -fPIC -fvisibility=$kind"
    $CC $flags -c common.c -o common.o
    rm -f libcommon.a && ar rcs libcommon.a common.o
    for one in first second; do
        $CC $flags -shared -o "$kind-$one.so" "$one.c" -L. -lcommon
        strip -o "$kind-$one.stripped.so" "$kind-$one.so"
    done
done
for one in left right; do $CC -O2 -fPIC -shared -o $one.so $one.c; done
for one in one two; do $CXX -O1 -fPIC -shared -o $one.so $one.cpp; done
$CC -o main main.c
$CC -O0 -o other main.c
"""


@pytest.fixture(scope="module")
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    folder = compiled(request, tmp_path_factory.mktemp("twins"), SOURCES, SCRIPT)
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "log"}


def among(made: Mapping[str, bytes], *names: str) -> list[Twin]:
    return find_twins({f"lib/{name}": made[name] for name in names})


def test_an_exported_library_is_told_by_its_names(made: Mapping[str, bytes]) -> None:
    (twin,) = among(made, "default-first.stripped.so", "default-second.stripped.so")
    assert (twin.first, twin.second) == ("lib/default-first.stripped.so", "lib/default-second.stripped.so")
    assert twin.symbols == 41
    assert twin.examples[0] == "common_table"
    assert len(twin.examples) == 3
    (group,) = group_twins([twin])
    assert (group.name, group.files, group.spared) == ("common", (twin.first, twin.second), twin.estimated)


def test_a_hidden_library_is_told_by_its_local_names_until_they_are_stripped(made: Mapping[str, bytes]) -> None:
    (twin,) = among(made, "hidden-first.so", "hidden-second.so")
    assert twin.symbols == 41
    assert set(twin.examples) <= {f"common_step_{number}" for number in range(40)} | {"common_table"}


def test_of_a_hidden_and_stripped_library_the_content_is_left(made: Mapping[str, bytes]) -> None:
    (twin,) = among(made, "hidden-first.stripped.so", "hidden-second.stripped.so")
    assert (twin.symbols, twin.examples) == (0, ())
    assert twin.content > 40 * 30
    assert twin.texts[0].startswith("common: step ")
    assert 2000 < twin.estimated < len(made["hidden-first.stripped.so"])
    (group,) = group_twins([twin])
    assert group.name.startswith("common: step ")


def test_it_is_told_of_a_stripped_and_an_unstripped_one_alike(made: Mapping[str, bytes]) -> None:
    assert len(among(made, "hidden-first.so", "hidden-second.stripped.so")) == 1


def test_three_files_are_three_pairs_the_largest_first(made: Mapping[str, bytes]) -> None:
    twins = among(made, "default-first.so", "default-second.so", "hidden-first.stripped.so", "left.so", "main")
    assert len(twins) == 3
    assert [twin.estimated for twin in twins] == sorted((twin.estimated for twin in twins), reverse=True)
    (library,) = group_twins(twins)
    assert len(library.files) == 3
    assert library.name == "common"
    assert library.total > library.spared > 0


@pytest.mark.parametrize(
    "pair",
    [
        ("left.so", "right.so"),
        ("one.so", "two.so"),
        ("main", "other"),
        ("main", "left.so"),
        ("default-first.so", "left.so"),
    ],
    ids=["a shared helper", "C++ headers", "the C runtime only", "program and library", "no relation"],
)
def test_unrelated_files_are_not_reported(made: Mapping[str, bytes], pair: tuple[str, str]) -> None:
    assert among(made, *pair) == []


def test_of_a_real_board_the_two_builds_of_curl_are_told(arm_root: Future[BoardRoot]) -> None:
    wanted = {"libcurl.so.4.8.0", "libcurl-gnutls.so.4.8.0", "libssl.so.3", "libgnutls.so.30.34.3"}
    found: dict[str, bytes] = {}
    with tarfile.open(arm_root.result(timeout=1800).tar) as archive:
        for member in archive:
            name = member.name.rpartition("/")[2]
            if name in wanted and member.isfile() and (reader := archive.extractfile(member)) is not None:
                found[name] = reader.read()
    assert found.keys() == wanted
    (twin,) = find_twins(found)
    assert (twin.first, twin.second) == ("libcurl-gnutls.so.4.8.0", "libcurl.so.4.8.0")
    assert twin.symbols >= SYMBOLS
    assert all(name.startswith("curl_") for name in twin.examples)
    assert 0.3 < twin.estimated / len(found["libcurl.so.4.8.0"]) < 1


# Offsets of the header of a 64-bit ELF file where 8 wrong bytes hit nothing that says where its sections are.
HARMLESS = (8, 12, 24, 28, 32, 48)


def test_what_is_no_elf_file_or_is_cut_short_is_no_twin_of_the_whole(made: Mapping[str, bytes]) -> None:
    whole = made["default-first.so"]
    assert len(find_twins({"whole": whole, "copy": whole})) == 1
    cut = {str(size): whole[:size] for size in range(0, len(whole), 997)}
    assert find_twins({"text": b"#!/bin/sh\n", "none": b"", "whole": whole, **cut}) == []


def test_a_wrong_header_is_passed_over_where_it_hides_the_sections(made: Mapping[str, bytes]) -> None:
    whole = made["default-first.so"]
    wrong = {at: whole[:at] + b"\xff" * 8 + whole[at + 8 :] for at in range(0, 64, 4)}
    (same,) = find_twins({"whole": whole, "copy": whole})
    for at, data in wrong.items():
        twins = find_twins({"whole": whole, "wrong": data})
        expected = [replace(same, first="whole", second="wrong")] if at in HARMLESS else []
        assert twins == expected, at


def test_a_twin_is_a_value_for_json(made: Mapping[str, bytes]) -> None:
    (twin,) = among(made, "default-first.so", "default-second.so")
    assert list(twin.as_dict()) == ["first", "second", "symbols", "examples", "content", "texts", "estimated"]
    assert Path(str(twin.as_dict()["first"])).name == "default-first.so"

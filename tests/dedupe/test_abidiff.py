"""abidiff on real libraries: the same types, a struct that grew behind the same symbols, and what cannot be told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from deploy.dedupe.abidiff import ABIDIFF, REPORT_LINES, TypeComparison, TypeVerdict, compare_types, judge_report
from recipes import elf
from tests.support.compiler import compiled

pytestmark = [pytest.mark.process, pytest.mark.engine]
BASE = """struct point { int x; MORE int y; };
static struct point one;
struct point *make(void) { return &one; }
int count(void) { return 1; }
int norm(struct point *p) { return p->x * p->x + p->y * p->y; }
"""
SOURCES = {
    "same.c": BASE.replace("MORE ", ""),
    "grown.c": BASE.replace("MORE", "int z;"),
    "more.c": BASE.replace("MORE ", "") + "int more(void) { return 1; }\n",
    "less.c": BASE.replace("MORE ", "").replace("int norm", "static __attribute__((used)) int norm"),
}
SCRIPT = r"""
for one in same grown more less; do
    $CC -g -fPIC -shared -Wl,--build-id -Wl,-soname,libpoint.so.1 -o $one.so $one.c
    strip -o $one.stripped.so $one.so
done

id=$(readelf -n same.so | sed -n 's/.*Build ID: //p')
rest=${id#??}
mkdir -p "debug/.build-id/${id%$rest}"
objcopy --only-keep-debug same.so "debug/.build-id/${id%$rest}/$rest.debug"
"""


@pytest.fixture(scope="module")
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert shutil.which(ABIDIFF), "./bootstrap test brings abigail-tools"
    return compiled(request, tmp_path_factory.mktemp("types"), SOURCES, SCRIPT)


def compare(
    made: Path, ours: str, theirs: str, our_debug: Path | None = None, their_debug: Path | None = None
) -> TypeComparison:
    both = (made / ours).read_bytes(), (made / theirs).read_bytes()
    return compare_types("libpoint.so.1", *both, our_debug=our_debug, their_debug=their_debug)


def test_the_same_types_are_compatible(made: Path) -> None:
    found = compare(made, "same.so", "same.so")
    assert (found.verdict, found.breaks, found.lines) == (TypeVerdict.COMPATIBLE, False, ())
    assert found.describe().startswith("libpoint.so.1: types compatible: ")


def test_a_struct_that_grew_is_a_change_though_every_symbol_is_there(made: Path) -> None:
    found = compare(made, "same.so", "grown.so")
    assert found.verdict is TypeVerdict.CHANGED
    assert any("1 data member insertion" in line for line in found.lines)
    assert any("int z" in line for line in found.lines)
    assert len(found.lines) <= REPORT_LINES
    # The symbols are the same: a proof of names alone holds.
    ours, theirs = elf.read(made / "same.so"), elf.read(made / "grown.so")
    assert (ours.exports, ours.version_defs) == (theirs.exports, theirs.version_defs)


def test_only_what_is_bound_is_compared(made: Path) -> None:
    def of(*symbols: str) -> TypeComparison:
        ours, theirs = (made / "same.so").read_bytes(), (made / "grown.so").read_bytes()
        return compare_types("libpoint.so.1", ours, theirs, symbols=symbols)

    assert of("count").verdict is TypeVerdict.COMPATIBLE
    assert of("count").because.endswith("behind what is bound (1)")
    # Both functions take the struct that grew; that the one was told already must not hide the other.
    assert [of("norm").verdict, of("make").verdict, of("count", "norm").verdict] == [TypeVerdict.CHANGED] * 3
    # What could mean something else in a list of patterns is not put into one: all is compared.
    assert of("count", "norm.*").verdict is TypeVerdict.CHANGED
    assert of("count", ".count").verdict is TypeVerdict.CHANGED


def test_what_the_board_has_more_is_no_change(made: Path) -> None:
    assert compare(made, "same.so", "more.so").verdict is TypeVerdict.COMPATIBLE


def test_a_function_that_is_gone_is_incompatible(made: Path) -> None:
    found = compare(made, "same.so", "less.so")
    assert (found.verdict, found.breaks) == (TypeVerdict.CHANGED, True)
    assert "an incompatible change" in found.because


@pytest.mark.parametrize(
    ("ours", "theirs", "because"),
    [
        ("same.stripped.so", "grown.so", "no debug information for our copy"),
        ("same.so", "grown.stripped.so", "no debug information for board's copy"),
        ("same.stripped.so", "grown.stripped.so", "no debug information for our copy and board's copy"),
        ("same.c", "same.so", "no debug information for our copy"),
    ],
)
def test_without_debug_information_nothing_is_said(made: Path, ours: str, theirs: str, because: str) -> None:
    found = compare(made, ours, theirs)
    assert (found.verdict, found.because) == (TypeVerdict.UNKNOWN, because)


def test_split_debug_files_do(made: Path) -> None:
    debug = made / "debug"
    assert compare(made, "same.stripped.so", "grown.so", our_debug=debug).verdict is TypeVerdict.CHANGED
    assert compare(made, "same.stripped.so", "more.so", our_debug=debug).verdict is TypeVerdict.COMPATIBLE
    both = compare(made, "same.stripped.so", "same.stripped.so", our_debug=debug, their_debug=debug)
    assert both.verdict is TypeVerdict.COMPATIBLE
    # A folder with debug files of other builds is none.
    assert compare(made, "more.stripped.so", "same.so", our_debug=debug).verdict is TypeVerdict.UNKNOWN


def test_without_the_program_the_tools_images_says_the_same(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    debug = made / "debug"
    here = [compare(made, "same.so", "grown.so"), compare(made, "same.stripped.so", "grown.so", our_debug=debug)]
    monkeypatch.setenv("PATH", str(made / "empty"))
    there = [compare(made, "same.so", "grown.so"), compare(made, "same.stripped.so", "grown.so", our_debug=debug)]
    assert [one.verdict for one in here] == [TypeVerdict.CHANGED] * 2
    assert there == here


def test_without_the_program_and_an_engine_nothing_is_said(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(made / "empty"))
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    found = compare(made, "same.so", "same.so")
    assert found.verdict is TypeVerdict.UNKNOWN
    assert found.because == "abidiff is not on this machine, and the tools image that has it cannot be used"


@pytest.mark.parametrize(
    ("code", "verdict", "breaks"),
    [
        (0, TypeVerdict.COMPATIBLE, False),
        (4, TypeVerdict.CHANGED, False),
        (8, TypeVerdict.CHANGED, True),
        (12, TypeVerdict.CHANGED, True),
        (1, TypeVerdict.UNKNOWN, False),
        (3, TypeVerdict.UNKNOWN, False),
        (5, TypeVerdict.UNKNOWN, False),
        (16, TypeVerdict.UNKNOWN, False),
        (139, TypeVerdict.UNKNOWN, False),
        (-11, TypeVerdict.UNKNOWN, False),
    ],
)
def test_exit_codes_are_bits(code: int, verdict: TypeVerdict, *, breaks: bool) -> None:
    found = judge_report("libpoint.so.1", code, "", "why\n not")
    assert (found.verdict, found.breaks) == (verdict, breaks)
    assert list(found.as_dict()) == ["library", "verdict", "because", "lines", "breaks"]

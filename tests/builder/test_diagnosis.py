"""Every known build failure is recognised, in noise; what is in good builds is not taken for one."""

from __future__ import annotations

import re
import string
import time
from pathlib import Path

import pytest

from recipes import paths
from recipes.builder.diagnosis import LONGEST_LINE, CauseRule, cause_table, diagnose
from recipes.errors import ConfigError
from tests.support.faillogs import FAILURES
from tests.support.harmlesslog import HARMLESS

NOISE = HARMLESS[:3]
TELLING = "undefined reference to `curl_x'"
CASES = [
    pytest.param(name, text, id=f"{name}-{at}") for name, texts in FAILURES.items() for at, text in enumerate(texts)
]


def used(text: str) -> set[str]:
    return {field for _, field, _, _ in string.Formatter().parse(text) if field}


def seen(text: str) -> list[str]:
    return [line.replace("`", "'") for line in text.splitlines()]


@pytest.mark.parametrize(("name", "text"), CASES)
def test_a_known_failure_is_recognised_in_noise(name: str, text: str) -> None:
    cause = diagnose([*HARMLESS, *NOISE * 20, *text.splitlines(), *NOISE * 20])
    assert cause is not None
    assert cause.name == name
    assert cause.line in [line.strip() for line in text.splitlines()]
    assert cause.because
    assert cause.cure
    assert "{" not in cause.because + cause.cure


@pytest.mark.parametrize("rule", cause_table().rule, ids=lambda rule: rule.name)
def test_every_rule_is_complete(rule: CauseRule) -> None:
    texts = FAILURES.get(rule.name, ())
    assert len(texts) >= 2
    for pattern in rule.patterns:
        assert any(pattern.search(line) for text in texts for line in seen(text)), f"no test line for {pattern.pattern}"


@pytest.mark.parametrize(("name", "text"), CASES)
def test_the_spelling_of_quotes_does_not_matter(name: str, text: str) -> None:
    cause = diagnose(re.sub("[`']([^'`]{1,99})'", "\u2018\\1\u2019", text).splitlines())
    assert cause is not None
    assert cause.name == name


def test_names_are_unique_and_every_failure_has_its_rule() -> None:
    names = [rule.name for rule in cause_table().rule]
    assert sorted(names) == sorted(FAILURES)


@pytest.mark.parametrize("line", HARMLESS)
def test_a_harmless_line_is_no_failure(line: str) -> None:
    assert diagnose([line]) is None


def test_a_good_log_is_no_failure() -> None:
    assert len(HARMLESS) >= 30
    assert diagnose(HARMLESS) is None
    assert diagnose([]) is None


@pytest.mark.parametrize("rule", cause_table().rule, ids=lambda rule: rule.name)
def test_advice_is_about_what_exists(rule: CauseRule) -> None:
    """Check the commands, recipes and groups that the advice names against those that there are."""
    import tasks

    words = f"{rule.because} {rule.cure}"
    known = {name for task, aliases in tasks.ns.task_names.items() for name in (task, *aliases)}
    assert set(re.findall(r"\binvoke ([\w.]*\w)", words)) <= known
    for library in re.findall(r"\[policy\] (\w+) =", words):
        assert (paths.CATALOG / library).is_dir()
    for pattern in rule.patterns:
        assert used(words) <= set(pattern.groupindex), pattern.pattern


def test_an_unknown_clone_is_answered_with_the_lines_to_add() -> None:
    cause = diagnose(["fatal: repository '/bc/git/github.com/google/googletest.git' does not exist"])
    assert cause
    assert "https://github.com/google/googletest.git" in cause.because
    for line in (
        "[[repository]]",
        'name = "googletest"',
        'url = "https://github.com/google/googletest.git"',
        "commit =",
    ):
        assert line in cause.cure
    cause = diagnose(["fatal: '/bc/git/gitlab.com/a/b/c' does not appear to be a git repository"])
    assert cause
    assert 'url = "https://gitlab.com/a/b/c.git"' in cause.cure


def test_the_special_rule_wins_over_the_general_one_before_it() -> None:
    cause = diagnose(
        ["a.c:1: undefined reference to `camera_open'", "b.c:2: undefined reference to `lws_http_date_parse_unix'"]
    )
    assert cause
    assert cause.name == "libwebsockets-before-4-3"


def test_the_earliest_line_of_a_rule_wins() -> None:
    cause = diagnose([f"a.c:{at}: undefined reference to `SSL_one_{at}'" for at in range(5)])
    assert cause
    assert cause.line.endswith("`SSL_one_0'")
    assert "SSL_one_0 is of OpenSSL" in cause.because


def test_what_must_stand_near_does_not_count_from_afar() -> None:
    optional = "--   No package 'gstreamer-1.0' found"
    required = ["CMake Error at FindPkgConfig.cmake:607 (message):", "  A required package was not found"]
    assert diagnose([optional, *NOISE * 20, *required]) is None
    cause = diagnose([optional, *NOISE * 20, optional, *required])
    assert cause
    assert cause.name == "gstreamer-not-in-sysroot"


def test_what_is_shown_cannot_move_the_cursor() -> None:
    cause = diagnose(["\x1b[1;31mld: a.o: \x1b[K\x07undefined reference to `curl_x'\x1b[0m\r"])
    assert cause
    assert cause.line == "ld: a.o: undefined reference to `curl_x'"


def test_a_brace_of_the_log_is_only_text() -> None:
    cause = diagnose(["a.o: undefined reference to `log4cplus::{lambda()#1}::{symbol}'"])
    assert cause
    assert "log4cplus::{lambda()#1}::{symbol}" in cause.because


@pytest.mark.parametrize("rule", cause_table().rule, ids=lambda rule: rule.name)
def test_no_pattern_repeats_without_a_bound(rule: CauseRule) -> None:
    for pattern in (*rule.patterns, *filter(None, [rule.also])):
        bare = re.sub(r"\[(?:\\.|[^\]\\])*\]", "C", re.sub(r"\\[^\[\]]", "E", pattern.pattern))
        assert not re.search(r"[*+]|\{\d*,\}", bare), pattern.pattern


@pytest.mark.parametrize(
    "piece",
    [
        *("a", " ", "'", "lib", "arm-", "ab-", "a/", "/bc/git/a/", "-lib.so", "log4cplus::", "Package ", "\x1b["),
        *("undefined reference to '", "error: passing argument", "configure: error: OpenSSL ", "from /usr/include/"),
    ],
)
def test_a_hostile_line_costs_little_and_hides_nothing(piece: str) -> None:
    """A megabyte of what patterns begin with: read to a bound, and the failure after it is still told."""
    hostile = piece * (1_000_000 // len(piece))
    lines = [hostile, *(start + hostile for start in ("make ", "edit: ", "fatal: repository '"))]
    begun = time.process_time()
    assert diagnose(lines) is None
    cause = diagnose([*lines, TELLING])
    assert time.process_time() - begun < 2, "0.03 s is usual"
    assert cause is not None
    assert (cause.name, cause.line) == ("curl-too-old", TELLING)


def test_the_line_that_is_shown_is_no_longer_than_what_is_read() -> None:
    cause = diagnose([f"{TELLING} {'x' * 1_000_000}"])
    assert cause is not None
    assert len(cause.line) == LONGEST_LINE


def test_a_line_is_read_to_a_bound() -> None:
    cause = diagnose(["x" * (LONGEST_LINE - len(TELLING)) + TELLING])
    assert cause is not None
    assert cause.line.endswith(TELLING)
    assert diagnose(["x" * LONGEST_LINE + TELLING]) is None


def test_a_faulty_table_is_a_message(tmp_path: Path) -> None:
    path = tmp_path / "causes.toml"
    path.write_text(
        'schema = 1\n[[rule]]\nname = "a"\npatterns = ["("]\nbecause = "b"\ncure = "c"\nsource = "https://a.example/"\n'
    )
    with pytest.raises(ConfigError) as caught:
        cause_table(path)
    assert "patterns" in caught.value.why

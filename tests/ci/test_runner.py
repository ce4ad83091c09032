"""The runner that the workflow's tests stand on, with a workflow of its own: what a hosted one does, and refuses."""

from __future__ import annotations

import os
import stat
import textwrap
from pathlib import Path

import pytest

from tests.support.actions import Store, git
from tests.support.expressions import ExpressionError
from tests.support.runner import JobRun, Machine, Runner, WorkflowError, read_workflow

pytestmark = pytest.mark.process
GITHUB = {"ref": "refs/heads/main", "ref_type": "branch", "ref_name": "main"}
HEAD = """
on: push
defaults: {run: {shell: bash}}
jobs:
"""
CHECKOUT = "- uses: actions/checkout@v1"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    work = tmp_path / "work"
    git("init", "--quiet", str(work))
    (work / "tool").write_text("#!/bin/sh\necho made\n")
    (work / "tool").chmod(0o755)
    git("add", ".", cwd=work)
    git("-c", "user.name=a", "-c", "user.email=a@example.invalid", "commit", "--quiet", "-m", "a", cwd=work)
    git("config", "uploadpack.allowAnySHA1InWant", "true", cwd=work)
    return Store(work, git("rev-parse", "HEAD", cwd=work), tmp_path / "outlives")


def run(store: Store, jobs: str, *, head: str = HEAD, secrets: dict[str, str] | None = None) -> Runner:
    file = store.folder.parent / "workflow.yml"
    file.write_text(head + textwrap.indent(textwrap.dedent(jobs), "  "))
    machine = Machine(path=os.environ["PATH"], environment={})
    made = Runner(read_workflow(file), store, machine, github=GITHUB, secrets=secrets)
    made.run()
    return made


def only(runner: Runner, job: str) -> JobRun:
    [one] = runner.finished[job]
    return one


def test_outputs_environment_and_summary_go_from_step_to_step_and_job_to_job(store: Store) -> None:
    made = run(
        store,
        """
        first:
          outputs: {word: "${{ steps.say.outputs.word }}"}
          steps:
            - id: say
              env: {GIVEN: "${{ secrets.KEY }}"}
              run: |
                echo "word=$GIVEN-$RUNNER_OS" >> "$GITHUB_OUTPUT"
                printf 'LINES<<END\\na\\nb=c\\nEND\\n' >> "$GITHUB_ENV"
                echo '# Title' >> "$GITHUB_STEP_SUMMARY"
            - run: test "$LINES" = "$(printf 'a\\nb=c')"; test -z "${GIVEN-}"
        second:
          needs: first
          steps:
            - if: needs.first.outputs.word == 'k-Linux'
              run: echo right
            - if: needs.first.outputs.word != 'k-Linux'
              run: echo wrong
        """,
        secrets={"KEY": "k"},
    )
    assert only(made, "first").steps[0].summary == "# Title\n"
    assert [step.result for step in only(made, "second").steps] == ["success", "skipped"]


def test_after_a_failure_only_what_always_runs_does_and_what_needs_it_is_left_out(store: Store) -> None:
    made = run(
        store,
        """
        red:
          steps:
            - run: "false | true"
            - run: echo not this
            - if: always()
              run: echo this
        after: {needs: red, steps: [{run: echo no}]}
        at-last: {needs: [red, after], if: always(), steps: [{run: echo yes}]}
        """,
    )
    assert [step.result for step in only(made, "red").steps] == ["failure", "skipped", "success"]
    assert made.results["after"]["result"] == "skipped"
    assert only(made, "at-last").result == "success"


def test_without_a_shell_of_its_own_a_pipe_hides_a_failure_as_on_github(store: Store) -> None:
    made = run(store, 'red: {steps: [{run: "false | true"}, {run: "false\\ntrue"}]}', head="on: push\njobs:\n")
    assert [step.result for step in only(made, "red").steps] == ["success", "failure"]


def test_artefacts_keep_neither_modes_nor_links_nor_hidden_files(store: Store) -> None:
    made = run(
        store,
        """
        give:
          steps:
            - uses: actions/checkout@v1
            - run: |
                mkdir out
                cp -p tool out/tool
                ln -s tool out/link
                echo x > out/.hidden
            - uses: actions/upload-artifact@v1
              with: {name: made, path: out}
            - uses: actions/upload-artifact@v1
              with: {name: none, path: .git, if-no-files-found: error}
        take:
          needs: give
          if: always()
          steps:
            - uses: actions/download-artifact@v1
              with: {name: made, path: here}
        """,
    )
    assert [step.result for step in only(made, "give").steps][-1] == "failure", "there are only hidden files in it"
    here = only(made, "take").workspace / "here"
    assert {path.name for path in here.iterdir()} == {"tool", "link"}
    assert all(stat.S_ISREG(path.lstat().st_mode) and not path.stat().st_mode & 0o111 for path in here.iterdir())


def test_an_artefact_is_written_once_and_has_to_be_there(store: Store) -> None:
    made = run(
        store,
        """
        give:
          steps:
            - run: echo x > x
            - {uses: actions/upload-artifact@v1, with: {name: a, path: x}}
            - {uses: actions/upload-artifact@v1, with: {name: a, path: x}}
        take: {steps: [{uses: actions/download-artifact@v1, with: {name: b}}]}
        """,
    )
    assert "they do not change" in only(made, "give").steps[-1].log
    assert "there is no artefact b: a" in only(made, "take").steps[-1].log


CACHING = """
one:
  steps:
    - id: cache
      uses: actions/cache@v1
      with: {path: kept, key: %s, restore-keys: a-}
    - run: |
        mkdir -p kept
        echo '%s' >> kept/log
        echo "hit=${{ steps.cache.outputs.cache-hit }}" >> "$GITHUB_STEP_SUMMARY"
    - run: "%s"
"""


def test_a_cache_is_found_by_its_key_else_by_its_beginning_and_saved_where_the_key_had_none(store: Store) -> None:
    seen = []
    for key, word, end in (
        ("a-1", "first", "true"),
        ("a-2", "second", "false"),
        ("a-3", "third", "true"),
        ("a-3", "fourth", "true"),
        ("b-1", "fifth", "true"),
    ):
        job = only(run(store, CACHING % (key, word, end)), "one")
        seen.append((job.steps[1].summary.strip(), (job.workspace / "kept/log").read_text().split()))
    assert seen == [
        ("hit=", ["first"]),
        ("hit=false", ["first", "second"]),
        ("hit=false", ["first", "third"]),
        ("hit=true", ["first", "third", "fourth"]),
        ("hit=false", ["first", "third", "fifth"]),
    ]
    assert store.saved == ["a-1", "a-3", "b-1"], "what failed is not saved"


def test_what_a_job_leaves_running_is_ended_and_counted(store: Store) -> None:
    made = run(store, "one: {steps: [{run: 'sleep 600 > /dev/null 2>&1 &'}]}")
    assert only(made, "one").orphans == 1


@pytest.mark.parametrize(
    ("jobs", "message"),
    [
        ("a: {steps: [{run: x, continue-on-error: true}]}", "continue-on-error"),
        ("a: {container: x, steps: []}", "container"),
        ("a: {needs: b, steps: [{run: x}]}\nb: {needs: a, steps: [{run: x}]}", "wait for each other"),
        ("a: {steps: [{uses: some/action@v1}]}", "some/action"),
        ('a: {strategy: {matrix: "${{ fromJSON(\'{\\"include\\":[]}\') }}"}, steps: [{run: x}]}', "0 rows"),
        ("a: {steps: [{run: 'echo nothing >> \"$GITHUB_OUTPUT\"'}]}", "neither NAME=VALUE"),
        ("a: {steps: [{uses: a/b@v1, run: x}]}", "or both"),
    ],
)
def test_what_it_does_not_know_is_not_passed_over(store: Store, jobs: str, message: str) -> None:
    with pytest.raises(WorkflowError, match=message):
        run(store, jobs)


def test_a_name_that_nobody_gave_is_an_error(store: Store) -> None:
    with pytest.raises(ExpressionError, match="nothing"):
        run(store, "a: {steps: [{if: needs.nothing.result == 'success', run: x}]}")


def test_inputs_of_an_action_that_it_does_not_look_at_are_an_error(store: Store) -> None:
    made = run(store, "a: {steps: [{uses: actions/checkout@v1, with: {submodules: recursive}}]}")
    assert "submodules" in only(made, "a").steps[0].log

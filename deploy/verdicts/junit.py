"""Checks that were made elsewhere than by pytest, put into the JUnit file of the same verdict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deploy.verify.run import make_fit
from deploy.verify.verdict import Check
from recipes.files import whole_file


def append_checks(junit: Path, suite: str, checks: Sequence[Check]) -> None:
    """Add a suite to a JUnit file; a file that is not there is begun."""
    from junitparser import Failure, JUnitXml, Skipped, TestCase, TestSuite

    whole = JUnitXml.fromfile(str(junit)) if junit.is_file() else JUnitXml()
    if not isinstance(whole, JUnitXml):  # a file may have one suite, and nothing around it
        alone, whole = whole, JUnitXml()
        whole.add_testsuite(alone)
    made = TestSuite(suite)
    for check in checks:
        case = TestCase(check.name, suite, check.seconds)
        if check.state == "failed":
            case.result = [Failure(check.evidence)]
        elif check.state == "skipped":
            case.result = [Skipped(check.evidence)]
        else:
            case.system_out = check.evidence
        made.add_testcase(case)
    whole.add_testsuite(made)
    whole.update_statistics()  # type: ignore[no-untyped-call] # of this one method junitparser states no types
    with whole_file(junit) as file:
        whole.write(file)
    make_fit(junit)

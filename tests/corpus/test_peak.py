"""The mark of memory that the fuzz test sets sees what is held after it, and nothing from before."""

from __future__ import annotations

from tests.corpus.peak import mark_peak, peak

MEBIBYTE = 1 << 20


def test_only_what_comes_after_the_mark_counts() -> None:
    earlier = b"x" * (64 * MEBIBYTE)
    del earlier
    before = mark_peak()
    assert peak() - before < 16 * 1024
    later = b"y" * (48 * MEBIBYTE)
    del later
    assert peak() - before > 40 * 1024

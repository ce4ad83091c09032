"""What a board says of its releases is read strictly; and a small board is left as it was before the first deploy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.boards.inventory import SimState, host_target
from deploy.boards.session import connect
from deploy.bundle.load import Bundle
from deploy.release.deployment import deploy_to
from deploy.upkeep.prune import releases_to_remove
from deploy.upkeep.releases import KnownRelease, board_releases, read_releases
from deploy.upkeep.uninstall import uninstall
from recipes.errors import PreflightError
from tests.support.simrelease import FLASH, shell

ID = "ab" * 32


def test_a_line_is_read() -> None:
    found = read_releases(f"release={ID} current,streams yes 33 root@desk since 2026-01-02T03:04:05Z\n")
    assert [(row.id, row.role, row.streams, row.verified, row.files) for row in found] == [
        (ID, "current", True, True, 33)
    ]
    assert found[0].brought_by == "root@desk since 2026-01-02T03:04:05Z"
    (bare,) = read_releases(f"release={ID} kept no 0 ")
    assert (bare.streams, bare.verified, bare.brought_by) == (False, False, "")


@pytest.mark.parametrize(
    "line",
    [
        "release=../../etc current yes 3 x",
        f"release={ID} running yes 3 x",
        f"release={ID} current maybe 3 x",
        f"release={ID} current yes -3 x",
        f"release={ID} current yes 33333333333333 x",
        f"release={ID}",
        "nonsense",
    ],
)
def test_an_odd_answer_is_told_and_never_a_traceback(line: str) -> None:
    with pytest.raises(PreflightError):
        read_releases(line)


@pytest.mark.engine
@pytest.mark.sim
def test_a_small_board_is_as_it_was_before(tiny: SimState, tiny_bundle: Bundle) -> None:
    # A folder that a running system makes by itself may come and go.
    files = "find / ! -path '/proc*' ! -path '/sys*' ! -path '/dev*' ! -path '/tmp*' ! -name '[uw]tmp' | sort"
    shell(tiny.name, f"rm -rf {FLASH}")
    before = shell(tiny.name, files)
    deploy_to(tiny.name, tiny_bundle)
    assert shell(tiny.name, files) != before
    root = tiny_bundle.manifest.root
    with connect(host_target(tiny.name)) as session:
        (known,) = board_releases(session, root)
        assert (known.id, known.role, known.verified) == (tiny_bundle.id, "current", True)
        assert known.files >= len(tiny_bundle.manifest.files)
        assert uninstall(session, root, "a test").left == ()
        assert not uninstall(session, root, "a test").there
    assert shell(tiny.name, files) == before


def known(number: int, role: str, *, verified: bool, streams: bool) -> KnownRelease:
    return KnownRelease(
        id=f"{number:032x}",
        role=role,
        streams=streams,
        verified=verified,
        files=1,
        brought_by="",
    )


@st.composite
def boards(draw: st.DrawFn) -> list[KnownRelease]:
    """Return the releases that a board may have, the newest first."""
    rows = draw(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=12))
    named = draw(st.permutations(range(len(rows))))
    roles = dict(zip(named, ("current", "previous", "staged"), strict=False))
    return [
        known(number, roles.get(number, "kept"), verified=verified, streams=streams)
        for number, (verified, streams) in enumerate(rows)
    ]


@given(boards(), st.integers(0, 8))
def test_what_can_be_gone_back_to_is_never_pruned(found: list[KnownRelease], keep: int) -> None:
    """P-31."""
    gone = set(releases_to_remove(found, keep))
    stay = [release for release in found if release.id not in gone]
    for release in found:
        if release.role != "kept" or release.streams:
            assert release.id not in gone, release.role
    last = next((release for release in found if release.verified), None)
    assert last is None or last.id not in gone, "the last that was verified went"
    others = [release for release in stay if release.role == "kept" and not release.streams]
    assert all(release.verified for release in others)
    assert len(others) <= max(1, keep)
    assert releases_to_remove(stay, keep) == (), "a second time there is nothing to do"

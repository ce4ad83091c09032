"""What a board says of its releases is read strictly; and a small board is left as it was before the first deploy."""

from __future__ import annotations

import pytest

from deploy.boards.inventory import SimState, host_target
from deploy.boards.session import connect
from deploy.bundle.load import Bundle
from deploy.release.deployment import deploy_to
from deploy.upkeep.releases import board_releases, read_releases
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

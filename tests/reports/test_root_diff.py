"""What an update of a board's firmware took away, before anything is deployed to it."""

from __future__ import annotations

from dataclasses import replace

from deploy.reports.root_diff import root_differences
from recipes.arch import FloatAbi
from tests.support.facts import ARM, elf, index

OLD_Z = elf("libz.so.1", exports="inflate@@ZLIB_1.2 inflateBack@ZLIB_1.0")


def test_the_same_root_has_no_changes() -> None:
    assert root_differences(index(OLD_Z), index(OLD_Z)) == []


def test_what_is_lost_comes_first_and_is_named() -> None:
    new_z = elf("libz.so.1", exports="inflate@@ZLIB_1.2")
    old = index(OLD_Z, elf("liba.so.1", exports="a"), elf("libgone.so.1"))
    new = index(new_z, elf("liba.so.1", exports="a b"), elf("libnew.so.1"))
    assert root_differences(old, new) == [
        ("libgone.so.1", "gone"),
        ("libz.so.1", "lost nodes ZLIB_1.0; lost symbols inflateBack@ZLIB_1.0"),
        ("liba.so.1", "other content, nothing lost"),
        ("libnew.so.1", "new"),
    ]


def test_a_default_node_that_became_an_old_one_is_not_lost() -> None:
    assert root_differences(index(OLD_Z), index(elf("libz.so.1", exports="inflate@ZLIB_1.2 inflateBack@ZLIB_1.0"))) == [
        ("libz.so.1", "other content, nothing lost")
    ]


def test_another_float_abi_is_told() -> None:
    soft = elf("libz.so.1", exports=OLD_Z.exports, identity=replace(ARM, float_abi=FloatAbi.SOFT))
    ((name, change),) = root_differences(index(OLD_Z), index(soft))
    assert name == "libz.so.1"
    assert "soft float now" in change

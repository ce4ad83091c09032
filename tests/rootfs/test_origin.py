"""Where a file is, as one text: what it is in, its path there, and the same JSON as the text itself."""

from __future__ import annotations

import json

import pytest
from pydantic import BaseModel, ValidationError

from recipes.rootfs.origin import Origin, OriginKind


@pytest.mark.parametrize(
    ("origin", "text", "kind", "path"),
    [
        (Origin.bundle("lib/libz.so.1"), "bundle:lib/libz.so.1", OriginKind.BUNDLE, "lib/libz.so.1"),
        (Origin.stage("lib/libz.so.1"), "stage:lib/libz.so.1", OriginKind.STAGE, "lib/libz.so.1"),
        (Origin.sysroot("/usr/lib/libz.so.1"), "sysroot:/usr/lib/libz.so.1", OriginKind.SYSROOT, "/usr/lib/libz.so.1"),
        (Origin("/usr/lib/libz.so.1"), "/usr/lib/libz.so.1", OriginKind.BOARD, "/usr/lib/libz.so.1"),
        (Origin("/opt/bundle:x"), "/opt/bundle:x", OriginKind.BOARD, "/opt/bundle:x"),
        (Origin("board:x"), "board:x", OriginKind.BOARD, "board:x"),
        (Origin.bundle("a:b"), "bundle:a:b", OriginKind.BUNDLE, "a:b"),
        (Origin(""), "", OriginKind.BOARD, ""),
    ],
)
def test_an_origin_is_its_text_and_knows_its_parts(origin: Origin, text: str, kind: OriginKind, path: str) -> None:
    assert (origin.kind, origin.path) == (kind, path)
    assert origin.ours == (kind is OriginKind.BUNDLE)
    assert origin == text
    assert {text: 1}[origin] == 1
    assert json.dumps({"at": origin}) == json.dumps({"at": text})
    assert f"{origin}" == text


@pytest.mark.parametrize(
    ("detour", "place"),
    [
        ("bundle:bin/../lib", "bundle:lib"),
        ("bundle:lib/./deep/..", "bundle:lib"),
        ("/usr/bin/../lib", "/usr/lib"),
        ("/opt/a:b/../lib", "/opt/lib"),
    ],
)
def test_a_place_without_its_detours(detour: str, place: str) -> None:
    tidied = Origin(detour).tidied()
    assert tidied == place
    assert tidied.ours == place.startswith("bundle:")


def test_a_model_reads_an_origin_from_a_text_and_writes_the_text() -> None:
    class Row(BaseModel):
        provider: Origin

    row = Row.model_validate_json('{"provider": "bundle:lib/libz.so.1"}')
    assert row.provider.ours
    assert row.model_dump_json() == '{"provider":"bundle:lib/libz.so.1"}'
    assert json.dumps(row.model_dump()) == '{"provider": "bundle:lib/libz.so.1"}'
    with pytest.raises(ValidationError):
        Row.model_validate({"provider": 7})

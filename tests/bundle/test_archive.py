"""P-09, from within: members, headers and manifests that somebody changed, with a trusted key too."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.bundle.archive import Members, Suffix, pack_archive
from deploy.bundle.assemble import pack_bundle
from deploy.bundle.load import bundles_folder, verify_bundle
from deploy.bundle.manifest import Manifest
from deploy.bundle.sign import sign_manifest
from deploy.dedupe.decision import Action
from recipes.errors import ConfigError, ProofError
from recipes.stage.keys import signing_key
from tests.support.bundles import EACH_SUFFIX, LIBC, compress, contents, make, manifest, members, refused
from tests.support.facts import decision_row, proof_row

pytestmark = [pytest.mark.usefixtures("home"), pytest.mark.hostile(kind="bundle")]
Change = Callable[[Members, Members], Members]


def renamed(mine: Members, _: Members) -> Members:
    return {name.replace("share/app.conf", "share/other.conf"): data for name, data in mine.items()}


def without(name: str) -> Change:
    return lambda mine, _: {one: data for one, data in mine.items() if one != name}


def taking(*names: str) -> Change:
    return lambda mine, other: mine | {name: other[name] for name in names}


def adding(name: str, content: bytes = b"x") -> Change:
    return lambda mine, _: mine | {name: (content, 0o644)}


def executable(mine: Members, _: Members) -> Members:
    return mine | {"share/app.conf": (mine["share/app.conf"][0], 0o755)}


def swapped(mine: Members, _: Members) -> Members:
    return mine | {"bin/app": mine["lib/libx.so.1"], "lib/libx.so.1": mine["bin/app"]}


CHANGES: dict[str, tuple[Change, str]] = {
    "manifest of another bundle": (taking("manifest.json"), "does not belong to its name"),
    "manifest and signature of another bundle": (taking("manifest.json", "signature.json"), "does not belong"),
    "signature of another bundle": (taking("signature.json"), "does not fit its manifest"),
    "no signature": (without("signature.json"), "signature cannot be read"),
    "empty signature": (adding("signature.json", b""), "signature cannot be read"),
    "no manifest": (without("manifest.json"), "not a bundle"),
    "content of another bundle": (taking("run/app"), "run/app in the bundle is not what its manifest says"),
    "bill of another bundle": (taking("sbom.cdx.json"), "sbom.cdx.json in the bundle is not what"),
    "no bill": (without("sbom.cdx.json"), "sbom.cdx.json is missing"),
    "no licences": (without("licences/app.txt"), "licences/app.txt is missing"),
    "other licence": (adding("licences/app.txt"), "licences/app.txt in the bundle is not what"),
    "extra licence": (adding("licences/b.txt"), "licences/b.txt is in the bundle, and its manifest does not name it"),
    "extra file": (adding("bin/more"), "bin/more is in the bundle, and its manifest does not name it"),
    "removed file": (without("share/app.conf"), "share/app.conf is missing"),
    "renamed file": (renamed, "share/other.conf is in the bundle, and its manifest does not name it"),
    "other mode": (executable, "share/app.conf in the bundle is not what its manifest says"),
    "two files swapped": (swapped, "is not what its manifest says"),
    "way out": (adding("../evil"), "not a bundle"),
    "way out within": (adding("lib/../../evil"), "not a bundle"),
    "absolute": (adding("/etc/passwd"), "not a bundle"),
    "dot": (adding("./bin/app"), "not a bundle"),
    "line break": (adding("bin/a\nb"), "not a bundle"),
}


@EACH_SUFFIX
@pytest.mark.parametrize("case", CHANGES)
def test_a_bundle_with_changed_members_is_refused(case: str, suffix: Suffix) -> None:
    other = members(make(suffix, "other"))
    made = make(suffix)
    change, words = CHANGES[case]
    error = refused(made.path, pack_archive(change(members(made), other), suffix))
    assert error is not None
    assert words in f"{error}"


def test_a_bundle_under_another_name_is_refused() -> None:
    made, other = make(), make(tag="other")
    for name in (other.path.name, "x.tar.zst", f"{made.id}.x.tar.zst", f"{made.id}.tar", f"{made.id}.tar.gz"):
        made.path.with_name(name).write_bytes(made.path.read_bytes())
        with pytest.raises(ConfigError):
            verify_bundle(made.path.with_name(name))
    with pytest.raises(ConfigError, match="no such bundle"):
        verify_bundle(made.path.with_name("gone.tar.zst"))


def headers(content: Members) -> list[tuple[tarfile.TarInfo, bytes]]:
    found = []
    for name, (data, mode) in content.items():
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(data), mode
        found.append((info, data))
    return found


def written(parts: list[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.USTAR_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for info, content in parts:
            tar.addfile(info, io.BytesIO(content))
    return compress(buffer.getvalue())


def odd(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def test_links_devices_duplicates_and_other_orders_are_refused() -> None:
    made = make()
    content = members(made)
    parts = headers(content)
    assert refused(made.path, written(parts)) is None, "this test writes bundles as they are, but for its changes"
    link = odd("share/app.conf", tarfile.SYMTYPE, "../../etc/passwd")
    cases = {
        "a link in place of a file": [*parts[:-1], link],
        "a link more": [*parts, odd("lib/x", tarfile.SYMTYPE, "libx.so.1")],
        "a hard link": [*parts, odd("lib/x", tarfile.LNKTYPE, "lib/libx.so.1")],
        "a folder": [odd("bin", tarfile.DIRTYPE), *parts],
        "a device": [*parts, odd("dev/null", tarfile.CHRTYPE)],
        "a pipe": [*parts, odd("pipe", tarfile.FIFOTYPE)],
        "the same twice": [*parts, parts[-1]],
        "two manifests": [parts[0], *parts],
        "another of the same name": [*parts, (parts[-1][0], parts[-1][1][::-1])],
        "the manifest last": [*parts[1:], parts[0]],
        "two in another order": [*parts[:-2], parts[-1], parts[-2]],
        "nothing": [],
    }
    for name, changed in cases.items():
        assert refused(made.path, written(changed)) is not None, name
    for attribute, value in {"mtime": 1, "uid": 1000, "gid": 5, "uname": "me", "gname": "us", "mode": 0o4755}.items():
        changed = headers(content)
        setattr(changed[4][0], attribute, value)
        assert refused(made.path, written(changed)) is not None, attribute
    changed = headers(content)
    changed[4][0].pax_headers = {"comment": "more"}
    assert refused(made.path, written(changed, tarfile.PAX_FORMAT)) is not None
    assert refused(made.path, written(parts, tarfile.GNU_FORMAT)) is not None


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b'"keep":3', b'"keep": 3'),
        lambda text: text.replace(b'"keep":3', b'"keep":3,"keep":3'),
        lambda text: text.replace(b'"keep":3', b'"keep":3,"more":1'),
        lambda text: text.replace(b'"keep":3', b'"keep":"3"'),
        lambda text: text.replace(b'"loader":"",', b""),
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: b"[" * 100_000,
        lambda text: b"\xff",
    ],
)
def test_a_manifest_has_one_form_even_if_a_trusted_key_signed_another(change: Callable[[bytes], bytes]) -> None:
    made = make()
    found = members(made)
    text = change(found["manifest.json"][0])
    assert text != found["manifest.json"][0]
    found["manifest.json"] = (text, 0o644)
    found["signature.json"] = (sign_manifest(text, signing_key()), 0o644)
    path = made.path.with_name(f"{hashlib.sha256(text).hexdigest()[:32]}.tar.zst")
    error = refused(path, pack_archive(found, ".tar.zst"))
    assert error is not None
    assert error.what == "not a bundle"


def signed(found: Members, **changes: Any) -> tuple[Path, bytes]:
    """Return a bundle whose manifest was changed by somebody who has a trusted key."""
    changed = Manifest.model_validate(json.loads(found["manifest.json"][0])).model_copy(update=changes)
    text = changed.canonical()
    found = found | {"manifest.json": (text, 0o644), "signature.json": (sign_manifest(text, signing_key()), 0o644)}
    return bundles_folder("sim-tiny") / f"{changed.identity}.tar.zst", pack_archive(found, ".tar.zst")


def damaged(text: bytes, old: bytes, new: bytes) -> bytes:
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"library":"libc.so.6",', b""),
        (b'"library":"libc.so.6"', b'"library":6'),
        (b'"library":"libc.so.6"', b'"library":null'),
        (b'"action":"use-board"', b'"action":"trust-me"'),
        (b'"action":"use-board"', b'"action":"use-board","more":1'),
        (b'"action":"use-board"', b'"action":["use-board"]'),
        (b'"size":0', b'"size":"0"'),
        (b'"size":0', b'"size":false'),
        (b'"decisions":[{', b'"decisions":[[],{'),
        (b'"decisions":[', b'"decisions":[7,'),
        (b'"proofs":[{', b'"proofs":[null,{'),
        (b'"objects":{}', b'"objects":{"puts":["o"]}'),
        (b'"objects":{}', b'"objects":{"puts":"o:8"}'),
        (b'"objects":{}', b'"objects":[]'),
        (b'"missing":[]', b'"missing":""'),
        (b'"missing":[]', b'"missing":[[]]'),
        (b'"symbols":["puts@GLIBC_2.4"]', b'"symbols":{"puts@GLIBC_2.4":1}'),
        (b'"kind":"names and version nodes",', b""),
    ],
)
def test_a_damaged_row_is_refused_even_if_a_trusted_key_signed_it(old: bytes, new: bytes) -> None:
    made = make()
    found = members(made)
    text = damaged(found["manifest.json"][0], old, new)
    found["manifest.json"] = (text, 0o644)
    found["signature.json"] = (sign_manifest(text, signing_key()), 0o644)
    path = made.path.with_name(f"{hashlib.sha256(text).hexdigest()[:32]}.tar.zst")
    error = refused(path, pack_archive(found, ".tar.zst"))
    assert isinstance(error, ConfigError)
    assert error.what == "not a bundle"


def test_a_trusted_key_does_not_make_up_for_a_wrong_account() -> None:
    made = make()
    found, first = members(made), made.manifest
    row, kept = first.decisions
    proof = first.proofs[0]
    no_needs = tuple(file.model_copy(update={"needed": ()}) for file in first.files)
    cases: dict[str, dict[str, Any]] = {
        "without a proof": {"proofs": ()},
        "its proof does not hold": {"proofs": (proof.model_copy(update={"missing": ("puts",)}),)},
        "proof does not hold": {"proofs": (proof.model_copy(update={"sha256": ""}),)},
        "and its proof": {"proofs": (proof.model_copy(update={"provider": "/usr/lib/libc.so.6"}),)},
        "nothing was decided": {"decisions": (row,)},
        "was decided without any proof": {"refused": ()},
        "libx.so.1 is keep; by its proof it is use-board": {"refused": (proof_row("libx.so.1", "/lib/libx.so.1"),)},
        "libc.so.6 is use-board; by its proof it is keep-private": {
            "proofs": (proof.model_copy(update={"objects": {"puts@GLIBC_2.4": ("o:16", "o:8")}}),)
        },
        "its proofs cannot be read": {"proofs": (proof.model_copy(update={"objects": {"puts": ("o", "o")}}),)},
        "is kept, and is not there": {"decisions": (row, kept.model_copy(update={"provider": "bundle:lib/liby.so"}))},
        "the entries are not those": {"entries": ()},
        "nobody is named who brings it": {"providers": {"bin/app": {"libc.so.6": LIBC}}},
        "which is not what was proved": {
            "providers": {"bin/app": {"libx.so.1": "bundle:lib/libx.so.1", "libc.so.6": "/tmp/libc.so.6"}}
        },
        "bundle:lib/liby.so is not in the bundle": {
            "providers": {"bin/app": {"libx.so.1": "bundle:lib/liby.so", "libc.so.6": LIBC}}
        },
        "is an entry, and is not there": {
            "entries": ("bin/app", "bin/b"),
            "providers": {**first.providers, "bin/b": {}},
        },
        "needs other libraries": {"files": no_needs},
    }
    assert refused(*signed(found)) is None
    for words, changes in cases.items():
        error = refused(*signed(found, **changes))
        assert error is not None, words
        assert words in error.why


def test_a_second_copy_that_was_merged_is_no_second_decision() -> None:
    merged = decision_row("libx.so.1", Action.MERGE, "lib/private/libx.so.1")
    both = manifest(decisions=(*manifest().decisions, merged))
    made = pack_bundle(both, contents())
    assert verify_bundle(made.path).bundle == made
    with pytest.raises(ProofError, match="could not account") as caught:
        pack_bundle(manifest(decisions=(both.decisions[0], merged)), contents())
    assert "libx.so.1 is needed, and nothing was decided about it" in caught.value.why


@pytest.mark.parametrize("path", ["share/" + "a" * 101, "a" * 101, "b" * 156 + "/c"])
def test_a_path_that_a_tar_has_no_room_for_is_a_plain_error(path: str) -> None:
    fits = pack_bundle(manifest(), contents() | {"share/" + "a" * 100: (b"x", 0o644)})
    assert verify_bundle(fits.path).bundle == fits
    with pytest.raises(ConfigError, match="too long for a bundle") as caught:
        pack_bundle(manifest(), contents() | {path: (b"x", 0o644)})
    assert caught.value.where == path

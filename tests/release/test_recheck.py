"""P-11: the proof is still true when a bundle is deployed, or the board is not touched; on the emulated board."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from deploy.boards.inventory import SimState, host_target
from deploy.boards.session import SshSession, connect
from deploy.bundle.assemble import pack_bundle
from deploy.bundle.load import Bundle, verify_bundle
from deploy.bundle.manifest import ProofRow
from deploy.release.deployment import deploy_to, plan_deploy, roll_back_host, verify_host
from recipes import elf
from recipes.errors import PreflightError

pytestmark = pytest.mark.engine
LIBRARY = "libssl.so.3"
OURS = "/opt/boardcast"


@pytest.fixture
def session(arm: SimState) -> Iterator[SshSession]:
    """Return a session on the board; nothing of ours is there."""
    with connect(host_target(arm.name)) as opened:
        assert isinstance(opened, SshSession)
        opened.run(f"rm -rf {OURS}")
        yield opened


@pytest.fixture
def changed(session: SshSession, arm_bundle: Bundle) -> Iterator[Callable[[bytes, bytes], str]]:
    """Return a function that replaces bytes in the board's own library, which is put back afterwards."""
    row = proof(arm_bundle)
    path, good = row.provider, session.fetch('exec cat "$1"', [row.provider], most=1 << 28)

    def change(old: bytes, new: bytes) -> str:
        assert old in good
        assert len(old) == len(new)
        # As an update does: another file takes the name; who has the old one open keeps it.
        reply = session.run('cat >"$1.new" && mv "$1.new" "$1"', [path], [good.replace(old, new)])
        assert reply.code == 0, reply.err
        return row.opened

    yield change
    session.run('cat >"$1.new" && chmod 644 "$1.new" && mv "$1.new" "$1"', [path], [good])
    digest = session.run('sha256sum "$1"', [path]).out.split()[0]
    assert digest == hashlib.sha256(good).hexdigest()


def proof(bundle: Bundle) -> ProofRow:
    return next(row for row in bundle.manifest.proofs if row.library == LIBRARY)


def refused(host: str, bundle: Bundle, session: SshSession) -> PreflightError:
    with pytest.raises(PreflightError, match="nothing was changed") as caught:
        deploy_to(host, bundle)
    assert session.run(f"ls {OURS} 2>/dev/null; true").out == "", "a refused deploy leaves no trace"
    assert caught.value.code == 5
    return caught.value


def test_a_symbol_that_an_update_removed_is_named(
    arm: SimState, arm_bundle: Bundle, session: SshSession, changed: Callable[[bytes, bytes], str]
) -> None:
    name = next(symbol.partition("@")[0] for symbol in proof(arm_bundle).symbols)
    path = changed(b"\0" + name.encode() + b"\0", b"\0" + name[:-1].encode() + b"?\0")
    error = refused(arm.name, arm_bundle, session)
    assert path in error.what
    assert f"it lacks {name}" in error.why


def test_a_version_node_that_an_update_removed_is_named(
    arm: SimState, arm_bundle: Bundle, session: SshSession, changed: Callable[[bytes, bytes], str]
) -> None:
    changed(b"\0OPENSSL_3.0.0\0", b"\0OPENSSL_3.0.9\0")
    error = refused(arm.name, arm_bundle, session)
    assert "@OPENSSL_3.0.0" in error.why


def test_another_build_that_serves_is_proved_again_and_told(
    arm: SimState, arm_bundle: Bundle, session: SshSession, changed: Callable[[bytes, bytes], str]
) -> None:
    build = bytes.fromhex(proof(arm_bundle).build_id)
    changed(build, bytes(reversed(build)))
    done = deploy_to(arm.name, arm_bundle)
    assert done.release.changed
    assert len(done.proved_again) == 1
    assert bytes(reversed(build)).hex()[:12] in done.proved_again[0]
    assert done.verdict is not None
    assert done.verdict.green


@pytest.fixture
def own_cache(session: SshSession) -> Iterator[bytes]:
    """Return the board's loader cache, which is put back afterwards."""
    good = session.fetch("exec cat /etc/ld.so.cache", most=1 << 28)
    yield good
    session.run("rm -f /usr/local/lib/arm-linux-gnueabihf/*; cat >/etc/ld.so.cache", stdin=[good])


@pytest.mark.usefixtures("own_cache")
def test_a_copy_that_the_loader_takes_since_an_update_is_seen(
    arm: SimState, arm_bundle: Bundle, session: SshSession
) -> None:
    """The library that was proved is still there, unchanged; the cache leads to another one."""
    row = proof(arm_bundle)
    name = row.symbols[0].partition("@")[0]
    poor = session.fetch('exec cat "$1"', [row.provider], most=1 << 28).replace(
        b"\0" + name.encode() + b"\0", b"\0" + name[:-1].encode() + b"?\0"
    )
    there = f"/usr/local/lib/arm-linux-gnueabihf/{LIBRARY}"
    session.run('mkdir -p "${1%/*}"; cat >"$1"; ldconfig', [there], [poor])
    error = refused(arm.name, arm_bundle, session)
    assert there in error.what
    assert f"it lacks {name}" in error.why


@pytest.mark.slow
def test_a_cache_that_leads_to_the_same_libraries_is_looked_through_and_told(
    arm: SimState, arm_bundle: Bundle, session: SshSession, own_cache: bytes
) -> None:
    lines = "/usr/local/lib/arm-linux-gnueabihf/libown.so.1"
    session.run('mkdir -p "${1%/*}"; cp /lib/arm-linux-gnueabihf/libdl.so.2 "$1"; ldconfig', [lines])
    assert session.fetch("exec cat /etc/ld.so.cache", most=1 << 28) != own_cache
    done = deploy_to(arm.name, arm_bundle)
    assert any("/etc/ld.so.cache was changed" in line for line in done.proved_again)
    assert done.release.changed


def test_a_library_that_went_is_told_with_what_was_proved_on_it(
    arm: SimState, arm_bundle: Bundle, session: SshSession
) -> None:
    opened = proof(arm_bundle).opened
    session.run('mv "$1" "$1.away"', [opened])
    try:
        error = refused(arm.name, arm_bundle, session)
        assert f"{opened} is gone" in error.what
        assert "symbols were proved on it" in error.why
    finally:
        session.run('mv "$1.away" "$1"', [opened])


def test_a_dry_run_proves_too(arm: SimState, arm_bundle: Bundle, changed: Callable[[bytes, bytes], str]) -> None:
    changed(b"\0OPENSSL_3.0.0\0", b"\0OPENSSL_3.0.9\0")
    with pytest.raises(PreflightError, match="is unsuitable now"):
        plan_deploy(arm.name, arm_bundle)


def test_what_was_changed_reads_as_it_should(arm_bundle: Bundle) -> None:
    """The bundle that the cases above start from is whole, and proves the library that they change."""
    assert verify_bundle(arm_bundle.path).bundle == replace(arm_bundle)
    assert elf.parse(arm_bundle.blobs()[arm_bundle.manifest.files[0].blob]).needed


@pytest.mark.slow
def test_an_override_is_repeated_by_every_verify(arm: SimState, arm_bundle: Bundle, session: SshSession) -> None:
    """The proof of one library fails in one symbol, and somebody said why that does not matter."""
    why = "curl_easy_gone is called in the factory only"
    rows = [
        row.model_copy(
            update={
                "symbols": (*row.symbols, "curl_easy_gone"),
                "missing": ("curl_easy_gone",),
                "overridden": why,
            }
        )
        if row.library == "libcurl.so.4"
        else row
        for row in arm_bundle.manifest.proofs
    ]
    blobs = arm_bundle.blobs()
    contents = {file.path: (blobs[file.blob], file.mode) for file in arm_bundle.manifest.files}
    manifest = arm_bundle.manifest.model_copy(update={"proofs": tuple(rows)})
    overridden = pack_bundle(manifest, contents)
    done = deploy_to(arm.name, overridden)
    assert done.verdict is not None
    for verdict in (done.verdict, verify_host(arm.name)):
        assert verdict.green
        assert verdict.notes[0] == f"libcurl.so.4 is the board's though its proof fails: {why}"


@pytest.mark.slow  # three deploys to an emulated board
def test_a_roll_back_to_what_the_board_cannot_run_any_more_is_refused(
    arm: SimState, arm_bundle: Bundle, session: SshSession, changed: Callable[[bytes, bytes], str]
) -> None:
    """The release before needs what an update took away; the one that runs does not, and runs on."""
    name = next(symbol.partition("@")[0] for symbol in proof(arm_bundle).symbols)
    deploy_to(arm.name, arm_bundle)
    blobs = arm_bundle.blobs()
    contents = {file.path: (blobs[file.blob], file.mode) for file in arm_bundle.manifest.files}
    second = pack_bundle(arm_bundle.manifest, contents | {"run/note": (b"second", 0o644)})
    deploy_to(arm.name, second)
    changed(b"\0" + name.encode() + b"\0", b"\0" + name[:-1].encode() + b"?\0")
    for dry_run in (True, False):
        with pytest.raises(PreflightError, match="nothing was changed") as caught:
            roll_back_host(arm.name, dry_run=dry_run)
        assert caught.value.code == 5
        assert f"it lacks {name}" in caught.value.why
        assert caught.value.next_step.startswith(f"invoke sysroot.pull --host {arm.name}")
    assert second.id in session.run(f"readlink {OURS}/current").out

"""The BusyBox board takes releases: red ones go back, old ones go, damage is found, and two deploys take turns."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from deploy.boards.inventory import SimState, host_target, sim_folder
from deploy.boards.probe import probe_host
from deploy.boards.session import connect
from deploy.bundle.assemble import pack_bundle
from deploy.bundle.load import Bundle
from deploy.release.carried import paper_sizes
from deploy.release.deployment import Wishes, deploy_to, roll_back_host, verify_host
from deploy.release.plan import plan_release
from deploy.release.recheck import watched_paths
from deploy.release.run import deploy_release, install_release
from deploy.release.status import host_status
from deploy.verify.verdict import Verdict, require_green
from recipes import paths
from recipes.errors import PreflightError, RolledBackError, VerifyError
from recipes.stage.keys import signing_key
from tests.support.simrelease import FLASH, shell, variant

pytestmark = [pytest.mark.engine, pytest.mark.sim]


@pytest.fixture
def clean_tiny(tiny: SimState) -> Iterator[str]:
    """Give the BusyBox board without anything of ours on it."""
    shell(tiny.name, f"rm -rf {FLASH}")
    yield tiny.name
    shell(tiny.name, f"rm -rf {FLASH}")


def test_a_board_of_busybox_and_dropbear_takes_a_release(clean_tiny: str, tiny_bundle: Bundle) -> None:
    have = shell(clean_tiny, "for t in bash python3 sftp-server scp rsync curl perl; do command -v $t; done; true")
    assert have == "", f"the small board is not small: {have}"
    done = deploy_to(clean_tiny, tiny_bundle)
    assert done.verdict is not None
    assert done.verdict.green
    assert {row.action for row in tiny_bundle.manifest.decisions if row.library == "libcurl.so.4"} == {"keep"}
    assert "goes without" in tiny_bundle.manifest.notes[0]


def test_a_root_is_compared_as_the_board_resolves_it(clean_tiny: str, tiny_bundle: Bundle) -> None:
    """A healthy release was rolled back for a link in the way."""
    shell(clean_tiny, "mkdir -p /flash/real; ln -sfn real /flash/link")
    made = pack_bundle(
        tiny_bundle.manifest.model_copy(update={"root": "/flash/link/boardcast"}),
        {file.path: (tiny_bundle.blobs()[file.blob], file.mode) for file in tiny_bundle.manifest.files},
    )
    try:
        done = deploy_to(clean_tiny, made)
        assert done.verdict is not None
        assert done.verdict.green
    finally:
        shell(clean_tiny, "rm -rf /flash/real /flash/link")


def test_the_launch_script_quotes_under_busybox(clean_tiny: str, tiny_bundle: Bundle) -> None:
    from deploy.launch.script import launch_script

    words = ["a b", "$(reboot)", "it's", "`id`", "*", "&", "|x", '"', "\\n", "é", ""]
    script = launch_script(title="t", program="bin/app", arguments=words, environment={"V": "$HOME;"}, plugins=False)
    shell(
        clean_tiny,
        'mkdir -p /tmp/r/bin /tmp/r/run; printf "%s" "$1" > /tmp/r/run/app; '
        "printf '%s\\n' '#!/bin/sh' 'for w; do echo \"<$w>\"; done; echo \"[$V]\"' "
        "> /tmp/r/bin/app; chmod 755 /tmp/r/bin/app",
        script.decode(),
    )
    assert shell(clean_tiny, "sh /tmp/r/run/app") == "".join(f"<{word}>\n" for word in words) + "[$HOME;]\n"


def test_a_red_check_goes_back_to_the_release_before(clean_tiny: str, tiny_bundle: Bundle) -> None:
    deploy_to(clean_tiny, tiny_bundle)
    bad = variant(tiny_bundle, "bad", run__boardprobe=b"#!/bin/sh\nexit 9\n")
    told: list[Verdict] = []
    with pytest.raises(RolledBackError) as caught:
        deploy_to(clean_tiny, bad, told=told.append)
    assert caught.value.code == 6
    assert [verdict.green for verdict in told] == [False], "why it was taken back is put down for others too"
    assert "boardprobe" in caught.value.why
    assert tiny_bundle.id in shell(clean_tiny, f"readlink {FLASH}/current")
    assert bad.id not in shell(clean_tiny, f"ls {FLASH}/releases")
    assert verify_host(clean_tiny).green
    # What failed once is never taken for done: the same bundle is tried, and refused, again.
    with pytest.raises(RolledBackError):
        deploy_to(clean_tiny, bad)


def test_a_red_first_release_leaves_nothing_running(clean_tiny: str, tiny_bundle: Bundle) -> None:
    bad = variant(tiny_bundle, "bad", run__boardprobe=b"#!/bin/sh\nexit 9\n")
    with pytest.raises(RolledBackError, match="nothing runs there, as before"):
        deploy_to(clean_tiny, bad)
    assert shell(clean_tiny, f"ls -A {FLASH}/releases; ls {FLASH}/current 2>/dev/null; true") == ""


def test_rollback_goes_back_and_forth(clean_tiny: str, tiny_bundle: Bundle) -> None:
    second = variant(tiny_bundle, "second")
    deploy_to(clean_tiny, tiny_bundle)
    deploy_to(clean_tiny, second)
    assert roll_back_host(clean_tiny, dry_run=True) == tiny_bundle.id
    assert roll_back_host(clean_tiny, dry_run=False) == tiny_bundle.id
    assert verify_host(clean_tiny).green
    assert roll_back_host(clean_tiny, dry_run=False) == second.id


def test_nothing_to_roll_back_to_is_an_error(clean_tiny: str, tiny_bundle: Bundle) -> None:
    deploy_to(clean_tiny, tiny_bundle)
    with pytest.raises(Exception, match="nothing to go back to"):
        roll_back_host(clean_tiny, dry_run=False)


def test_old_releases_go_and_the_live_ones_stay(clean_tiny: str, tiny_bundle: Bundle) -> None:
    ids = []
    for number in range(6):
        release_ = variant(tiny_bundle, f"release {number}")
        deploy_to(clean_tiny, release_)
        ids.append(release_.id)
    kept = shell(clean_tiny, f"ls {FLASH}/releases").split()
    assert len(kept) == 3
    assert {ids[-1], ids[-2]} <= set(kept)
    blobs = shell(clean_tiny, f"ls {FLASH}/store").split()
    listed = shell(clean_tiny, f"cat {FLASH}/releases/*/.list | cut -d' ' -f1 | sort -u").split()
    assert sorted(blobs) == sorted(listed), "the store has what no release uses"


def test_a_damaged_file_on_the_board_is_found_and_healed(clean_tiny: str, tiny_bundle: Bundle) -> None:
    deploy_to(clean_tiny, tiny_bundle)
    path = f"{FLASH}/current/lib/libwebsockets.so.19"
    shell(clean_tiny, f"printf X | dd of={path} bs=1 seek=5000 conv=notrunc 2>/dev/null; rm {FLASH}/current/.confirmed")
    verdict = verify_host(clean_tiny)
    assert not verdict.green
    with pytest.raises(VerifyError, match="checks are red"):
        require_green(verdict)
    assert "lib/libwebsockets.so.19" in next(one.evidence for one in verdict.checks if one.name == "files are intact")
    with pytest.raises(PreflightError, match="damaged"):  # the store's hard link is the damaged file itself
        deploy_to(clean_tiny, tiny_bundle)
    assert deploy_to(clean_tiny, tiny_bundle).verdict is not None
    assert verify_host(clean_tiny).green


def test_the_cure_of_a_red_verify_cures(clean_tiny: str, tiny_bundle: Bundle) -> None:
    """A release that was verified once, and damaged since: a deploy by itself would find nothing to do."""
    deploy_to(clean_tiny, tiny_bundle)
    shell(clean_tiny, f"printf X | dd of={FLASH}/current/bin/boardprobe bs=1 seek=5000 conv=notrunc 2>/dev/null")
    with pytest.raises(VerifyError) as caught:
        require_green(verify_host(clean_tiny))
    assert caught.value.next_step.startswith(f"invoke deploy --host {clean_tiny} --again")
    assert not deploy_to(clean_tiny, tiny_bundle).release.changed
    assert deploy_to(clean_tiny, tiny_bundle, Wishes(again=True)).release.changed
    assert verify_host(clean_tiny).green


def test_another_workstation_verifies_and_goes_back_by_what_the_board_carries(
    clean_tiny: str, tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the inventory and the trusted public key; neither a bundle nor a Stage nor the private key."""
    second = variant(tiny_bundle, "second")
    deploy_to(clean_tiny, tiny_bundle)
    deploy_to(clean_tiny, second)
    trusted = signing_key().public_key()
    boards = tmp_path / "board-configs"
    shutil.copytree(paths.BOARDS, boards, ignore=shutil.ignore_patterns("*.tar", "trusted-keys"))
    state = sim_folder(clean_tiny) / "state.json"
    there = tmp_path / "work" / "sim" / clean_tiny
    there.mkdir(parents=True)
    shutil.copy(state, there)
    monkeypatch.setenv("BOARDCAST_WORK", str(tmp_path / "work"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(paths, "BOARDS", boards)
    with pytest.raises(PreflightError, match="not trusted here"):
        verify_host(clean_tiny)
    (boards / "trusted-keys").mkdir()
    form = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (boards / "trusted-keys" / "colleague.pub").write_bytes(trusted.public_bytes(*form))
    verdict = verify_host(clean_tiny)
    assert verdict.green
    assert "the manifest that the release on the board carries, signed by" in verdict.notes[-1]
    assert roll_back_host(clean_tiny, dry_run=False) == tiny_bundle.id
    shell(clean_tiny, f"rm -r {FLASH}/current/.bundle")
    with pytest.raises(PreflightError, match="nothing says what release"):
        verify_host(clean_tiny)


def test_the_status_says_what_runs_who_brought_it_and_what_ran_before(clean_tiny: str, tiny_bundle: Bundle) -> None:
    bare = host_status(clean_tiny)
    assert (bare.release, bare.previous, bare.verified) == ("", "", False)
    assert bare.lines()["runs"] == "nothing of ours"
    second = variant(tiny_bundle, "second")
    deploy_to(clean_tiny, tiny_bundle)
    deploy_to(clean_tiny, second)
    found = host_status(clean_tiny)
    assert (found.release, found.previous, found.verified) == (second.id, tiny_bundle.id, True)
    assert re.fullmatch(r"\S+@\S+ since \d{4}-\S+Z", found.deployed_by)
    assert found.previous_by
    assert 0 < found.free < 32 << 20
    assert not found.locked
    assert "verified" in found.lines()["runs"]


def test_two_deploys_at_once_take_turns(clean_tiny: str, tiny_bundle: Bundle) -> None:
    """Each over its own connection; the second is told who is at work there, before it sends anything."""
    second = variant(tiny_bundle, "second")
    deploy_to(clean_tiny, tiny_bundle)
    with connect(host_target(clean_tiny)) as session:
        facts = probe_host(session, FLASH, watched_paths(second.manifest))
        planned = plan_release(second.id, second.manifest, facts, papers=paper_sizes(second))
        refused: list[PreflightError] = []

        def meanwhile() -> None:
            with pytest.raises(PreflightError, match="another deploy is at work there") as caught:
                deploy_to(clean_tiny, variant(tiny_bundle, "third"))
            refused.append(caught.value)
            assert host_status(clean_tiny).locked.startswith("alice@laptop since ten (process ")

        who = "alice@laptop since ten"
        deploy_release(session, clean_tiny, second, meanwhile, planned=planned, tools=facts.tools, who=who)
    assert "alice@laptop since ten" in refused[0].why
    assert second.id in shell(clean_tiny, f"readlink {FLASH}/current")
    assert deploy_to(clean_tiny, variant(tiny_bundle, "third")).release.changed


def test_no_room_is_told_and_the_old_release_runs_on(clean_tiny: str, tiny_bundle: Bundle) -> None:
    deploy_to(clean_tiny, tiny_bundle)
    try:
        free = int(shell(clean_tiny, "df -Pk /flash | tail -n 1 | awk '{print $4}'"))
        shell(clean_tiny, f"dd if=/dev/zero of=/flash/fill bs=1k count={free - 2000} 2>/dev/null")
        big = variant(tiny_bundle, "big", lib__extra=secrets.token_bytes(1 << 20))
        with pytest.raises(PreflightError, match="no room"):
            deploy_to(clean_tiny, big)
        # The probe's figure is overtaken: the disk fills up while files arrive.
        with connect(host_target(clean_tiny)) as session:
            facts = probe_host(session, FLASH, watched_paths(big.manifest))
            planned = plan_release(big.id, big.manifest, replace(facts, free_kib=10**6), papers=paper_sizes(big))
            shell(clean_tiny, "dd if=/dev/zero of=/flash/fill2 bs=1k count=1900 2>/dev/null; true")
            with pytest.raises(PreflightError):
                install_release(session, big, planned, facts.tools)
        shell(clean_tiny, "rm -f /flash/fill /flash/fill2")
        assert verify_host(clean_tiny).green
        assert deploy_to(clean_tiny, big).release.changed
    finally:
        shell(clean_tiny, "rm -f /flash/fill /flash/fill2")

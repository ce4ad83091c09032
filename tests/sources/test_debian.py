"""The distribution as a source: which file of which suite, and what is asked once its index has gone on."""

from __future__ import annotations

from pathlib import Path

import pytest

from recipes import process
from recipes.errors import BuildError
from recipes.sources import debian
from recipes.sources.debian import Distribution, Offered, archive_mirrors, download_source, offered_rows
from recipes.sources.fetch import fetch_archive
from recipes.sources.lock import load_lock
from recipes.toolchains import debian_source
from recipes.toolchains.debian_source import any_distribution, by_tools_image

POOL, SECURITY = "http://127.0.0.1:9/debian/pool/main/c/curl", "http://127.0.0.1:9/security/pool/c/curl"
ROWS = f"""\
# what apt says besides
'{POOL}/curl_8.14.1-2%2bdeb13u7.dsc' curl_8.14.1-2+deb13u7.dsc 3263 SHA256:{"1" * 64}
'{POOL}/curl_8.14.1.orig.tar.gz' curl_8.14.1.orig.tar.gz 4250332 SHA256:{"2" * 64}
'{POOL}/curl_8.14.1-2%2bdeb13u7.debian.tar.xz' curl_8.14.1-2+deb13u7.debian.tar.xz 75756 MD5Sum:{"3" * 32}
"""
OLD = "curl_8.14.1-2+deb13u5.debian.tar.xz"


def suites() -> list[Offered]:
    main = offered_rows("trixie", ROWS.splitlines())
    return [main, offered_rows("trixie-security", ROWS.replace(POOL, SECURITY).splitlines())]


def answering(*there: str) -> tuple[Distribution, list[str]]:
    """Return a distribution whose archive has these addresses, and the list of what it is asked for."""
    asked: list[str] = []

    def download(address: str, into: Path) -> None:
        asked.append(address)
        if address not in there:
            raise BuildError(f"{address}: 404")
        into.write_text(address)

    return Distribution(offered=lambda package, suite: suites(), download=download), asked


def test_an_index_is_read_with_its_version_and_hashes() -> None:
    (main, security) = suites()
    assert (main.version, main.suite, security.suite) == ("8.14.1-2+deb13u7", "trixie", "trixie-security")
    assert main.files["curl_8.14.1.orig.tar.gz"] == (f"{POOL}/curl_8.14.1.orig.tar.gz", "2" * 64)
    assert main.files["curl_8.14.1-2+deb13u7.debian.tar.xz"][1] == "", "another kind of hash is none"


@pytest.mark.parametrize(
    ("file", "there"),
    [
        ("curl_8.14.1.orig.tar.gz", f"{POOL}/curl_8.14.1.orig.tar.gz"),
        ("curl_8.14.1.orig.tar.gz", f"{SECURITY}/curl_8.14.1.orig.tar.gz"),
        (OLD, f"{POOL}/curl_8.14.1-2%2Bdeb13u5.debian.tar.xz"),
        (OLD, f"{SECURITY}/curl_8.14.1-2%2Bdeb13u5.debian.tar.xz"),
    ],
)
def test_a_file_is_found_in_either_suite_and_after_its_index_has_gone_on(tmp_path: Path, file: str, there: str) -> None:
    asked, addresses = answering(there)
    download_source(asked, "curl", "trixie", file, tmp_path / "file")
    assert (tmp_path / "file").read_text() == there
    assert addresses[-1] == there
    assert len(set(addresses)) == len(addresses)


def test_a_file_that_nobody_has_any_more_is_told_with_what_there_is(tmp_path: Path) -> None:
    asked, _ = answering()
    with pytest.raises(BuildError, match=r"curl/trixie does not carry curl_8\.14\.1-2\+deb13u5") as caught:
        download_source(asked, "curl", "trixie", OLD, tmp_path / "file")
    assert "8.14.1-2+deb13u7 (trixie), 8.14.1-2+deb13u7 (trixie-security)" in caught.value.why


UPDATES = """\
http://d/debian|trixie-updates|Debian|main
http://d/debian/|trixie|Debian|main
http://d/debian-security/|trixie-security|Debian-Security|main
"""


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        (
            UPDATES,
            ("http://d/debian", "http://d/debian-security"),
        ),
        ("http://d/debian|trixie-backports|Debian|main\nhttp://d/debian|trixie|Debian|main", ("http://d/debian", "")),
        ("http://d/debian|trixie||main", ("http://d/debian", "")),
        ("http://u/ubuntu|noble|Ubuntu|main\nhttp://u/ubuntu|noble-security|Ubuntu|main", None),
        ("http://d/debian|trixie|Debian|contrib", None),
        ("http://d/debian-security|trixie-security|Debian-Security|main", None),
        ("", None),
    ],
)
def test_the_archives_are_those_of_this_machines_apt(
    monkeypatch: pytest.MonkeyPatch, rows: str, found: tuple[str, str] | None
) -> None:
    monkeypatch.setattr(debian, "has_apt", lambda: True)
    answer = process.Result(argv=(), code=0, stdout=rows.encode(), stderr=b"")
    monkeypatch.setattr(process, "run", lambda *_, **__: answer)
    if found is not None:
        assert archive_mirrors() == found
        return
    with pytest.raises(BuildError, match="knows no Debian archive"):
        archive_mirrors()


@pytest.mark.parametrize("here", [True, False])
def test_another_distributions_apt_is_not_asked_for_debians_sources(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, here: bool
) -> None:
    """Ubuntu's and Fedora's machines build too; a patch has no other place than Debian's archive."""

    def mirrors() -> tuple[str, str]:
        if not here:
            raise BuildError("apt here knows no Debian archive")
        return "http://d/debian", ""

    def says(name: str) -> Distribution:
        def download(address: str, into: Path) -> None:
            into.write_text(f"{name} {address}")

        return Distribution(offered=lambda *_: [], download=download)

    monkeypatch.setattr(debian_source, "archive_mirrors", mirrors)
    monkeypatch.setattr(debian_source, "by_apt", lambda: says("apt"))
    monkeypatch.setattr(debian_source, "by_tools_image", lambda: says("image"))
    any_distribution().download("http://d/x", tmp_path / "file")
    assert (tmp_path / "file").read_text() == f"{'apt' if here else 'image'} http://d/x"


@pytest.mark.engine
@pytest.mark.slow  # over the network
def test_the_tools_image_brings_a_source_of_the_lock(cache: Path) -> None:
    pin = load_lock().get("usrsctp").patch_archive  # type: ignore[union-attr]
    assert pin is not None
    found = fetch_archive(pin, distribution=by_tools_image())
    assert found.rung == "distribution source package libusrsctp/trixie"

"""What a person reads of sizes and chains: each thing told once, no line wider than a screen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from deploy.cli.output import print_answers, print_sizes, print_verdicts
from deploy.dedupe.decision import DedupePlan
from deploy.reports.explain import ChainLink, LibraryAnswer
from deploy.reports.sizes import SizeReport, measure_sizes
from deploy.reports.static_twins import Twin, group_twins
from deploy.verify.verdict import Check, Verdict, require_green
from recipes.errors import WIDEST, VerifyError

FOLDER = "lib/kinesis-video/components"
TEXT = "the certificate that the peer of this session gave is not signed by any authority that is trusted here"


def twin(first: str, second: str, *examples: str, texts: tuple[str, ...] = (), estimated: int = 1000) -> Twin:
    return Twin(
        first=first,
        second=second,
        symbols=len(examples) * 20,
        examples=examples,
        content=sum(map(len, texts)) * 30,
        texts=texts,
        estimated=estimated,
    )


def pairs() -> list[Twin]:
    """Return the pairs of two SDKs: one library in nine files is 36 pairs, two more are in a pair each."""
    files = [f"{FOLDER}/libkvs-component-{number}.so" for number in range(9)]
    same = ("mbedtls_sha512_process", "mbedtls_aes_crypt", "mbedtls_rsa_private")
    found = [
        twin(first, second, *same, texts=(TEXT, f"{TEXT} again"), estimated=90_000 + len(files))
        for at, first in enumerate(files)
        for second in files[at + 1 :]
    ]
    found.append(twin(files[0], "bin/app", "_ZN3log5Layer4openEv", "_ZN3log5Layer5closeEv", estimated=7000))
    found.append(twin("bin/app", "bin/other", texts=(f"usage: {TEXT}",), estimated=5000))
    return found


def report(twins: list[Twin]) -> SizeReport:
    contents = {"bin/app": bytes(9000), f"{FOLDER}/libkvs-component-0.so": bytes(90_000)}
    sizes = measure_sizes(contents, {}, DedupePlan(decisions=(), proofs=(), payload=()))
    return replace(sizes, twins=tuple(twins), squashfs=1 << 20, squashfs_note="xz", free_flash=3 << 20)


def test_the_pairs_of_one_library_are_one_group() -> None:
    mbedtls, log, text = group_twins(pairs())
    assert (mbedtls.name, len(mbedtls.files)) == ("mbedtls", 9)
    assert (mbedtls.total, mbedtls.spared) == (9 * 90_009, 8 * 90_009)
    assert mbedtls.evidence == ("mbedtls_sha512_process", "mbedtls_aes_crypt", "mbedtls_rsa_private")
    assert (log.name, log.files, log.spared) == ("log::Layer", ("bin/app", f"{FOLDER}/libkvs-component-0.so"), 7000)
    assert (text.name, text.evidence) == (f"usage: {TEXT}", (f"usage: {TEXT}",))


def test_the_order_of_the_pairs_does_not_matter() -> None:
    twins = pairs()
    assert {(library.name, library.files) for library in group_twins(twins[::-1])} == {
        (library.name, library.files) for library in group_twins(twins)
    }


@pytest.mark.parametrize(
    ("examples", "name"),
    [
        (("curl_easy_setopt", "curl_multi_perform"), "curl"),
        (("SSL_read", "BIO_new"), "SSL_read"),
        (("SSL_read", "SSL_CTX_new"), "SSL"),
        (("inflate", "inflateInit2"), "inflate"),
        (("only_one",), "only_one"),
        (("_ZNK2ns4Type3getEv", "_ZN2ns4free4nameEv"), "ns::Type::get"),
    ],
)
def test_a_library_is_called_what_its_symbols_begin_with(examples: tuple[str, ...], name: str) -> None:
    (library,) = group_twins([twin("a", "b", *examples)])
    assert library.name == name


@pytest.mark.parametrize("columns", [80, 160])
def test_sizes_say_each_library_once_with_its_cost_and_the_cure(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    print_sizes(report(pairs()), "Bundle")
    lines = capsys.readouterr().out.splitlines()
    told = lines[next(at for at, line in enumerate(lines) if "linked in" in line) :]
    assert [line.split(":")[1].strip() for line in told if "linked in" in line][:2] == ["mbedtls", "log"]
    assert sum("linked in 9 times: mbedtls: about 791.1 KiB in all" in line for line in told) == 1
    assert sum("cure:" in line for line in told) == 1
    assert len(told) < 20
    assert max(map(len, told)) <= min(columns, WIDEST)


def test_sizes_without_twins_say_nothing_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    print_sizes(report([]), "Bundle")
    printed = capsys.readouterr().out
    assert "linked in" not in printed
    assert "cure" not in printed


def chain(entry: str, folder: str = "lib") -> tuple[ChainLink, ...]:
    tried = tuple(f"{folder}/{'deep/' * depth}of/the/board" for depth in range(6))
    return (
        ChainLink(name="libcurl.so.4", needed_by=f"bundle:{entry}", tried=tried, provider="bundle:lib/libcurl.so.4"),
        ChainLink(name="libcrypto.so.3", needed_by="bundle:lib/libcurl.so.4", tried=tried, provider=""),
    )


@pytest.mark.parametrize("columns", [80, 160])
def test_a_chain_is_told_once_for_all_programs_that_share_it(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    programs = [f"bin/kvs-sample-program-{number}" for number in range(11)]
    answer = LibraryAnswer(
        library="libcrypto.so.3",
        action="keep",
        because="the board's lacks " + ", ".join(f"SSL_symbol_{number}" for number in range(12)),
        chains=(*((name, chain(name)) for name in programs), ("bin/odd", chain("bin/odd", "usr/lib"))),
    )
    print_answers([answer])
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert printed.count("└─ libcurl.so.4  bundle:lib/libcurl.so.4") == 2
    assert printed.count("└─ libcrypto.so.3  not found anywhere") == 2
    assert all(printed.count(f"{name},") + printed.count(f"{name}\n") == 1 for name in (*programs, "bin/odd"))
    assert len([line for line in lines if "bin/kvs" in line]) <= 5
    assert max(map(len, lines)) <= min(columns, WIDEST)
    assert len(answer.as_dict()["chains"]) == 12  # type: ignore[arg-type]


def verdict(host: str, *states: str) -> Verdict:
    checks = tuple(
        Check(name=f"check {number}", state=state, evidence=f"{host} saw {number}", seconds=0.1)
        for number, state in enumerate(states)
    )
    return Verdict(host=host, release="a" * 64, checks=checks, junit=Path(f"verify/{host}.xml"))


def test_a_red_verdict_says_each_thing_once(capsys: pytest.CaptureFixture[str]) -> None:
    verdicts = [verdict("cam01", "passed"), verdict("cam02", "passed", "failed", "failed"), verdict("cam03", "failed")]
    print_verdicts(verdicts)
    with pytest.raises(VerifyError) as caught:
        for checked in verdicts:
            require_green(checked)
    out = capsys.readouterr().out + str(caught.value)
    for told in (
        "cam01 saw 0",
        "cam02 saw 0",
        "cam02 saw 1",
        "cam02 saw 2",
        "cam03 saw 0",
        "cam01.xml",
        "cam02.xml",
        "cam03.xml",
    ):
        assert out.count(told) == 1, (told, out)
    assert "cam03: red" in out


def test_a_single_red_check_is_no_empty_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_verdicts([verdict("cam01", "failed")])
    assert capsys.readouterr().out == ""

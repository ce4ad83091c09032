"""What processes open by name: present, shipped, or said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploy.dedupe.byname import OpenedByName, Presence, services_of, wants_unwinder
from deploy.dedupe.closure import close_loop, named_files
from deploy.dedupe.decision import Action
from deploy.dedupe.plan import plan_dedupe
from recipes.arch import ARCHES, Libc
from recipes.elf import ElfFile
from recipes.errors import ProofError
from recipes.rootfs.index import Index
from tests.support.facts import LOADER, SOFT, elf, index, stage

ARM = ARCHES["armv7"]
LIBC = elf("libc.so.6", exports="pthread_exit@@GLIBC_2.4 getaddrinfo@@GLIBC_2.4 iconv_open@@GLIBC_2.4")
UNWINDER = elf("libgcc_s.so.1", exports="_Unwind_Resume@@GCC_3.0")
ENDS = elf(needed=("libc.so.6",), imports="pthread_exit@libc.so.6:GLIBC_2.4")


def named(app: ElfFile, board: Index) -> dict[str, OpenedByName]:
    bundle = {"bin/app": app}
    return {row.name: row for row in named_files(close_loop(bundle, board, ARM), bundle, board, ARM)}


def glibc(*libraries: ElfFile, **texts: str) -> Index:
    files = {"nsswitch": "/etc/nsswitch.conf", "openssl": "/etc/ssl/openssl.cnf"}
    return replace(index(*libraries), texts={files[name]: text for name, text in texts.items()})


def test_a_board_without_the_loader_of_a_program() -> None:
    """The kernel says "No such file or directory" of the program itself; musl's board with glibc's program is one."""
    board = index(LIBC)
    del board.files[LOADER]
    musl = replace(board, loader="/lib/ld-musl-armhf.so.1")
    with pytest.raises(ProofError, match=rf"the board has no {LOADER}") as caught:
        close_loop({"bin/app": elf(needed=("libc.so.6",))}, musl, ARM)
    assert caught.value.code == 4
    assert "/lib/ld-musl-armhf.so.1" in caught.value.why


def test_a_loader_of_another_machine_is_none() -> None:
    board = index()
    board.files[LOADER] = elf("ld-linux-armhf.so.3", identity=SOFT)
    with pytest.raises(ProofError, match="the board has no") as caught:
        close_loop({"bin/app": elf()}, board, ARM)
    assert "soft float" in caught.value.why


def test_a_loader_behind_links_is_found() -> None:
    board = index()
    board.files["/usr/lib/ld.so"] = board.files.pop(LOADER)
    close_loop(
        {"bin/app": elf()}, replace(board, links={"/lib": "usr/lib", "/usr/lib/ld-linux-armhf.so.3": "ld.so"}), ARM
    )


@pytest.mark.parametrize("function", ["pthread_exit", "pthread_cancel", "thrd_exit"])
def test_the_unwinder_that_glibc_opens_by_itself(function: str) -> None:
    """Without it a thread's end is the program's: "libgcc_s.so.1 must be installed for pthread_exit to work"."""
    libc = elf("libc.so.6", exports=f"{function}@@GLIBC_2.4")
    app = elf(needed=("libc.so.6",), imports=f"{function}@libc.so.6:GLIBC_2.4")
    with pytest.raises(ProofError, match=r"libgcc_s\.so\.1 would not be found") as caught:
        close_loop({"bin/app": app}, index(libc), ARM)
    assert function in caught.value.why
    found = named(app, index(libc, UNWINDER))["libgcc_s.so.1"]
    assert (found.presence, found.provider, found.note) == (Presence.BOARD, "/usr/lib/libgcc_s.so.1", "")
    assert wants_unwinder(app, Libc.UCLIBC)
    assert not wants_unwinder(app, Libc.MUSL)


def test_an_unwinder_that_cannot_be_loaded_is_none() -> None:
    board = index(LIBC, elf("libgcc_s.so.1", needed=("libgone.so.1",)))
    bundle = {"bin/app": ENDS}
    (row,) = named_files(close_loop(bundle, board, ARM), bundle, board, ARM)
    assert row.presence is Presence.ABSENT
    assert "needs libgone.so.1" in row.note


def test_the_unwinder_travels_where_the_board_has_none() -> None:
    staged, files = stage({"bin/app": ENDS})
    planned = plan_dedupe(staged, files, index(LIBC, UNWINDER), index(LIBC), ARM)
    row = next(row for row in planned.decisions if row.library == "libgcc_s.so.1")
    assert (row.action, row.provider) == (Action.KEEP, "bundle:lib/libgcc_s.so.1")
    bundle = {payload.path: payload.elf for payload in planned.payload}
    closed = close_loop(bundle, index(LIBC), ARM)
    assert closed["bin/app"]["libgcc_s.so.1"] == "bundle:lib/libgcc_s.so.1"
    (named,) = named_files(closed, bundle, index(LIBC), ARM)
    assert named.presence is Presence.BUNDLE


def test_the_boards_unwinder_is_used_where_it_has_one() -> None:
    staged, files = stage({"bin/app": ENDS})
    planned = plan_dedupe(staged, files, index(LIBC, UNWINDER), index(LIBC, UNWINDER), ARM)
    row = next(row for row in planned.decisions if row.library == "libgcc_s.so.1")
    assert (row.action, row.provider) == (Action.USE_BOARD, "/usr/lib/libgcc_s.so.1")


ASKS = elf(needed=("libc.so.6",), imports="getaddrinfo@libc.so.6:GLIBC_2.4")


def test_names_are_resolved_by_the_modules_that_the_board_says() -> None:
    rows = named(
        ASKS, glibc(LIBC, elf("libnss_files.so.2"), nsswitch="hosts: files mdns4_minimal [NOTFOUND=return] dns")
    )
    assert rows["libnss_files.so.2"].presence is Presence.BOARD
    assert "libnss_mdns4_minimal.so.2 is not on this board" in rows["libnss_mdns4_minimal.so.2"].note
    assert "glibc goes on with files" in rows["libnss_dns.so.2"].note


def test_newer_glibc_has_two_modules_inside() -> None:
    newer = elf("libc.so.6", exports="getaddrinfo@@GLIBC_2.4 x@@GLIBC_2.34")
    assert not named(ASKS, glibc(newer))
    assert "names of the service" in named(ASKS, glibc(newer, nsswitch="hosts: files"))["dns in nsswitch.conf"].note


@pytest.mark.parametrize(
    ("text", "services"),
    [
        ("", ("dns", "files")),
        ("hosts:\n", ("dns", "files")),
        ("# hosts: nis\nhosts:files dns # nis\n", ("files", "dns")),
        ("hosts: dns [!UNAVAIL=return] dns files", ("dns", "files")),
        ("hosts: ../../evil dns", ("dns",)),
        ("\0\xff:::[[[", ("dns", "files")),
    ],
)
def test_nsswitch(text: str, services: tuple[str, ...]) -> None:
    assert services_of("hosts", {"/etc/nsswitch.conf": text}) == services


def test_charsets() -> None:
    app = elf(needed=("libc.so.6",), imports="iconv_open@libc.so.6:GLIBC_2.4")
    assert "UCS only" in named(app, index(LIBC))["gconv's modules"].note
    board = index(LIBC)
    board.files["/usr/lib/gconv/ISO8859-1.so"] = elf("", loader="")
    assert named(app, board)["gconv's modules"].provider == "/usr/lib/gconv/ISO8859-1.so"


CRYPTO = elf("libcrypto.so.3", exports="OSSL_PROVIDER_load@@OPENSSL_3.0.0")
TLS = elf(needed=("libcrypto.so.3",))
LEGACY = """openssl_conf = init
[init]
providers = provider_sect
[provider_sect]
default = default_sect
legacy = legacy_sect
[default_sect]
activate = 1
[legacy_sect]
activate = {}
"""


def test_the_modules_that_openssl_cnf_switches_on() -> None:
    assert "legacy.so" not in named(TLS, glibc(CRYPTO, openssl=LEGACY.format(0)))
    rows = named(TLS, glibc(CRYPTO, openssl=LEGACY.format(1)))
    assert "legacy.so is not on this board, libcrypto.so.3, by /etc/ssl/openssl.cnf, asks" in rows["legacy.so"].note
    assert rows["openssl.cnf"].presence is Presence.BOARD
    board = glibc(CRYPTO, openssl=LEGACY.format(1))
    board.files["/usr/lib/ossl-modules/legacy.so"] = elf("", loader="")
    assert named(TLS, board)["legacy.so"].provider == "/usr/lib/ossl-modules/legacy.so"


def test_an_engine_by_its_path() -> None:
    text = "openssl_conf=a\n[pkcs11]\ndynamic_path = /usr/lib/engines-3/pkcs11.so\n"
    assert named(TLS, glibc(CRYPTO, openssl=text))["/usr/lib/engines-3/pkcs11.so"].note


def test_a_program_that_loads_a_provider_itself() -> None:
    app = elf(needed=("libcrypto.so.3",), imports="OSSL_PROVIDER_load@libcrypto.so.3:OPENSSL_3.0.0")
    assert "retired algorithms" in named(app, index(CRYPTO))["legacy.so"].note

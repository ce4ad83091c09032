"""Where packages come from: the image's own archive and keyring, or what the user names, and never this machine's."""

from __future__ import annotations

import functools
import hashlib
import http.server
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest

from recipes import paths
from recipes.engine.container import Job
from recipes.engine.docker import Engine
from recipes.engine.layout import WORK
from recipes.errors import BuildError, ConfigError
from recipes.toolchains.debian_root import make_root, packages_session
from recipes.toolchains.sysroots import _sysroot_folder, ensure_sysroot, sysroot_spec
from recipes.tools.archive import PackageArchive, debian_mirror
from recipes.tools.base import ensure_base_image, ensure_build_base, find_base, local_base

CONTROL = "Package: libdemo-dev\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.com>\nDescription: demo\n"
DAY = "20250520T000000Z"
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
SCRIPT = (paths.DOCKER / "debian-archive.sh").read_text()


_LISTS = "cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null; cat /etc/os-release"
_LIST = PurePosixPath("/apt/list")


@pytest.mark.engine
@pytest.mark.parametrize("made", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_debian_suites_come_from_the_images_own_archive_and_keyring(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: bool
) -> None:
    """Whatever this machine is: none of its programs or files is asked. Slow: apt reads the whole index."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("BOARDCAST_DEBIAN_MIRROR", raising=False)
    with packages_session(engine) as session:
        _, own, _ = session.call(["sh", "-c", _LISTS])
        if made:
            make_root(session, ["armhf", "trixie", "extract", "libcap2"])
            listed = session.read(_LIST).decode()
        else:
            session.put(PurePosixPath("/"), {"a.sh": (SCRIPT.encode(), 0o755)})
            listed = session.call(["/a.sh", "deb", "trixie"])[1].decode()
        *_, uri, suite, component = listed.split()
        assert (suite, component) == ("trixie", "main")
        assert uri.rstrip("/") in own.decode()
        assert "VERSION_CODENAME=bookworm" in own.decode(), "the image's own system"
        if made:  # the same archive is refused as soon as the image's keys are gone
            gone = "rm -rf /usr/share/keyrings/* /etc/apt/trusted.gpg.d/* /apt/state/lists/*; apt-get update"
            code, _, errors = session.call(["sh", "-c", f"export APT_CONFIG=/apt/conf; {gone}"])
            assert code != 0
            assert b"is not signed" in errors


class Files(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and says nothing."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.slow
@pytest.mark.engine
def test_a_root_for_a_processor_that_nothing_emulates_says_so(engine: Engine) -> None:
    if Path("/proc/sys/fs/binfmt_misc/qemu-ppc64le").exists():
        pytest.skip("this machine emulates it")
    with packages_session(engine) as session, pytest.raises(BuildError, match="nothing here emulates") as caught:
        make_root(session, ["ppc64el", "bookworm", "configure"])
    assert caught.value.where == "ppc64el bookworm configure"
    assert "sudo ./bootstrap install" in caught.value.next_step


@pytest.mark.engine
def test_images_are_built_on_the_users_mirror(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = ensure_build_base(engine)
    monkeypatch.setenv("BOARDCAST_DEBIAN_MIRROR", "http://127.0.0.1:9/debian")
    mirrored = ensure_build_base(engine)
    try:
        with engine.session(Job(image=mirrored, cwd=WORK)) as session:
            _, lists, _ = session.call(["sh", "-c", "cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources"])
        words = f"deb [signed-by={KEYS}] http://127.0.0.1:9/debian"
        assert lists.decode().splitlines() == [f"{words} bookworm main", f"{words} bookworm-updates main"]
    finally:
        engine._client.images.remove(mirrored)
    monkeypatch.setenv("BOARDCAST_DEBIAN_MIRROR", "https://127.0.0.1:9/debian")
    assert ensure_build_base(engine) == plain, "the base has no certificates to ask it by"


class _NoRegistry(Engine):
    """An engine that has no image, and whose registry does not answer: here the base image is always there."""

    def __init__(self) -> None:
        pass

    def image_id(self, reference: str) -> str:
        return ""

    def pull(self, reference: str) -> str:
        raise BuildError(f"cannot pull {reference}", why="dial tcp: no route to host")


def test_without_a_registry_and_mmdebstrap_there_are_three_ways_to_a_base_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_base(_NoRegistry(), pull=False) == ""
    with pytest.raises(BuildError, match="there is no base image") as caught:
        ensure_base_image(_NoRegistry())
    assert caught.value.why == "dial tcp: no route to host"
    for way in ("reach a registry", "apt-get install mmdebstrap", f"docker import base.tar {local_base()}"):
        assert way in caught.value.next_step


@dataclass(frozen=True, slots=True)
class Relative:
    """A signed archive of a distribution that is not Debian."""

    address: str
    keyring: bytes
    folder: Path


def packages(folder: Path, where: Path) -> str:
    """Make one package, and return the index that has it."""
    tree = folder / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(CONTROL)
    (tree / "usr" / "include").mkdir(parents=True)
    (tree / "usr" / "include" / "demo.h").write_text("#define DEMO 1\n")
    deb = where / "pool" / "libdemo-dev_1_all.deb"
    deb.parent.mkdir(parents=True)
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", str(tree), str(deb)], check=True, capture_output=True)
    size, digest = deb.stat().st_size, hashlib.sha256(deb.read_bytes()).hexdigest()
    return f"{CONTROL}Filename: pool/{deb.name}\nSize: {size}\nSHA256: {digest}\n"


def gpg(words: list[str]) -> bytes:
    return subprocess.run(words, check=True, capture_output=True).stdout


def sign(folder: Path, release: Path) -> bytes:
    """Sign a Release file in itself; returns the keyring."""
    home = folder / "gnupg"
    home.mkdir(mode=0o700, exist_ok=True)
    plain = ["gpg", "--homedir", str(home), "--batch", "--yes", "--passphrase", "", "--pinentry-mode", "loopback"]
    if not list(home.glob("private-keys-v1.d/*.key")):
        gpg([*plain, "--quick-generate-key", "Relative <r@example.com>", "ed25519", "sign", "never"])
    gpg([*plain, "--clearsign", "--output", str(release.with_name("InRelease")), str(release)])
    return gpg([*plain, "--export"])


def write_archive(folder: Path, where: Path, *, validity: str = "") -> bytes:
    """Write an archive with one package of the component `universe` below `where`; returns its keyring."""
    index = packages(folder / where.name, where).encode()
    dist = where / "dists" / "noble"
    (dist / "universe" / "binary-armhf").mkdir(parents=True)
    (dist / "universe" / "binary-armhf" / "Packages").write_bytes(index)
    listed = f" {hashlib.sha256(index).hexdigest()} {len(index)} universe/binary-armhf/Packages\n"
    head = "Origin: Relative\nSuite: noble\nCodename: noble\nArchitectures: armhf\nComponents: universe\n"
    (dist / "Release").write_text(f"{head}Date: Tue, 20 May 2025 00:00:00 UTC\n{validity}SHA256:\n{listed}")
    return sign(folder, dist / "Release")


@pytest.fixture
def relative(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relative]:
    """Serve an archive of another distribution where containers reach it, and its state of one day."""
    if not shutil.which("gpg") or not shutil.which("dpkg-deb"):
        pytest.skip("an archive is signed by gpg, and its package made by dpkg-deb")
    gateway = engine._client.networks.get("bridge").attrs["IPAM"]["Config"][0]["Gateway"]
    served = tmp_path / "served"
    write_archive(tmp_path, served / "days" / DAY, validity="Valid-Until: Wed, 21 May 2025 00:00:00 UTC\n")
    keyring = write_archive(tmp_path, served / "relative")
    handler = functools.partial(Files, directory=str(served))
    server = http.server.ThreadingHTTPServer((gateway, 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("BOARDCAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BOARDCAST_BOARDS", str(tmp_path / "boards"))
    (tmp_path / "boards" / "sysroots").mkdir(parents=True)
    yield Relative(f"http://{gateway}:{server.server_port}", keyring, tmp_path / "boards" / "sysroots")
    server.shutdown()
    thread.join()
    server.server_close()


def describe(relative: Relative, *more: str) -> None:
    lines = ["schema = 1", 'arch = "armv7"', 'suite = "noble"', 'packages = ["libdemo-dev"]', *more]
    (relative.folder / "cam.toml").write_text("\n".join(lines) + "\n")


@pytest.mark.slow
@pytest.mark.engine
@pytest.mark.process
@pytest.mark.loopback
def test_a_relative_of_debian_is_named_by_the_sysroots_file(
    engine: Engine, relative: Relative, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = (f'mirror = "{relative.address}/relative"', 'components = ["universe"]')
    describe(relative, *own)
    with pytest.raises(BuildError, match="failed") as refused:
        ensure_sysroot("cam", engine)
    assert "NO_PUBKEY" in refused.value.why, "Debian's keys do not vouch for it"
    describe(relative, *own, 'keyring = "relative.gpg"')
    with pytest.raises(ConfigError, match="the keyring of its archive is not there") as missing:
        ensure_sysroot("cam", engine)
    assert "put the keys that sign" in missing.value.next_step
    (relative.folder / "relative.gpg").write_bytes(relative.keyring)
    made = ensure_sysroot("cam", engine)
    assert (made.tree / "usr/include/demo.h").read_text() == "#define DEMO 1\n"
    assert [row.split()[1] for row in made.packages] == ["libdemo-dev_1_all.deb"]

    # The packages of one day: its index says of itself that it is over.
    describe(relative, *own, 'keyring = "relative.gpg"', f'snapshot = "{DAY}"')
    with pytest.raises(BuildError, match="failed"):
        ensure_sysroot("cam", engine)
    days = f'mirror = "{relative.address}/days"'
    describe(relative, days, own[1], 'keyring = "relative.gpg"', f'snapshot = "{DAY}"')
    assert ensure_sysroot("cam", engine).packages == made.packages
    assert ensure_sysroot("cam", engine).tree != made.tree

    # For Debian itself the user names the address of the days, and not for each sysroot.
    describe(relative, own[1], f'snapshot = "{DAY}"')
    monkeypatch.setenv("BOARDCAST_DEBIAN_SNAPSHOTS", f"{relative.address}/days/")
    with pytest.raises(BuildError, match="failed") as refused:
        ensure_sysroot("cam", engine)
    assert f"{relative.address}/days/{DAY}" in refused.value.why
    assert "BOARDCAST_DEBIAN_MIRROR" in refused.value.next_step
    assert "NO_PUBKEY" in refused.value.why


@pytest.mark.engine
def test_the_users_mirror_takes_the_place_of_the_images_and_changes_no_key(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _sysroot_folder("debian12-armv7", sysroot_spec("debian12-armv7"))
    monkeypatch.setenv("BOARDCAST_DEBIAN_MIRROR", "http://127.0.0.1:9/debian")
    assert _sysroot_folder("debian12-armv7", sysroot_spec("debian12-armv7")) == before
    with packages_session(engine) as session:
        session.put(PurePosixPath("/"), {"a.sh": (SCRIPT.encode(), 0o755)})
        _, listed, _ = session.call(["/a.sh", "deb", "trixie"])
    assert listed.decode().split()[-3:] == ["http://127.0.0.1:9/debian", "trixie", "main"]


@pytest.mark.process
@pytest.mark.parametrize(
    ("sources", "told", "line"),
    [
        ({"sources.list": "deb http://a/debian bookworm main\n"}, {}, "deb http://a/debian trixie main"),
        (
            {"sources.list": "# deb x\ndeb [arch=amd64 signed-by=/k.gpg] http://a/debian/ bookworm main contrib\n"},
            {},
            "deb [signed-by=/k.gpg] http://a/debian/ trixie main",
        ),
        (
            {"sources.list.d/debian.sources": "Types: deb\nURIs: http://b/debian\nSuites: bookworm\n"},
            {},
            f"deb [signed-by={KEYS}] http://b/debian trixie main",
        ),
        (
            {
                "sources.list.d/debian.sources": "Types: deb\n# http://s/archive/debian/20260101T000000Z\nURIs: http://b/d\n"
            },
            {"SNAPSHOT": DAY},
            f"deb [signed-by={KEYS} check-valid-until=no] http://s/archive/debian/{DAY} trixie main",
        ),
        (
            {},
            {"MIRROR": "http://u/ubuntu", "KEYRING": "/keyring.gpg", "COMPONENTS": "main universe"},
            "deb [signed-by=/keyring.gpg] http://u/ubuntu trixie main universe",
        ),
        ({}, {}, "this system is set up with no archive of packages"),
        ({"sources.list": "deb http://a/debian x main\n"}, {"SNAPSHOT": DAY}, "mentions no address of snapshots"),
    ],
)
def test_the_line_of_apts_list(tmp_path: Path, sources: dict[str, str], told: dict[str, str], line: str) -> None:
    (tmp_path / "sources.list.d").mkdir()
    for name, text in sources.items():
        (tmp_path / name).write_text(text)
    script = SCRIPT.replace("/etc/apt/", f"{tmp_path}/")
    done = subprocess.run(
        ["sh", "-c", script, "sh", "deb", "trixie"],
        env={"PATH": "/usr/bin:/bin", **told},
        capture_output=True,
        text=True,
        check=False,
    )
    if line.startswith("deb"):
        assert (done.stdout.strip(), done.stderr) == (line.replace("deb [] ", "deb "), "")
    else:
        assert done.returncode == 1
        assert line in done.stderr


@pytest.mark.parametrize(
    "given", ["ftp://a/debian", "http://a/debian main", "http://u:secret@a/debian", "http://a/d?x", "http://a/\n", "-x"]
)
def test_what_is_no_address_of_an_archive_is_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOARDCAST_DEBIAN_MIRROR", f"{given}x" if given.endswith("\n") else given)
    with pytest.raises(ConfigError, match="no address of an archive") as caught:
        debian_mirror()
    assert "secret" not in str(caught.value)


def test_what_makes_packages_others_is_in_the_key(tmp_path: Path) -> None:
    ring = tmp_path / "ring.gpg"
    ring.write_bytes(b"1")
    wanted = [
        PackageArchive(mirror="http://a/x"),
        PackageArchive(mirror="http://a/x", keyring=ring),
        PackageArchive(snapshot=DAY),
        PackageArchive(components=("main", "contrib")),
    ]
    keys = [tuple(one.key()) for one in wanted]
    assert PackageArchive().key() == []
    assert len(set(keys)) == len(keys)
    ring.write_bytes(b"2")
    assert tuple(wanted[1].key()) != keys[1]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('mirror = "http://a b/debian"', "mirror: must be the address of an archive"),
        ('mirror = "http://u:p@a/debian"', "mirror: must be the address of an archive"),
        ('keyring = "k.gpg"', "keyring: has no place without mirror"),
        ('mirror = "http://a/x"\nkeyring = "../k.gpg"', "keyring: must be the name of a file"),
        ("components = []", "components: one is needed at least"),
        ('snapshot = "2025-05-20"', "snapshot: must be a day as 20250520T000000Z"),
    ],
)
def test_a_sysroots_file_with_an_archive_that_is_none_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str, says: str
) -> None:
    monkeypatch.setattr(paths, "BOARDS", tmp_path)
    (tmp_path / "sysroots").mkdir()
    text = f'schema = 1\narch = "armv7"\nsuite = "noble"\npackages = ["a"]\n{lines}\n'
    (tmp_path / "sysroots" / "cam.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        sysroot_spec("cam")
    assert says in caught.value.why

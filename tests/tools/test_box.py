"""Programs of the tools image, on a machine that has none of its own: the same results, and as little trust."""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from recipes.archives.intake import RefusedError
from recipes.engine.container import ContainerSession, Job
from recipes.engine.docker import Engine
from recipes.errors import BuildError
from recipes.files import file_sha256
from recipes.sources.debian import archive_mirrors, download_source
from recipes.sources.fetch import export_mirror, missing_from_cache
from recipes.sources.git import check_out, commit_date, fetch_repository, holds_commit
from recipes.sources.lock import Archive, Repository, Submodule, load_lock
from recipes.toolchains import debian_source
from recipes.toolchains.debian_source import any_distribution, apt_fault
from recipes.toolchains.sysroots import ensure_sysroot
from recipes.tools.box import HostBox, shared_tools, tools
from tests.support.repos import git, upstream

pytestmark = [pytest.mark.engine, pytest.mark.process]
URL = "https://git.example.com/group/demo.git"
INNER = "https://git.example.com/group/inner.git"


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Hide all programs of this machine."""
    empty = tmp_path / "no-programs"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    return empty


def pin(commit: str, *submodules: Submodule) -> Repository:
    return Repository(
        name="demo", version="1", url=URL, commit=commit, refs=("v1",), unit="demo-1", submodules=submodules
    )


def test_git_sources_are_the_same_without_a_git_here(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    mirror, work = tmp_path / "mirror", tmp_path / "upstreams"
    work.mkdir()
    inner = upstream(work, mirror, INNER, {"inner.txt": "1"})
    commit = upstream(work, mirror, URL, {"a.txt": "wanted", "run.sh": "#!/bin/sh"}, nested={"third/inner": inner})
    wanted = pin(commit, Submodule(path="third/inner", url=INNER))
    with monkeypatch.context() as hidden:
        hidden.setenv("PATH", str(tmp_path / "none"))
        jobs: list[Job] = []
        real = Engine.session

        def session(self: Engine, job: Job) -> AbstractContextManager[ContainerSession]:
            jobs.append(job)
            return real(self, job)

        hidden.setattr(Engine, "session", session)
        first, second = fetch_repository(wanted, [mirror], offline=True)
        assert [job.network for job in jobs] == ["none"], "all of a fetch share a container"
        with shared_tools():
            assert (first.rung, second.rung) == (f"mirror {mirror}", f"mirror {mirror}")
            assert [one.rung for one in fetch_repository(wanted, [], offline=True)] == ["cache", "cache"]
            assert missing_from_cache(wanted) == ""
            assert commit_date(URL, commit) == "2024-05-01"
            check_out(URL, commit, tmp_path / "seen")
            export_mirror([wanted], tmp_path / "exported")
    assert holds_commit(first.path, commit), "this machine's git has the same opinion"
    assert git(first.path, "for-each-ref", "--format=%(refname)").splitlines() == ["refs/heads/pinned", "refs/tags/v1"]
    assert git(first.path, "symbolic-ref", "HEAD") == "refs/heads/pinned"
    assert not (first.path / "hooks").exists()
    assert (tmp_path / "seen" / "a.txt").read_text() == "wanted"
    assert git(tmp_path / "seen", "rev-parse", "HEAD") == commit
    git(tmp_path, "clone", "--quiet", str(tmp_path / "exported/git/git.example.com/group/demo.git"), "plain")
    assert git(tmp_path / "plain", "rev-parse", "v1") == commit


def test_a_damaged_mirror_is_refused_and_named_as_it_is_here(cache: Path, tmp_path: Path, bare: Path) -> None:
    place = tmp_path / "mirror/git/git.example.com/group/demo.git"
    place.mkdir(parents=True)
    (place / "HEAD").write_text("ref: refs/heads/main\n")
    with pytest.raises(BuildError, match="is unavailable") as caught:
        fetch_repository(pin("0" * 40), [tmp_path / "mirror"], offline=True)
    assert "/bc/" not in caught.value.why
    assert not list((cache / "git").iterdir())


def test_the_distributions_archive_of_a_source_comes_without_an_apt_here(cache: Path, tmp_path: Path) -> None:
    """The mirror is the one that the image is set up with; the hash decides, as for every rung."""
    small = load_lock().get("libsrtp2")
    assert isinstance(small, Archive)
    assert small.distribution is not None
    with pytest.MonkeyPatch.context() as hidden:
        hidden.setenv("PATH", str(tmp_path))
        with shared_tools():
            wanted = small.distribution
            download_source(any_distribution(), wanted.package, wanted.suite, small.file, tmp_path / "archive")
    assert file_sha256(tmp_path / "archive") == small.sha256


def test_a_sysroot_is_made_and_read_without_programs_here(arm_sysroot: object, bare: Path, engine: Engine) -> None:
    root = ensure_sysroot("debian12-armv7", engine)
    index = root.index()
    assert any(file.soname == "libssl.so.3" for file in index.files.values())
    assert any(package.split()[1].startswith("libssl-dev_") for package in root.packages)


def test_the_network_is_on_for_what_asks_for_it_alone(bare: Path) -> None:
    cards = ["ls", "/sys/class/net"]
    with shared_tools():
        with tools("ls") as box:
            assert box.run(cards).text.split() == ["lo"]
        with tools("ls", network=True) as box:
            assert len(box.run(cards).text.split()) == 2


def test_a_program_is_nobody_and_writes_nowhere_else(bare: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("as it was")
    with tools("sh") as box:
        script = 'id -u; grep CapEff /proc/self/status; echo x > "$1/file" && cat "$1/file"; touch /etc/x || echo no'
        printed = box.run(["sh", "-c", script, "sh", kept]).text.split()
    assert printed[0] != "0"
    assert printed[1:3] == ["CapEff:", "0000000000000000"]
    assert printed[3:] == ["x", "no"]
    assert (kept / "file").read_text() == "as it was", "it wrote to its copy"


@pytest.mark.hostile(kind="build")
def test_what_a_program_leaves_is_taken_as_from_a_stranger(bare: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    cases = (
        ('ln -s /etc/passwd "$1/link"', "leads out"),
        ('ln -s ../../.. "$1/link"', "leads out"),
        ('mkfifo "$1/pipe"', "is a device, FIFO or socket"),
    )
    with shared_tools(), tools("sh") as box:
        for script, says in cases:
            shutil.rmtree(out, ignore_errors=True)
            with pytest.raises(RefusedError) as caught, box.writing(out):
                box.run(["sh", "-c", script, "sh", out])
            assert says in str(caught.value)


def test_a_folder_that_is_changed_is_the_old_or_the_new_one(bare: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_text("1")
    with tools("sh") as box:
        with box.writing(out):
            box.run(["sh", "-c", 'echo 2 > "$1/new"', "sh", out])
        assert sorted(path.name for path in out.iterdir()) == ["new", "old"]
        with pytest.raises(BuildError, match="exit code 3"), box.writing(out):
            box.run(["sh", "-c", 'rm "$1/new"; exit 3', "sh", out])
        assert sorted(path.name for path in out.iterdir()) == ["new", "old"]
        assert box.run(["ls", out]).text.split() == ["new", "old"], "what was there before is not shown again"


def test_a_file_that_changed_here_is_copied_again(bare: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    with tools("cat") as box:
        for text in ("first", "second"):
            file.unlink(missing_ok=True)
            file.write_text(text)
            assert box.run(["cat", file]).text == text


def test_a_program_that_does_not_end_is_ended(bare: Path) -> None:
    with tools("sleep") as box, pytest.raises(BuildError, match="did not end within 1 s"):
        box.run(["sleep", "600"], timeout=1)


def test_this_machines_own_is_used_where_it_is_as_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    with tools("cat") as box:
        assert isinstance(box, HostBox)
    with (
        pytest.raises(BuildError, match="it is too odd, and the tools image that has it cannot be used") as caught,
        tools("cat", fault=lambda: "it is too odd", wanted="a better cat"),
    ):
        pass
    assert caught.value.why.startswith("no container engine answers")
    assert caught.value.next_step.startswith("install a better cat; or ")


def test_this_machines_apt_is_used_for_debians_archive_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An Ubuntu has apt, and another archive: the source packages of the lock are Debian's."""
    (tmp_path / "apt-get").write_text("#!/bin/sh\necho 'http://mirror.example.com/ubuntu|noble|Ubuntu|main'\n")
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(debian_source, "ARCHIVE_KEYRING", tmp_path / "apt-get")
    assert apt_fault() == "apt here knows no Debian archive"
    monkeypatch.setenv("BOARDCAST_DEBIAN_MIRROR", "http://mirror.example.com/debian/")
    assert apt_fault() == ""
    assert archive_mirrors()[0] == "http://mirror.example.com/debian"
    monkeypatch.setattr(debian_source, "ARCHIVE_KEYRING", tmp_path / "none")
    assert apt_fault() == "apt here has no keyring of Debian's archive"

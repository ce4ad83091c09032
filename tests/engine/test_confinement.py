"""What a container may do: asked from inside, by the kernel's own word."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import uuid
from contextlib import closing
from pathlib import Path, PurePosixPath

import pytest

from recipes import paths
from recipes.engine.confinement import NOBODY, Confinement, Rights, build_ids, is_readable, is_rootless
from recipes.engine.container import ContainerSession, Job, Mount
from recipes.engine.docker import Engine
from recipes.engine.layout import OWN, WORK
from recipes.tools.base import ensure_base_image

_CAPABILITIES = {"CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "FSETID": 4, "SETGID": 6, "SETUID": 7}
_CAPABILITIES |= {"KILL": 5, "NET_BIND_SERVICE": 10, "SYS_CHROOT": 18, "SETFCAP": 31}
"""Numbers of include/uapi/linux/capability.h."""


def ask(session: ContainerSession, script: str) -> str:
    log = io.BytesIO()
    session.run(["sh", "-c", script], log=log)
    return log.getvalue().decode().strip()


def limits(engine: Engine) -> bool:
    """Tell whether an engine holds to the limits that it is given.

    A user's engine without control groups of its own has none of memory and processes, and podman 4.3 no others then.
    """
    return not is_rootless(engine._facts())


def facts(status: str) -> dict[str, str]:
    return dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)


@pytest.mark.engine
@pytest.mark.hostile(kind="build")
def test_a_container_without_rights_has_none(engine: Engine) -> None:
    with engine.session(Job(image=ensure_base_image(engine), cwd=WORK)) as session:
        seen = facts(ask(session, "cat /proc/self/status"))
        assert {seen[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
        assert seen["NoNewPrivs"] == "1"
        ids = NOBODY if is_rootless(engine._facts()) and not engine.is_podman() else build_ids()
        assert set(seen["Uid"].split()) == {ids.partition(":")[0]}
        assert "0" not in seen["Uid"].split() + seen["Gid"].split()
        # The shell counts blocks of 512 bytes.
        told = ask(session, "ulimit -f -H; ulimit -n -H; ulimit -c -H").split()
        assert told == [str(16 << 20), "4096", "0"] or not limits(engine)


@pytest.mark.engine
@pytest.mark.hostile(kind="build")
def test_it_writes_to_its_own_folder_and_to_tmp_and_nowhere_else(engine: Engine) -> None:
    with engine.session(Job(image=ensure_base_image(engine), cwd=WORK)) as session:
        # Podman has memory of the container's own on /var/tmp too, and no word by which to do without.
        places = f"/ /bc /etc /root /usr/bin {'' if engine.is_podman() else '/var/tmp'} /opt /sys /proc/sys/kernel"
        assert ask(session, f'for p in {places}; do touch "$p/x" 2> /dev/null && echo "$p"; done') == ""
        assert ask(session, "pwd; touch x /tmp/x && ls x /tmp/x").split() == [str(WORK), "/tmp/x", "x"]
        assert ask(session, "su root -c id 2> /dev/null; mknod n c 1 3 2> /dev/null; ls n 2> /dev/null") == ""


@pytest.mark.engine
@pytest.mark.hostile(kind="build")
def test_memory_without_end_ends_within_the_container(engine: Engine) -> None:
    with engine.session(Job(image=ensure_base_image(engine), cwd=WORK)) as session:
        told = ask(session, "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2> /dev/null")
    assert 0 < int(told.split()[0]) < engine._memory() * 0.91 or not limits(engine)


@pytest.mark.engine
@pytest.mark.hostile(kind="build")
def test_processes_without_end_end(engine: Engine) -> None:
    if not limits(engine):
        pytest.skip("this engine has no limit of processes")
    with engine.session(Job(image=ensure_base_image(engine), cwd=WORK)) as session:
        started = ask(session, "n=0; while [ $n -lt 6000 ]; do n=$((n+1)); echo $n; sleep 600 & done 2> /dev/null")
    assert 3000 < int(started.split()[-1]) < 4100


@pytest.mark.engine
def test_a_container_that_makes_roots_has_what_it_needs(engine: Engine) -> None:
    job = Job(image=ensure_base_image(engine), rights=Rights.PACKAGES, cwd=PurePosixPath("/"))
    with engine.session(job) as session:
        seen = facts(ask(session, "cat /proc/self/status"))
        assert int(seen["CapBnd"], 16) == sum(1 << _CAPABILITIES[name] for name in Rights.PACKAGES.value)
        assert seen["NoNewPrivs"] == "1"
        assert set(seen["Uid"].split()) == {"0"}


@pytest.mark.engine
@pytest.mark.hostile(kind="build")
def test_a_simulated_board_has_what_it_needs(engine: Engine) -> None:
    name = f"boardcast-test-{uuid.uuid4().hex[:8]}"
    engine.services.ensure_network(name)
    try:
        engine.services.start(name, ensure_base_image(engine), ["sleep", "600"], network=name, files={})
        status = engine._client.containers.get(name).exec_run(["cat", "/proc/self/status"]).output.decode()
        seen = facts(status)
        assert int(seen["CapBnd"], 16) == sum(1 << _CAPABILITIES[right] for right in Rights.BOARD.value)
        assert seen["NoNewPrivs"] == "1"
        asked = engine._client.containers.get(name).exec_run(["mknod", "/zero", "c", "1", "5"])
        assert asked.exit_code != 0
    finally:
        engine.services.remove(name)
        engine.services.remove_network(name)


@pytest.mark.engine
@pytest.mark.process
def test_a_shells_command_line_says_the_same(engine: Engine, tmp_path: Path) -> None:
    job = Job(image=ensure_base_image(engine), mounts=(Mount(source=tmp_path, target=OWN),), cwd=WORK)
    words = [word for word in engine.interactive(job) if word not in ("-it", "bash")]
    # A shell of podman's has its volume to itself: nobody is there who could take it back.
    own = "" if engine.is_podman() else "/bc/x"
    script = f"cat /proc/self/status; ulimit -f -H; touch /x /bc/own/x {own} /tmp/x; ls /x {own} /tmp/x"
    done = subprocess.run([*words, "sh", "-c", script], capture_output=True, text=True, check=False)
    seen = facts(done.stdout)
    assert (seen["CapBnd"], seen["CapEff"], seen["NoNewPrivs"]) == ("0" * 16, "0" * 16, "1")
    assert done.stdout.split()[-2:] == [
        "unlimited" if engine.is_podman() and not limits(engine) else str(16 << 20),
        "/tmp/x",
    ]
    assert not list(tmp_path.iterdir())


@pytest.mark.engine
def test_what_its_user_may_not_read_is_copied(engine: Engine, tmp_path: Path) -> None:
    """Sources of root's own are often root's alone; a build of root's is nobody's."""
    source = tmp_path / "sources"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "app.c").write_text("int x;")
    (source / "sub" / "app.c").chmod(0o600)
    (source / "sub").chmod(0o700)
    os.mkfifo(source / "pipe")
    job = Job(image=ensure_base_image(engine), mounts=(Mount(source=source, target=OWN),), cwd=WORK)
    with engine.session(job) as session:
        assert ask(session, "cat /bc/own/sub/app.c") == "int x;"
        ask(session, "echo y > /bc/own/sub/app.c")
    assert (source / "sub" / "app.c").read_text() == "int x;"


@pytest.mark.engine
def test_what_is_kept_is_its_owners_here_and_there(engine: Engine, tmp_path: Path) -> None:
    """The compiler's cache, which others may not look into. To a user's docker nothing of this user's can be given."""
    kept, owner = tmp_path / "kept", [int(part) for part in build_ids().split(":")]
    kept.mkdir(mode=0o700)
    os.chown(kept, *owner)
    place = PurePosixPath("/bc/ccache")
    mount = Mount(source=kept, target=place, read_only=False, kept=True)
    job = Job(image=ensure_base_image(engine), cwd=WORK, mounts=(mount,), present={place: ("KEPT", "LEFT_OUT")})
    with engine.session(job) as session:
        told = ask(session, "mkdir $KEPT/new 2> /dev/null; echo $KEPT$LEFT_OUT")
    if is_rootless(engine._facts()) and not engine.is_podman():
        assert (told, list(kept.iterdir())) == ("1", [])
    else:
        assert told == str(place)
        assert (kept / "new").stat().st_uid == owner[0]


@pytest.mark.engine
def test_a_volume_goes_with_its_container(engine: Engine) -> None:
    with engine.session(Job(image=ensure_base_image(engine), cwd=WORK)) as session:
        ask(session, "touch x")
        own = {mount["Name"] for mount in session._container.attrs["Mounts"] if mount["Type"] == "volume"}
        assert own & {volume.name for volume in engine._client.volumes.list()}
    assert not own & {volume.name for volume in engine._client.volumes.list()}  # others are at work too


def test_root_without_rights_is_refused() -> None:
    for user in ("", "0", "0:0", "root:root"):
        with pytest.raises(ValueError, match="not root's"):
            Confinement(rights=Rights.NONE, user=user)
    with pytest.raises(ValueError, match="no folder in a volume"):
        Job(image="x", cwd=PurePosixPath("/bc"))


def test_what_another_user_can_read(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_text("")
    for path in (tmp_path, tmp_path / "a"):
        path.chmod(0o755)
    (tmp_path / "a" / "b").chmod(0o600)
    other = f"{os.getuid() + 1}:1"
    assert not is_readable(tmp_path, other)
    assert is_readable(tmp_path, other, deep=False)
    assert is_readable(tmp_path, f"{os.getuid()}:1")
    (tmp_path / "a" / "b").chmod(0o644)
    assert is_readable(tmp_path, other)
    (tmp_path / "a").chmod(0o744)
    assert not is_readable(tmp_path, other)


_CONNECT = """
import os
import docker.transport  # what is imported as another user may not be readable to that one
from recipes.engine.docker import Engine
from recipes.errors import BuildError
if os.geteuid() == 0:
    os.seteuid(65534)  # root may connect to anything
try:
    Engine.connect()
except BuildError as error:
    print(error)
"""


@pytest.mark.process
@pytest.mark.loopback
def test_an_engine_that_is_there_for_others_is_told_apart_from_none(tmp_path: Path) -> None:
    path = tmp_path / "engine.sock"
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(path))
        listener.listen()
        path.chmod(0)
        env = {**os.environ, "DOCKER_HOST": f"unix://{path}"}
        done = subprocess.run(
            [sys.executable, "-c", _CONNECT], cwd=paths.CHECKOUT, env=env, capture_output=True, text=True, check=False
        )
    assert done.stdout.startswith("error: a container engine is there, but this user may not use it\n"), done.stderr
    assert "as root: usermod -aG docker " in done.stdout
    assert str(path) in done.stdout

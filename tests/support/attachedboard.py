"""A board of BusyBox and dropbear whose streams may have private mounts: a container, and a host of the inventory.

Its camera is a script over curl, which signs for itself and checks the service's certificate, as kvssink does.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy.atboot.put_in import SERVICES
from deploy.boards.board import load_board
from deploy.bundle.assemble import pack_bundle
from deploy.bundle.streams import service_rows
from deploy.sim.boards import NETWORK, prepare_board
from deploy.sim.keys import ed25519_pair
from recipes import paths
from recipes.engine.docker import Engine
from recipes.files import exclusive
from tests.support.bundles import manifest
from tests.support.fakestream import contents_of
from tests.support.initboard import INITTAB, RC
from tests.support.media import make_fragments, make_header
from tests.support.simrelease import shell

HOST, STREAM, ROOT, KEYS = "cam", "front", "/opt/boardcast", "/etc/boardcast/keys.env"
HOSTS_FILE, CA_FILE = "/etc/hosts", "/etc/ssl/certs/ca-certificates.crt"
MISSING = "/etc/vendor/tls/ca.pem"
"""Named in the board's file, and not there."""
REGION = "eu-west-1"
OWN_KEYS = b"AWS_ACCESS_KEY_ID=AKIAEXAMPLE000000000\nAWS_SECRET_ACCESS_KEY=secretexamplekey\n"
OWN_CA = b"# a bundle that is the board's own, without a line's end"
_BOARD = f"""
schema = 2
arch = "x86_64"
sysroot = "tiny-x86_64"
root = "{ROOT}"
init = "sysv"
recipes = []

[environment]
region = "{REGION}"
ca_file = "{MISSING}"

[credentials]
file = "{KEYS}"

[service]
user = "camera"
groups = []
log_folder = "/var/log/boardcast"
wait_for_network = false
wait_for_clock = false

[streams.{STREAM}]
source = {{ test = "ball" }}
video = {{ encoder = "x264enc", key_frame_interval = 30, framerate = 15 }}
sink = {{ kvs = "{STREAM}" }}
"""
_CAMERA = rf"""#!/bin/sh
status='' before='' count=0
for word; do
    case $before in --status) status=$word ;; esac
    before=$word
done
trap 'exit 0' INT TERM
tell() {{
    printf '{{"pid":%d,"frames":%d,"fragments":%d,"fps":10.0}}' $$ "$((count * 10))" "$count" > "$status.new"
    mv "$status.new" "$status"
}}
while :; do
    tell
    if printf 'user = "%s:%s"\n' "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" |
        /opt/curl/ld.so --library-path /opt/curl /opt/curl/curl -q -sS -f -m 5 -K - -X POST -T /opt/media.mkv \
            --cacert {CA_FILE} --aws-sigv4 aws:amz:{REGION}:kinesisvideo -H 'Transfer-Encoding: chunked' \
            -H 'x-amzn-stream-name: {STREAM}' -H 'x-amzn-fragment-timecode-type: RELATIVE' \
            -H "x-amzn-producer-start-timestamp: $(date +%s)" -H 'x-amzn-fragment-acknowledgment-required: 1' \
            https://s-local.kinesisvideo.{REGION}.amazonaws.com/putMedia > /dev/null; then
        count=$((count + 1))
    fi
    sleep 0.4
done
""".encode()


def _curl() -> dict[str, tuple[bytes, int]]:
    """Return this machine's curl with its libraries: the board has its own C library only, of another version maybe."""
    program = shutil.which("curl")
    if program is None:
        pytest.skip("no curl on this machine (Debian: apt install curl)")
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    words = [line.split("=>")[-1].split()[0] for line in listed.splitlines() if "/" in line]
    found = {f"opt/curl/{Path(word).name}": (Path(word).read_bytes(), 0o755) for word in words}
    loader = next(path for path in found if Path(path).name.startswith("ld-"))
    return found | {"opt/curl/ld.so": found[loader], "opt/curl/curl": (Path(program).read_bytes(), 0o755)}


@dataclass
class AttachedBoard:
    """The board of a test, up.

    Attributes
    ----------
    container:
        Its name: what runs there by the engine, and not by SSH, sees what every program of the board sees.
    """

    container: str
    engine: Engine
    found_at: Callable[[str], None]
    """Writes its address into the inventory."""

    def sh(self, script: str, *words: str, good: bool = True) -> str:
        code, out = self._made().exec_run(["/bin/sh", "-c", script, "sh", *words])
        text = str(out.decode("utf-8", "replace"))
        assert code == 0 or not good, f"{script}\n{text}"
        return text

    def reboot(self) -> None:
        self._made().restart(timeout=0)
        # Another container may have taken the address meanwhile.
        self.found_at(str(self._made().attrs["NetworkSettings"]["Networks"][NETWORK]["IPAddress"]))
        self.answers()

    def answers(self) -> None:
        """Wait for its SSH server."""
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(Exception):
                shell(HOST, "true")
                return
            assert time.monotonic() < deadline, self.engine.services.log_tail(self.container, 30)
            time.sleep(0.3)

    def files(self) -> set[str]:
        """Return the hash, mode and owner of every file of the board's own, as any other process sees it."""
        told = self.sh(
            "{ find / -xdev -type f ! -path '/proc/*' ! -path '/var/log/*' ! -path '/var/run/*' ! -path '/run/*' "
            f"! -path '{ROOT}/applied/*' ! -path '/var/lib/boardcast/*' ! -path '{ROOT}/.*'; echo {HOSTS_FILE}; }} | "
            "while read -r file; do echo $(md5sum < $file) $(stat -c '%a %u:%g %n' $file); done"
        )
        return set(told.splitlines())

    def seen_by(self, process: str, path: str) -> str:
        """Return a file as one process of the board sees it."""
        return self.sh('cat "/proc/$1/root$2"', process, path)

    def _made(self) -> Any:
        return self.engine.services._client.containers.get(self.container)


def write_inventory(folder: Path, patch: pytest.MonkeyPatch, address: str, host_key: str) -> None:
    """Write a board and its host for the product to find."""
    (folder / "boards" / HOST).mkdir(parents=True, exist_ok=True)
    (folder / "boards" / HOST / "board.toml").write_text(_BOARD)
    (folder / "boards" / "hosts.toml").write_text(
        f'schema = 1\n[hosts.{HOST}]\nboard = "{HOST}"\naddress = "{address}"\nkey = "{folder / "key"}"\n'
        f'host_key = "{host_key}"\n'
    )
    patch.setenv("BOARDCAST_BOARDS", str(folder / "boards"))


@contextlib.contextmanager
def attached_board(
    engine: Engine, folder: Path, patch: pytest.MonkeyPatch, *, capabilities: tuple[str, ...]
) -> Iterator[AttachedBoard]:
    """Start the board with a release whose stream runs, and put it into an inventory of its own."""
    private, public = ed25519_pair()
    host_private, host_public = ed25519_pair()
    image = prepare_board(load_board("sim-tiny"), engine).image
    name = f"boardcast-attached-{folder.name[-12:]}.{HOST}".lower()
    (folder / "key").write_bytes(private)
    (folder / "key").chmod(0o600)
    write_inventory(folder, patch, "192.0.2.17", host_public)  # its file is read before it has an address
    board = load_board(HOST)
    text = manifest(
        board=HOST, arch="x86_64", machines=("x86_64",), root=ROOT, entries=(), decisions=(), proofs=(), refused=(),
        providers={}, build_ids={}, services=service_rows(board),
    )  # fmt: skip
    bundle = pack_bundle(text, contents_of(board, _CAMERA))
    files = _curl() | {
        "etc/inittab": (INITTAB + b"::respawn:/usr/sbin/dropbear -F -E -s -r /etc/dropbear/key\n", 0o644),
        "etc/init.d/rcS": (RC % b"start", 0o755),
        "etc/nsswitch.conf": (b"hosts: files dns\n", 0o644),
        CA_FILE[1:]: (OWN_CA, 0o644),
        KEYS[1:]: (OWN_KEYS, 0o600),
        "opt/media.mkv": (make_header() + b"".join(make_fragments(1, start_ms=0)), 0o644),
        "etc/ssh/key": (host_private, 0o600),
        "root/.ssh/authorized_keys": (f"{public} boardcast\n".encode(), 0o600),
    }
    kept = bundle.blobs()
    files |= {
        f"{ROOT[1:]}/releases/{bundle.id}/{file.path}": (kept[file.blob], file.mode) for file in bundle.manifest.files
    }
    command = (
        "[ -e /etc/dropbear/key ] || { dropbearconvert openssh dropbear /etc/ssh/key /etc/dropbear/key; "
        "echo camera:x:100:100::/:/bin/false >> /etc/passwd; echo camera:x:100: >> /etc/group; "
        f"chown camera {KEYS}; }} 2>/dev/null; "
        "exec /bin/busybox init"
    )
    with exclusive("change-of-networks", paths.cache()):
        engine.services.ensure_network(NETWORK)
        address = engine.services.start(
            name, image, ["/bin/sh", "-c", command], network=NETWORK, files=files, capabilities=capabilities,
            tmpfs={"/var/run": "mode=0755"},
        )  # fmt: skip
    try:
        made = AttachedBoard(name, engine, lambda where: write_inventory(folder, patch, where, host_public))
        made.found_at(address)
        made.answers()
        made.sh('ln -sfn "releases/$1" "$2/current"', bundle.id, ROOT)
        made.sh(SERVICES, ROOT, bundle.id, "a test")
        yield made
    finally:
        engine.services.remove(name)
        with exclusive("change-of-networks", paths.cache()):
            engine.services.remove_network(NETWORK)

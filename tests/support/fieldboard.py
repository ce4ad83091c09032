"""A board in the field, for tests: emulated armv7, streaming to the local service, with faults that come and go.

Faults are made from outside of the product: nothing of the release on the board is changed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from deploy.boards.board import load_board
from deploy.boards.index import board_index
from deploy.boards.inventory import SimState, host_target
from deploy.boards.session import connect
from deploy.bundle.assemble import make_bundle
from deploy.bundle.load import Bundle
from deploy.cli.fleet import verify_hosts
from deploy.cloud.session import Calls, Service
from deploy.kvsboards.simulated import lead_away, lead_to_service
from deploy.kvsboards.view import key_variables
from deploy.kvsstore.database import Database
from deploy.kvsstore.keyring import KeyRing
from deploy.localkvs.lifecycle import Running, bring_up, take_down
from deploy.release.deployment import DeployOutcome, deploy_to
from deploy.sim.boards import NETWORK, prepare_board
from deploy.verdicts.flow import CloudWay
from deploy.verdicts.record import VerdictRecord, read_record
from deploy.verify.verdict import Verdict
from recipes import paths, process
from recipes.arch import ARCHES
from recipes.engine.docker import Engine
from recipes.stage.manifest import Stage
from recipes.toolchains.images import ensure_image

REGION, STREAM, KEYS = "eu-west-1", "board-test", "/etc/boardcast/keys"
CURRENT = "/opt/boardcast/current"
SOUND = 'audio = { test = "sine", rate = 8000, channels = 1, bitrate = 16 }'
_SKEW = Path(__file__).with_name("clockskew.c")
_BOARD = f"""
[environment]
region = "{REGION}"
[credentials]
file = "{KEYS}"
[streams.test]
source = {{ test = "%s" }}
%s
video = {{ encoder = "x264enc", tune = "zerolatency", speed = "ultrafast", width = 96, height = 64, framerate = %d, \
bitrate = 96, key_frame_interval = %d }}
sink = {{ kvs = "%s", storage_size = 16 }}
"""


@dataclass(frozen=True)
class Looked:
    """What one `invoke verify --cloud` came to, and how long it took."""

    verdict: Verdict
    record: VerdictRecord
    seconds: float

    @property
    def reasons(self) -> list[str]:
        """Why checks of the cloud's side are red, the first cause first."""
        return [check.reason for check in self.record.checks if check.state == "failed" and check.subject]

    @property
    def red(self) -> dict[str, str]:
        return {check.name: check.evidence for check in self.verdict.checks if check.state == "failed"}


@dataclass
class FieldBoard:
    """The board, the service, and the board's file on this workstation.

    Attributes
    ----------
    folder:
        Of the boards' files.
    carried:
        Paths of the files of the last release.
    """

    state: SimState
    running: Running
    engine: Engine
    folder: Path
    built: Callable[..., Stage]
    carried: set[str] = field(default_factory=set)
    _skew: bytes = field(default=b"", repr=False)

    @property
    def host(self) -> str:
        return self.state.name

    def promise(self, *, picture: str = "ball", sound: bool = True, rate: int = 10, stream: str = STREAM) -> None:
        """Write the board's file."""
        own = (paths.CHECKOUT / "board-configs" / self.host / "board.toml").read_text()
        # Without boardprobe: it loads all of GStreamer, most of the time of an emulated board, and says nothing of
        # what passes.
        own = own.partition("[probe]")[0].replace('["boardprobe"]', "[]") + "[sim]" + own.partition("[sim]")[2]
        head = 'schema = 2\ninit = "none"\nkvssink = "kvsclient"\n'
        text = _BOARD % (picture, SOUND if sound else "", rate, rate, stream)
        (self.folder / self.host).mkdir(exist_ok=True)
        (self.folder / self.host / "board.toml").write_text(own.replace("schema = 1\n", head) + text)

    def bundle(self) -> Bundle:
        """Return what the board's file says, made of what was built."""
        board = load_board(self.host)
        return make_bundle(board, self.built("armv7", "", *board.recipes), board_index(board))[0]

    def deploy(self) -> DeployOutcome:
        """Bring what the board's file says to the board."""
        bundle = self.bundle()
        self.carried = {file.path for file in bundle.manifest.files}
        return deploy_to(self.host, bundle)

    def sh(self, script: str, *words: str, stdin: Sequence[bytes] = ()) -> str:
        with connect(host_target(self.host)) as session:
            reply = session.run(script, words, stdin)
        assert reply.code == 0, f"{script}\n{reply.out}{reply.err}"
        return reply.out

    def verify(self, way: CloudWay | None = None) -> Looked:
        """Do what `invoke verify --cloud --host` does."""
        begun = time.monotonic()
        outcome, papers = verify_hosts([self.host], way or CloudWay())[0]
        seconds = time.monotonic() - begun
        if outcome.error:
            raise outcome.error
        assert outcome.verdict is not None
        assert papers is not None
        record = read_record(papers.json)
        assert record is not None
        return Looked(outcome.verdict, record, seconds)

    def green(self, seconds: float = 90) -> Looked:
        """Verify until all is green: what was wrong a moment ago may still be in the last fragments."""
        end = time.monotonic() + seconds
        while not (looked := self.verify()).verdict.green:
            assert time.monotonic() < end, looked.red
        return looked

    def fragments(self, stream: str = STREAM) -> int:
        return int(self._told(stream).get("fragments", 0))

    def wait_for_fragments(self, more: int = 2, stream: str = STREAM, seconds: float = 60) -> None:
        before, end = self.fragments(stream), time.monotonic() + seconds
        while self.fragments(stream) < before + more:
            assert time.monotonic() < end, self.sh("tail -n 30 /var/log/boardcast/test.log")
            time.sleep(0.3)

    def wait_for_silence(self, seconds: float) -> None:
        """Wait until the newest fragment is so old."""
        while float(self._told(STREAM)["ago"] or 0) < seconds:
            time.sleep(0.5)

    def _wait_for_producer(self, begun: float, seconds: float = 120) -> None:
        """Wait until a connection that was made after a moment has sent something."""
        end = time.monotonic() + seconds
        while (producer := self._told(STREAM)["producer"] or {}).get("since", 0) < begun or producer["fragments"] < 2:
            assert time.monotonic() < end, self.sh("tail -n 20 /tmp/second.log")
            time.sleep(0.3)

    def _told(self, stream: str) -> dict[str, Any]:
        rows = self.running.ask("GET", "/-/status")["streams"]
        return next((row for row in rows if row["name"] == stream), {})

    def ask(self, operation: str, **words: Any) -> dict[str, Any]:
        """Ask the service as its owner."""
        calls = Calls(CloudWay().service(REGION))
        try:
            return asyncio.run(calls.ask("kinesisvideo", operation, **words))
        finally:
            calls.close()

    def service(self, verb: str) -> None:
        """Let the board's own script start, stop or restart the service."""
        self.sh(f"cd {CURRENT} && sh services/test/{verb}")

    def signal(self, name: str) -> None:
        """Send the streaming program a signal."""
        self.sh('pid=$(sh /opt/boardcast/applied/test/status | sed -n s/^pid=//p); kill -s "$1" "$pid"', name)

    @contextmanager
    def nothing(self) -> Iterator[None]:
        """Leave the board as it is: what is wrong is elsewhere."""
        yield

    @contextmanager
    def stopped(self) -> Iterator[None]:
        self.signal("STOP")
        try:
            yield
        finally:
            self.signal("CONT")
            self.service("restart")

    @contextmanager
    def down(self) -> Iterator[None]:
        self.service("stop")
        self.wait_for_silence(22)
        try:
            yield
        finally:
            self.service("start")

    @contextmanager
    def second_producer(self) -> Iterator[None]:
        """Let another program send to the same stream, as a board with a copied file does."""
        script = f"""
            set -a
            . {KEYS}
            AWS_DEFAULT_REGION={REGION} GST_PLUGIN_PATH={CURRENT}/gstreamer-1.0 GST_REGISTRY=/tmp/second
            words=$(sed -n 's/.* -- \\(.*\\) "$@"$/\\1/p' {CURRENT}/run/test)
            (exec > /tmp/second.log 2>&1; eval "exec gst-launch-1.0 -q $words") &
            echo $! > /tmp/second.pid
        """
        begun = time.time()
        self.sh(script)
        try:
            self._wait_for_producer(begun)
            yield
        finally:
            self.sh("kill $(cat /tmp/second.pid)")

    @contextmanager
    def deployed(self, **changes: Any) -> Iterator[None]:
        """Deploy another board's file, and promise what the usual one says."""
        self.promise(**changes)
        self.deploy()
        self.promise()
        self.wait_for_silence(0)
        try:
            yield
        finally:
            self.deploy()

    @contextmanager
    def other_stream(self) -> Iterator[None]:
        """Change the board's file, and deploy nothing."""
        if not self._told("board-other"):
            self.ask("create_stream", StreamName="board-other", DataRetentionInHours=24)
        self.promise(stream="board-other")
        try:
            yield
        finally:
            self.promise()

    @contextmanager
    def keeps_nothing(self) -> Iterator[None]:
        def change(way: str) -> None:
            version = self.ask("describe_stream", StreamName=STREAM)["StreamInfo"]["Version"]
            self.ask(
                "update_data_retention", StreamName=STREAM, CurrentVersion=version, Operation=way,
                DataRetentionChangeInHours=24,
            )  # fmt: skip

        change("DECREASE_DATA_RETENTION")
        try:
            yield
        finally:
            change("INCREASE_DATA_RETENTION")

    @contextmanager
    def clock_off(self, seconds: int) -> Iterator[None]:
        """Let every program of the board see another time: a library that each of them loads first."""
        self.sh("cat > /usr/lib/clockskew.so", stdin=[self._skewed()])
        self.sh(f"echo {seconds} > /etc/clockskew; echo /usr/lib/clockskew.so > /etc/ld.so.preload")
        self.service("restart")
        try:
            yield
        finally:
            self.sh("rm -f /etc/ld.so.preload")
            self.service("restart")

    def _skewed(self) -> bytes:
        if not self._skew:
            arch = ARCHES["armv7"]
            folder = self.folder.parent / "clockskew"
            folder.mkdir()
            image = ensure_image(arch, self.engine).tag
            words = ["docker", "run", "--rm", "-i", "--network", "none", image, "sh", "-c"]
            build = f"{arch.triple}-gcc -O1 -shared -fPIC -fno-builtin -o /tmp/made -xc - && cat /tmp/made"
            self._skew = process.run([*words, build], stdin=_SKEW.read_bytes()).stdout
        return self._skew

    def lend(self, seconds: int) -> None:
        """Give the board keys with a token that ends so many seconds from now."""
        with closing(Database(self.running.folder / "index.sqlite")) as database:
            key = KeyRing(database).lend("board", now=time.time(), seconds=seconds)
        text = "".join(f"{name}={value}\n" for name, value in key_variables(key).items())
        self.sh(f"cat > {KEYS}", stdin=[text.encode()])

    @contextmanager
    def token_over(self) -> Iterator[None]:
        """Give the board keys with a token that is over, as one that nothing renews is after a while."""
        good = self.sh(f"cat {KEYS}")
        self.lend(-5)
        self.service("restart")
        try:
            yield
        finally:
            self.sh(f"cat > {KEYS}", stdin=[good.encode()])
            self.service("restart")

    @contextmanager
    def board_blocked(self) -> Iterator[None]:
        """Drop what the board sends to the service: a route into a black hole, from beside the board."""
        address = self.running.addresses[0]
        self._route("add", address)
        try:
            yield
        finally:
            self._route("del", address)

    def _route(self, verb: str, address: str) -> None:
        image = prepare_board(load_board("sim-tiny"), self.engine).image
        words = ["docker", "run", "--rm", "--network", f"container:{self.state.container}", "--cap-add", "NET_ADMIN"]
        process.run([*words, "--entrypoint", "/bin/busybox", image, "ip", "route", verb, "blackhole", address])


class Blocked(CloudWay):
    """The way of a workstation that does not reach the service."""

    def service(self, region: str) -> Service:
        return replace(super().service(region), endpoint_url="https://localhost:1")


@contextmanager
def field_board(arm: SimState, engine: Engine, folder: Path, built: Callable[..., Stage]) -> Iterator[FieldBoard]:
    """Run the local service, and give the emulated board a stream and a view of it."""
    boards = folder / "boards"
    boards.mkdir()
    service = bring_up(network=NETWORK)
    board = FieldBoard(arm, service, engine, boards, built)
    board.promise()
    try:
        lead_to_service(arm.name, service)
        yield board
        board.sh(f"cd {CURRENT} 2>/dev/null && {{ sh services/test/stop; sh services/test/remove; }} || true")
        lead_away(arm.name)
    finally:
        take_down()

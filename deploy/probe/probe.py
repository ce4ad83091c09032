"""One probe of a board in one round trip: what is asked, and the facts from what it answered."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass

from deploy.boards.session import BoardSession
from deploy.probe import devices_alsa, devices_gst, devices_v4l2, system
from deploy.probe.facts import BoardFacts, GstDevice, SoundDevice, Told, VideoNode, number, read_objects, short
from deploy.probe.script import END, MOST_ANSWER, PROBE_SCRIPT, START_SCRIPT, Answer, read_answer
from recipes.errors import ConfigError, PreflightError

MOST_FOLDERS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRequest:
    """What a probe asks beyond what it always asks.

    Parameters
    ----------
    folders:
        Whose free space and mount are wanted; they need not exist yet.
    thorough:
        Ask v4l2-ctl, arecord and aplay even where the kernel shows no device.
    gstreamer:
        Ask GStreamer's own tools.
    scan:
        Ask them without a registry that is there already too: the first call reads all plugins then, seconds on a slow
        board.
    plugin_path:
        A folder with our libgstkvssink.so, or nothing.
    registry:
        A folder of ours on the board that GStreamer's registry may be written to; nothing to have none written.
    boardprobe:
        Where our program for what tools do not tell may be on the board; nothing for one on its PATH.
    seconds:
        For one tool.
    """

    folders: tuple[str, ...] = ("/opt/boardcast", "/tmp")  # noqa: S108 - folders of a board, whose space is asked for
    thorough: bool = False
    gstreamer: bool = True
    scan: bool = True
    plugin_path: str = ""
    registry: str = ""
    boardprobe: str = ""
    seconds: int = 4

    def stdin(self, nonce: str) -> bytes:
        """Return what `START_SCRIPT` reads on stdin: the script, then its input.

        Raises
        ------
        ConfigError
            A folder that is not absolute or has a control character, or too many of them.
        """
        places = [place for place in (*self.folders, self.plugin_path, self.registry, self.boardprobe) if place]
        wrong = [place for place in places if not place.startswith("/") or not place.isprintable()]
        if wrong or len(self.folders) > MOST_FOLDERS or not 1 <= self.seconds <= 60:
            why = ", ".join(map(repr, wrong)) or f"at most {MOST_FOLDERS} folders, and 1 to 60 seconds"
            raise ConfigError("the probe cannot ask this", why=why)
        gstreamer = "no" if not self.gstreamer else "yes" if self.scan else "kept"
        first = (nonce, str(self.seconds), "yes" if self.thorough else "no", gstreamer)
        paths = (self.plugin_path, self.registry, self.boardprobe, *self.folders)
        return "".join(f"{line}\n" for line in (PROBE_SCRIPT, END, *first, *paths)).encode()


DEFAULT_REQUEST = ProbeRequest()


def probe_board(session: BoardSession, host: str, request: ProbeRequest = DEFAULT_REQUEST) -> BoardFacts:
    """Ask a board what it is and has, in one round trip that changes nothing there.

    Raises
    ------
    PreflightError
        The connection was lost, the shell failed, or what came back is not an answer of the probe.
    ConfigError
        The request cannot be asked.
    """
    nonce = secrets.token_hex(16)
    begun = time.time()
    sent = session.fetch(START_SCRIPT, (), [request.stdin(nonce)], most=MOST_ANSWER)
    answer = read_answer(sent, nonce)
    if not answer.frames:
        raise PreflightError(
            f"{host} did not answer the probe",
            why=f"its shell said: {short(answer.banner)}" if answer.banner else "its shell said nothing",
            next_step="log in by hand: does `sh -c 'echo ok'` over SSH print ok, and nothing else?",
        )
    # The clock is among the first things that are read, and GStreamer may take long after it.
    return read_facts(answer, host=host, now=begun + min((time.time() - begun) / 2, 1))


def read_facts(answer: Answer, *, host: str, now: float) -> BoardFacts:
    """Return the facts in an answer; never raises.

    Parameters
    ----------
    now:
        This machine's time, seconds since 1970, when the board read its clock.
    """
    reader = system.Reader(answer)
    mounts = system.read_mounts(reader)
    devices = devices_gst.read_monitor(answer.text("gst-devices"))
    told = read_objects(answer.text("boardprobe"))
    uptime = number(answer.text("uptime").partition(".")[0])
    return BoardFacts(
        host=short(host, 100),
        hostname=short(answer.text("hostname"), 100),
        system=system.read_system_name(answer.text("release")),
        uptime=uptime,
        user=system.read_user(reader),
        userland=system.read_userland(reader),
        kernel=system.read_kernel(reader),
        init=system.read_init(reader),
        memory=system.read_memory(reader),
        mounts=mounts,
        folders=system.read_folders(reader, mounts),
        clock=system.read_clock(reader, now),
        ca_bundles=system.read_ca_bundles(reader),
        tools=frozenset(short(line, 40) for line in answer.text("tools").split() if line.isascii()),
        video=_video(answer, devices, told),
        sound=_sound(answer, told),
        devices=devices,
        gstreamer=devices_gst.read_gstreamer(answer),
        holders=system.read_holders(answer.text("holders")),
        unread=tuple(reader.unread),
        banner=short(answer.banner),
        whole=answer.whole,
    )


def _video(answer: Answer, devices: tuple[GstDevice, ...], told: Iterable[Told]) -> tuple[VideoNode, ...]:
    read = {
        frame.argument: devices_v4l2.read_node(frame.argument, frame.text)
        for frame in answer.every("v4l2")
        if devices_v4l2.NODE.fullmatch(frame.argument)
    }
    known = (*map(devices_v4l2.read_told, told), *map(devices_gst.video_node, devices))
    for node in known:
        if node and not (node.path in read and read[node.path].driver):
            read[node.path] = node
    listed = devices_v4l2.read_device_list(answer.text("v4l2-list"))
    return devices_v4l2.merge_nodes(listed, devices_v4l2.read_sys_names(answer.text("video")), read)


def _sound(answer: Answer, told: Iterable[Told]) -> tuple[SoundDevice, ...]:
    listed = [
        device
        for name, capture in (("arecord", True), ("aplay", False))
        for device in devices_alsa.read_hardware_list(answer.text(name), capture=capture)
    ]
    cards = devices_alsa.read_cards(answer.text("sound-cards"))
    streams = {
        key: formats
        for frame in answer.every("sound-stream")
        for key, formats in devices_alsa.read_stream(frame.argument, frame.text).items()
    }
    asked = [device for device in map(devices_alsa.read_told, told) if device]
    kernel = devices_alsa.read_pcm(answer.text("sound-pcm"), cards)
    return devices_alsa.merge_sound((*listed, *asked), kernel, streams)

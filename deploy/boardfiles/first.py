"""The first file of a board, made of what a probe saw: each choice with its reason as a comment above it."""

from __future__ import annotations

import posixpath
import re
import textwrap
from collections.abc import Iterable, Sequence
from fractions import Fraction

from deploy.boardfiles.live import exact_rate
from deploy.pipelines.room import AUDIO_KBPS, storage_needed
from deploy.probe.facts import BoardFacts, Folder, FrameSize, SoundDevice, VideoNode
from deploy.probe.page import INTERESTING, count, mebibytes
from recipes.arch import Libc
from recipes.config import NAME
from recipes.errors import ConfigError

SCHEMA_FILE = "board.schema.json"
"""Beside the folders of boards; editors read it by the first line of a board's file."""
_SUITE_GLIBC = (2, 36)
"""Debian 12's: a program compiled against it may ask for it."""
_DEBIAN = re.compile(r"Debian GNU/Linux 1[23]\b")
"""Whose packages `sysroot.pull` knows; a derivative's are its own."""
_LIBCAMERA = {"unicam", "bcm2835-unicam", "rp1-cfe", "rkisp1", "sun6i-csi", "imx7-csi", "mxc-isi"}
"""Drivers that give what the sensor gives; libcamera makes pictures of it."""
_HARDWARE = ("v4l2h264enc", "omxh264enc", "mpph264enc")
_SOFTWARE = ("x264enc", "openh264enc")
_VENDOR = re.compile(r"[a-z0-9]{2,40}(h264enc|enc_h264)")
_BITRATE = 512
"""Kilobits a second: what a slow line takes."""
_BUFFER_SECONDS = 120
"""kvssink's own."""
_KEY_FRAME_SECONDS = 2


def first_board_file(facts: BoardFacts, name: str, sysroots: Iterable[str] = ()) -> str:
    """Return a first `board.toml` for a board: what was seen, what was chosen, and why, as comments.

    Parameters
    ----------
    name:
        Of the board, as its folder will be called.
    sysroots:
        Names of the sysroots that are there to choose from.

    Raises
    ------
    ConfigError
        The name is no name of a folder, or no architecture is built for this board.
    """
    if not NAME.fits(name):
        raise ConfigError(f"{name!r} cannot be the name of a board", why=f"it is not {NAME.words}")
    identity = facts.userland.identity
    if not facts.arch:
        seen = identity.describe() if identity else "its programs could not be read"
        raise ConfigError(
            f"no architecture is built for {facts.host}",
            why=seen,
            next_step="its maker's toolchain can be an architecture of its own: docs/vendor-toolchain.md",
        )
    lines = [
        f"#:schema ../{SCHEMA_FILE}",
        *_comment(f"{name}: {facts.system or 'a Linux'}, kernel {facts.kernel.release}, as a probe saw it."),
        "schema = 2",
        *_comment(_why_arch(facts)),
        f'arch = "{facts.arch}"',
        *_sysroot(facts, name, set(sysroots)),
        *_root(facts),
        *_init(facts),
        *_recipes(facts),
        "",
        *_probe_settings(facts),
        "",
        *_service(facts),
        "",
        *_devices(facts),
        *_stream(facts, name),
    ]
    return "\n".join(lines) + "\n"


def _why_arch(facts: BoardFacts) -> str:
    userland, kernel = facts.userland, facts.kernel
    what = userland.identity.describe() if userland.identity else ""
    wide = bool(userland.identity and userland.identity.bits == 32 and "64" in kernel.machine)
    wider = f" The kernel says {kernel.machine}; its programs decide." if wide else ""
    return f"The board's own programs are {what}, loaded by {userland.loader or 'a loader of no known name'}.{wider}"


def _sysroot(facts: BoardFacts, name: str, known: set[str]) -> list[str]:
    userland = facts.userland
    debian = f"debian12-{facts.arch}"
    version = tuple(int(part) for part in userland.libc_version.split(".")[:2] if part.isdigit())
    seen = f"{userland.libc or 'an unknown C library'} {userland.libc_version}".strip()
    if _DEBIAN.match(facts.system):
        why = "Debian's own packages have the headers of just the libraries that the board has; the pull writes which."
        return [*_comment(why), f"#   invoke sysroot.pull --host {_safe(facts.host)}", f'sysroot = "{name}"']
    if debian in known and userland.libc is Libc.GLIBC and version >= _SUITE_GLIBC:
        why = f"Compiled against Debian 12: its glibc 2.36 is not newer than the board's own ({seen})."
        return [*_comment(why), f'sysroot = "{debian}"']
    why = f"The board has {seen}; and a program made for Debian 12 asks for glibc 2.36: its own sysroot."
    return [*_comment(why), f"#   invoke sysroot.pull --host {_safe(facts.host)}", f'sysroot = "{name}"']


def _root(facts: BoardFacts) -> list[str]:
    fits = [folder for folder in facts.folders if _writable(folder)]
    room = [folder for folder in fits if _plain(folder.asked)]
    chosen = max(room, key=lambda folder: (not _in_memory(folder), folder.free_kib or 0)) if room else None
    if facts.folders and facts.folders[0] in room and (facts.folders[0].free_kib or 0) >= 8192:
        chosen = facts.folders[0]
    if chosen is None:
        why = "No folder that was asked for is writable and may hold programs: name one on a writable mount."
        return [*_comment(why), 'root = "/opt/boardcast"']
    where = chosen.mount.kind if chosen.mount else "an unknown file system"
    root = chosen.asked if chosen.asked.endswith("/boardcast") else f"{chosen.asked.rstrip('/')}/boardcast"
    why = f"On {chosen.mount.folder if chosen.mount else '/'} ({where}), {mebibytes(chosen.free_kib)} free."
    if _in_memory(chosen):
        why += " It is in RAM: everything is gone after a restart."
    return [*_comment(why), f'root = "{root}"']


def _plain(path: str) -> bool:
    """Tell whether a path that a board sent may be in its file."""
    return bool(re.fullmatch(r"/[A-Za-z0-9._-][A-Za-z0-9._/-]*", path)) and posixpath.normpath(path) == path


def _writable(folder: Folder) -> bool:
    return not (folder.mount and (folder.mount.read_only or folder.mount.noexec))


def _in_memory(folder: Folder) -> bool:
    return folder.mount is not None and folder.mount.kind in ("tmpfs", "ramfs")


def _init(facts: BoardFacts) -> list[str]:
    why = f"Init system seen: {facts.init}."
    if facts.init == "none":
        why = "No init system of a known kind was seen: a loop of Boardcast's own starts the streams, by /etc/rc.local."
    return [*_comment(why), f'init = "{facts.init}"']


def _recipes(facts: BoardFacts) -> list[str]:
    if facts.gstreamer.version:
        why = f"GStreamer {facts.gstreamer.version} is on the board, so kvssink can run there."
        return _comment(f"{why} What the streams below use travels without being named here.")
    why = "There is no GStreamer on the board: the WebRTC SDK needs none."
    return [*_comment(why), 'recipes = ["boardprobe", "webrtc"]']


def _probe_settings(facts: BoardFacts) -> list[str]:
    lines = ["[probe]"]
    names = [name for name in INTERESTING if name in facts.gstreamer.elements]
    if names:
        lines += ["# Elements that the board has, and pipelines use.", f"elements = {_list(names)}"]
    bundles = [ca for ca in facts.ca_bundles if ca.certificates != 0 and _plain(ca.path)]
    if bundles:
        lines += [f"# {count(bundles[0].certificates)} certificates.", f'ca_file = "{bundles[0].path}"']
    else:
        lines += _comment("No file of CA certificates was found: TLS will fail until the board has one.")
    return lines


def _service(facts: BoardFacts) -> list[str]:
    clock = facts.clock.sources[0] if facts.clock.sources else ""
    if clock or facts.clock.synchronized:
        why = (
            f"{clock or 'A program'} sets the clock: a stream waits for it, for the service refuses what is 300 s off."
        )
    else:
        why = "Nothing that sets the clock was seen; a stream waits for it as long as `patience` says, in seconds."
    lines = ["[service]", *_comment(why), "wait_for_clock = true"]
    if not (clock or facts.clock.synchronized):
        lines.append("patience = 60")
    return [
        *lines,
        *_comment("Who runs the streams; another user than root has to be there, with these groups."),
        'user = "root"',
    ]


def _named_cameras(facts: BoardFacts) -> dict[str, VideoNode]:
    """Return the cameras that V4L2 gives pictures of, each under a name."""
    nodes = [node for node in facts.cameras if re.fullmatch(r"/dev/video[0-9]{1,4}", node.path)]
    return {_numbered("camera", at): node for at, node in enumerate(nodes, 1) if node.driver not in _LIBCAMERA}


def _numbered(word: str, at: int) -> str:
    return word if at == 1 else f"{word}-{at}"


def _devices(facts: BoardFacts) -> list[str]:
    """Return the table of what was seen: a stream says a name of it, and another board only changes the table."""
    lines: list[str] = []
    for name, node in _named_cameras(facts).items():
        lines += [*_comment(f"{node.name}, {node.bus or 'bus unknown'}."), f'{name} = {{ camera = "{node.path}" }}']
    for word, devices in (("microphone", facts.microphones), ("speaker", facts.speakers)):
        for at, device in enumerate(devices, 1):
            lines += _comment(f"{device.card_name}, {device.name}.")
            lines.append(f'{_numbered(word, at)} = {{ {word} = "{device.hw}" }}')
    return ["[devices]", *lines, ""] if lines else []


def _stream(facts: BoardFacts, name: str) -> list[str]:
    """Return the stream that fits what was seen; as comments where the board has no GStreamer."""
    camera = next((node for node in facts.cameras if re.fullmatch(r"/dev/video[0-9]{1,4}", node.path)), None)
    lines = ["[streams.main]"]
    if camera is None:
        why = "No camera was seen" + (", for the probe did not come to its end" if not facts.whole else "")
        lines += [*_comment(f"{why}: a test picture."), 'source = { test = "ball" }']
        encoded = _video(facts, FrameSize(width=640, height=480), Fraction(15))
    else:
        source, encoded = _source(facts, camera)
        lines += source
    microphone, sound = _audio(facts, camera)
    lines += [*sound, *_sink(facts, name, _BITRATE + (AUDIO_KBPS if microphone else 0)), *encoded]
    if facts.gstreamer.version:
        return lines
    why = "A pipeline needs GStreamer on the board. With it, this would fit what was seen; take the marks away:"
    marked = [line if line.startswith("#") else f"# {line}".rstrip() for line in lines]
    return [*_comment(why), "#", *marked]


def _sink(facts: BoardFacts, name: str, kbps: int) -> list[str]:
    """Return the sink: a store for twice two minutes, or for as long as a quarter of the free memory lasts."""
    free = max(4, (facts.memory.available_kib or facts.memory.total_kib or 65536) // 1024)
    needed = storage_needed(kbps, _BUFFER_SECONDS)
    why = f"storage_size in MB: {mebibytes(facts.memory.available_kib)} of RAM are available, and kvssink's own 128 MB "
    if needed <= free // 4:
        storage = min(2 * needed, free // 4)
        why += f"are not needed: {_BUFFER_SECONDS} s of {kbps} kbit/s take {needed}."
        return [*_comment(why), f'sink = {{ kvs = "{name}", storage_size = {storage} }}']
    storage = max(1, free // 4)
    seconds = max(1, storage * 20000 // (3 * kbps))
    while seconds > 1 and storage_needed(kbps, seconds) > storage:
        seconds -= 1
    why += f"would not fit: a quarter of it, and a buffer of {seconds} s instead of {_BUFFER_SECONDS}."
    return [*_comment(why), f'sink = {{ kvs = "{name}", storage_size = {storage}, buffer_duration = {seconds} }}']


def _source(facts: BoardFacts, camera: VideoNode) -> tuple[list[str], list[str]]:
    """Return the lines of a camera, and those of what becomes of its pictures."""
    formats = {pixels.fourcc: pixels for pixels in camera.formats}
    lines = _comment(f"Camera: {camera.name}, driver {camera.driver or 'unknown'}, {' '.join(formats)}.")
    if camera.driver in _LIBCAMERA:
        why = "Its driver gives raw sensor data, so libcamera makes the pictures; `libcamera` names one of several."
        lines += [*_comment(why), 'source = { element = "libcamerasrc" }']
        return lines, _video(facts, FrameSize(width=640, height=480), Fraction(30))
    named = next(name for name, node in _named_cameras(facts).items() if node is camera)
    if "H264" in formats:
        size = _nearest(formats["H264"].sizes, 1280 * 720)
        lines += _comment("The camera encodes by itself: nothing is encoded on the board.")
        lines += [f'source = {{ device = "{named}", gives = "h264" }}']
        return lines, ["", "[streams.main.video]", *_picture(size, _rate(size))]
    raw = [pixels for pixels in camera.formats if not pixels.compressed]
    jpeg = [pixels for pixels in camera.formats if pixels.fourcc in ("MJPG", "JPEG")]
    chosen = (raw or jpeg or list(camera.formats))[0]
    size = _nearest(chosen.sizes, 640 * 480)
    gives = "raw" if raw else "jpeg"
    return [*lines, f'source = {{ device = "{named}", gives = "{gives}" }}'], _video(facts, size, _rate(size))


def _video(facts: BoardFacts, size: FrameSize, rate: Fraction | None) -> list[str]:
    """Return the encoder for raw pictures: hardware where it was seen, else software."""
    has = facts.gstreamer.elements
    vendor = sorted(name for name in has if _VENDOR.fullmatch(name) and name not in (*_HARDWARE, *_SOFTWARE))
    hardware = next((name for name in (*_HARDWARE, *vendor) if name in has), "")
    software = next((name for name in _SOFTWARE if name in has), "")
    picture = _picture(size, rate)
    frames = max(1, round((rate or Fraction(30)) * _KEY_FRAME_SECONDS))
    table = ["", "[streams.main.video]"]
    if hardware in vendor:
        why = f"{hardware} is on the board; which of its properties take bitrate and key frames, gst-inspect-1.0 says: "
        why += "bitrate_property, bitrate_unit, key_frame_property."
        return [*table, *_comment(why), f'encoder = "{hardware}"', *picture]
    if hardware:
        why = f"{hardware} is on the board."
    elif software or not has:
        why = "No hardware encoder was seen: a small picture, for the processor's sake."
    else:
        why = "The board has no encoder that is known: x264enc is in Debian's gstreamer1.0-plugins-ugly."
    encoder = hardware or software or "x264enc"
    fast = ["b_frames = 0", 'speed = "ultrafast"', 'tune = "zerolatency"'] if encoder == "x264enc" else []
    numbers = [f"bitrate = {_BITRATE}", f"key_frame_interval = {frames}"]
    seconds = f"In kilobits a second; and a key frame every {_KEY_FRAME_SECONDS} s, for a fragment begins with one."
    return [*table, *_comment(why), f'encoder = "{encoder}"', *picture, *_comment(seconds), *numbers, *fast]


def _picture(size: FrameSize, rate: Fraction | None) -> list[str]:
    lines = [f"width = {size.width}", f"height = {size.height}"]
    if rate is not None:
        lines.append(f"framerate = {rate.numerator}" if rate.denominator == 1 else f'framerate = "{rate}"')
    return lines


def _rate(size: FrameSize) -> Fraction | None:
    """Return the fastest rate up to 30 a second, else the slowest; None where none was told."""
    within = (min(max(30.0, slow), fast) for slow, fast in size.rate_ranges)
    rates = sorted(rate for rate in map(exact_rate, (*size.rates, *within)) if Fraction(1, 2) <= rate <= 240)
    slow = [rate for rate in rates if rate <= 30]
    return slow[-1] if slow else rates[0] if rates else None


def _nearest(sizes: Sequence[FrameSize], pixels: int) -> FrameSize:
    """Return the size nearest to so many pixels; 640x480 where the camera names no single one that a file may have."""
    single = [size for size in sizes if not size.to_width and 16 <= size.width <= 8192 and 16 <= size.height <= 8192]
    if not single:
        return FrameSize(width=640, height=480)
    return min(single, key=lambda size: abs(size.width * size.height - pixels))


def _audio(facts: BoardFacts, camera: VideoNode | None) -> tuple[SoundDevice | None, list[str]]:
    """Return the microphone and its lines: the camera's own where it has one, else the first."""
    if camera is None or not facts.microphones:
        return None, []
    own = [device for device in facts.microphones if device.card_name and device.card_name in camera.name]
    microphone = (own or list(facts.microphones))[0]
    more = len(facts.microphones) - 1
    which = ", the camera's own" if own else f", the first of {more + 1}" if more else ""
    seen = f"Microphone: {microphone.card_name}, {microphone.name}{which}."
    has = facts.gstreamer.elements
    encoder = next((name for name in ("voaacenc", "avenc_aac") if name in has or not has), "")
    if not encoder:
        return None, _comment(
            f"{seen} The board has no encoder to AAC: install gstreamer1.0-plugins-bad for its sound."
        )
    offered = [*microphone.rates, *(min(max(48000, low), high) for low, high in microphone.rate_ranges)]
    rates = [rate for rate in offered if 8000 <= rate <= 192_000]
    rate = min(rates, key=lambda rate: abs(rate - 48000)) if rates else 48000
    named = _numbered("microphone", facts.microphones.index(microphone) + 1)
    words = f'device = "{named}", encoder = "{encoder}", rate = {rate}{"" if rates else ", resample = true"}'
    return microphone, [*_comment(seen), f"audio = {{ {words} }}"]


def _list(names: Iterable[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"


def _safe(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9._-]+", text) else "HOST"


def _comment(text: str) -> list[str]:
    """Return text as comments; letters of ASCII alone, for it may be a board's own."""
    plain = "".join(letter if " " <= letter <= "~" else "?" for letter in text)
    return textwrap.wrap(plain, 110, initial_indent="# ", subsequent_indent="# ") or ["#"]

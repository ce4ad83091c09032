"""What a track's codec private data says: the codec's name for players, picture size, frame rate, rate and channels.

H.264 (avcC, ISO/IEC 14496-15), H.265 (hvcC, the same), AAC (AudioSpecificConfig, ISO/IEC 14496-3), and G.711, which KVS
takes and players do not. Parameter sets: ITU-T H.264 section 7.3.2.1.1, ITU-T H.265 section 7.3.2.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from deploy.media.model import Frame, MediaError, Track

AVC, HEVC, AAC, ACM = "V_MPEG4/ISO/AVC", "V_MPEGH/ISO/HEVC", "A_AAC", "A_MS/ACM"
_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_CHANNELS = (0, 1, 2, 3, 4, 5, 6, 8)
_PROFILES = {66: "Baseline", 77: "Main", 88: "Extended", 100: "High", 110: "High 10", 122: "High 4:2:2"}
_HIGH = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}
"""The profiles whose parameter sets say how colours are sampled."""

_HEVC_PROFILES = {1: "Main", 2: "Main 10", 3: "Main Still Picture", 4: "Range Extensions"}
_AAC_PROFILES = {1: "Main", 2: "LC", 5: "HE", 29: "HE v2", 42: "xHE"}
_G711 = {6: "alaw", 7: "ulaw"}
SIDE_LIMIT = 16_384
"""Pixels of a side; the largest that H.264 and H.265 have levels for."""


@dataclass(frozen=True, slots=True)
class Codec:
    """What is known of a track's codec.

    Attributes
    ----------
    rfc6381:
        The name that players and playlists use, such as avc1.42c01f; alaw or ulaw for G.711.
    profile:
        In words, such as "Baseline 3.1"; for people.
    frame_rate:
        Pictures a second, as the parameter sets say; 0 where they do not, and for H.265 where only the sequence
        parameter set does.
    rate, channels:
        Of sound; 0 for pictures.
    """

    rfc6381: str
    profile: str = ""
    width: int = 0
    height: int = 0
    frame_rate: float = 0.0
    rate: int = 0
    channels: int = 0


def describe(track: Track) -> Codec:
    """Say what a track carries.

    Raises
    ------
    MediaError
        The codec is none that KVS plays, or its private data is missing or malformed.
    """
    readers = {AVC: _avc, HEVC: _hevc, AAC: _aac, ACM: _acm}
    reader = readers.get(track.codec)
    if reader is None:
        raise MediaError(f"the codec {track.codec!r} is none of H.264, H.265, AAC and G.711")
    if not track.private:
        raise MediaError(f"track {track.number} ({track.codec}) has no codec private data")
    try:
        return reader(track)
    except (IndexError, struct.error):
        raise MediaError(f"the codec private data of track {track.number} ({track.codec}) is cut short") from None


def has_b_frames(frames: Iterable[Frame]) -> bool:
    """Say whether pictures of one track are shown in another order than they are decoded."""
    times = [frame.pts for frame in frames]
    return any(later < earlier for earlier, later in itertools.pairwise(times))


def _unit(data: bytes) -> _Bits:
    """Read a parameter set, without the bytes that keep start codes out of it (H.264 section 7.4.1)."""
    return _Bits(data.replace(b"\0\0\3", b"\0\0"))


class _Bits:
    """The bits at the beginning of some bytes; no parameter set needs more than these."""

    def __init__(self, data: bytes) -> None:
        body = data[:2048]
        self._value, self._left = int.from_bytes(body), 8 * len(body)

    def take(self, count: int) -> int:
        if count > self._left:
            raise MediaError("a parameter set is cut short")
        self._left -= count
        return (self._value >> self._left) & ((1 << count) - 1)

    def golomb(self) -> int:
        """Take an Exp-Golomb number, at most 32 bits."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 32:
                raise MediaError("a number in a parameter set is too long")
        return (1 << zeros) - 1 + self.take(zeros)

    def signed(self) -> int:
        value = self.golomb()
        return (value + 1) // 2 if value % 2 else -(value // 2)


def _avc(track: Track) -> Codec:
    data = track.private
    if data[0] != 1:
        start = data.startswith((b"\0\0\1", b"\0\0\0\1"))
        raise MediaError("H.264's private data is " + ("Annex B (start codes), not avcC" if start else "no avcC"))
    if not data[5] & 0x1F:
        raise MediaError("the avcC has no sequence parameter set")
    (size,) = struct.unpack_from(">H", data, 6)
    unit = data[8 : 8 + size]
    if len(unit) < size or size < 4 or unit[0] & 0x1F != 7:
        raise MediaError("the avcC's sequence parameter set is cut short")
    width, height, rate = _avc_picture(_unit(unit[4:]), unit[1])
    profile, flags, level = unit[1:4]
    name = "Constrained Baseline" if profile == 66 and flags & 0x40 else _PROFILES.get(profile, f"profile {profile}")
    return Codec(
        f"avc1.{profile:02x}{flags:02x}{level:02x}", f"{name} {level / 10:.1f}", *_sized(width, height), frame_rate=rate
    )


def _sized(width: int, height: int) -> tuple[int, int]:
    if not (0 < width <= SIDE_LIMIT and 0 < height <= SIDE_LIMIT):
        raise MediaError(f"the parameter sets say pictures of {width} x {height}")
    return width, height


def _avc_picture(bits: _Bits, profile: int) -> tuple[int, int, float]:
    """Return width, height and pictures a second of a sequence parameter set, read from behind its level."""
    bits.golomb()
    chroma, depth_units = 1, 1
    if profile in _HIGH:
        chroma = bits.golomb()
        depth_units = 0 if chroma == 3 and bits.take(1) else chroma
        bits.golomb(), bits.golomb(), bits.take(1)
        if bits.take(1):
            _skip_scaling(bits, 12 if chroma == 3 else 8)
    else:
        depth_units = chroma
    bits.golomb()
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.take(1), bits.signed(), bits.signed()
        for _ in range(_few(bits.golomb(), 255)):
            bits.signed()
    bits.golomb(), bits.take(1)
    columns, rows = bits.golomb() + 1, bits.golomb() + 1
    fields = 2 - bits.take(1)
    if fields == 2:
        bits.take(1)
    bits.take(1)
    unit_x, unit_y = (2 if depth_units in {1, 2} else 1), (2 if depth_units == 1 else 1) * fields
    left, right, top, bottom = [bits.golomb() for _ in range(4)] if bits.take(1) else [0] * 4
    width, height = columns * 16 - unit_x * (left + right), rows * 16 * fields - unit_y * (top + bottom)
    return width, height, _avc_rate(bits) if bits.take(1) else 0.0


def _few(count: int, most: int) -> int:
    if count > most:
        raise MediaError("a parameter set counts more than it may")
    return count


def _skip_scaling(bits: _Bits, lists: int) -> None:
    for place in range(lists):
        if bits.take(1):
            last = following = 8
            for _ in range(16 if place < 6 else 64):
                if following:
                    following = (last + bits.signed()) % 256
                last = following or last


def _avc_rate(bits: _Bits) -> float:
    """Return pictures a second of the video usability information (H.264 annex E)."""
    if bits.take(1) and bits.take(8) == 255:
        bits.take(32)
    if bits.take(1):
        bits.take(1)
    if bits.take(1):
        bits.take(4)
        if bits.take(1):
            bits.take(24)
    if bits.take(1):
        bits.golomb(), bits.golomb()
    if not bits.take(1):
        return 0.0
    units, scale = bits.take(32), bits.take(32)
    return _plausible(scale / (2 * units) if units else 0.0)


def _plausible(rate: float) -> float:
    """Return a frame rate, 0 where nobody means it."""
    return round(rate, 3) if 0.01 <= rate <= 1000 else 0.0


def _hevc(track: Track) -> Codec:
    data = track.private
    if data[0] != 1 or len(data) < 23:
        start = data.startswith((b"\0\0\1", b"\0\0\0\1"))
        raise MediaError("H.265's private data is " + ("Annex B (start codes), not hvcC" if start else "no hvcC"))
    first, compatible, level = data[1], int.from_bytes(data[2:6]), data[12]
    space, tier, profile = " ABC"[first >> 6].strip(), "H" if first & 0x20 else "L", first & 0x1F
    flipped = int(f"{compatible:032b}"[::-1], 2)
    constraints = [f"{one:X}" for one in data[6:12].rstrip(b"\0")]
    rfc6381 = ".".join(["hvc1", f"{space}{profile}", f"{flipped:X}", f"{tier}{level}", *constraints])
    (average,) = struct.unpack_from(">H", data, 19)
    units = dict(_hevc_units(data))
    if 33 not in units:
        raise MediaError("the hvcC has no sequence parameter set")
    width, height = _hevc_picture(_unit(units[33][2:]))
    name = _HEVC_PROFILES.get(profile, f"profile {profile}")
    words = f"{name} {level / 30:.1f}"
    return Codec(rfc6381, words, *_sized(width, height), frame_rate=_plausible(average / 256) or _hevc_rate(units))


def _hevc_units(data: bytes) -> Iterable[tuple[int, bytes]]:
    """Yield type and bytes of the parameter sets in an hvcC."""
    at = 23
    for _ in range(data[22]):
        kind, count = data[at] & 0x3F, int.from_bytes(data[at + 1 : at + 3])
        at += 3
        for _ in range(count):
            (size,) = struct.unpack_from(">H", data, at)
            at += 2 + size
            if at > len(data):
                raise MediaError("a parameter set of the hvcC is cut short")
            yield kind, data[at - size : at]


def _skip_levels(bits: _Bits, layers: int) -> None:
    """Skip profile, tier and level (H.265 section 7.3.3)."""
    bits.take(96)
    flags = [(bits.take(1), bits.take(1)) for _ in range(layers)]
    if layers:
        bits.take(2 * (8 - layers))
    for has_profile, has_level in flags:
        bits.take(88 * has_profile + 8 * has_level)


def _hevc_picture(bits: _Bits) -> tuple[int, int]:
    bits.take(4)
    layers = bits.take(3)
    bits.take(1)
    _skip_levels(bits, layers)
    bits.golomb()
    chroma = bits.golomb()
    separate = chroma == 3 and bits.take(1)
    width, height = bits.golomb(), bits.golomb()
    if bits.take(1):
        unit_x = 2 if chroma in {1, 2} and not separate else 1
        unit_y = 2 if chroma == 1 and not separate else 1
        width -= unit_x * (bits.golomb() + bits.golomb())
        height -= unit_y * (bits.golomb() + bits.golomb())
    return width, height


def _hevc_rate(units: dict[int, bytes]) -> float:
    """Return pictures a second of the video parameter set, 0 where it does not say (H.265 section 7.3.2.1)."""
    if 32 not in units:
        return 0.0
    bits = _unit(units[32][2:])
    bits.take(12)
    layers = bits.take(3)
    bits.take(17)
    _skip_levels(bits, layers)
    for _ in range(layers + 1 if bits.take(1) else 1):
        bits.golomb(), bits.golomb(), bits.golomb()
    most, sets = bits.take(6), _few(bits.golomb(), 1023)
    bits.take(sets * (most + 1))
    if not bits.take(1):
        return 0.0
    tick, scale = bits.take(32), bits.take(32)
    return _plausible(scale / tick if tick else 0.0)


def _aac(track: Track) -> Codec:
    bits = _Bits(track.private)
    kind, rate, channels = _object_type(bits), _rate(bits), bits.take(4)
    core = kind
    if kind in {5, 29}:
        rate, core = _rate(bits), _object_type(bits)
    if not core or channels >= len(_CHANNELS):
        raise MediaError("the AAC configuration has no object type, or channels that are reserved")
    count = 2 if (kind, channels) == (29, 1) else _CHANNELS[channels] or track.channels
    return Codec(f"mp4a.40.{kind}", f"AAC {_AAC_PROFILES.get(kind, f'type {kind}')}", rate=rate, channels=count)


def _object_type(bits: _Bits) -> int:
    kind = bits.take(5)
    return 32 + bits.take(6) if kind == 31 else kind


def _rate(bits: _Bits) -> int:
    place = bits.take(4)
    rate = bits.take(24) if place == 15 else _RATES[place] if place < len(_RATES) else 0
    if not rate:
        raise MediaError("the AAC configuration has a sample rate that is reserved")
    return rate


def _acm(track: Track) -> Codec:
    """Read a WAVEFORMATEX, as Matroska takes it over from AVI."""
    tag, channels, rate = struct.unpack_from("<HHI", track.private)
    name = _G711.get(tag)
    if name is None or not 0 < channels <= 8 or not 0 < rate <= 192_000:
        raise MediaError(f"sound of the kind 0x{tag:04x} in A_MS/ACM is not G.711, or has no rate")
    return Codec(name, f"G.711 {'A-law' if name == 'alaw' else 'mu-law'}", rate=rate, channels=channels)

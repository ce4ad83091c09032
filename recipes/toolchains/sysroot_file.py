"""What to compile against for a board that was pulled: its distribution's headers, or a word on what is missing.

A board has libraries and no headers. Where it runs Debian, the packages of the same suite have the headers of just
these libraries. Anywhere else nobody but its maker has them, so no guess is made. Pure.
"""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from recipes.arch import Arch
from recipes.text import one_line

_COMPILERS = {"bookworm": "12", "trixie": "14"}
"""Debian suite to the version of its C++ library; others have not been tried."""
_HEADERS = {
    "libz.so.1": "zlib1g-dev",
    "libcap.so.2": "libcap-dev",
    "libssl.so.3": "libssl-dev",
    "libcurl.so.4": "libcurl4-openssl-dev",
    "liblog4cplus-2.0.so.3": "liblog4cplus-dev",
    "libwebsockets.so.17": "libwebsockets-dev",
    "libsrtp2.so.1": "libsrtp2-dev",
    "libusrsctp.so.2": "libusrsctp-dev",
    "libgstreamer-1.0.so.0": "libgstreamer1.0-dev",
    "libgstapp-1.0.so.0": "libgstreamer-plugins-base1.0-dev",
}
"""What the recipes may take from a board, and the package with its headers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SysrootFile:
    """How a board gets a sysroot.

    Parameters
    ----------
    toml:
        Content of `board-configs/sysroots/<board>.toml`; empty where there can be none.
    because:
        What it was made of, or what is missing and who has it.
    """

    toml: str
    because: str


def read_os_release(text: str) -> dict[str, str]:
    """Read /etc/os-release: https://www.freedesktop.org/software/systemd/man/latest/os-release.html."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            try:
                words = shlex.split(value)
            except ValueError:
                continue
            found[name] = words[0] if words else ""
    return found


def plan_sysroot_file(release: Mapping[str, str], sonames: Iterable[str], arch: Arch) -> SysrootFile:
    """Say what the sysroot of a board with these libraries is made of."""
    has = set(sonames)
    wanted = {soname: package for soname, package in _HEADERS.items() if soname in has}
    suite = release.get("VERSION_CODENAME", "")
    told = release.get("PRETTY_NAME") or release.get("ID") or "unknown: it has no /etc/os-release"
    system = one_line(told, most=80)
    if release.get("ID") != "debian" or suite not in _COMPILERS:
        derived = "debian" in release.get("ID_LIKE", "").split()
        why = "no distribution has packages for it"
        if derived:
            why = (
                "its packages are not Debian's own; board-configs/sysroots/NAME.toml can name its archive (`mirror`, "
                "`keyring`, `components`)"
            )
        return SysrootFile(
            toml="",
            because=f"the board's system is {system}; {why}. Missing: headers of the C library, of the C++ library and "
            f"of {', '.join(sorted(wanted)) or 'whatever else it has'}. Who built it has them: its SDK's toolchain as "
            "board-configs/toolchains/*.toml, or a tar file of its staging folder",
        )
    packages = ["libc6-dev", f"libstdc++-{_COMPILERS[suite]}-dev", "linux-libc-dev", *wanted.values()]
    listed = "".join(f'  "{package}",\n' for package in packages)
    toml = (
        f'schema = 1\narch = "{arch.name}"\nsuite = "{suite}"\n'
        f"# Headers of what the board was seen to have; the rest is built from source.\npackages = [\n{listed}]\n"
    )
    return SysrootFile(toml=toml, because=f"{system}: {len(packages)} packages of {suite}")


def sysroot_difference(text: str, made: SysrootFile) -> str:
    """Say how a sysroot's file that is there differs from one made now; empty where it does not, or none is made."""
    try:
        has, wants = (set(tomllib.loads(file).get("packages", ())) for file in (text, made.toml))
    except (tomllib.TOMLDecodeError, TypeError):
        return "it cannot be read"
    if not made.toml or has == wants:
        return ""
    parts = [("the board has libraries for", wants - has), ("the board lacks what it names", has - wants)]
    return "; ".join(f"{what}: {', '.join(sorted(names))}" for what, names in parts if names)

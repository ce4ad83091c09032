"""The fixed paths inside a build's container: debug information, caches and logs never depend on the workstation."""

from __future__ import annotations

from pathlib import PurePosixPath

WORK = PurePosixPath("/bc/work")
SOURCE = WORK / "src"
BUILD = WORK / "build"
OUT = WORK / "out"
DEBUG = WORK / "debug"
LEFT = WORK / "left"
FILES = WORK / "files"
PATCHES = WORK / "patches"
SITE = WORK / "config.site"
ANSWERS = WORK / "config.cache"
OWN = PurePosixPath("/bc/own")
PREFIX = PurePosixPath("/bc/prefix")
SYSROOT = PurePosixPath("/bc/sysroot")
ARCHIVE = PurePosixPath("/bc/archive")
GIT = PurePosixPath("/bc/git")
CCACHE = PurePosixPath("/bc/ccache")
TOOLCHAIN = PurePosixPath("/bc/toolchain.cmake")

"""The commands of a build, as values: what runs in the container, in which folder, with which environment.

Made of a recipe and an arch alone; nothing is run here.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from recipes.arch import Arch
from recipes.engine.layout import ANSWERS, ARCHIVE, BUILD, DEBUG, LEFT, OUT, OWN, PATCHES, PREFIX, SITE, SOURCE, WORK
from recipes.sources.recipe import Recipe
from recipes.toolchains.environment import build_environment

COMMAND_RULES = 4
"""Part of every key: raise it when the commands below change what they make."""
_NO_CCACHE = ("CCACHE_DISABLE=1",)
"""CMake and Meson try each thing in a folder named on the spot: ccache would keep what it never finds again."""
_CONFIGURE_WITH = {"cmake": _NO_CCACHE, "meson": _NO_CCACHE, "autotools": (f"CONFIG_SITE={SITE}",)}
"""What the configure of a single library gets: no ccache, or the answers of last time (`reuse`)."""
# $1 is a pattern of a recipe, which its model keeps free of anything that a shell would act on but `*`.
_COLLECT = """set -eu
found=no
for path in $1; do
    [ -e "$path" ] || [ -L "$path" ] || continue
    found=yes
    mkdir -p "$2"
    cp -RPp "$path" "$2"
done
[ $found = yes ] || [ "$3" = optional ] || { echo "collect: nothing is at $1" >&2; exit 1; }
"""
_LEAVE = """set -eu
mkdir "$1" "$1/answers"
mv "$2" "$3" "$1"
[ ! -e "$4" ] && [ ! -L "$4" ] || mv "$4" "$1/answers"
"""
PATCH_RULES = 1
"""Part of the key of what has the distribution's patches: raise it when the script below applies them otherwise."""
# No fuzz, as `dpkg-source` has none. The time of a file stays: a tool must not be run again for a list of its tests.
_PATCH = """set -eu
while IFS= read -r file; do
    [ ! -f "$file" ] || printf '%s %s\\n' "$(stat -c %Y "$file")" "$file"
done < "$1/files" > "$1/times"
for patch in "$1"/*.patch; do
    name=${patch##*/}
    echo "patch: ${name#*-}"
    patch --unified --strip=1 --fuzz=0 --forward --batch --remove-empty-files --no-backup-if-mismatch --reject-file=- \\
        --input="$patch" || { echo "patch: ${name#*-} does not fit this release" >&2; exit 1; }
done
while read -r time file; do [ ! -f "$file" ] || touch -d "@$time" "$file"; done < "$1/times"
"""


# $0 is a mark that is printed before each command; $@ of each its folder, how many words it has, and they. Its
# environment is the container's; both of its streams are one pipe, so that a mark comes after what was printed before.
_CALL = """exec 2>&1
export -n OLDPWD PWD SHLVL
at=1
while [ $at -le $# ]; do
    printf '\\n%s\\n' "$0"
    words=${@:at + 1:1}
    cd -- "${@:at:1}" || exit
    "${@:at + 2:words}" || exit
    at=$((at + 2 + words))
done
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command in the container."""

    name: str
    argv: tuple[str, ...]
    cwd: PurePosixPath = WORK
    unset: tuple[str, ...] = field(default=())
    given: tuple[str, ...] = field(default=())
    """Variables of this step alone, as NAME=value."""

    @property
    def full(self) -> tuple[str, ...]:
        """The command line as it runs, with its own variables, and without those that it must not see."""
        if not self.unset and not self.given:
            return self.argv
        return ("env", *(word for name in self.unset for word in ("-u", name)), *self.given, *self.argv)

    @property
    def brief(self) -> str:
        """The command line on one line; of a script the arguments alone."""
        script = self.argv[:2] == ("sh", "-c") and len(self.argv) > 3
        return shlex.join(self.argv[4:] if script else self.full)


LEAVE = Command(
    name="leave",
    argv=(
        *("sh", "-c", _LEAVE, "leave"),
        *map(str, (LEFT, OUT, DEBUG, ANSWERS)),
    ),
)
"""Puts what a build leaves below one folder, so that it is taken in one call."""


def in_one_call(commands: Sequence[Command], mark: str) -> tuple[str, ...]:
    """Return one command line that carries out commands until one fails, and ends with that one's exit code.

    Parameters
    ----------
    mark:
        A line that is printed before each of them, between two line breaks: nothing else may print it.
    """
    each = (word for step in commands for word in (str(step.cwd), str(len(step.full)), *step.full))
    return ("bash", "-c", _CALL, mark, *each)


def recipe_commands(
    recipe: Recipe, arch: Arch, *, jobs: int, verbose: bool, commit: str = "", url: str = "", patched: bool = False
) -> tuple[Command, ...]:
    """Return the steps that build and install one recipe into OUT.

    Parameters
    ----------
    commit, url:
        Those of a git source.
    patched:
        The distribution's patches of the source are to be applied.
    """
    maker = {"cmake": _cmake, "autotools": _autotools, "openssl": _openssl, "meson": _meson, "make": _make_only}
    making = maker[recipe.build](recipe, arch, jobs, verbose)
    return (
        *_unpack(recipe, commit, url),
        *([Command(name="patch", argv=("sh", "-c", _PATCH, "patch", str(PATCHES)), cwd=SOURCE)] if patched else []),
        *_edits(recipe),
        *(making if commit else _configured(recipe, making)),
        *(
            Command(
                name="collect",
                argv=(
                    *("sh", "-c", _COLLECT, "collect", str(WORK / files.from_), f"{OUT}{PREFIX}/{files.to}"),
                    "optional" if files.optional else "needed",
                ),
            )
            for files in recipe.collect
        ),
        Command(name="split", argv=("python3", "/bc/split.py", str(OUT), str(DEBUG), arch.triple)),
    )


def _unpack(recipe: Recipe, commit: str, url: str) -> tuple[Command, ...]:
    if recipe.source.startswith("path:"):
        return (Command(name="copy", argv=("cp", "-RPp", f"{OWN}/.", str(SOURCE))),)
    if commit:
        return (
            Command(name="clone", argv=("git", "clone", "--quiet", "--no-checkout", url, str(SOURCE))),
            Command(name="checkout", argv=("git", "-C", str(SOURCE), "checkout", "--quiet", "--detach", commit)),
        )
    return (Command(name="unpack", argv=("tar", "-xf", str(ARCHIVE), "--strip-components=1", "-C", str(SOURCE))),)


def _edits(recipe: Recipe) -> tuple[Command, ...]:
    wanted = [("edit", edit) for edit in recipe.edits]
    wanted += [(f"patch {name}", edit) for name in recipe.applied for edit in recipe.patches[name].edits]
    return tuple(
        Command(
            name=name, argv=("python3", "/bc/edit.py", str(SOURCE / edit.file), str(edit.times), edit.find, edit.put)
        )
        for name, edit in wanted
    )


def _configured(recipe: Recipe, making: tuple[Command, ...]) -> tuple[Command, ...]:
    """Configure faster; not SDKs in git, which build libraries meanwhile, nor sources of one's own, which change."""
    if recipe.source.startswith("path:") or recipe.build not in _CONFIGURE_WITH:
        return making
    given = _CONFIGURE_WITH[recipe.build]
    return tuple(replace(step, given=given) if step.name == "configure" else step for step in making)


def recipe_options(recipe: Recipe, arch: Arch) -> dict[str, str]:
    """Return the options of a recipe on an architecture; a vendor's arch has those of the one it is based on."""
    own = recipe.arch_options.get(arch.name) or recipe.arch_options.get(arch.base, {})
    return {**recipe.options, **own}


def _cmake(recipe: Recipe, arch: Arch, jobs: int, verbose: bool) -> tuple[Command, ...]:
    fixed = {
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_INSTALL_PREFIX": str(PREFIX),
        "CMAKE_INSTALL_LIBDIR": "lib",
    }
    defines = tuple(f"-D{name}={value}" for name, value in {**fixed, **recipe_options(recipe, arch)}.items())
    loud = ("--verbose",) if verbose else ()
    targets = tuple(word for target in recipe.targets for word in ("--target", target))
    configure = ("cmake", "-G", recipe.generator, "-S", str(SOURCE), "-B", str(BUILD), *defines)
    build = ("cmake", "--build", str(BUILD), "--parallel", str(jobs), *loud, *targets)
    steps = (Command(name="configure", argv=configure), Command(name="build", argv=build))
    if not recipe.install:
        return steps
    return (*steps, Command(name="install", argv=("env", f"DESTDIR={OUT}", "cmake", "--install", str(BUILD))))


def _meson(recipe: Recipe, arch: Arch, jobs: int, verbose: bool) -> tuple[Command, ...]:
    words = tuple(f"-D{name}={value}" for name, value in recipe_options(recipe, arch).items())
    cross = ("--cross-file", str(WORK / "meson-cross.ini"), "--prefix", str(PREFIX), "--libdir", "lib")
    # Meson takes the cross compiler's flags from the cross file or the options, not from the environment.
    flags = build_environment(arch, recipe)
    given = tuple(
        f"-D{name}={value.split()!r}"  # Meson reads a list as Python writes one; there are commas in the flags
        for name, value in (
            ("c_args", flags["CFLAGS"]),
            ("cpp_args", flags["CXXFLAGS"]),
            ("c_link_args", flags["LDFLAGS"]),
            ("cpp_link_args", flags["LDFLAGS"]),
        )
    )
    loud = ("--verbose",) if verbose else ()
    setup = ("meson", "setup", *cross, "--buildtype=release", "--wrap-mode=nodownload", *given, *words)
    return (
        Command(name="configure", argv=(*setup, str(BUILD), str(SOURCE))),
        Command(name="build", argv=("ninja", "-C", str(BUILD), f"-j{jobs}", *loud, *recipe.targets)),
        Command(name="install", argv=("env", f"DESTDIR={OUT}", "meson", "install", "--no-rebuild", "-C", str(BUILD))),
    )


def _make_only(recipe: Recipe, arch: Arch, jobs: int, verbose: bool) -> tuple[Command, ...]:
    """Build with a hand-written Makefile: its variables are `options`, its prefix is given the usual way."""
    words = tuple(f"{name}={value}" for name, value in {"PREFIX": str(PREFIX), **recipe_options(recipe, arch)}.items())
    loud = ("V=1", "VERBOSE=1") if verbose else ()
    return (
        Command(name="build", argv=("make", f"-j{jobs}", *loud, *words, *recipe.targets), cwd=SOURCE),
        Command(name="install", argv=("make", f"DESTDIR={OUT}", *words, *recipe.install), cwd=SOURCE),
    )


def _make(recipe: Recipe, jobs: int, verbose: bool, unset: tuple[str, ...]) -> tuple[Command, ...]:
    loud = ("V=1", "VERBOSE=1") if verbose else ()
    return (
        Command(name="build", argv=("make", f"-j{jobs}", *loud, *recipe.targets), cwd=SOURCE, unset=unset),
        Command(name="install", argv=("make", f"DESTDIR={OUT}", *recipe.install), cwd=SOURCE, unset=unset),
    )


def _autotools(recipe: Recipe, arch: Arch, jobs: int, verbose: bool) -> tuple[Command, ...]:
    where = (f"--host={arch.triple}", f"--prefix={PREFIX}", f"--libdir={PREFIX}/lib")
    configure = Command(name="configure", argv=("./configure", *where, *recipe.arguments), cwd=SOURCE)
    make = _make(recipe, jobs, verbose, ())
    if recipe.source.startswith("path:"):
        # A project of one's own seldom has its generated configure under version control.
        prepare = Command(name="autoreconf", argv=("sh", "-c", "test -x configure || autoreconf -fi"), cwd=SOURCE)
        return (prepare, configure, *make)
    return (configure, *make)


def _openssl(recipe: Recipe, arch: Arch, jobs: int, verbose: bool) -> tuple[Command, ...]:
    # With both a prefix and a prefixed CC its Makefile doubles the prefix; a set CROSS_COMPILE does the same.
    unset = ("CC", "CXX", "AR", "RANLIB", "CROSS_COMPILE")
    words = (arch.openssl, f"--cross-compile-prefix={arch.triple}-", f"--prefix={PREFIX}", *recipe.arguments)
    configure = Command(name="configure", argv=("./Configure", *words), cwd=SOURCE, unset=unset)
    return (configure, *_make(recipe, jobs, verbose, unset))


def cache_key(parts: Mapping[str, str]) -> str:
    """Return the cache key of a build from the digests of its parts."""
    return hashlib.sha256(json.dumps(dict(parts), sort_keys=True).encode()).hexdigest()


def json_digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()

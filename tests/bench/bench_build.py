"""Builds, side by side in one run: ours against the same commands by hand, ccache, no change, one change, two arches.

The SDKs are the stand-ins: what is measured there is what Boardcast adds, not what their compilers do.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recipes.builder.request import BuildRequest
from recipes.builder.run import prepare_build
from recipes.engine.docker import Engine
from recipes.sources.fetch import fetch_pins
from recipes.sources.lock import load_lock
from recipes.toolchains.vendor import parse_arch
from tests.support import buildbench
from tests.support.bench import show
from tests.support.standin import TREES, lock_text, make

ROUNDS = 3
"""Turn and turn about; the best of each side counts, since the machine has other things to do."""


def overhead() -> dict[str, object]:
    """Boardprobe and libwebsockets for armv7, cold: ours against plain docker, cmake and make."""
    prepared = prepare_build(parse_arch("armv7"), BuildRequest(names=("boardprobe",)), engine=Engine.connect())
    for step in prepared.steps:
        if not step.recipe.source.startswith("path:"):
            fetch_pins(load_lock().needed(step.recipe.source))
    lists: list[list[float]] = [[] for _ in range(6)]
    hands, cached, colds, agains, warms, forced = lists
    peak = 0.0
    words = ("--arch", "armv7", "--recipe", "boardprobe")

    def typed(times: list[float], *, ccache: bool) -> None:
        with buildbench.place() as folder:
            times.append(buildbench.by_hand(prepared, folder, ccache=ccache))

    def ours() -> None:
        nonlocal peak
        with buildbench.place() as folder:
            cold = buildbench.ours(folder, *words)
            colds.append(cold.seconds)
            agains.extend(buildbench.ours(folder, *words).seconds for _ in range(3))
            warms.append(buildbench.once_more(folder, *words).seconds)
            forced.append(buildbench.ours(folder, *words, "--force").seconds)
            peak = max(peak, cold.peak_mb)

    sides = [lambda: typed(hands, ccache=False), lambda: typed(cached, ccache=True), ours]
    for number in range(ROUNDS):
        # Who comes last finds a machine that was busy for minutes: each does so once.
        for side in sides[number:] + sides[:number]:
            side()
    return {
        "by hand, s": round(min(hands), 1),
        "by hand, with ccache being filled, s": round(min(cached), 1),
        "invoke build, cold, s": round(min(colds), 1),
        "cold / by hand": f"{min(colds) / min(hands):.2f}",
        "cold / by hand with ccache": f"{min(colds) / min(cached):.2f}",
        "nothing changed, s": round(min(agains), 2),
        "built again with a warm ccache, s": round(min(warms), 1),
        "--force, s": round(min(forced), 1),
        "peak memory of ours, MB": round(peak),
    }


THIRD_PARTY = ("openssl", "curl", "libwebsockets", "log4cplus", "libsrtp2", "usrsctp")


def compiler_cache() -> dict[str, object]:
    """Build a C and a C++ library from source; the second time every compilation is in ccache.

    And all libraries of both SDKs at once, where curl's configure alone, which asks its questions anew each time, is
    half of what is left.
    """
    found: dict[str, object] = {}
    for title, recipes in (("openssl", ("openssl",)), ("log4cplus", ("log4cplus",)), ("all six", THIRD_PARTY)):
        words = ["--arch", "armv7", *(word for recipe in recipes for word in ("--recipe", recipe))]
        with buildbench.place() as folder:
            cold = buildbench.ours(folder, *words).seconds
            warm = min(buildbench.once_more(folder, *words).seconds for _ in range(2))
        found[f"{title} cold; again with a warm ccache, s"] = f"{cold:.1f}; {warm:.1f}"
        found[f"{title} cold / again"] = f"{cold / warm:.2f}"
    return found


@contextmanager
def standins() -> Iterator[tuple[Path, dict[str, str], list[str]]]:
    """Yield a folder with the stand-in upstreams, and the environment and words of a build that takes them."""
    with tempfile.TemporaryDirectory(prefix="boardcast-bench-") as name:
        made = make(Path(name) / "mirror")
        (Path(name) / "lock.toml").write_text(lock_text(made))
        shutil.copytree(TREES / "apps", Path(name) / "apps")
        env = {"BOARDCAST_LOCK": f"{name}/lock.toml", "BOARDCAST_RECIPES": f"{name}/apps"}
        yield Path(name), env, ["--mirror", str(made.mirror), "--recipe", "producer", "--recipe", "webrtc"]


def both_sdks() -> dict[str, object]:
    """Build both (stand-in) SDKs and an application: cold, by hand, with nothing changed, and with one file changed.

    By hand is one recipe after another, each with all processors, as a person types it.
    """
    hands, colds, agains = [], [], []
    for _ in range(ROUNDS):
        with buildbench.place(sources=False) as folder, standins() as (upstreams, env, words):
            words += ["--arch", "armv7", "--recipe", "withmake"]
            colds.append(buildbench.ours(folder, *words, env=env).seconds)
            agains += [buildbench.ours(folder, *words, env=env).seconds for _ in range(3)]
            source = upstreams / "apps" / "withmake" / "src" / "app.c"
            source.write_text(source.read_text() + "/* changed */\n")
            one = buildbench.ours(folder, *words, env=env).seconds
            with buildbench.place(sources=False) as other:
                hands.append(_typed(other, env, upstreams / "mirror"))
    return {
        "by hand, s": round(min(hands), 1),
        "both SDKs (stand-ins) and an application, cold, s": round(min(colds), 1),
        "cold / by hand": f"{min(colds) / min(hands):.2f}",
        "nothing changed there, s": round(min(agains), 2),
        "one source of the application changed, s": round(one, 1),
    }


def _typed(folder: Path, env: dict[str, str], mirror: Path) -> float:
    """Type the same build by hand; fetching is no part of it, of ours neither."""
    mine = {**env, "BOARDCAST_CACHE": str(folder / "cache")}
    before = {name: os.environ.get(name) for name in mine}
    os.environ.update(mine)
    try:
        ask = BuildRequest(names=("producer", "webrtc", "withmake"))
        prepared = prepare_build(parse_arch("armv7"), ask, engine=Engine.connect())
        for step in prepared.steps:
            if not step.recipe.source.startswith("path:"):
                fetch_pins(load_lock().needed(step.recipe.source), [mirror])
        return buildbench.by_hand(prepared, folder, mirror=[mirror])
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def two_arches() -> dict[str, object]:
    """Both SDKs (stand-ins), and boardprobe with libwebsockets, for one architecture and for two at once.

    The more of one architecture runs side by side already, the less is left for the second to fill. In turns, and the
    better of two rounds each.
    """
    chain = ["--recipe", "boardprobe"]
    found: dict[str, object] = {}
    with standins() as (_, env, sdks):
        for title, words in (("both SDKs", sdks), ("boardprobe and libwebsockets", chain)):
            seconds: dict[str, list[float]] = {}
            for arches in ("armv7", "armv7,aarch64") * 2:
                with buildbench.place(sources=False) as folder:
                    given = env if words is sdks else None
                    run = buildbench.ours(folder, "--arch", arches, *words, env=given)
                    seconds.setdefault(arches, []).append(run.seconds)
            one, two = (min(runs) for runs in seconds.values())
            found[f"{title}: one; two, s"] = f"{one:.1f}; {two:.1f}"
            found[f"{title}: two / one"] = f"{two / one:.2f}"
    return found


if __name__ == "__main__":
    # One after another, each printed when it is measured: the whole takes about a quarter of an hour.
    show("boardprobe and libwebsockets for armv7", overhead)
    show("Both SDKs", both_sdks)
    show("ccache", compiler_cache)
    show("Architectures", two_arches)

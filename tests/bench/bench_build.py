"""Builds, side by side in one run: ours against the same commands by hand, ccache, no change, one change, two arches.

The SDKs are the stand-ins: what is measured there is what Boardcast adds, not what their compilers do.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from recipes import buildplan, fetch, lock
from recipes.arch import Arch
from recipes.ask import Ask
from recipes.engine import Engine
from tests.support import buildbench
from tests.support.bench import show
from tests.support.standin import TREES, lock_text, make

ROUNDS = 3
"""Turn and turn about; the best of each side counts, since the machine has other things to do."""


def overhead() -> dict[str, object]:
    """Boardprobe and libwebsockets for armv7, cold: ours against plain docker, cmake and make."""
    prepared = buildplan.prepare(Arch.parse("armv7"), Ask(names=("boardprobe",)), engine=Engine.connect())
    for step in prepared.steps:
        if not step.recipe.source.startswith("path:"):
            fetch.bring(lock.load().needed(step.recipe.source))
    hands, cached, colds, agains, warms, peak = [], [], [], [], [], 0.0
    words = ("--arch", "armv7", "--recipe", "boardprobe")
    for _ in range(ROUNDS):
        with buildbench.place() as folder:
            hands.append(buildbench.by_hand(prepared, folder))
        with buildbench.place() as folder:
            cached.append(buildbench.by_hand(prepared, folder, ccache=True))
        with buildbench.place() as folder:
            cold = buildbench.ours(folder, *words)
            colds.append(cold.seconds)
            agains += [buildbench.ours(folder, *words).seconds for _ in range(3)]
            warms.append(buildbench.ours(folder, *words, "--force").seconds)
            peak = max(peak, cold.peak_mb)
    return {
        "by hand, s": round(min(hands), 1),
        "by hand, with ccache being filled, s": round(min(cached), 1),
        "invoke build, cold, s": round(min(colds), 1),
        "cold / by hand": round(min(colds) / min(hands), 2),
        "cold / by hand with ccache": round(min(colds) / min(cached), 2),
        "nothing changed, s": round(min(agains), 2),
        "--force with a warm ccache, s": round(min(warms), 1),
        "peak memory of ours, MB": round(peak),
    }


def compiler_cache() -> dict[str, object]:
    """Build a C++ and a C library from source; the second time every compilation is in ccache.

    A third of what is left of OpenSSL is Perl: its Configure, and the sources that it writes.
    """
    found: dict[str, object] = {}
    for recipe in ("log4cplus", "openssl"):
        words = ("--arch", "armv7", "--recipe", recipe)
        with buildbench.place() as folder:
            cold = buildbench.ours(folder, *words).seconds
            warm = min(buildbench.ours(folder, *words, "--force").seconds for _ in range(2))
        found[f"{recipe} cold; --force, s"] = f"{cold:.1f}; {warm:.1f}"
        found[f"{recipe} cold / --force"] = round(cold / warm, 1)
    return found


def both_sdks() -> dict[str, object]:
    """Both (stand-in) SDKs and their dependencies with nothing changed, and with one file of an application changed."""
    with buildbench.place() as folder, tempfile.TemporaryDirectory(prefix="boardcast-bench-") as name:
        made = make(Path(name) / "mirror")
        (Path(name) / "lock.toml").write_text(lock_text(made))
        shutil.copytree(TREES / "apps", Path(name) / "apps")
        env = {"BOARDCAST_LOCK": f"{name}/lock.toml", "BOARDCAST_RECIPES": f"{name}/apps"}
        words = ["--arch", "armv7", "--mirror", str(made.mirror)]
        for recipe in ("producer", "webrtc", "withmake"):
            words += ["--recipe", recipe]
        (folder / "cache" / "git").unlink(missing_ok=True)
        cold = buildbench.ours(folder, *words, env=env).seconds
        again = min(buildbench.ours(folder, *words, env=env).seconds for _ in range(3))
        source = Path(name) / "apps" / "withmake" / "src" / "app.c"
        source.write_text(source.read_text() + "/* changed */\n")
        one = buildbench.ours(folder, *words, env=env).seconds
    return {
        "both SDKs (stand-ins) and an application, cold, s": round(cold, 1),
        "nothing changed there, s": round(again, 2),
        "one source of the application changed, s": round(one, 1),
    }


def two_arches() -> dict[str, object]:
    """Libwebsockets and curl for one architecture, and for two at once."""
    recipes = ("--recipe", "libwebsockets", "--recipe", "curl")
    with buildbench.place() as folder:
        one = buildbench.ours(folder, "--arch", "armv7", *recipes).seconds
    with buildbench.place() as folder:
        two = buildbench.ours(folder, "--arch", "armv7,aarch64", *recipes).seconds
    return {"one arch, s": round(one, 1), "two arches, s": round(two, 1), "two / one": round(two / one, 2)}


if __name__ == "__main__":
    # One after another, each printed when it is measured: the whole takes about a quarter of an hour.
    show("boardprobe and libwebsockets for armv7", overhead)
    show("Both SDKs", both_sdks)
    show("ccache", compiler_cache)
    show("Architectures", two_arches)

"""Several small boards at once: containers of their own, and an inventory that has them in groups and with labels."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from deploy.boards.inventory import SimState
from deploy.sim.boards import bring_up, take_down
from recipes import paths
from recipes.engine.docker import Engine

NO_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJlq8GJkO7qfW0Ll7bG9nL3T3b0O0V1VQw7mF0V0eKxX"


@contextmanager
def small_fleet(
    folder: Path, engine: Engine, count: int, *, down: Sequence[str] = (), prefix: str = "unit", name: str = "cameras"
) -> Iterator[list[str]]:
    """Give the names of simulated hosts that are up, and then those where nothing listens, all in one group."""
    shutil.copytree(paths.BOARDS / "sim-tiny", folder / "sim-tiny", dirs_exist_ok=True)
    up = [f"{prefix}{number:02}" for number in range(count)]
    inventory = ["schema = 1\n"]
    for number, host in enumerate(up):
        site = "north" if number % 2 == 0 else "south"
        inventory.append(
            f'[hosts.{host}]\nboard = "sim-tiny"\nsimulated = true\n'
            f'groups = ["{name}"]\nlabels = {{ site = "{site}" }}\n'
        )
    inventory += [
        f'[hosts.{host}]\nboard = "sim-tiny"\naddress = "127.0.0.1"\nport = 9\nhost_key = "{NO_KEY}"\n'
        f'groups = ["{name}"]\n'
        for host in down
    ]
    (folder / "hosts.toml").write_text("".join(inventory))
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv("BOARDCAST_BOARDS", str(folder))
        states: list[SimState] = []
        for host in up:
            stack.callback(take_down, host, engine)
            states.append(bring_up(host, engine))
        yield [*up, *down]

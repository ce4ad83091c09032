"""The invoke namespace: every task, and nothing but their composition."""

from __future__ import annotations

from invoke import Collection

from deploy.commands.benches import bench
from deploy.commands.boards import bundle, demo, deploy, matrix, rollback, sim, verify
from deploy.commands.building import build, images, shell, sysroot, why
from deploy.commands.sources import fetch, pins

ns = Collection(
    fetch, pins, images, sysroot, build, why, shell, bundle, deploy, verify, rollback, sim, matrix, demo, bench
)

"""The invoke namespace: every task, and nothing but their composition."""

from __future__ import annotations

from invoke import Collection

from deploy.commands import bundles, roots
from deploy.commands.benches import bench
from deploy.commands.boards import demo, deploy, matrix, rollback, sim, verify
from deploy.commands.building import build, images, shell, why
from deploy.commands.sources import fetch, pins

# A task cannot have words of its own that may be left out, so these are `invoke bundle`, `invoke bundle.why`, ….
bundle = Collection("bundle", bundles.make, bundles.why, bundles.sizes, bundles.diff, bundles.verify)
sysroot = Collection("sysroot", roots.make, roots.index, roots.diff, roots.pull)

ns = Collection(
    fetch, pins, images, sysroot, build, why, shell, bundle, deploy, verify, rollback, sim, matrix, demo, bench
)

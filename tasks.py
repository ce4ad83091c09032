"""The invoke namespace: every task, and nothing but their composition."""

from __future__ import annotations

from invoke import Collection

from deploy.cli.command import read_ahead
from deploy.commands import board as board_tasks
from deploy.commands import bundle as bundle_tasks
from deploy.commands import inputs
from deploy.commands.board import enroll, probe
from deploy.commands.build import build, images, shell, why
from deploy.commands.inputs import fetch, pins
from deploy.commands.kvs import kvs
from deploy.commands.project import bench, demo, matrix, security, sim, try_promises
from deploy.commands.release import activate, deploy, prune, releases, rollback, uninstall, up, verify
from deploy.commands.streams import doctor, logs, render, restart, start, status, stop
from deploy.commands.watch import watch

# A task cannot have words of its own that may be left out, so these are `invoke bundle`, `invoke bundle.why`, ….
board = Collection("board", board_tasks.init, board_tasks.check, board_tasks.show, board_tasks.schema)
bundle = Collection(
    "bundle", bundle_tasks.make, bundle_tasks.why, bundle_tasks.sizes, bundle_tasks.diff, bundle_tasks.verify
)
sysroot = Collection("sysroot", inputs.make_sysroot, inputs.index, inputs.diff, inputs.pull)

selftest = Collection("selftest", security)

ns = Collection(
    fetch,
    pins,
    images,
    probe,
    enroll,
    board,
    sysroot,
    build,
    why,
    shell,
    bundle,
    deploy,
    activate,
    verify,
    rollback,
    releases,
    prune,
    uninstall,
    status,
    up,
    render,
    start,
    stop,
    restart,
    logs,
    doctor,
    sim,
    kvs,
    watch,
    matrix,
    demo,
    bench,
    try_promises,
    selftest,
)
read_ahead(ns)

"""Simulated boards and their releases, as tests use them."""

from __future__ import annotations

from deploy.boards.inventory import host_target
from deploy.boards.session import connect
from deploy.bundle.assemble import pack_bundle
from deploy.bundle.load import Bundle

FLASH = "/flash/boardcast"
"""Where the BusyBox board has what is ours."""


def shell(name: str, script: str, *arguments: str) -> str:
    with connect(host_target(name)) as session:
        reply = session.run(script, arguments)
    assert reply.code == 0, reply.err
    return reply.out


def variant(bundle: Bundle, tag: str, **contents: bytes) -> Bundle:
    """Make another release of the same bundle: some files have other contents."""
    kept = bundle.blobs()
    blobs = {file.path: kept[file.blob] for file in bundle.manifest.files}
    blobs["run/note"] = tag.encode()
    blobs |= {name.replace("__", "/"): data for name, data in contents.items()}
    return pack_bundle(bundle.manifest, {path: (data, 0o755) for path, data in blobs.items()})

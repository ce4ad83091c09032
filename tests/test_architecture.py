"""The layers of the design, one owner per library, and the house numbers."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for folder in ("recipes", "deploy")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path.name != "__init__.py" and "checks" not in path.parts
} | {"tasks": ROOT / "tasks.py"}

# Level of each module; imports run downwards, or sideways within a level without a circle.
LEVELS = {
    0: "recipes.errors recipes.arch recipes.paths recipes.console",
    1: "recipes.recipe recipes.lock recipes.elfimage recipes.elfsymbols recipes.elf recipes.loaderconf "
    "recipes.rootfiles recipes.elfindex recipes.loaderwords recipes.loaderrules recipes.loadercheck recipes.indexstore "
    "recipes.indexfile "
    "recipes.resolve recipes.stage recipes.steps recipes.elfsections recipes.gate recipes.gatefacts recipes.diagnosis "
    "recipes.variant recipes.ask recipes.vendor recipes.answers "
    "deploy.board recipes.symbols recipes.demand deploy.policy deploy.refusal recipes.proof deploy.decision "
    "deploy.leftover deploy.dedupe deploy.loader "
    "deploy.shadow deploy.explain deploy.sizes deploy.twins deploy.picture deploy.rootdiff deploy.render deploy.matrix "
    "deploy.scripts deploy.archive deploy.headers deploy.rederive deploy.sign deploy.account deploy.sbom",
    2: "recipes.process recipes.distribution recipes.fetch recipes.gitsource recipes.transfer recipes.container "
    "recipes.endpoint recipes.services recipes.engine recipes.schedule recipes.objects deploy.session",
    3: "recipes.images recipes.roots recipes.pins recipes.store recipes.buildplan recipes.worker recipes.build "
    "deploy.bundle deploy.packages deploy.typecheck deploy.assemble deploy.compare deploy.abitypes deploy.weigh "
    "deploy.pull deploy.captured deploy.reproof deploy.release deploy.verify deploy.sim.boards deploy.host "
    "deploy.report deploy.demo",
    4: "tasks deploy.commands.command deploy.commands.sources deploy.commands.building deploy.commands.boards "
    "deploy.commands.bundles deploy.commands.roots "
    "deploy.commands.benches",
}
LEVEL = {name: level for level, names in LEVELS.items() for name in names.split()}

OWNERS = {
    "docker": {"recipes.engine", "recipes.endpoint", "recipes.services"},
    "subprocess": {"recipes.process"},
    "fabric": {"deploy.session"},
    "paramiko": {"deploy.session"},
    "jinja2": {"deploy.render"},
    "boto3": {"recipes.objects"},
    "requests": {"recipes.fetch", "recipes.objects"},
    "rich": {"recipes.console"},
    "filelock": {"recipes.paths"},
    "cryptography": {"deploy.sign", "deploy.sim.boards"},
    "zstandard": {"deploy.archive", "recipes.indexfile"},
    "cyclonedx": {"deploy.sbom", "deploy.packages"},
    "debian_inspector": {"deploy.packages"},
    "packageurl": {"deploy.sbom"},
    "testinfra": set(),
    "elftools": set(),
    "lief": set(),
}
LAZY = {
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
}


def imports(path: Path, *, top_only: bool = False) -> set[str]:
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_only else ast.walk(tree)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def ours(path: Path) -> set[str]:
    return imports(path) & MODULES.keys()


def test_every_module_has_a_level() -> None:
    assert MODULES.keys() == LEVEL.keys()


@pytest.mark.parametrize("name", MODULES)
def test_imports_run_downwards(name: str) -> None:
    up = {other for other in ours(MODULES[name]) if LEVEL[other] > LEVEL[name]}
    assert not up, f"{name} (level {LEVEL[name]}) imports {up}"


def test_recipes_never_import_deploy() -> None:
    guilty = {
        name
        for name, path in MODULES.items()
        if name.startswith("recipes") and any(other.startswith("deploy") for other in ours(path))
    }
    assert not guilty


def test_no_import_cycles() -> None:
    graph = {name: ours(path) - {name} for name, path in MODULES.items()}
    while ready := {name for name, needs in graph.items() if not needs & graph.keys()}:
        graph = {name: needs for name, needs in graph.items() if name not in ready}
    assert not graph, f"a circle among {sorted(graph)}"


@pytest.mark.parametrize("library", OWNERS)
def test_one_owner_per_library(library: str) -> None:
    users = {name for name, path in MODULES.items() if any(one.partition(".")[0] == library for one in imports(path))}
    assert users <= OWNERS[library], f"{library} is used by {users - OWNERS[library]}"


@pytest.mark.parametrize("name", MODULES)
def test_libraries_are_loaded_when_used(name: str) -> None:
    early = {one.partition(".")[0] for one in imports(MODULES[name], top_only=True)} & LAZY
    assert not early, f"{name} loads {early} at import"


@pytest.mark.parametrize("name", MODULES)
def test_functions_fit_on_a_screen(name: str) -> None:
    long = {
        node.name: node.end_lineno - node.lineno
        for node in ast.walk(ast.parse(MODULES[name].read_text()))
        if isinstance(node, ast.FunctionDef) and node.end_lineno and node.end_lineno - node.lineno > 50
    }
    assert not long


@pytest.mark.parametrize("name", MODULES)
def test_modules_have_a_contract(name: str) -> None:
    tree = ast.parse(MODULES[name].read_text())
    assert ast.get_docstring(tree)


def test_docker_folder_is_no_package() -> None:
    assert not list((ROOT / "docker").rglob("__init__.py")), "it would hide the docker SDK"


def test_top_level_is_the_users_frame() -> None:
    allowed = {"tasks.py", "docker", "recipes", "deploy", "board-configs", "tests", "pyproject.toml", "README.md"}
    allowed |= {"LICENSE", "CHANGELOG.md", "bootstrap", "__pycache__"}
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert found <= allowed, found - allowed

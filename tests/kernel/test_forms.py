"""Names and paths in files of a user's: every text of every model has a form, and none lets a hostile one through."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

import deploy
import recipes
from deploy.boards.board import BoardFile, board_names, load_board
from deploy.boards.inventory import HostsFile, load_host, load_hosts, sim_folder
from deploy.bundle.load import bundle_path, bundles_folder
from recipes import config, paths
from recipes.config import NAME, Form, Strict, Text, below, checked_name, is_one_line, is_relative_path, read_toml
from recipes.errors import ConfigError
from recipes.rootfs.origin import Origin
from recipes.sources.lock import Lock
from recipes.sources.recipe import RecipeFile
from recipes.stage.manifest import stage_folder
from recipes.toolchains.sysroots import SysrootSpec, sysroot_spec
from recipes.toolchains.vendor import parse_arch

pytestmark = pytest.mark.hostile(kind="names")
HOSTILE = [
    *("-oProxyCommand=touch /tmp/x", "--upload-pack=x", "-rf", "../../victim", "..", ".", "a/../../b", "/etc/passwd"),
    *(
        "//x",
        "a//b",
        "a/",
        "/opt/../etc",
        "a\nb",
        "a\r\nb",
        "a\x00b",
        "\x1b[2J",
        "a\x1b]0;x\x07",
        "\u202eabc",
        "a\u2028b",
    ),
    *(
        "a\u0085b",
        "a\x9bb",
        "\u200bname",
        "\ud800",
        "a\\b",
        "path:../..",
        "path:/etc",
        "path:",
        "x" * 5000,
        "~/x\n",
        "*/../*",
    ),
    *("name ", " name", "na me", "$(x)", "`x`", "a;b", "a|b", "a&b", "a'b", 'a"b', "\uff21", "%2e%2e", "name\n"),
]


def models() -> list[type[Strict]]:
    """Return every model of both packages: each module is loaded first."""
    for package in (recipes, deploy):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".checks" not in found.name:
                importlib.import_module(found.name)
    seen: list[type[Strict]] = []
    todo = [Strict]
    while todo:
        for model in todo.pop().__subclasses__():
            seen.append(model)
            todo.append(model)
    return sorted({model for model in seen if model.__module__.split(".")[0] in ("recipes", "deploy")}, key=str)


def texts(annotation: Any, rules: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield, for each text in a type, the rules that it has."""
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        yield from texts(inner, (*rules, *more))
    elif annotation is str:
        yield rules
    elif get_origin(annotation) not in (None, re.Pattern):
        for part in get_args(annotation):
            if part is not ... and not isinstance(part, str):
                yield from texts(part)


def fields() -> list[tuple[str, tuple[Any, ...]]]:
    return [
        (f"{model.__name__}.{name}", rules)
        for model in models()
        for name, hint in get_type_hints(model, include_extras=True).items()
        if name in model.model_fields
        for rules in texts(hint)
    ]


FIELDS = fields()


def test_the_walk_finds_what_there_is() -> None:
    names = {name for name, _ in FIELDS}
    assert len(names) > 120
    assert {"Host.address", "BoardFile.root", "HostsFile.hosts", "Manifest.providers", "Edit.put"} <= names


@pytest.mark.parametrize(("name", "rules"), FIELDS, ids=[name for name, _ in FIELDS])
def test_every_text_of_every_model_has_a_form(name: str, rules: tuple[Any, ...]) -> None:
    checked = [rule for rule in rules if isinstance(rule, Form) or getattr(rule, "pattern", None)]
    assert checked, f"{name}: give it a type of recipes.config"


def accepted(rules: tuple[Any, ...], value: str) -> bool:
    try:
        TypeAdapter(Annotated[str, *rules]).validate_python(value)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(("name", "rules"), FIELDS, ids=[name for name, _ in FIELDS])
def test_no_field_takes_a_text_that_moves_a_cursor_or_has_a_second_line(
    name: str, rules: tuple[Any, ...], record_property: Callable[[str, object], None]
) -> None:
    record_property("inputs", len(HOSTILE))
    many = get_args(Text)[1] in rules
    for value in HOSTILE:
        if accepted(rules, value):
            assert is_one_line(value.replace("\n", " ") if many else value), f"{name} takes {value!r}"


NAMELIKE = ["NAME", "_FILE_NAME", "_PACKAGE", "_VERSION", "_TARGET", "_REF", "_IMAGE", "_ADDRESS", "_USER", "_SYMBOL"]
PATHLIKE = ["_RELATIVE", "_GLOB"]


@settings(max_examples=400, deadline=None)
@given(value=st.one_of(st.text(max_size=20), st.text(alphabet="a-./\\*~:$ \n\x00\x1b_@%", max_size=12)))
@pytest.mark.parametrize("form", [*NAMELIKE, *PATHLIKE, "_BOARD_PATH", "_LOCAL_PATH", "_URL", "_SOURCE", "ONE_LINE"])
def test_what_a_form_lets_through_is_harmless(form: str, value: str) -> None:
    if not getattr(config, form).fits(value):
        return
    assert is_one_line(value)
    if form != "ONE_LINE":
        assert not value.startswith("-")
    folder = Path("/folder/inner")
    if form in ("NAME", "_FILE_NAME", "_PACKAGE"):
        assert (folder / value).resolve().parent == folder
    if form in PATHLIKE:
        assert (folder / value).resolve().is_relative_to(folder)
        assert (folder / value).resolve() != folder
    if form == "_BOARD_PATH":
        assert str(Path(value).resolve()) in (value, str(Path(value).resolve()))
        assert ".." not in value.split("/")
        assert "//" not in value
    if form == "_SOURCE" and value.startswith("path:"):
        assert is_relative_path(value.removeprefix("path:"))


BOARD = 'schema = 1\narch = "armv7"\nsysroot = "debian12-armv7"\nrecipes = ["boardprobe"]\n'
SIM = '[sim]\nsuite = "bookworm"\nmode = "extract"\npackages = []\nserver = "dropbear"\n'
RECIPE = 'schema = 1\nname = "x"\nversion = "1"\nlicence = "MIT"\nsummary = "x"\nbuild = "make"\noutputs = []\n'
PUT = '[[collect]]\nfrom = "src/x"\n'
CASES: dict[str, tuple[type[Strict], str, str]] = {
    "a host that is an option": (
        HostsFile,
        'schema = 1\n[hosts."-oProxyCommand=x"]\nboard = "b"\n',
        "line 2: hosts.-o",
    ),
    "a host that leads out": (HostsFile, 'schema = 1\n[hosts."../../victim"]\nboard = "b"\n', "line 2: hosts.../../v"),
    "a line break in a host": (HostsFile, 'schema = 1\n[hosts."a\\nb"]\nboard = "b"\n', "line 2: hosts.a\\x0ab"),
    "an address that is an option": (
        HostsFile,
        'schema = 1\n[hosts.a]\nboard = "b"\naddress = "-oX"\n',
        "line 4: hosts.a.addr",
    ),
    "a user that is an option": (
        HostsFile,
        'schema = 1\n[hosts.a]\nboard = "b"\nuser = "-lx"\n',
        "line 4: hosts.a.user",
    ),
    "a board that leads out": (HostsFile, 'schema = 1\n[hosts.a]\nboard = "../x"\n', "line 3: hosts.a.board"),
    "a root with a way out": (BoardFile, f'{BOARD}root = "/opt/../etc"\n', "line 5: root: must be an absolute path"),
    "a root with two slashes": (BoardFile, f'{BOARD}root = "//opt"\n', "line 5: root"),
    "a sysroot that leads out": (BoardFile, BOARD.replace("debian12-armv7", "../x"), "line 3: sysroot"),
    "a recipe with a line break": (BoardFile, BOARD.replace("boardprobe", "a\\nb"), "line 4: recipes.0"),
    "a script that leads out": (BoardFile, f'{BOARD}{SIM}scripts = ["../x.sh"]\n', "line 10: sim.scripts.0"),
    "a package that is an option": (BoardFile, BOARD + SIM.replace("[]", '["-oX"]'), "line 8: sim.packages.0"),
    "a key that leads out": (BoardFile, f'{BOARD}trusted_keys = ["../x"]\n', "line 5: trusted_keys.0"),
    "sources that lead out": (
        RecipeFile,
        f'{RECIPE}source = "path:../.."\n',
        "line 8: source: must be a name of the lock",
    ),
    "sources from the root on": (RecipeFile, f'{RECIPE}source = "path:/etc"\n', "line 8: source"),
    "a pattern to prune that leads out": (RecipeFile, f'{RECIPE}source = "x"\nprune = ["../*"]\n', "line 9: prune.0"),
    "an absolute pattern to prune": (RecipeFile, f'{RECIPE}source = "x"\nprune = ["/home/*"]\n', "line 9: prune.0"),
    "collected files that go elsewhere": (
        RecipeFile,
        f'{RECIPE}source = "x"\n{PUT}to = "../lib"\n',
        "line 11: collect.0.to",
    ),
    "collected files from elsewhere": (
        RecipeFile,
        f'{RECIPE}source = "x"\n[[collect]]\nfrom = "src/../../x"\nto = "lib"\n',
        "line 10: collect.0.from",
    ),
    "an output that leads out": (
        RecipeFile,
        RECIPE.replace("[]", '[{ path = "../x", kind = "data" }]') + 'source = "x"\n',
        "line 7: outputs.0.path",
    ),
    "an edit of a file elsewhere": (
        RecipeFile,
        f'{RECIPE}source = "x"\n[[edits]]\nfile = "/etc/passwd"\nfind = "a"\nput = "b"\n',
        "line 10: edits.0.file",
    ),
    "an archive's name that leads out": (
        Lock,
        f'schema = 1\n[[archive]]\nname = "x"\nversion = "1"\nfile = "../x"\nsha256 = "{"a" * 64}"\nurl = "https://x/y"\n',
        "line 5: archive.0.file",
    ),
    "a suite that is an option": (
        SysrootSpec,
        'schema = 1\narch = "armv7"\nsuite = "-oX"\npackages = ["a"]\n',
        "line 3: suite",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_hostile_text_is_a_fault_with_file_line_and_key(case: str, tmp_path: Path) -> None:
    model, text, words = CASES[case]
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_toml(tmp_path / "x.toml", model)
    assert caught.value.where == str(tmp_path / "x.toml")
    assert words in caught.value.why
    assert all(is_one_line(line) for line in str(caught.value).split("\n"))


@pytest.mark.parametrize("value", [text for text in HOSTILE if not NAME.fits(text)])
def test_a_hostile_name_of_the_command_line_becomes_no_path(value: str) -> None:
    for call in (load_board, load_host, sysroot_spec, parse_arch, sim_folder, bundles_folder):
        with pytest.raises(ConfigError) as caught:
            call(value)
        assert all(is_one_line(line) for line in str(caught.value).split("\n")), call
    with pytest.raises(ConfigError):
        bundle_path("sim-tiny", value)
    with pytest.raises(ConfigError):
        stage_folder("armv7", value)
    with pytest.raises(ConfigError, match="cannot be the name of a thing"):
        checked_name("thing", value)


def test_a_folder_whose_name_is_none_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "BOARDS", tmp_path)
    (tmp_path / "a b\x1b").mkdir()
    (tmp_path / "a b\x1b" / "board.toml").write_text(BOARD)
    with pytest.raises(ConfigError, match="cannot be the name of a board"):
        board_names()


def test_a_path_of_names_is_below_its_folder() -> None:
    assert below(Path("/x"), "a", "b.toml") == Path("/x/a/b.toml")
    for part in ("..", "/etc", "a/../..", "", "-x"):
        with pytest.raises(ConfigError, match="no path below a folder"):
            below(Path("/x"), part)


def test_an_origin_is_one_line() -> None:
    assert TypeAdapter(Origin).validate_python("bundle:lib/x") == "bundle:lib/x"
    with pytest.raises(ValidationError):
        TypeAdapter(Origin).validate_python("bundle:lib/x\x1b[2J")


def test_the_files_of_this_checkout_have_harmless_names() -> None:
    assert all(NAME.fits(name) for name in (*board_names(), *load_hosts()))

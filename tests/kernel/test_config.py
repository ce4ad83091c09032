"""Files of ours: unknown keys and wrong values are told with file, line and key, all at once, never as a traceback."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from deploy.boards.board import BoardFile, board_names, load_board
from deploy.boards.inventory import HostsFile, load_host, load_hosts
from recipes import paths
from recipes.arch import ARCHES, FloatAbi, Identity
from recipes.builder.diagnosis import CauseTable
from recipes.config import read_toml
from recipes.errors import ConfigError, UserError
from recipes.faults import field_texts, line_of
from recipes.sources.lock import Lock, load_lock, lock_path
from recipes.sources.recipe import Recipe, RecipeFile, in_order, load_catalogue
from recipes.toolchains.sysroots import PackageList, SysrootSpec, default_sysroot, sysroot_spec
from recipes.toolchains.vendor import Toolchain, parse_arch
from recipes.tools.base import ImagesFile, image_pins

FILES: list[tuple[Path, type[Any]]] = [
    *((path, RecipeFile) for path in sorted(paths.CATALOG.glob("*/recipe.toml"))),
    *((path, BoardFile) for path in sorted(paths.BOARDS.glob("*/board.toml"))),
    *((path, BoardFile) for path in sorted(paths.BOARDS.glob("examples/*/board.toml"))),
    *((path, SysrootSpec) for path in sorted((paths.BOARDS / "sysroots").glob("*.toml"))),
    *((path, PackageList) for path in sorted((paths.BOARDS / "sysroots" / "lists").glob("*.toml"))),
    (paths.BOARDS / "hosts.toml", HostsFile),
    (paths.CATALOG / "lock.toml", Lock),
]


@pytest.mark.parametrize(("path", "model"), FILES, ids=lambda value: getattr(value, "name", ""))
def test_every_file_of_ours_reads(path: Path, model: type) -> None:
    read_toml(path, model)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_mutated_file_is_read_or_refused_with_its_name(tmp_path: Path, data: st.DataObject) -> None:
    path, model = data.draw(st.sampled_from(FILES))
    text = path.read_text()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 30)))
    mutated = tmp_path / path.name
    mutated.write_text(text[:start] + data.draw(st.text(max_size=6)) + text[end:])
    try:
        read_toml(mutated, model)
    except ConfigError as error:
        assert error.where == str(mutated)
        assert error.why


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('recipes = "producer"', 'recipes: is a list: write ["producer"]'),
        ("arch = 7", 'arch: is text: write "7"'),
        ("schema = 3", "schema: no 3; known: 1 or 2"),
        (
            '[dedupe.libz]\nprefer = "boards"\nbecause = "so"',
            'no "boards"; did you mean "board"? known: board, bundle,',
        ),
        ('dedupe = "libz"', "dedupe: is a table, not a single value"),
        ("[policy]\nopenssl = 3", 'policy.openssl: is text, such as "source"'),
        ("[policy]\nopenssl = {}", 'policy.openssl: is text, such as "source"'),
        ("keep = 1", "keep: should be greater than or equal to 2"),
    ],
)
def test_a_value_of_the_wrong_kind_is_answered_with_what_to_write(tmp_path: Path, line: str, says: str) -> None:
    whole = {"schema": "1", "arch": '"armv7"', "sysroot": '"x"', "recipes": "[]"} | {line.split(maxsplit=1)[0]: ""}
    keys = [f"{key} = {value}" for key, value in whole.items() if value]
    path = tmp_path / "board.toml"
    path.write_text("\n".join([*keys, line, ""]))
    with pytest.raises(ConfigError) as caught:
        read_toml(path, BoardFile)
    assert says in caught.value.why


def test_a_missing_key_is_answered_with_a_line_that_sets_it(tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    path.write_text("[sim]\n")
    with pytest.raises(ConfigError) as caught:
        read_toml(path, BoardFile)
    for line in (
        'arch = "armv7"',
        'sysroot = "debian12-armv7"',
        'recipes = ["producer", "boardprobe"]',
        "schema = 1 (The form of this file; streams need 2)",
        'server = "openssh" (Its SSH server)',
        'packages = ["…"]',
    ):
        assert f"missing: write {line}" in caught.value.why
    path.write_text("schema = 1\n[hosts.cam01]\n")
    with pytest.raises(ConfigError, match="1 fault") as caught:
        read_toml(path, HostsFile)
    assert 'hosts.cam01.board: missing: write board = "mycam"' in caught.value.why


def test_the_line_that_a_missing_key_is_answered_with_is_right(tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    path.write_text("")
    with pytest.raises(ConfigError) as caught:
        read_toml(path, BoardFile)
    lines = [fault.partition("write ")[2].partition(" (")[0] for fault in caught.value.why.splitlines()]
    path.write_text("\n".join(lines))
    assert read_toml(path, BoardFile).arch == "armv7"


def test_an_unknown_key_is_named_with_line_and_suggestion(tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    path.write_text('schema = 1\narch = "armv7"\nsysrot = "x"\nsysroot = "x"\nrecipes = []\nkeep = 1\n')
    with pytest.raises(ConfigError) as caught:
        read_toml(path, BoardFile)
    assert "line 3: sysrot: unknown key (did you mean 'sysroot'?)" in caught.value.why
    assert "line 6: keep" in caught.value.why
    assert caught.value.what.startswith("2 faults")


LAYERED = """\
schema = 1
arch = "armv7"
sysroot = "x"
recipes = [
  "producer",
]
keep = 3

[probe]
elements = ["keep"]
htps = "https://example.com"

[dedupe."libz.so.1"]
prefer = "bord"
because = "x = 1 is in a text"

[dedupe.libssl]
prefer = "board"
becuase = "why"

[sim]
suite = "bookworm"
mode = "extract"
packages = "busybox"
server = "openssh"
"""


def test_faults_of_inner_tables_have_their_own_line_and_their_own_models_keys(tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    path.write_text(LAYERED)
    with pytest.raises(ConfigError) as caught:
        read_toml(path, BoardFile)
    told = [line.strip() for line in caught.value.why.splitlines()]
    assert "line 11: probe.htps: unknown key (did you mean 'https'?)" in told
    assert "line 19: dedupe.libssl.becuase: unknown key (did you mean 'because'?)" in told
    assert 'line 17: dedupe.libssl.because: missing: write because = "…"' in [line.partition(" (")[0] for line in told]
    assert 'line 24: sim.packages: is a list: write ["busybox"]' in told
    assert any(line.startswith('line 14: dedupe.libz.so.1.prefer: no "bord"') for line in told)
    assert len(told) == 5


@pytest.mark.parametrize(
    ("location", "line", "parts"),
    [
        (("hosts", "b", "port"), 8, 3),
        (("hosts", "b", "key"), 7, 2),
        (("hosts", "a", "key"), 3, 3),
        (("hosts", "c.d", "x"), 10, 3),
        (("steps", 1, "run"), 14, 3),
        (("steps", 0, "run"), 12, 3),
        (("steps", 7, "run"), 0, 0),
        (("nothing",), 0, 0),
    ],
)
def test_a_line_is_found_by_the_whole_way_to_it(location: tuple[str | int, ...], line: int, parts: int) -> None:
    lines = [
        "schema = 1  # port = 22",
        "[hosts.a]",
        'key = "port"',
        'note = """',
        "port = 1",
        '"""',
        "[hosts.b]",
        "port = 22",
        '[ hosts . "c.d" ] # x',
        "x = 1",
        "[[steps]]",
        'run = "a"',
        "[[steps]]",
        'run = "b"',
    ]
    found = line_of(lines, location)
    assert found == ((line, parts) if parts else (0, 0))


@pytest.mark.parametrize("key", ["applied", "varied", "home"])
def test_what_is_asked_of_a_recipe_is_no_key_of_its_file(tmp_path: Path, key: str) -> None:
    text = (paths.CATALOG / "curl" / "recipe.toml").read_text()
    (tmp_path / "curl").mkdir()
    (tmp_path / "curl" / "recipe.toml").write_text(text.replace("schema = 1\n", f'schema = 1\n{key} = "x"\n'))
    with pytest.raises(ConfigError, match="the catalogue has faults") as caught:
        load_catalogue(tmp_path)
    assert f"line 2: {key}: unknown key" in caught.value.why


def models(model: type[BaseModel]) -> set[type[BaseModel]]:
    """Return a model and all that are nested in its fields."""
    found = {model}
    todo: list[Any] = [field.annotation for field in model.model_fields.values()]
    while todo:
        part = todo.pop()
        if isinstance(part, type) and issubclass(part, BaseModel) and not get_args(part):
            found |= models(part)
        todo += get_args(part)
    return found


TOLD: set[type[BaseModel]] = {RecipeFile, Lock, SysrootSpec, PackageList, Toolchain, ImagesFile, CauseTable}


@pytest.mark.parametrize("model", sorted({part for top in TOLD for part in models(top)}, key=str))
def test_every_key_is_described_where_it_is_declared(model: type[BaseModel]) -> None:
    """A reference is made of these texts."""
    assert model.__doc__
    plain = {"schema_", "name", "version"}
    assert not set(model.model_fields) - set(field_texts(model)) - plain


@pytest.mark.parametrize("name", sorted(ARCHES))
def test_each_arch_has_its_sysroot_file(name: str) -> None:
    arch = parse_arch(name)
    spec = sysroot_spec(default_sysroot(arch))
    assert spec.arch == name


def test_the_base_image_is_pinned_by_digest() -> None:
    assert image_pins().base.digest.startswith("sha256:")
    assert len(image_pins().base.digest) == 71


def test_a_recipe_has_the_version_that_the_lock_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pin that is moved moves every paper with it: no recipe says a version of its own."""
    text = lock_path().read_text()
    assert text.count('version = "3.5.7"') == text.count('revision = "3.5.7-') == 1
    (tmp_path / "lock.toml").write_text(re.sub(r'(version|revision) = "3\.5\.7', r'\1 = "3.5.9', text))
    before = load_catalogue()
    monkeypatch.setenv("BOARDCAST_LOCK", str(tmp_path / "lock.toml"))
    after = load_catalogue()
    assert (before["openssl"].version, after["openssl"].version) == ("3.5.7", "3.5.9")
    assert {name for name in before if before[name] != after[name]} == {"openssl"}
    assert all(recipe.version for recipe in after.values())


def test_a_version_beside_the_locks_is_a_fault(tmp_path: Path) -> None:
    text = (paths.CATALOG / "curl" / "recipe.toml").read_text()
    (tmp_path / "curl").mkdir()
    recipe = tmp_path / "curl" / "recipe.toml"
    recipe.write_text(text.replace("schema = 1\n", 'schema = 1\nversion = "7.88.1"\n', 1))
    with pytest.raises(ConfigError, match="the catalogue has faults") as caught:
        load_catalogue(tmp_path)
    assert "it is the lock's of 'curl'" in caught.value.why
    recipe.write_text(text.replace('source = "curl"', 'source = "path:src"'))
    with pytest.raises(ConfigError, match="the catalogue has faults") as caught:
        load_catalogue(tmp_path)
    assert "nothing else says theirs" in caught.value.why


def test_another_version_of_a_recipe_is_the_locks_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = lock_path().read_text()
    (tmp_path / "lock.toml").write_text(text.replace('version = "1.1.1t"', 'version = "1.1.1w"'))
    monkeypatch.setenv("BOARDCAST_LOCK", str(tmp_path / "lock.toml"))
    with pytest.raises(ConfigError, match="the catalogue has faults") as caught:
        load_catalogue()
    assert "[versions.'1.1.1t'] is built from openssl-1.1.1, which the lock has at 1.1.1w" in caught.value.why


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda: parse_arch("armv8"), "armv7"),
        (lambda: load_board("cam99"), "sim-armv7"),
        (lambda: load_host("cam99"), "sim-tiny"),
        (lambda: in_order(load_catalogue(), ["kvsink"]), "boardprobe"),
        (lambda: sysroot_spec("debian11-armv7"), "debian12-armv7"),
        (lambda: load_lock().get("curll"), "did you mean 'curl'?"),
    ],
)
def test_unknown_names_are_answered_with_the_known_ones(call: object, names: str) -> None:
    with pytest.raises(UserError) as caught:
        call()  # type: ignore[operator]
    assert names in str(caught.value)
    assert caught.value.code == 2


def test_boards_and_hosts_belong_together() -> None:
    assert {host.board for host in load_hosts().values()} <= set(board_names())
    for name in board_names():
        board = load_board(name)
        assert parse_arch(board.file.arch).name == sysroot_spec(board.file.sysroot).arch


def test_a_circle_of_recipes_is_printed() -> None:
    base = tomllib.loads((paths.CATALOG / "curl" / "recipe.toml").read_text())
    one = Recipe.model_validate(base | {"name": "one", "depends": [{"name": "two"}]})
    two = Recipe.model_validate(base | {"name": "two", "depends": [{"name": "one"}]})
    with pytest.raises(ConfigError) as caught:
        in_order({"one": one, "two": two}, ["one"])
    assert caught.value.why == "one → two → one"


def test_float_abis_do_not_mix_but_silence_is_no_lie() -> None:
    arm = ARCHES["armv7"]
    soft = ARCHES["armv5"].identity
    silent = Identity(bits=32, little=True, machine=40, float_abi=FloatAbi.NONE)
    assert arm.matches(arm.identity)
    assert arm.matches(silent)
    assert not arm.matches(soft)
    assert not arm.matches(ARCHES["aarch64"].identity)
    assert not arm.matches(ARCHES["mipsel"].identity)

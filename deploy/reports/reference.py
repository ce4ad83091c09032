"""The reference of every TOML key and environment variable, made from the models that read them.

`python -m deploy.reports.reference > docs/reference.md` writes it; a test says when the file is not current.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import types
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from deploy.boards.board import BoardFile
from deploy.boards.inventory import HostsFile
from deploy.causes.catalogue import Catalogue
from deploy.launch.statuscodes import SymptomTable
from recipes.builder.diagnosis import CauseTable
from recipes.config import Form
from recipes.faults import field_texts
from recipes.sources.lock import Lock
from recipes.sources.recipe import RecipeFile
from recipes.toolchains.sysroots import PackageList, SysrootSpec
from recipes.toolchains.vendor import Toolchain
from recipes.tools.base import ImagesFile

FILES: tuple[tuple[str, type[BaseModel]], ...] = (
    ("board-configs/<board>/board.toml", BoardFile),
    ("board-configs/hosts.toml", HostsFile),
    ("board-configs/sysroots/<name>.toml", SysrootSpec),
    ("board-configs/sysroots/lists/<name>.toml", PackageList),
    ("board-configs/toolchains/<name>.toml", Toolchain),
    ("recipes/catalog/<name>/recipe.toml", RecipeFile),
    ("recipes/catalog/lock.toml", Lock),
    ("recipes/catalog/causes.toml", CauseTable),
    ("deploy/causes/causes.toml", Catalogue),
    ("deploy/launch/statuscodes.toml", SymptomTable),
    ("docker/images.toml", ImagesFile),
)
"""Each file that a person writes, and the model that reads it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One environment variable: what it is without being set, and what it does."""

    name: str
    default: str
    meaning: str


VARIABLES = (
    Variable(
        name="BOARDCAST_CACHE",
        default="the user's cache folder, `boardcast` in it",
        meaning="Sources, sysroots, board roots and builds. It may be deleted at any time.",
    ),
    Variable(
        name="BOARDCAST_WORK",
        default="`.boardcast` in the checkout",
        meaning="Stages, bundles, logs, JUnit files and the state of simulated boards.",
    ),
    Variable(
        name="BOARDCAST_MIRROR",
        default="none",
        meaning="Mirror directories, separated like PATH; asked after those of `--mirror`.",
    ),
    Variable(
        name="BOARDCAST_RECIPES",
        default="none",
        meaning="Folders with recipes of your own (`<name>/recipe.toml`), separated like PATH.",
    ),
    Variable(
        name="BOARDCAST_BOARDS",
        default="none",
        meaning="Folders like `board-configs` outside this checkout, separated like PATH: `<board>/board.toml`, "
        "`hosts.toml`, `sysroots/` and `toolchains/` of each. Of one name the first counts, the checkout's own last; a "
        "new board is written to the first.",
    ),
    Variable(
        name="BOARDCAST_TOOLCHAINS",
        default="none",
        meaning="More folders with `<name>.toml` of vendors' toolchains, separated like PATH.",
    ),
    Variable(
        name="BOARDCAST_LOCK",
        default="`recipes/catalog/lock.toml`",
        meaning="Another lock file.",
    ),
    Variable(
        name="BOARDCAST_STORE",
        default="none",
        meaning="Where built trees are shared: a folder, `https://…` or `s3://bucket/prefix`; signed entries count.",
    ),
    Variable(
        name="BOARDCAST_STORE_WRITE",
        default="read only",
        meaning="`1`: this machine adds what it builds to the store, signed.",
    ),
    Variable(
        name="BOARDCAST_STORE_INSECURE",
        default="refused",
        meaning="`1`: the store may be asked by plain `http://`.",
    ),
    Variable(
        name="BOARDCAST_SIGNING_KEY",
        default="`boardcast/signing-key.pem` in the user's configuration folder, made on first use",
        meaning="The Ed25519 private key that bundles and entries of a store are signed with.",
    ),
    Variable(
        name="BOARDCAST_SEED",
        default="another one each time",
        meaning="Of what is random in `tests/faults`; `invoke test faults --seed N` sets it.",
    ),
    Variable(
        name="BOARDCAST_FULL",
        default="the short form",
        meaning="Anything: `tests/faults` in full, as `invoke test faults` runs them.",
    ),
    Variable(
        name="BOARDCAST_FIGURES",
        default="none",
        meaning="A file that `tests/faults` add a line to for each figure, `TEST<tab>FIGURE`.",
    ),
    Variable(
        name="BOARDCAST_DEBIAN_MIRROR",
        default="the archive that the base image is set up with",
        meaning="Another mirror of Debian's archive (`http://HOST/debian`), for images, sysroots and boards' roots.",
    ),
    Variable(
        name="BOARDCAST_DEBIAN_SNAPSHOTS",
        default="the address that the base image mentions",
        meaning="Where the archive of each day is (`ADDRESS/20250520T000000Z`), for sysroots with a `snapshot`.",
    ),
    Variable(
        name="BOARDCAST_CHANNEL",
        default="set by `verify` itself",
        meaning="Tells the checks how to reach the connection to the board. Not for users.",
    ),
)
"""Every BOARDCAST_* variable that the code reads; a test looks for others."""

_HEAD = """\
# Reference

Made by `python -m deploy.reports.reference > docs/reference.md` from the models that read these files; edit the models,
not this page. Unknown keys are errors, and all faults of a file are told at once, with line and key.

"""
_ENGINE = """
The container engine is the one that docker's own command line would use: `DOCKER_HOST`, else `DOCKER_CONTEXT`, else
the current context. A store in S3 takes its credentials where boto3 finds them.
"""


def render_reference() -> str:
    """Return the whole page as Markdown."""
    parts = [_HEAD, "| file | tables in it |\n| --- | --- |\n"]
    parts += [f"| [`{path}`](#{_anchor(path)}) | {_contents(path, model) or '-'} |\n" for path, model in FILES]
    parts.append("| [texts](#texts): what each type of them is | - |\n")
    parts.append("| [environment variables](#environment-variables) | - |\n")
    for path, model in FILES:
        parts += _file_section(path, model)
    parts.append("\n## Texts\n\n| type | is |\n| --- | --- |\n")
    forms = {
        form.name: form.words
        for _, model in FILES
        for table in (model, *nested_models(model))
        for form in _forms(table)
    }
    parts += [f"| {name} | {_cell(words)} |\n" for name, words in sorted(forms.items())]
    parts.append("\n## Environment variables\n\n| name | without it | meaning |\n| --- | --- | --- |\n")
    parts += [f"| `{row.name}` | {_cell(row.default)} | {_cell(row.meaning)} |\n" for row in VARIABLES]
    parts.append(_ENGINE)
    return "".join(parts)


def model_fields(model: type[BaseModel]) -> Iterator[tuple[str, str, FieldInfo]]:
    """Yield each key that a file may have for a model: as the file spells it, the attribute's name, and the field."""
    words: tuple[str, ...] = getattr(model, "words", ())
    for name, field in model.model_fields.items():
        # Of several words exactly one is the key, and its value the address: `{ v4l2 = "/dev/video0" }`.
        if not words or name not in ("kind", "address"):
            yield field.alias or name, name, field
        elif name == "address":
            yield " or ".join(words), name, field


def _forms(model: type[BaseModel]) -> Iterator[Form]:
    """Yield the forms of a model's texts."""
    todo: list[Any] = [part for field in model.model_fields.values() for part in (field.annotation, *field.metadata)]
    while todo:
        part = todo.pop()
        if isinstance(part, Form):
            yield part
        else:
            todo += [*get_args(part), *getattr(part, "__metadata__", ())]


def nested_models(model: type[BaseModel]) -> dict[type[BaseModel], list[str]]:
    """Return the models below one, each once, with every place where a file may have it, in TOML's spelling."""
    places: dict[type[BaseModel], list[str]] = {}

    def visit(parent: type[BaseModel], before: str) -> None:
        for key, _, field in model_fields(parent):
            for inner, form in _models_in(field.annotation):
                path = f"{before}{key}" + (".<name>" if "name" in form else "")
                known = places.setdefault(inner, [])
                known.append(f"[[{path}]]" if "list" in form else f"[{path}]")
                visit(inner, f"{path}.")

    visit(model, "")
    return places


def _contents(path: str, model: type[BaseModel]) -> str:
    tables = nested_models(model).items()
    return ", ".join(f"[`{places[0]}`](#{_anchor(path, inner.__name__)})" for inner, places in tables)


def _anchor(*parts: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


def _file_section(path: str, model: type[BaseModel]) -> Iterator[str]:
    yield f'\n<a id="{_anchor(path)}"></a>\n## `{path}`\n\n'
    summary = _summary(model)
    if not summary.startswith("`"):
        yield f"{summary}\n\n"
    yield from _key_table(path, model)
    for inner, places in nested_models(model).items():
        spelled = ", ".join(f"`{place}`" for place in places)
        yield f'\n<a id="{_anchor(path, inner.__name__)}"></a>\n### {inner.__name__}: {spelled}\n\n'
        yield f"{_summary(inner)}\n\n"
        yield from _key_table(path, inner)


def _summary(model: type[BaseModel]) -> str:
    """Return a model's docstring as one paragraph."""
    return " ".join((model.__doc__ or "").split())


def _key_table(path: str, model: type[BaseModel]) -> Iterator[str]:
    yield "| key | type | default | meaning |\n| --- | --- | --- | --- |\n"
    texts = field_texts(model)
    for key, name, field in model_fields(model):
        columns = (f"`{key}`", _type_text(field, path), _default(field), texts.get(name, ""))
        yield f"| {' | '.join(_cell(column) for column in columns)} |\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.default if field.default is not PydanticUndefined else field.get_default(call_default_factory=True)
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, BaseModel) or value is None or value in ("", (), {}):
        return "-"
    if isinstance(value, tuple):
        return f"`{json.dumps(value)}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


def _type_text(field: FieldInfo, path: str) -> str:
    bounds = [f"{word} {getattr(rule, name)}" for name, word in _BOUNDS.items() for rule in _rules(field, name)]
    patterns = [rule.pattern for rule in _rules(field, "pattern")]
    forms = [f"like `{pattern}`" for pattern in patterns]
    named = [rule for rule in field.metadata if isinstance(rule, Form)]
    text = named[-1].name if named else _words(field.annotation, path)
    return "; ".join([text, *bounds, *forms])


_BOUNDS = {"ge": "at least", "le": "at most"}


def _rules(field: FieldInfo, name: str) -> list[Any]:
    return [rule for rule in field.metadata if getattr(rule, name, None) is not None]


_SIMPLE = {
    str: "text",
    int: "number",
    float: "number",
    bool: "true or false",
    dt.date: "date",
    re.Pattern: "regular expression",
}


def _words(annotation: Any, path: str) -> str:
    """Say a type in the words of TOML."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in _SIMPLE or origin is re.Pattern:
        return _SIMPLE[origin or annotation]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"table [`{annotation.__name__}`](#{_anchor(path, annotation.__name__)})"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " or ".join(f"`{member.value}`" for member in annotation)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin is Annotated and (forms := [rule for rule in annotation.__metadata__ if isinstance(rule, Form)]):
        return forms[-1].name
    if origin is tuple:
        return f"list of {_words(arguments[0], path)}"
    if origin is dict:
        return f"name → {_words(arguments[1], path)}"
    if origin in (Union, types.UnionType):
        return " or ".join(_words(part, path) for part in arguments if part is not type(None))
    return _words(arguments[0], path)  # Annotated


def _models_in(annotation: Any) -> Iterator[tuple[type[BaseModel], frozenset[str]]]:
    """Yield the models inside a type, and whether a list or a name is around each."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, frozenset()
        return
    origin = get_origin(annotation)
    around = {"list"} if origin is tuple else {"name"} if origin is dict else set()
    for part in get_args(annotation):
        for inner, form in _models_in(part):
            yield inner, form | around


def main() -> None:
    """Print the page."""
    print(render_reference(), end="")


if __name__ == "__main__":
    main()

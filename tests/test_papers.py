"""README and docs hold what they say: links, tasks, modules and the picture of the rooms."""

from __future__ import annotations

import re
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from invoke import Collection

import tasks
from deploy.boards.board import BoardFile
from deploy.boards.inventory import HostsFile
from deploy.commands.project import KINDS
from deploy.reports.rooms import caption, draw
from recipes.config import Strict
from recipes.toolchains.sysroots import SysrootSpec
from recipes.toolchains.vendor import Toolchain

ROOT = Path(__file__).parent.parent
PAPERS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")] + sorted(
    (ROOT / "docs").glob("*.md")
)
SVG = "{http://www.w3.org/2000/svg}"


def prose(text: str) -> str:
    """Return a page without its fenced code."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """Return what a link may name in a page: its headings as GitHub spells them, and what it names itself."""
    text = prose(path.read_text())
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([^"]+)">', text))


def broken(path: Path) -> list[str]:
    """Return the relative links of a page that lead nowhere."""
    found = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(path.read_text())):
        place, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = path.parent / place if place else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    assert not broken(path)


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One & two: `a`\n[a](nothing.md) [b](#one--two-a) [c](#three) [d](https://example.com/x) [e](page.md)\n"
    )
    assert broken(page) == ["nothing.md", "#three"]


def test_every_page_is_reached_from_the_readme() -> None:
    linked = {link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", (ROOT / "README.md").read_text())}
    assert {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")} <= linked


def test_the_readme_is_one_page() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


def task_names(collection: Collection) -> set[str]:
    return set(collection.task_names) | {alias for names in collection.task_names.values() for alias in names}


def tasks_named(text: str) -> set[str]:
    """Return the tasks in commands of a page: lines of code and `invoke …` between backquotes."""
    return set(re.findall(r"(?:^|`|&& |sudo )invoke ([a-z][a-z._-]*)", text, flags=re.MULTILINE))


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.name)
def test_every_task_that_is_named_exists(path: Path) -> None:
    assert tasks_named(path.read_text()) <= task_names(tasks.ns)


def test_every_task_is_in_the_table_of_commands() -> None:
    own = {name for name in tasks.ns.task_names if not name.endswith(".make")} | {"bundle", "sysroot"}
    assert own <= tasks_named((ROOT / "docs" / "commands.md").read_text())


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.name)
def test_every_module_and_file_that_is_named_exists(path: Path) -> None:
    named = re.findall(r"`((?:recipes|deploy|tests|docker)/[\w./-]+)`", path.read_text())
    assert not [name for name in named if not (ROOT / name).exists()]


MODELS: dict[str, type[Strict]] = {
    "triple": Toolchain,
    "recipes": BoardFile,
    "streams": BoardFile,
    "hosts": HostsFile,
    "dedupe": BoardFile,
    "packages": SysrootSpec,
}
"""A key that tells which file an example is of."""
REST: dict[type[Strict], dict[str, object]] = {
    BoardFile: {"schema": 1, "arch": "armv7", "sysroot": "mycam", "recipes": ()},
    HostsFile: {"schema": 1},
}
"""What an example of a few keys leaves out."""


def examples() -> list[tuple[str, str]]:
    found = [
        (path.name, text) for path in PAPERS for text in re.findall(r"```toml\n(.*?)```", path.read_text(), re.DOTALL)
    ]
    assert len(found) >= 7
    return found


@pytest.mark.parametrize(("page", "text"), examples())
def test_every_example_of_a_file_is_read_by_its_model(page: str, text: str) -> None:
    read = tomllib.loads(text.replace('sha256 = "…"', f'sha256 = "{64 * "0"}"'))
    model = next(model for key, model in MODELS.items() if key in read)
    model.model_validate(REST.get(model, {}) | read)


def drawn_layers() -> list[set[str]]:
    """Return the rows of the picture, from the top, as names of packages and modules."""
    rows = sorted(
        (float(rooms[0].get("y", "nan")), {name_of(room) for room in rooms})
        for group in ET.parse(ROOT / "docs" / "rooms.svg").iter(f"{SVG}g")
        if (rooms := [text for text in group.findall(f"{SVG}text") if "room" in (text.get("class") or "").split()])
    )
    return [names for _, names in rows]


def name_of(room: ET.Element) -> str:
    _, package = (room.get("class") or "").split()
    return f"{package}.{room.text}"


def test_the_picture_is_what_the_linter_checks() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["id"] == "layers")
    rows = [set(re.split(r"\s*[|:]\s*", layer)) for layer in layers]
    assert drawn_layers() == rows
    assert (ROOT / "docs" / "rooms.svg").read_text() == draw(), "python -m deploy.reports.rooms > docs/rooms.svg"
    # A letter of its small text is about 6.6 wide, and the picture 1000.
    too_long = {room for row in rows for room in row if len(caption(room)) * 6.6 > 940 / len(row)}
    assert not too_long, f"{too_long}: the first line of its docstring does not fit into its box"
    assert "](rooms.svg)" in (ROOT / "docs" / "design.md").read_text()


def test_hooks_are_programs_that_the_project_has() -> None:
    """No YAML reader is among the requirements, and the file is plain: a line a key."""
    entries = re.findall(r"^\s+entry: (\S+)", (ROOT / ".pre-commit-config.yaml").read_text(), flags=re.MULTILINE)
    assert entries == ["ruff", "ruff", "mypy", "lint-imports", "python"]


def test_the_changelog_begins_with_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)[0] == version


def test_the_table_of_hostile_input_has_every_kind_and_nothing_got_through() -> None:
    text = (ROOT / "docs" / "security.md").read_text().partition("| kind | inputs tried | refused | figures |")[2]
    rows = re.findall(r"^\| (\w+) \| ([\d,]+) \| ([\d,]+) \| .+ \|$", text, flags=re.MULTILINE)
    assert tuple(kind for kind, _, _ in rows) == KINDS
    assert all(tried == refused != "0" for _, tried, refused in rows)

"""Boards that extend others: what wins, where each value is from, and what goes wrong with file and line."""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.boardfiles.show import board_as_toml, shown_values
from deploy.boards.board import BoardFile, board_names, load_board
from deploy.boards.inventory import host_target, inventory_path, load_host, load_hosts
from deploy.boards.layers import MOST_LAYERS, read_layers
from recipes import paths
from recipes.errors import ConfigError

PARENT = """\
schema = 2
arch = "armv7"
sysroot = "debian12-armv7"
init = "systemd"
keep = 5
[probe]
elements = ["v4l2src", "x264enc"]
ca_file = "/etc/ca.pem"
[streams.main]
source = { v4l2 = "/dev/video0" }
video = { encoder = "x264enc", bitrate = 512, key_frame_interval = 60 }
sink = { kvs = "porch" }
[sim]
suite = "bookworm"
mode = "extract"
packages = []
server = "dropbear"
"""
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIkQvd3Ob2ZwZb4yAPkvXJIWYqzLKq1sHAt8QWm6mMPa"
Write = Callable[..., Path]


@pytest.fixture
def write(home: Path) -> Write:
    """Return a function that writes a board's file."""

    def written(name: str, text: str, folder: Path | None = None) -> Path:
        path = (folder or paths.BOARDS) / name / "board.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    written("parent", PARENT)
    return written


def refused(name: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_board(name)
    return caught.value


def test_tables_merge_the_deeper_value_wins_and_lists_replace(write: Write) -> None:
    write("child", 'schema = 2\nextends = "parent"\nkeep = 7\n[probe]\nelements = ["omxh264enc"]\n[streams.main]\n'
          'video.bitrate = 900\n')  # fmt: skip
    board = load_board("child")
    assert (board.file.keep, board.file.init, board.file.arch) == (7, "systemd", "armv7")
    assert board.file.probe.elements == ("omxh264enc",)
    assert board.file.probe.ca_file == "/etc/ca.pem"
    stream = board.file.streams["main"].model_dump(exclude_unset=True)
    assert stream["video"] == {"encoder": "x264enc", "bitrate": 900, "key_frame_interval": 60}
    assert board.file.sim is None, "how a simulated board is made is not taken over"


@pytest.mark.parametrize(
    ("text", "source", "sinks"),
    [
        ('source = { rtsp = "rtsp://cam/" }', {"rtsp": "rtsp://cam/"}, {"sink"}),
        ('sinks = [{ kvs = "a" }, { fake = true }]', {"v4l2": "/dev/video0"}, {"sinks"}),
        ("sink = { fake = true }", {"v4l2": "/dev/video0"}, {"sink"}),
        ("sink.storage_size = 9", {"v4l2": "/dev/video0"}, {"sink"}),
        ('sample = "kvs_gstreamer_sample"\nstream = "x"', None, set()),
    ],
)
def test_another_word_replaces_what_was_said(
    write: Write, text: str, source: dict[str, str] | None, sinks: set[str]
) -> None:
    write("child", f'schema = 2\nextends = "parent"\n[streams.main]\n{text}\n')
    assert load_board("child").file.streams
    merged = read_layers("child").merged["streams"]["main"]
    assert merged.get("source") == source
    assert {"sink", "sinks"} & merged.keys() == sinks


def test_a_fault_is_told_in_the_file_that_has_it(write: Write) -> None:
    child = write("child", 'schema = 2\nextends = "parent"\nkep = 7\n')
    parent = paths.BOARDS / "parent" / "board.toml"
    parent.write_text(PARENT.replace("keep = 5", "keep = 50").replace("bitrate = 512", "bitrte = 512"))
    error = refused("child")
    assert error.where == str(child)
    lines = [line.strip() for line in error.why.splitlines()]
    assert "line 3: kep: unknown key (did you mean 'keep'?)" in lines
    assert any(line.startswith(f"{paths.shown_path(parent)}:5: keep: should be less than") for line in lines)
    bitrate = f"{paths.shown_path(parent)}:11: streams.main.video.bitrte: unknown key (did you mean 'bitrate'?)"
    assert bitrate in lines


def test_no_circle_no_endless_row_and_no_unknown_name(write: Write) -> None:
    write("parent", PARENT.replace("schema = 2\n", 'schema = 2\nextends = "child"\n'))
    child = write("child", 'schema = 2\n\nextends = "parent"\n')
    error = refused("child")
    assert "in a circle" in error.what
    assert "child → parent → child" in error.why
    write("child", 'schema = 2\n\nextends = "child"\n')
    assert "in a circle" in refused("child").what
    write("child", 'schema = 2\n\nextends = "parnt"\n')
    error = refused("child")
    assert error.where == f"{child}:3"
    assert "did you mean 'parent'?" in error.why
    for number in range(MOST_LAYERS + 1):
        write(f"row{number}", f'schema = 2\nextends = "row{number + 1}"\n')
    assert "more than 8 boards" in refused("row0").what
    write("child", 'schema = 2\nextends = "../parent"\n')
    assert "line 2: extends: must be a name" in refused("child").why


def test_the_first_form_reads_and_extends_nothing(write: Write) -> None:
    write("old", 'schema = 1\narch = "armv7"\nsysroot = "x"\nrecipes = ["boardprobe"]\n')
    assert load_board("old").file.schema_ == 1
    write("child", 'schema = 1\nextends = "old"\n')
    assert "extends: is new in schema = 2" in refused("child").why
    write("child", 'schema = 2\nextends = "old"\nkeep = 4\n')
    assert load_board("child").recipes == ("boardprobe",)


def test_the_digest_notices_a_change_of_a_parent(write: Write) -> None:
    own = write("child", 'schema = 2\nextends = "parent"\n')
    before = load_board("child").digest
    alone = load_board("parent")
    assert alone.digest == hashlib.sha256(PARENT.encode()).hexdigest()
    write("parent", PARENT + "\n# more\n")
    assert load_board("child").digest != before
    write("parent", PARENT)
    assert load_board("child").digest == before
    own.write_text('schema = 2\nextends = "parent" # other\n')
    assert load_board("child").digest != before


def test_what_is_shown_reads_as_the_same_board_and_says_where_from(write: Write) -> None:
    write("child", 'schema = 2\nextends = "parent"\n[streams.main]\nvideo.bitrate = 900\n[dedupe."libz.so.1"]\n'
          'prefer = "bundle"\nbecause = "a \\"reason\\" \\u00e4"\n')  # fmt: skip
    layers, file = read_layers("child"), load_board("child").file
    text = board_as_toml(shown_values(layers, file))
    assert BoardFile.model_validate(tomllib.loads(text)).model_dump(exclude={"extends"}) == file.model_dump(
        exclude={"extends"}
    )
    with_origin = board_as_toml(shown_values(layers, file), origin=True)
    child, parent = (paths.shown_path(paths.BOARDS / name / "board.toml") for name in ("child", "parent"))
    assert f"video.bitrate = 900  # {child}:4" in with_origin
    assert f'video.encoder = "x264enc"  # {parent}:11' in with_origin
    assert f"keep = 5  # {parent}:5" in with_origin
    assert 'root = "/opt/boardcast"  # default' in with_origin
    assert "stall = 30  # default" in with_origin
    assert BoardFile.model_validate(tomllib.loads(with_origin)).keep == 5


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_mutated_row_of_files_is_read_or_refused_with_a_file(write: Write, data: st.DataObject) -> None:
    child = 'schema = 2\nextends = "parent"\nkeep = 7\n[streams.main]\nvideo.bitrate = 900\nsink.kvs = "x"\n'
    which, text = data.draw(st.sampled_from([("child", child), ("parent", PARENT)]))
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 20)))
    write("parent", PARENT)
    write("child", child)
    write(which, text[:start] + data.draw(st.text(max_size=6)) + text[end:])
    try:
        board = load_board("child")
    except ConfigError as error:
        assert str(paths.BOARDS) in error.where
        assert error.why
    else:
        shown = board_as_toml(shown_values(read_layers("child"), board.file), origin=True)
        again = BoardFile.model_validate(tomllib.loads(shown))
        assert again.model_dump(exclude={"extends"}) == board.file.model_dump(exclude={"extends"})


def test_folders_outside_come_first_and_the_real_file_is_named(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    monkeypatch.setenv("BOARDCAST_BOARDS", f"{ours}{os.pathsep}{theirs}")
    assert f"where: {ours}" in str(refused("porch"))
    theirs.mkdir()
    write("porch", 'schema = 2\nextends = "parent"\nkeep = 9\n', ours)
    write("porch", 'schema = 2\nextends = "parent"\nkeep = 8\n', theirs)
    write("parent", PARENT.replace("keep = 5", "keep = 6"), theirs)
    (paths.BOARDS / "hosts.toml").write_text('schema = 1\n[hosts.a]\nboard = "parent"\nsimulated = true\n')
    (theirs / "hosts.toml").write_text(
        'schema = 1\n[hosts.a]\nboard = "porch"\nsimulated = true\n[hosts.b]\nboard = "porhc"\nsimulated = true\n'
    )
    assert board_names() == ["parent", "porch"]
    assert load_board("porch").file.keep == 9
    assert load_board("parent").file.keep == 6
    assert list(load_hosts()) == ["a"]
    assert load_host("a").board == "porch"
    assert inventory_path() == ours / "hosts.toml"
    real = f'address = "192.0.2.1"\nhost_key = "{KEY}"\n'
    (theirs / "hosts.toml").write_text(f'schema = 1\n[hosts.a]\nboard = "porch"\n{real}')
    assert host_target("a").inventory == paths.shown_path(theirs / "hosts.toml")
    (theirs / "hosts.toml").write_text('schema = 1\n[hosts.b]\nboard = "porhc"\nsimulated = true\n')
    with pytest.raises(ConfigError) as caught:
        load_host("b")
    assert caught.value.where == str(theirs / "hosts.toml")
    assert "did you mean 'porch'?" in caught.value.why
    write("porch", "schema = 2\nkeep = 90\n", ours)
    assert refused("porch").where == str(ours / "porch" / "board.toml")

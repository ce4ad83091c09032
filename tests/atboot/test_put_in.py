"""What runs on a board has to get there: dropbear ends the connection at a command of more than 9,000 bytes."""

from __future__ import annotations

import shlex

import pytest

from deploy.atboot.put_in import services_moved
from deploy.atboot.trial import told_reverted
from deploy.boards.probe import PROBE_SCRIPT
from deploy.release import scripts
from deploy.ssh.answers import COMMAND_BYTES, brief
from deploy.transfer import lock, receive

SENT = {
    "activate": scripts.ACTIVATE,
    "confirm": scripts.CONFIRM,
    "roll back": scripts.ROLL_BACK,
    "probe": PROBE_SCRIPT,
    "receive": receive.RECEIVE,
    "watch": lock.WATCH,
}


@pytest.mark.parametrize("name", SENT)
def test_a_script_that_is_sent_as_a_command_is_one_that_dropbear_takes(name: str) -> None:
    assert len(shlex.quote(SENT[name])) < COMMAND_BYTES - 600, "its arguments come on top: send it as input"


def test_a_brief_script_does_the_same() -> None:
    script = "# says\nif true; then\n    # it\n    echo '# a  b' # c\n\nfi\n"
    assert brief(script) == "if true; then\necho '# a  b' # c\nfi\n"


def test_what_became_of_services_is_read_line_by_line() -> None:
    moved = services_moved("kept=back\ndown=front 87\nkept=../evil\ndown=x y\nkept=_boot\nchatter\n")
    assert moved.kept == ("back",)
    assert moved.down == {"front": 0.87}


def test_that_a_board_went_back_is_told_in_words() -> None:
    assert told_reverted("") == ""
    told = told_reverted(f"{'a' * 64} {'b' * 64} 12")
    assert told == "the board started anew before aaaaaaaaaaaa was confirmed, and went back to bbbbbbbbbbbb by itself"

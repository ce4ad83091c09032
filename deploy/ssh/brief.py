"""Scripts as short as they can be: dropbear ends the connection at a command of more than 9,000 bytes."""

from __future__ import annotations

COMMAND_BYTES = 9000
"""MAX_CMD_LEN of dropbear: https://github.com/mkj/dropbear/blob/master/src/sysoptions.h"""


def brief(script: str) -> str:
    """Return a script of sh without its comments and indents; it must have no text over several lines in it. Pure."""
    lines = (line.strip() for line in script.splitlines())
    return "".join(f"{line}\n" for line in lines if line and not line.startswith("#"))

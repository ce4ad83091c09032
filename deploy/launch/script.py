"""Launch scripts from templates. Owner of jinja2: every value is quoted for the shell by the renderer.

The quoting is in the environment's `finalize`, so a template's author cannot forget it; what must not be quoted
goes through one of two filters that accept nothing else than what they are for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.launch.quoting import RawText, comment_text, quote_value, variable_name

if TYPE_CHECKING:
    import jinja2

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkPlace:
    """Where a program of a stream runs, and what it reads before."""

    folder: str
    """Absolute path on the board; made where it is missing."""
    log_configuration: str
    """Path in the bundle."""
    environment_file: str = ""
    """File on the board with lines `NAME="value"`; empty for none."""
    reader: str = ""
    """The function of sh that reads it: `read_environment`."""
    core_files: bool = False
    """Whether it may leave one where it crashes."""


def launch_script(
    *,
    title: str,
    program: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    plugins: bool,
    place: WorkPlace | None = None,
) -> bytes:
    """Render the script that starts one program of a release.

    Parameters
    ----------
    program:
        Path in the bundle, such as `bin/boardprobe`.
    place:
        For a program of a stream; without it the program runs where its caller is.

    Raises
    ------
    ConfigError
        A value has a line break or a NUL, or the name of a variable is none.
    """
    text = (
        _engine()
        .get_template("launch.sh.j2")
        .render(
            title=title,
            program=program,
            arguments=arguments,
            environment=sorted(environment.items()),
            plugins=plugins,
            place=place,
        )
    )
    return text.encode()


@cache
def _engine() -> jinja2.Environment:
    """Return jinja2's environment; it keeps the template that it has compiled."""
    import jinja2

    engine = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        finalize=quote_value,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - HTML's rules are wrong for a shell; `finalize` quotes every value instead
    )
    engine.filters |= {"comment": comment_text, "identifier": variable_name, "verbatim": RawText}
    return engine

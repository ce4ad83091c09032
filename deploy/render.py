"""Launch scripts from templates. Owner of jinja2: every value is quoted for the shell by the renderer.

The quoting stands in the environment's `finalize`, so a template's author cannot forget it; what must not be quoted
goes through one of two filters that accept nothing else than what they are for.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from recipes.errors import ConfigError

_TEMPLATES = Path(__file__).parent / "templates"


class _Raw(str):
    """Text that a filter made fit to stand unquoted."""

    __slots__ = ()


def _quote(value: object) -> str:
    if isinstance(value, _Raw):
        return value
    text = str(value)
    if re.search(r"[\x00\n\r]", text):
        raise ConfigError("a value with a line break or a NUL cannot go into a script", why=repr(text[:80]))
    return shlex.quote(text)


def _comment(value: object) -> _Raw:
    return _Raw(re.sub(r"[^\x20-\x7e]", "?", str(value)))


def _identifier(value: object) -> _Raw:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", str(value)):
        raise ConfigError(f"{value!r} is not a name that a shell takes for a variable")
    return _Raw(value)


def launch_script(
    *, title: str, program: str, arguments: Sequence[str], environment: Mapping[str, str], plugins: bool
) -> bytes:
    """Render the script that starts one program of a release.

    Parameters
    ----------
    program:
        Path in the bundle, such as `bin/boardprobe`.

    Raises
    ------
    ConfigError
        A value has a line break or a NUL.
    """
    import jinja2

    engine = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        finalize=_quote,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - HTML's rules are wrong for a shell; `finalize` quotes every value instead
    )
    engine.filters |= {"comment": _comment, "identifier": _identifier}
    text = engine.get_template("launch.sh.j2").render(
        title=title, program=program, arguments=arguments, environment=sorted(environment.items()), plugins=plugins
    )
    return text.encode()

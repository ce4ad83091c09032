"""What the benches share: one flag, and how figures are printed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from recipes import console
from recipes.errors import UserError


def show(title: str, measure: Callable[..., Mapping[str, object]], *, svg: str = "") -> None:
    """Measure, and print the figures as text or, with `--json`, as JSON.

    Parameters
    ----------
    svg:
        What `--svg FILE` draws; `measure` gets the file then.
    """
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--json", action="store_true")
    if svg:
        parser.add_argument("--svg", type=Path, help=svg)
    options = parser.parse_args()
    try:
        figures = dict(measure(options.svg) if svg else measure())
    except UserError as error:
        print(error.for_people(), file=sys.stderr)
        sys.exit(int(error.code))
    if options.json:
        print(json.dumps(figures, indent=1))
    else:
        console.fields(title, figures)
    # Parts of a long bench are read while the next one runs, through a pipe too.
    sys.stdout.flush()

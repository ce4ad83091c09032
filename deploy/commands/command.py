"""What all tasks share: the decorator that ends users' mistakes without a traceback, and the words of their help."""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from invoke import Context, Exit, task

from recipes.errors import UserError

ARCH = "armv7, aarch64, x86_64, armv5 or mipsel, or a toolchain of your own"
JSON = "print the result as JSON"
DRY = "print what would be done, and do nothing"
HOST = "name of a host in board-configs/hosts.toml"
BOARD = "name of a folder in board-configs/"
MIRROR = "directory with archives/ and git/; may be given more than once"


def _interrupt(number: int, _frame: object) -> None:
    """End like Ctrl-C when a supervisor ends us: containers and half-made folders are cleaned up on the way."""
    raise KeyboardInterrupt(f"signal {number}")


def command(**options: Any) -> Callable[[Callable[..., None]], Any]:
    """Make an invoke task that ends users' mistakes with a message and an exit code, never with a traceback."""

    def decorate(function: Callable[..., None]) -> Any:
        @functools.wraps(function)
        def wrapped(context: Context, **arguments: Any) -> None:
            signal.signal(signal.SIGTERM, _interrupt)
            signal.signal(signal.SIGHUP, _interrupt)
            # invoke's own --dry stops shell commands only; ours do not go through a shell.
            if "dry_run" in arguments and context.config.run.dry:
                arguments["dry_run"] = True
            try:
                function(context, **arguments)
            except UserError as error:
                if arguments.get("json"):
                    from recipes import console

                    console.emit(error.as_dict())
                raise Exit(str(error), int(error.code)) from None
            except BrokenPipeError:  # the reader of our output has seen enough
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise Exit("", 0) from None
            except KeyboardInterrupt:
                raise Exit("interrupted; what was half done is cleaned up", 130) from None

        return task(auto_shortflags=False, **options)(wrapped)

    return decorate

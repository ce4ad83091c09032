"""What all tasks share: the decorator that ends mistakes and crashes without a traceback, and the words of their help.

invoke reads the command line; `read_ahead` looks at it first, for what invoke answers badly.
"""

from __future__ import annotations

import contextlib
import copy
import difflib
import functools
import io
import itertools
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from invoke import Collection, Context, Exit, ParseError, task
from invoke.main import program
from invoke.parser import Parser

from recipes.errors import ExitCode, UserError
from recipes.text import shown

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

ARCH = "{arches}, or a toolchain of your own"
JSON = "print the result as JSON"
DRY = "print what would be done, and do nothing"
HOST = "name of a host in board-configs/hosts.toml"
GROUP = "hosts of a group in board-configs/hosts.toml, all for every one; may be given more than once"
LABEL = "hosts that have this label there, such as site=north; of several all; may be given more than once"
BOARD = "name of a folder in board-configs/"
MIRROR = "directory with archives/ and git/; may be given more than once"
UNEXPECTED = 70
"""The exit code of a fault of ours: EX_SOFTWARE of sysexits.h."""
_HELP = ("--help", "-h")


_INTERRUPTED = "interrupted; what was half done is cleaned up"
_told_to_end = threading.Event()
"""A signal came. pydantic makes an error of its own of a KeyboardInterrupt that falls into the building of a model."""


def _interrupt(number: int, _frame: object) -> None:
    """End like Ctrl-C when a supervisor ends us: containers and half-made folders are cleaned up on the way."""
    _told_to_end.set()
    raise KeyboardInterrupt(f"signal {number}")


def command(**options: Any) -> Callable[[Callable[..., None]], Any]:
    """Make an invoke task that ends with a message and an exit code, never with a traceback.

    Every task takes `json`. One that changes something takes `dry_run` too; one that only reads does not offer it.
    Both have their usual words of help unless `help` says more. `{arches}` and the like in a help text are filled in
    when the help is printed: `fill_in`.
    """

    def decorate(function: Callable[..., None]) -> Any:
        @functools.wraps(function)
        def wrapped(context: Context, **arguments: Any) -> None:
            signal.signal(signal.SIGTERM, _interrupt)
            signal.signal(signal.SIGHUP, _interrupt)
            # What was started in the background of a shell ignores Ctrl-C, and goes on to.
            if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
                signal.signal(signal.SIGINT, _interrupt)
            # invoke's own --dry stops shell commands only; ours do not go through a shell.
            if "dry_run" in arguments and context.config.run.dry:
                arguments["dry_run"] = True
            from recipes.progress import at_work

            try:
                _require(arguments, texts)
                with at_work():
                    function(context, **arguments)
            except UserError as error:
                error.fill_in(known_names(arguments))
                raise _exit(error, as_json=arguments["json"]) from None
            except Exit as end:
                raise _shown_exit(end) from None
            except KeyboardInterrupt:
                raise Exit(_INTERRUPTED, 130) from None
            except Exception as error:  # noqa: BLE001 - the last resort: whatever it is, a user gets no traceback
                if _told_to_end.is_set():
                    raise Exit(_INTERRUPTED, 130) from None
                raise _crashed(error, function.__name__, as_json=arguments["json"]) from None

        names = function.__code__.co_varnames[: function.__code__.co_argcount]
        usual = {name: text for name, text in (("json", JSON), ("dry_run", DRY)) if name in names}
        texts = usual | options.pop("help", {})
        return task(auto_shortflags=False, help=texts, **options)(wrapped)

    return decorate


def _require(arguments: dict[str, Any], texts: dict[str, str]) -> None:
    """Refuse where an argument without a default was left out; invoke itself asks for positional ones only."""
    for name, value in arguments.items():
        if value is None:
            raise UserError(
                f"--{name.replace('_', '-')} is missing",
                why=f"it takes the {texts[name]}{_known(name)}",
                next_step=f"the same command with --{name.replace('_', '-')} {name.upper()}; --help has the rest",
            )


def require_hosts(task: str, *, named: bool) -> None:
    """Refuse a command for hosts that names none."""
    if not named:
        raise UserError(
            "--host is missing",
            why=f"--group or --label mean several{_known('host')}",
            next_step=f"invoke {task} --host HOST",
        )


def _known(argument: str) -> str:
    """Return the names that an argument may have, where the files have them."""
    return f"; known: {_Lists()[f'{argument}s'] or 'none'}" if argument in ("board", "host") else ""


def known_names(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Return what is known of HOST, BOARD and ARCH from a task's arguments, and from what the files say of these."""
    from deploy.boards.board import load_board
    from deploy.boards.inventory import load_hosts

    names = {}
    for word in ("HOST", "BOARD", "ARCH"):
        value = arguments.get(word.lower()) or ""
        values = value.split(",") if isinstance(value, str) else value
        names[word] = values[0] if len(values) == 1 else ""
    with contextlib.suppress(UserError):
        hosts = {name: host.board for name, host in load_hosts().items()}
        names["BOARD"] = names["BOARD"] or hosts.get(names["HOST"], "")
        of_board = [name for name, board in hosts.items() if board == names["BOARD"]]
        names["HOST"] = names["HOST"] or (of_board[0] if len(of_board) == 1 else "")
    with contextlib.suppress(UserError):
        names["ARCH"] = names["ARCH"] or (load_board(names["BOARD"]).file.arch if names["BOARD"] else "")
    return names


def _exit(error: UserError, *, as_json: bool) -> Exit:
    """Turn an error into the end of the program, and print it as JSON where that was asked for."""
    if as_json:
        from recipes import console

        console.emit(error.as_dict())
    return Exit(error.for_people(), int(error.code))


def _shown_exit(end: Exit) -> Exit:
    """Return the same end of the program, its words made fit to be shown."""
    return Exit(shown(end.message, most=len(end.message)) if end.message else end.message, end.code)


def _crashed(error: Exception, name: str, *, as_json: bool) -> Exit:
    """Save the traceback of an error that nobody foresaw, and say where it is and what to do with it."""
    import datetime as dt
    import platform
    import traceback

    from recipes import console, paths
    from recipes.files import write_whole

    now = dt.datetime.now(dt.UTC)
    path = paths.work() / "crash" / f"{now:%Y%m%dT%H%M%SZ}-{name}-{os.getpid()}.txt"
    lines = [f"invoke {' '.join(sys.argv[1:])}", f"Python {platform.python_version()}, {platform.platform()}", ""]
    try:
        write_whole(path, "\n".join([*lines, *traceback.format_exception(error)]).encode("utf-8", "replace"))
        saved, report = str(path), "report this file and what you did before; it names paths of this machine"
    except (OSError, UserError) as unsaved:
        saved, report = f"not saved: {unsaved}", "report this line and what you did before"
    what = " ".join(f"{type(error).__name__}: {error}".split())
    if as_json:
        console.emit({"error": what, "traceback": saved, "next": report, "exit_code": UNEXPECTED})
    what = shown(what)
    return Exit(f"error: a fault of Boardcast itself: {what}\n  traceback: {saved}\n  next: {report}", UNEXPECTED)


def read_ahead(namespace: Collection) -> None:
    """Look at the command line before invoke reads a task's words; nothing happens where no program of invoke runs.

    `--help` and `-h` are for the task that they are given to, at every place: invoke by itself takes them for the
    value of the argument before, or of a positional one. An unknown flag is answered with the nearest one.

    Raises
    ------
    Exit
        A flag or a value is wrong, with what is right.
    """
    core = getattr(program, "core", None)
    if core is None:
        return
    _guard_output()
    words = core.unparsed
    _join_faults(words)
    wanted = core[0].args["help"]
    if words or wanted.value:
        # A Task gives its words of help away once.
        contexts = copy.deepcopy(namespace).to_contexts()
        parser = Parser(contexts=contexts, initial=program.initial_context)
        at = next((at for at, word in enumerate(words) if word in _HELP), None)
        if at is None:
            _check_words(parser, words)
        elif name := _task_at(parser, words[:at]):
            wanted.value = name
            words.clear()
    if isinstance(wanted.value, str) and wanted.value in namespace:
        fill_in(namespace[wanted.value].help)


def _join_faults(words: list[str]) -> None:
    """Make one value of the words behind `kvs fault`: invoke takes them for tasks."""
    if words[:2] != ["kvs", "fault"]:
        return
    told, rest, value = list[str](), list[str](), False
    for word in words[2:]:
        (rest if value or word.startswith("-") else told).append(word)
        value = word in ("--stream", "--words")
    words[2:] = [*(["--words", " ".join(told)] if told else []), *rest]


def _task_at(parser: Parser, words: Sequence[str]) -> str:
    """Return the name of the task whose words are the last of these; empty where there is none."""
    try:
        return parser.parse_argv(list(words))[-1].name or ""
    except ParseError as error:
        # A value or a positional argument is still to come: the task is known all the same.
        return (error.context and error.context.name) or ""
    except ValueError:
        return ""


def _check_words(parser: Parser, words: Sequence[str]) -> None:
    try:
        seen, fault = parser.parse_argv(list(words)), None
    except ParseError as error:
        seen, fault = [error.context] if error.context else [], _usage_error(str(error), error.context, parser)
    except ValueError as error:
        raise Exit(f"error: a number was expected: {error}", int(ExitCode.USAGE)) from None
    for context in seen:
        for argument in context.positional_args:
            # An unknown flag is taken for a positional argument that is still to come.
            if str(argument.value).startswith("--"):
                fault = _no_such(argument.value, context, parser)
    fault = fault or _valueless(words, seen)
    if fault is not None:
        raise _exit(fault, as_json="--json" in words)


def _usage_error(message: str, context: Any, parser: Parser) -> UserError:
    """Say in our words what invoke's parser found wrong."""
    if context is not None and (word := re.fullmatch(r"No idea what '(.+)' is!", message)):
        return _no_such(word[1], context, parser)
    next_step = f"invoke {context.name} --help" if context is not None and context.name else "invoke --list"
    if flag := re.match(r"Flag <Argument: ([\w-]+)", message):
        return UserError(f"--{flag[1]} needs a value", next_step=next_step)
    if names := re.match(r"'(.+)' did not receive required positional arguments: (.+)", message):
        return _missing(names[1].removesuffix(".make"), re.findall(r"'([\w-]+)'", names[2]), context)
    return UserError(message, next_step=next_step)


def _missing(task: str, arguments: Sequence[str], context: Any) -> UserError:
    """Return the error for arguments that were left out, with what each is."""
    faults = [f"{name}: {fill_in({name: context.args[name].help})[name]}{_known(name)}" for name in arguments]
    words = [
        (argument.value or name.upper())
        if argument.positional and name not in ("board", "host")
        else f"--{name} {name.upper()}"
        for name, argument in context.args.items()
        if argument.value is None or argument.positional
    ]
    what = f"{task} needs {' and '.join(arguments)}"
    return UserError(what, why="\n       ".join(faults), next_step=f"invoke {task} {' '.join(words)}")


def _valueless(words: Sequence[str], contexts: Sequence[Any]) -> UserError | None:
    """Return the error for a flag that may be given more than once, and has no value here: to invoke that is none."""
    flags = {flag: argument for context in contexts for flag, argument in context.flags.items()}
    for word, after in itertools.zip_longest(words, words[1:]):
        if word in flags and flags[word].kind is list and (after is None or after in flags):
            return UserError(f"{word} needs a value", next_step=f"invoke {contexts[-1].name} --help")
    return None


def _no_such(word: str, context: Any, parser: Parser) -> UserError:
    """Return the error for a flag or a task that there is not, with the nearest one."""
    next_step = f"invoke {context.name} --help" if context.name else "invoke --list"
    if word == "--dry-run" and context.name:
        return UserError(f"{context.name} has no --dry-run", why="it only reads", next_step=next_step)
    if word.startswith("-"):
        known, what = sorted(context.flags), f"{context.name or 'invoke'} has no flag {word!r}"
    else:
        known, what = sorted(parser.contexts), f"no task or argument {word!r}"
    near = difflib.get_close_matches(word, known, n=1)
    return UserError(what, why=f"did you mean {near[0]!r}?" if near else "", next_step=next_step)


class _Output(io.FileIO):
    """Standard output that ends the program quietly when its reader has gone, and with one line when it is full."""

    mute = False

    def write(self, data: ReadableBuffer, /) -> int:
        length = memoryview(data).nbytes
        if self.mute:
            return length
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            self.mute = True
            raise Exit("", int(ExitCode.OK)) from None
        except OSError as error:
            self.mute = True
            raise Exit(f"error: cannot write to standard output: {error.strerror}", int(ExitCode.CONFIG)) from None


def _guard_output() -> None:
    """Let errors of standard output show up at the line that met them, where invoke still handles them."""
    if not isinstance(sys.stdout, io.TextIOWrapper) or sys.stdout.isatty():
        return
    raw = _Output(sys.stdout.fileno(), "w", closefd=False)
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=sys.stdout.encoding, errors=sys.stdout.errors, line_buffering=True
    )


class _Lists(dict[str, str]):
    """The lists that help texts name, each made from its data when it is first asked for."""

    def __missing__(self, name: str) -> str:
        try:
            self[name] = ", ".join(_MAKERS[name]())
        except UserError as error:
            self[name] = f"(not readable: {error.what})"
        return self[name]


def fill_in(texts: dict[str, str]) -> dict[str, str]:
    """Put the lists into help texts (argument to text), and return these; reads the catalogue where one is named."""
    lists = _Lists()
    for name, text in texts.items():
        texts[name] = text.format_map(lists)
    return texts


def benches() -> list[str]:
    """Return the names of the benches: the files in tests/bench."""
    from recipes import paths

    return sorted(path.stem.removeprefix("bench_") for path in (paths.CHECKOUT / "tests/bench").glob("bench_*.py"))


def _arches() -> Sequence[str]:
    from recipes.arch import ARCHES

    return list(ARCHES)


def _boards() -> Sequence[str]:
    from deploy.boards.board import board_names

    return board_names()


def _hosts() -> Sequence[str]:
    from deploy.boards.inventory import load_hosts

    return list(load_hosts())


def _variants() -> Sequence[str]:
    from recipes.sources.recipe import load_catalogue

    return sorted({name for recipe in load_catalogue().values() for name in recipe.variants})


def _patches() -> Sequence[str]:
    from recipes.sources.recipe import load_catalogue

    return sorted({name for recipe in load_catalogue().values() for name in recipe.patches})


_MAKERS: dict[str, Callable[[], Sequence[str]]] = {
    "arches": _arches,
    "benches": benches,
    "boards": _boards,
    "hosts": _hosts,
    "patches": _patches,
    "variants": _variants,
}

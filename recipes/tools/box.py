"""Where a program of others runs: here, if this machine has one that is as good, else in the tools image.

A command is words and paths; a path of this machine is the same path to a program that runs here, and a copy below /bc
to one in a container. Nothing is mounted: an engine elsewhere works as one here does, and nothing that a container
wrote is opened by its name; what it made is taken out as files (`recipes.archives.intake`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from recipes import process
from recipes.engine.confinement import build_ids
from recipes.engine.container import ContainerSession, Job
from recipes.engine.docker import Engine
from recipes.errors import BuildError, UserError
from recipes.files import whole_folder
from recipes.tools.base import proxies
from recipes.tools.image import ensure_tools_image

_TOP = PurePosixPath("/bc")
_WORK = _TOP / "work"
_CERTIFICATES = ("SSL_CERT_FILE", "GIT_SSL_CAINFO", "CURL_CA_BUNDLE")
_TIMED_OUT = 124  # of coreutils' timeout

Words = Sequence[str | Path]
Env = Mapping[str, str] | None


class Box(Protocol):
    """A place where programs run."""

    def run(self, argv: Words, *, env: Env = None, timeout: float = 900, check: bool = True) -> process.Result:
        """Run one to its end; see `recipes.process.run`. A `Path` is of this machine."""

    def writing(self, folder: Path, *, skip_odd: bool = False) -> contextlib.AbstractContextManager[None]:
        """Let programs write to a folder; what they wrote is there when the block ends well.

        Parameters
        ----------
        skip_odd:
            Leave out what is neither a file nor a link that stays inside; it is refused otherwise.
        """


class HostBox:
    """The machine that this program runs on."""

    def run(self, argv: Words, *, env: Env = None, timeout: float = 900, check: bool = True) -> process.Result:
        return process.run([str(word) for word in argv], env=env, timeout=timeout, check=check)

    @contextlib.contextmanager
    def writing(self, folder: Path, *, skip_odd: bool = False) -> Iterator[None]:  # noqa: ARG002 - nothing is taken out
        yield


@dataclass(slots=True)
class ContainerBox:
    """A container of the tools image, without rights; opened by the first command, and closed by who made it."""

    _kept: contextlib.ExitStack
    network: bool
    _session: ContainerSession | None = None
    _places: dict[Path, tuple[object, PurePosixPath]] = field(default_factory=dict)
    _given: dict[str, str] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 1 << 30)))

    def run(self, argv: Words, *, env: Env = None, timeout: float = 900, check: bool = True) -> process.Result:
        session = self.open()
        words = [self._word(word) for word in argv]
        told = {name: value for name, value in (env or {}).items() if name != "PATH"}
        limit = ["timeout", "--kill-after=5", f"{timeout:.0f}"]
        code, out, errors = session.call([*limit, *words], environment=self._given | told)
        shown = " ".join(str(word) for word in argv)
        if code == _TIMED_OUT:
            raise BuildError(f"{argv[0]} did not end within {timeout:g} s", where=shown)
        result = process.Result(
            argv=tuple(str(word) for word in argv), code=code, stdout=out, stderr=self._named_as_here(errors)
        )
        return process.checked(result) if check else result

    @contextlib.contextmanager
    def writing(self, folder: Path, *, skip_odd: bool = False) -> Iterator[None]:
        session = self.open()
        there = folder.is_dir() and any(folder.iterdir())
        inside = self._new_place(folder)
        if there:
            session.copy_in(folder, inside, top=_TOP, user=build_ids())
        else:
            session.make_folder(inside, top=_TOP, user=build_ids())
        self._places[folder] = (None, inside)
        try:
            yield
            if there:
                with whole_folder(folder) as part:
                    session.take(inside, part, skip_odd=skip_odd)
            else:
                folder.mkdir(parents=True, exist_ok=True)
                session.take(inside, folder, skip_odd=skip_odd)
        finally:
            self._forget(folder)

    def open(self) -> ContainerSession:
        """Return its session, started at the first call.

        Raises
        ------
        BuildError
            No engine answers, or the tools image cannot be made.
        """
        if self._session is None:
            engine = self._kept.enter_context(contextlib.closing(Engine.connect()))
            image = ensure_tools_image(engine)
            environment = {"HOME": str(_WORK), "LC_ALL": "C.UTF-8"} | (proxies() if self.network else {})
            job = Job(image=image, network="bridge" if self.network else "none", environment=environment, cwd=_WORK)
            self._session = self._kept.enter_context(engine.session(job))
            if self.network:
                self._bring_settings()
        return self._session

    def _bring_settings(self) -> None:
        """Give what goes to the network what the user's own programs would have: git's settings, certificates."""
        session = self.open()
        home = Path.home()
        for name in (".gitconfig", ".config/git/config"):
            if (home / name).is_file():
                session.copy_in((home / name).resolve(), _WORK / name, top=_TOP, user=build_ids())
        for name in _CERTIFICATES:
            if (file := Path(os.environ.get(name, ""))).is_file():
                self._given[name] = self._given["GIT_SSL_CAINFO"] = str(self._place(file.absolute()))

    def _word(self, word: str | Path) -> str:
        return str(self._place(word.absolute())) if isinstance(word, Path) else word

    def _place(self, path: Path) -> PurePosixPath:
        """Return where a path of this machine is in the container; what was not there yet is copied in."""
        for above in (path, *path.parents):
            if above in self._places:
                seen, inside = self._places[above]
                if seen is None or seen == _seen(above):
                    return inside / path.relative_to(above)
        inside = self._new_place(path)
        try:
            self.open().copy_in(path, inside, top=_TOP, user=build_ids())
        except OSError as error:
            raise BuildError(f"{path} cannot be read", why=error.strerror or str(error)) from error
        self._places[path] = (_seen(path), inside)
        return inside

    def _new_place(self, path: Path) -> PurePosixPath:
        return _TOP / "in" / str(next(self._numbers)) / (path.name or "root")

    def _forget(self, folder: Path) -> None:
        for path in [path for path in self._places if path.is_relative_to(folder)]:
            del self._places[path]

    def _named_as_here(self, text: bytes) -> bytes:
        for path, (_, inside) in self._places.items():
            text = text.replace(str(inside).encode(), os.fsencode(path))
        return text


def _seen(path: Path) -> object:
    """Return what tells a folder or file from another that took its name."""
    there = path.stat()
    return there.st_ino, there.st_ctime_ns


@dataclass(slots=True)
class _Boxes:
    kept: contextlib.ExitStack
    containers: dict[bool, ContainerBox] = field(default_factory=dict)

    def container(self, *, network: bool) -> ContainerBox:
        return self.containers.setdefault(network, ContainerBox(self.kept, network))


_OPEN: ContextVar[_Boxes | None] = ContextVar("tools", default=None)


@contextlib.contextmanager
def shared_tools() -> Iterator[None]:
    """Let all commands of a block share a container, where they need one; blocks inside of it share the outermost's."""
    if _OPEN.get() is not None:
        yield
        return
    with contextlib.ExitStack() as kept:
        token = _OPEN.set(_Boxes(kept))
        try:
            yield
        finally:
            _OPEN.reset(token)


def _missing(program: str, fault: Callable[[], str]) -> str:
    """Say why this machine's own program is not used; empty where it is."""
    if shutil.which(program) is None:
        return f"{program} is not on this machine"
    try:
        return fault()
    except UserError as error:  # it cannot even say its version: macOS has a git that asks to install one
        return error.what


@contextlib.contextmanager
def tools(
    program: str, *, network: bool = False, fault: Callable[[], str] = lambda: "", wanted: str = ""
) -> Iterator[Box]:
    """Yield where a program runs: here, where this machine has one without a fault, else in the tools image.

    Parameters
    ----------
    network:
        It goes to the network; a container for what does not has none.
    fault:
        Says what this machine's own lacks, if it is there; empty where it is as good as the image's.
    wanted:
        What to install here, if it is not just the program.

    Raises
    ------
    BuildError
        Neither is there: this machine has none that is as good, and no engine answers.
    """
    if not (because := _missing(program, fault)):
        yield HostBox()
        return
    with shared_tools():
        boxes = _OPEN.get()
        if boxes is None:
            raise AssertionError("shared_tools opens them")
        box = boxes.container(network=network)
        try:
            box.open()
        except UserError as error:
            raise BuildError(
                f"{because}, and the tools image that has it cannot be used",
                where=error.where,
                why="; ".join(filter(None, (error.what, error.why))),
                next_step=f"install {wanted or program}; or {error.next_step or 'let a container engine answer'}",
            ) from error
        yield box

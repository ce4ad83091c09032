"""What kind of machine a board is, by its own word: asked before anything of it is taken for another board's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deploy.boards.session import BoardSession
from deploy.ssh.answers import HEAD_FUNCTION, PROGRAM, framed, program_identity, read_values, runs_there
from recipes.arch import Arch, Identity
from recipes.errors import PreflightError
from recipes.text import one_line
from recipes.toolchains.sysroot_file import read_os_release

SELF_SCRIPT = (
    HEAD_FUNCTION
    + r"""
echo; echo boardcast=begin # on a line of its own, whatever a log-in printed
echo "machine=$(uname -m)"
echo "shell=$(joined $(first_bytes /bin/sh))"
for loader in /lib/ld-*.so* /lib64/ld-*.so* /lib/ld.so.1; do
    [ -f "$loader" ] && echo "loader=$loader $(joined $(first_bytes "$loader"))"
done
for path in /etc/os-release /usr/lib/os-release; do
    [ -f "$path" ] || continue
    while IFS= read -r line || [ -n "$line" ]; do echo "release=$line"; done < "$path"
    break
done
echo boardcast=end
exit 0
"""
)
_LINES: dict[str, tuple[str, str]] = {
    "machine": (r"[\w.+-]{1,64}", "uname -m"),
    "shell": (PROGRAM, "od -An -v -tx1 -N64 /bin/sh"),
    "loader": (rf"/\S{{1,200}} ({PROGRAM})", "ls /lib/ld-*"),
    "release": (".{0,1000}", "cat /etc/os-release"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardSelf:
    """What a board says of itself.

    Parameters
    ----------
    machine:
        `uname -m`.
    identity:
        What its own shell is made for; its loader where that is a script or unreadable; None where neither tells.
    loaders:
        Paths of its dynamic loaders.
    release:
        /etc/os-release.
    """

    machine: str
    identity: Identity | None
    loaders: tuple[str, ...]
    release: Mapping[str, str]

    @property
    def system(self) -> str:
        """Its distribution, as one line of text that may be shown."""
        return one_line(self.release.get("PRETTY_NAME") or self.release.get("ID") or "a system unknown", most=80)

    def runs(self, arch: Arch) -> bool:
        """Tell whether files for an architecture run there."""
        if self.identity is None:
            return self.machine in arch.machine
        return runs_there(self.identity, self.machine, arch.identity, arch.machine)

    def describe(self) -> str:
        """Return kernel's machine and programs' kind in one line."""
        return f"{self.machine}, {self.identity.describe()}" if self.identity else self.machine


def ask_board(session: BoardSession) -> BoardSelf:
    """Ask a board what it is, in one round trip that changes nothing.

    Raises
    ------
    PreflightError
        It answers with what its commands cannot print.
    """
    reply = session.run(SELF_SCRIPT)
    if reply.code != 0:
        raise PreflightError("the board did not answer what it is", why=one_line(reply.err or reply.out))
    return read_self(framed(reply.out))


def read_self(text: str) -> BoardSelf:
    """Read the lines of the answer; raises PreflightError for one that its command cannot print."""
    values = read_values(text, _LINES)
    loaders = [value.rpartition(" ") for value in values.get("loader", ())]
    programs = [*values.get("shell", ()), *(head for _, _, head in loaders)]
    identities = (identity for program in programs if (identity := program_identity(program)) is not None)
    return BoardSelf(
        machine=values.get("machine", [""])[-1],
        identity=next(identities, None),
        loaders=tuple(dict.fromkeys(path for path, _, _ in loaders)),
        release=read_os_release("\n".join(values.get("release", ()))),
    )


def refuse_other_board(board: BoardSelf, name: str, arch: Arch) -> None:
    """Raise PreflightError where a board is not of the architecture that its file says."""
    if not board.runs(arch):
        raise PreflightError(
            f"this is no {name}; nothing was written",
            why=f"its file says {arch.name} ({arch.identity.describe()}), the board is {board.describe()}",
            next_step="is hosts.toml naming the right board, and `arch` in the board's file the right one?",
        )

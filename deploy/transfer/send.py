"""Contents sent to a board's store, by one of the ways."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence

from deploy.boards.session import BoardSession, FileSession, Reply
from deploy.transfer.cargo import Part, tar_of_parts
from deploy.transfer.means import Means, Way
from deploy.transfer.pace import paced
from deploy.transfer.packing import Packing, ahead, pack, shared_packs
from deploy.transfer.receive import RECEIVE
from deploy.transfer.rsync import rsync_parts
from recipes.progress import Step, progress


def send_parts(
    session: BoardSession, root: str, parts: Sequence[Part], means: Means, who: str, *, mark: str = ""
) -> Reply:
    """Send contents, and have what arrived checked and moved into the store; returns what the board's script said.

    Without any parts it only checks what came in an earlier run.

    Parameters
    ----------
    mark:
        Of one deploy: the board notes under it what it hashed of a stream, and ACTIVATE need not read that again.

    Raises
    ------
    PreflightError
        The connection went.
    """
    if not parts:
        return session.run(RECEIVE, [root, "nothing", "none", who])
    count = f"{len(parts)} file{'s' * (len(parts) != 1)}"
    with progress(f"sending {count} ({means.words()})") as step:
        if means.way is Way.CAT:
            return _each(session, root, parts, means, who, step)
        if means.way is Way.RSYNC:
            before = session.traffic.sent
            step.at("", moved=lambda: session.traffic.sent - before)
            return rsync_parts(session, root, parts, who, lambda pieces: paced(pieces, means.rate))
        if means.way is Way.SFTP:
            return _by_sftp(session, root, parts, means, who, step)
        # One packed stream, which the board unpacks as it comes.
        arguments = [root, "tar", means.packing.value, who, "", mark]
        return session.run(RECEIVE, arguments, _counted(session, parts, means, step))


def _each(session: BoardSession, root: str, parts: Sequence[Part], means: Means, who: str, step: Step) -> Reply:
    """Send each content by a command of its own; then all are checked at once."""
    before, total = session.traffic.sent, 0
    packed = [list(pack([part.data], means.packing, slow=means.slow)) for part in parts]
    total = sum(len(piece) for pieces in packed for piece in pieces)
    step.at("", moved=lambda: session.traffic.sent - before, total=total)
    for part, pieces in zip(parts, packed, strict=True):
        arguments = [root, part.name, means.packing.value, who]
        # Without a byte of input the session gives /dev/null: right for an empty file, which is no packed stream.
        reply = session.run(RECEIVE, arguments if pieces else [root, part.name, "none", who], paced(pieces, means.rate))
        if reply.code != 0:
            return reply
    return session.run(RECEIVE, [root, "nothing", "none", who])


def _by_sftp(session: BoardSession, root: str, parts: Sequence[Part], means: Means, who: str, step: Step) -> Reply:
    """Send one packed file, or each content where the board has no tar; what is there of it is not sent again."""
    if not isinstance(session, FileSession):
        raise TypeError("a session without SFTP")
    reply = session.run(RECEIVE, [root, "later", "none", who])
    if reply.code != 0:
        return reply
    before = session.traffic.sent

    def pace(pieces: Iterable[bytes]) -> Iterator[bytes]:
        return paced(pieces, means.rate)

    if not means.tar:
        step.at("", moved=lambda: session.traffic.sent - before, total=sum(len(part.data) for part in parts))
        for part in parts:
            session.put(f"{root}/incoming/{part.blob}", part.content, pace=pace, offset=part.offset)
        return session.run(RECEIVE, [root, "nothing", "none", who])
    packed = b"".join(pack(tar_of_parts(parts), means.packing, slow=True))
    name = f".packed-{hashlib.sha256(packed).hexdigest()}"
    step.at("", moved=lambda: session.traffic.sent - before, total=len(packed))
    session.put(f"{root}/incoming/{name}", packed, pace=pace)
    return session.run(RECEIVE, [root, "tar", means.packing.value, who, name])


def _counted(session: BoardSession, parts: Sequence[Part], means: Means, step: Step) -> Iterator[bytes]:
    """Return the packed stream, and tell the step how far it is.

    For a slow link all is packed first: that takes little of the time, and how much there is to send is known then.
    What many boards get is packed first too, and once.
    """
    before, packs = session.traffic.sent, shared_packs()

    def packed() -> Iterator[bytes]:
        return pack(tar_of_parts(parts), means.packing, slow=means.slow)

    if packs or means.slow or means.packing is Packing.NONE:
        pieces = packs.get(_key_of(parts, means), packed) if packs else list(packed())
        step.at("", moved=lambda: session.traffic.sent - before, total=sum(map(len, pieces)))
        return paced(pieces, means.rate)
    step.at("", moved=lambda: session.traffic.sent - before)
    return ahead(packed())


def _key_of(parts: Sequence[Part], means: Means) -> str:
    """Return a name for what a packed stream holds: a content's own name is its hash, a difference is hashed here."""
    told = hashlib.sha256(f"{means.packing.value} {means.slow}".encode())
    for part in parts:
        told.update(f"\n{part.name} {hashlib.sha256(part.delta).hexdigest() if part.delta else ''}".encode())
    return told.hexdigest()

"""Access keys: an ID, a secret, and for those that are lent a token and an end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Key:
    """One access key.

    Attributes
    ----------
    token:
        The session token that must come with it; empty for a key that stays.
    expires:
        Seconds since 1970; None for a key that stays.
    holder:
        Whose it is, for the log: `local`, or the name of a thing.
    """

    access: str
    secret: str
    token: str = ""
    expires: float | None = None
    holder: str = "local"


class Keys(Protocol):
    """Whoever knows keys by their ID."""

    def find(self, access: str) -> Key | None:
        """Return the key of an access key ID, expired or not."""

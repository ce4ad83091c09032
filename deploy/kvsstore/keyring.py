"""The keys that the service knows: those it made, those it was given, and those that it lends for a while."""

from __future__ import annotations

import re
import secrets
import string

from deploy.kvs.keys import Key
from deploy.kvsstore.database import Database

_ACCESS = re.compile(r"[A-Z0-9]{16,128}")
_LETTERS = string.ascii_uppercase + string.digits


class KeyRing:
    """The keys that the service knows. They are in its database, which nobody else can read.

    Parameters
    ----------
    database:
        Holds the table `keys`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, access: str) -> Key | None:
        """Return the key of an access key ID, expired or not."""
        rows = self._database.read("SELECT access, secret, token, expires, holder FROM keys WHERE access = ?", access)
        return Key(*rows[0]) if rows else None

    def add(self, key: Key) -> None:
        """Take a key in; one of the same ID is replaced."""
        if not _ACCESS.fullmatch(key.access):
            raise ValueError(f"{key.access!r} is no access key ID")
        self._database.write(
            "INSERT OR REPLACE INTO keys (access, secret, token, expires, holder) VALUES (?, ?, ?, ?, ?)",
            *(key.access, key.secret, key.token, key.expires, key.holder),
        )

    def own(self) -> Key:
        """Return the key of whoever runs the service; it is made at the first call, and stays."""
        rows = self._database.read("SELECT access FROM keys WHERE holder = 'local' AND expires IS NULL ORDER BY rowid")
        known = self.find(str(rows[0][0])) if rows else None
        if known is None:
            known = Key("AKIA" + _random(16), secrets.token_urlsafe(30))
            self.add(known)
        return known

    def lend(self, holder: str, *, now: float, seconds: float) -> Key:
        """Make a key with a token that ends by itself.

        Parameters
        ----------
        now, seconds:
            When it is, and how long the key is good for.
        """
        self._database.write("DELETE FROM keys WHERE expires IS NOT NULL AND expires < ?", now - 86_400)
        key = Key("ASIA" + _random(16), secrets.token_urlsafe(30), secrets.token_urlsafe(48), now + seconds, holder)
        self.add(key)
        return key


def _random(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))

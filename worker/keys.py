"""API keys: made, listed and revoked. The store knows their hashes only."""

import hashlib
import secrets
from typing import Final

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from worker.errors import KeyExists, KeyNotFound
from worker.names import checked_name, is_name
from worker.roles import Role
from worker.store.database import Database
from worker.store.steps import clock
from worker.store.tables import ApiKey

PREFIX: Final = "okdhp_"
"""Scanners for leaked secrets, and people, know by it what they have found."""
_RANDOM_BYTES: Final = 32


def hashed(key: str) -> str:
    """What is stored of a key.

    A plain SHA-256: the slow, salted hashes are for passwords, which can be guessed. 256 random
    bits cannot, and this one is computed with every request.
    """
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


class ApiKeys:
    """The keys of a server. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, name: str, role: Role) -> str:
        """A new key's text, which nobody can be told again. Raises NameInvalid, KeyExists."""
        checked_name(name, "key")
        key = PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
        try:
            with self._database.writing() as session:
                at = clock(session)
                session.add(ApiKey(name=name, role=role, sha256=hashed(key), created_at=at))
        except IntegrityError:
            raise KeyExists(
                f"a key named {name!r} is or was there; take another name, so that logs tell "
                "them apart"
            ) from None
        return key

    def all(self) -> list[ApiKey]:
        """Every key that ever was, the oldest first."""
        with self._database.reading() as session:
            return list(session.scalars(select(ApiKey).order_by(ApiKey.created_at, ApiKey.name)))

    def revoke(self, name: str) -> None:
        """Nobody gets in with it any more; again changes nothing. Raises KeyNotFound."""
        with self._database.writing() as session:
            found = session.get(ApiKey, name) if is_name(name) else None
            if found is None:
                raise KeyNotFound(f"there is no key {name!r}")
            if found.revoked_at is None:
                found.revoked_at = clock(session)

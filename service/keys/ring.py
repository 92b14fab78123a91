"""The keys in memory: a request costs no look at the database, whatever it brings."""

import asyncio
import hmac
import logging

from worker.keys import ApiKeys, hashed
from worker.roles import Role
from worker.store import ApiKey

log = logging.getLogger(__name__)


class KeyRing:
    """The keys as they were a moment ago."""

    def __init__(self, keys: ApiKeys, *, required: bool) -> None:
        """required: whether requests need a key before any was made."""
        self._keys, self._required = keys, required
        self._known: list[ApiKey] = []
        self.refresh()

    @property
    def needed(self) -> bool:
        """Whether requests need a key. Revoking the last one does not open the doors again."""
        return self._required or bool(self._known)

    def find(self, text: str) -> ApiKey | None:
        """The key with this text, if it is one and was not revoked.

        Every key is compared, each in constant time: how long it takes tells nothing.
        """
        sha256 = hashed(text)
        found = [key for key in self._known if hmac.compare_digest(key.sha256, sha256)]
        return next((key for key in found if key.revoked_at is None), None)

    def refresh(self) -> None:
        """Look which keys there are now."""
        self._known = self._keys.all()

    async def follow(self, every_s: float) -> None:
        """Refreshes for ever: how new and revoked keys are noticed.

        While the database is away the last known keys go on: nobody can revoke one there either.
        """
        while True:
            await asyncio.sleep(every_s)
            try:
                await asyncio.to_thread(self.refresh)
            except Exception:  # a database that is away for a moment must not end the watch
                log.exception("the API keys cannot be read")


def allows(key: ApiKey, needed: Role) -> bool:
    """Whether the key's role includes the needed one."""
    return Role(key.role).includes(needed)

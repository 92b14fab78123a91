"""What keys may do. Apart from their store, so that a command line knows it without a database."""

from enum import StrEnum


class Role(StrEnum):
    """What a key may do; each includes those before it."""

    PREDICT = "predict"
    JOBS = "jobs"
    ADMIN = "admin"

    def includes(self, other: "Role") -> bool:
        """Whether who has this role may do what needs the other."""
        order = list(Role)
        return order.index(self) >= order.index(other)

"""The SQL of the writer: one transaction for a group of events, on PostgreSQL and on SQLite.

A transaction locks the learners (in the order of their ids, so that two writers never wait for each other),
reads what is known of the events and learners, and writes everything at once.
"""

from sqlalchemy.ext.asyncio import AsyncEngine

from app.ledger.postgres import PostgresLedger
from app.ledger.sqlite import SqliteLedger
from app.ledger.transaction import (
    GroupConflict,
    KnownEvent,
    LearnerLocked,
    Ledger,
    LedgerUnavailable,
    Pair,
    StoredState,
    Transaction,
    Version,
    Writes,
)

__all__ = [
    "GroupConflict",
    "KnownEvent",
    "LearnerLocked",
    "Ledger",
    "LedgerUnavailable",
    "Pair",
    "StoredState",
    "Transaction",
    "Version",
    "Writes",
    "open_ledger",
]


def open_ledger(writing: AsyncEngine) -> Ledger:
    """The ledger of a database."""
    return PostgresLedger(writing) if writing.dialect.name == "postgresql" else SqliteLedger(writing)

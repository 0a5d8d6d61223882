"""What a group of events reads and writes, whatever the database."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

import asyncpg
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

EVENT_COLUMNS = (
    "learner_id", "seq", "course_id", "timestamp", "action_type", "item_id", "user_answer", "elapsed_time",
    "source", "platform", "correct", "attempt", "hints", "decision_id", "assignment_id", "response_id",
)  # fmt: skip
"""What differs between the rows of a group, in the order of `Writes.events`."""
KEY_COLUMNS = ("event_id", "learner_id", "seq", "body_sha256", "answer")
STATE_COLUMNS = ("learner_id", "course_id", "fit_id", "answers", "last_seq", "is_stale", "state")
SNAPSHOT_COLUMNS = ("learner_id", "course_id", "answers", "fit_id", "last_seq", "state")


class GroupConflict(Exception):
    """Somebody else wrote meanwhile: read again and try again."""


class LearnerLocked(Exception):
    """Somebody else holds one of the learners for too long."""


class LedgerUnavailable(Exception):
    """The database is out of reach or too busy."""


@dataclass(frozen=True, slots=True)
class KnownEvent:
    """What an event id was used for first."""

    seq: int
    body_sha256: bytes
    answer: bytes


@dataclass(frozen=True, slots=True)
class StoredState:
    """A row of `knowledge_state`; `snapshot_answers` of the newest snapshot of its fit."""

    fit_id: int
    answers: int
    last_seq: int
    is_stale: bool
    state: bytes
    snapshot_answers: int

    @property
    def version(self) -> tuple[int, int, bool]:
        """What the row must still be when it is replaced."""
        return self.fit_id, self.last_seq, self.is_stale


Pair = tuple[int, int]
"""(learner id, course id)."""
Version = tuple[int, int, bool]


@dataclass(slots=True)
class Writes:
    """Rows of one group, as tuples in the order of the column lists above."""

    received_at: int
    received_month: int
    events: list[tuple[Any, ...]] = field(default_factory=list)
    keys: list[tuple[Any, ...]] = field(default_factory=list)
    counters: dict[int, int] = field(default_factory=dict)
    """learner id -> its new last_seq"""
    states: list[tuple[tuple[Any, ...], Version | None]] = field(default_factory=list)
    """a row and the version it replaces, None where there was none"""
    snapshots: list[tuple[Any, ...]] = field(default_factory=list)
    dropped: list[tuple[int, int, int]] = field(default_factory=list)
    """(learner id, course id, answers): snapshots with more answers are no longer true"""


class Transaction(Protocol):
    """One transaction of one tenant."""

    async def lock(
        self, learner_ids: Sequence[int], event_ids: Sequence[UUID]
    ) -> tuple[dict[int, int], dict[UUID, KnownEvent]]:
        """last_seq of each learner there is, locked until the end, and the events that are written already.

        An event that another transaction writes while this one waits may be missed; then the write conflicts.
        """

    async def states(self, pairs: Sequence[Pair]) -> tuple[dict[Pair, StoredState], set[Pair]]:
        """The stored states, and the pairs without a state that have interactions nevertheless."""

    async def write(self, writes: Writes) -> None:
        """Write a group. Raises GroupConflict when a state is not the one that was read."""


class Ledger(Protocol):
    """Where groups of events are written."""

    def transaction(self, tenant_id: int) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that commits at the end of its block; raises GroupConflict, LedgerUnavailable."""

    async def close(self) -> None:
        """Give connections back."""


@contextmanager
def told_apart() -> Iterator[None]:
    """Tell conflicts and a lost database from errors of single rows, whichever driver raises them."""
    try:
        yield
    except (
        IntegrityError,
        asyncpg.UniqueViolationError,
        asyncpg.SerializationError,
        asyncpg.DeadlockDetectedError,
    ) as error:
        raise GroupConflict(str(error)) from error
    except asyncpg.LockNotAvailableError as error:
        raise LearnerLocked(str(error)) from error
    except (
        OperationalError,
        InterfaceError,
        PoolTimeout,
        asyncpg.InterfaceError,
        asyncpg.PostgresConnectionError,
        asyncpg.OperatorInterventionError,
        asyncpg.InsufficientResourcesError,
        OSError,
    ) as error:
        raise LedgerUnavailable(str(error)) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise LedgerUnavailable(str(error)) from error
        raise

"""Groups on SQLite, over its one writing connection."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, exists, func, insert, select, tuple_, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.catalogue import TABLES
from app.ledger.transaction import (
    EVENT_COLUMNS,
    KEY_COLUMNS,
    SNAPSHOT_COLUMNS,
    STATE_COLUMNS,
    KnownEvent,
    Pair,
    StoredState,
    Transaction,
    Writes,
    told_apart,
)
from app.tables import NATIVE_STREAM


class SqliteLedger:
    """Groups on SQLite, over its one writing connection; a transaction has the write lock from its start."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def transaction(self, tenant_id: int) -> AsyncIterator[Transaction]:
        with told_apart():
            async with self._engine.begin() as connection:
                yield SqliteTransaction(connection, tenant_id)

    async def close(self) -> None:
        """Nothing is kept."""


class SqliteTransaction:
    """See Transaction. Nobody else writes between its reads and its writes."""

    def __init__(self, connection: AsyncConnection, tenant_id: int) -> None:
        self._connection = connection
        self._tenant_id = tenant_id

    async def lock(
        self, learner_ids: Sequence[int], event_ids: Sequence[UUID]
    ) -> tuple[dict[int, int], dict[UUID, KnownEvent]]:
        learner = TABLES["learner"]
        query = select(learner.c.id, learner.c.last_seq).where(
            learner.c.tenant_id == self._tenant_id, learner.c.id.in_(learner_ids)
        )
        counters = dict((await self._connection.execute(query)).all())
        key = TABLES["eventkey"]
        query = select(key.c.event_id, key.c.seq, key.c.body_sha256, key.c.answer).where(
            key.c.tenant_id == self._tenant_id, key.c.event_id.in_(event_ids)
        )
        known: dict[UUID, KnownEvent] = {
            row[0]: KnownEvent(*row[1:]) for row in await self._connection.execute(query)
        }
        return counters, known

    async def states(self, pairs: Sequence[Pair]) -> tuple[dict[Pair, StoredState], set[Pair]]:
        state, snapshot = TABLES["knowledge_state"].c, TABLES["knowledgesnapshot"].c
        newest = (
            select(func.max(snapshot.answers))
            .where(
                snapshot.tenant_id == state.tenant_id,
                snapshot.learner_id == state.learner_id,
                snapshot.course_id == state.course_id,
                snapshot.fit_id == state.fit_id,
            )
            .scalar_subquery()
        )
        query = select(
            state.learner_id, state.course_id, state.fit_id, state.answers, state.last_seq, state.is_stale,
            state.state, func.coalesce(newest, 0),
        ).where(
            state.tenant_id == self._tenant_id, tuple_(state.learner_id, state.course_id).in_(pairs)
        )  # fmt: skip
        rows = await self._connection.execute(query)
        found = {(row[0], row[1]): StoredState(*row[2:8]) for row in rows}
        return found, {pair for pair in pairs if pair not in found and await self._has_history(pair)}

    async def _has_history(self, pair: Pair) -> bool:
        row = TABLES["interaction"].c
        of_pair = (row.tenant_id == self._tenant_id, row.learner_id == pair[0], row.course_id == pair[1])
        return bool(await self._connection.scalar(select(exists().where(*of_pair))))

    async def write(self, writes: Writes) -> None:
        same = {"tenant_id": self._tenant_id}
        snapshot, learner = TABLES["knowledgesnapshot"], TABLES["learner"]
        for learner_id, course_id, answers in writes.dropped:
            stale = (snapshot.c.learner_id == learner_id, snapshot.c.course_id == course_id)
            await self._connection.execute(
                delete(snapshot).where(
                    snapshot.c.tenant_id == self._tenant_id, *stale, snapshot.c.answers > answers
                )
            )
        event = same | {"stream": NATIVE_STREAM, "received_month": writes.received_month, "flags": 0}
        await self._put("interaction", EVENT_COLUMNS, writes.events, event)
        await self._put("eventkey", KEY_COLUMNS, writes.keys, same | {"received_at": writes.received_at})
        states = [row for row, _ in writes.states]
        await self._put("knowledge_state", STATE_COLUMNS, states, same | {"updated_at": writes.received_at})
        await self._put("knowledgesnapshot", SNAPSHOT_COLUMNS, writes.snapshots, same)
        await self._connection.execute(
            update(learner).where(learner.c.id == bindparam("learner")).values(last_seq=bindparam("seq")),
            [{"learner": learner_id, "seq": seq} for learner_id, seq in writes.counters.items()],
        )

    async def _put(
        self, name: str, names: Sequence[str], rows: Sequence[tuple[Any, ...]], same: dict[str, Any]
    ) -> None:
        """Insert rows; caches (states, snapshots) replace what is there."""
        if not rows:
            return
        table = TABLES[name]
        statement: Any = insert(table)
        if name in ("knowledge_state", "knowledgesnapshot"):
            statement = sqlite_insert(table)
            rest = {c.name: statement.excluded[c.name] for c in table.c if not c.primary_key}
            statement = statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=rest)
        await self._connection.execute(
            statement, [{**same, **dict(zip(names, row, strict=True))} for row in rows]
        )

"""Groups on PostgreSQL: columns go as arrays through the driver itself.

That takes half the CPU time of going through SQLAlchemy (bench/api_load.py).
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.ledger.transaction import (
    EVENT_COLUMNS,
    KEY_COLUMNS,
    STATE_COLUMNS,
    GroupConflict,
    KnownEvent,
    Pair,
    StoredState,
    Transaction,
    Writes,
    told_apart,
)

LOCK_TIMEOUT = "2s"
"""How long a group waits for a learner that another process holds; then its events are tried one by one."""

LOCK = """
WITH locked AS MATERIALIZED (
  SELECT id, last_seq FROM learner WHERE tenant_id = $1 AND id = ANY($2::bigint[])
  ORDER BY id FOR NO KEY UPDATE)
SELECT id, last_seq, NULL::uuid, NULL::bytea, NULL::bytea FROM locked UNION ALL
SELECT NULL, seq, event_id, body_sha256, answer FROM eventkey
WHERE tenant_id = $1 AND event_id = ANY($3::uuid[])"""
# Read after the lock: what its last owner wrote is there.
STATES = """
SELECT p.learner_id, p.course_id, s.fit_id, s.answers, s.last_seq, s.is_stale, s.state,
  CASE WHEN s.answers >= 500 THEN (
    SELECT max(o.answers) FROM knowledgesnapshot o WHERE o.tenant_id = $1 AND o.learner_id = p.learner_id
    AND o.course_id = p.course_id AND o.fit_id = s.fit_id) END,
  CASE WHEN s.learner_id IS NULL THEN EXISTS (
    SELECT 1 FROM interaction i WHERE i.tenant_id = $1 AND i.learner_id = p.learner_id
    AND i.course_id = p.course_id) END
FROM unnest($2::bigint[], $3::int[]) AS p(learner_id, course_id)
LEFT JOIN knowledge_state s
  ON s.tenant_id = $1 AND s.learner_id = p.learner_id AND s.course_id = p.course_id"""
WRITE = """
WITH event AS (
  INSERT INTO interaction (tenant_id, stream, received_month, flags, learner_id, seq, course_id,
    timestamp, action_type, item_id, user_answer, elapsed_time, source, platform, correct, attempt, hints,
    decision_id, assignment_id, response_id)
  SELECT $1, 9, $2, 0, e.* FROM unnest(
    $4::bigint[], $5::int[], $6::int[], $7::bigint[], $8::smallint[], $9::bigint[], $10::text[],
    $11::bigint[], $12::smallint[], $13::smallint[], $14::bool[], $15::smallint[], $16::smallint[],
    $17::text[], $18::text[], $19::text[]) AS e
), key AS (
  INSERT INTO eventkey (tenant_id, received_at, event_id, learner_id, seq, body_sha256, answer)
  SELECT $1, $3, k.* FROM unnest($20::uuid[], $21::bigint[], $22::int[], $23::bytea[], $24::bytea[]) AS k
), counter AS (
  UPDATE learner SET last_seq = c.last_seq FROM unnest($25::bigint[], $26::int[]) AS c(id, last_seq)
  WHERE learner.tenant_id = $1 AND learner.id = c.id
), given AS (
  SELECT * FROM unnest(
    $27::bigint[], $28::int[], $29::int[], $30::int[], $31::int[], $32::bool[], $33::bytea[],
    $34::int[], $35::int[], $36::bool[])
  AS g(learner_id, course_id, fit_id, answers, last_seq, is_stale, state,
       old_fit_id, old_last_seq, old_is_stale)
), new AS (
  INSERT INTO knowledge_state (tenant_id, updated_at,
    learner_id, course_id, fit_id, answers, last_seq, is_stale, state)
  SELECT $1, $3, learner_id, course_id, fit_id, answers, last_seq, is_stale, state
  FROM given WHERE old_fit_id IS NULL
  RETURNING learner_id
), changed AS (
  UPDATE knowledge_state s SET fit_id = g.fit_id, answers = g.answers, last_seq = g.last_seq,
    is_stale = g.is_stale, state = g.state, updated_at = $3
  FROM given g
  WHERE s.tenant_id = $1 AND s.learner_id = g.learner_id AND s.course_id = g.course_id
    AND s.fit_id = g.old_fit_id AND s.last_seq = g.old_last_seq AND s.is_stale = g.old_is_stale
  RETURNING s.learner_id
)
SELECT (SELECT count(*) FROM new) + (SELECT count(*) FROM changed)"""
DROP = """
DELETE FROM knowledgesnapshot s
USING unnest($2::bigint[], $3::int[], $4::int[]) AS d(learner_id, course_id, answers)
WHERE s.tenant_id = $1 AND s.learner_id = d.learner_id AND s.course_id = d.course_id
  AND s.answers > d.answers"""
SNAPSHOT = """
INSERT INTO knowledgesnapshot AS s (tenant_id, learner_id, course_id, answers, fit_id, last_seq, state)
SELECT $1, n.* FROM unnest($2::bigint[], $3::int[], $4::int[], $5::int[], $6::int[], $7::bytea[]) AS n
ON CONFLICT (tenant_id, learner_id, course_id, answers)
DO UPDATE SET fit_id = excluded.fit_id, last_seq = excluded.last_seq, state = excluded.state"""


def columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[Sequence[Any]]:
    """Rows turned into `width` columns."""
    return list(zip(*rows, strict=True)) if rows else [()] * width


class PostgresLedger:
    """Groups on PostgreSQL, over one connection that is kept between groups."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._held: AsyncConnection | None = None

    @asynccontextmanager
    async def transaction(self, tenant_id: int) -> AsyncIterator[Transaction]:
        with told_apart():
            connection = await self._connect()
            try:
                async with connection.transaction():
                    yield PostgresTransaction(connection, tenant_id)
            except BaseException:
                if connection.is_closed():
                    await self.close()
                raise

    async def _connect(self) -> asyncpg.Connection:
        if self._held is None:
            self._held = await self._engine.connect()
            driver: Any = (await self._held.get_raw_connection()).driver_connection
            await driver.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
            return driver
        return (await self._held.get_raw_connection()).driver_connection

    async def close(self) -> None:
        """Give the connection back; a broken one is thrown away."""
        held, self._held = self._held, None
        if held is not None:
            await held.invalidate()
            await held.close()


class PostgresTransaction:
    """See Transaction."""

    def __init__(self, connection: asyncpg.Connection, tenant_id: int) -> None:
        self._connection = connection
        self._tenant_id = tenant_id

    async def lock(
        self, learner_ids: Sequence[int], event_ids: Sequence[UUID]
    ) -> tuple[dict[int, int], dict[UUID, KnownEvent]]:
        rows = await self._connection.fetch(LOCK, self._tenant_id, learner_ids, event_ids)
        counters = {row[0]: row[1] for row in rows if row[0] is not None}
        known = {UUID(int=row[2].int): KnownEvent(row[1], row[3], row[4]) for row in rows if row[0] is None}
        return counters, known

    async def states(self, pairs: Sequence[Pair]) -> tuple[dict[Pair, StoredState], set[Pair]]:
        rows = await self._connection.fetch(STATES, self._tenant_id, *columns(pairs, 2))
        found: dict[Pair, StoredState] = {}
        unread: set[Pair] = set()
        for row in rows:
            if row[2] is not None:
                found[row[0], row[1]] = StoredState(row[2], row[3], row[4], row[5], row[6], row[7] or 0)
            elif row[8]:
                unread.add((row[0], row[1]))
        return found, unread

    async def write(self, writes: Writes) -> None:
        tenant, connection = self._tenant_id, self._connection
        if writes.dropped:
            await connection.execute(DROP, tenant, *columns(writes.dropped, 3))
        if writes.snapshots:
            await connection.execute(SNAPSHOT, tenant, *columns(writes.snapshots, 6))
        states = [(*row, *(version or (None, None, None))) for row, version in writes.states]
        written = await connection.fetchval(
            WRITE,
            tenant,
            writes.received_month,
            writes.received_at,
            *columns(writes.events, len(EVENT_COLUMNS)),
            *columns(writes.keys, len(KEY_COLUMNS)),
            list(writes.counters),
            list(writes.counters.values()),
            *columns(states, len(STATE_COLUMNS) + 3),
        )
        if written != len(states):
            raise GroupConflict("a knowledge state was changed meanwhile")

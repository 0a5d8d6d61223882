"""InteractionWriter: whatever waits is written together, in one transaction, and then answered.

One task per process takes what is queued; while it commits, more queues up. So there is no timer, one
client waits for one commit only, and many clients share one. An answer is sent only when its event is
durable. Exactly once: the event's id, the digest of its body and its first answer are written with it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.catalogue import Catalogue
from app.errors import ApiError, Problem, problem_of, unavailable
from app.events import Event
from app.group import Entry, Result
from app.knowledge import Learning, states
from app.ledger import GroupConflict, LearnerLocked, LedgerUnavailable, open_ledger
from app.recorder import Recorder
from app.registry import Registry

GROUP_LIMIT = 512
"""Events of one transaction, give or take a batch."""
STALE_LIMIT = 1000
"""Stale learners that a starting server replays by itself; after an import of more, run `proxima replay`."""
ATTEMPTS = 5
RETRY_AFTER_S = 1
FAILED = Result(
    "rejected", problem=Problem(500, "internal", "The event could not be written; it was logged.")
)

log = structlog.get_logger("proxima.writer")


@dataclass(slots=True, eq=False)
class Submission:
    """Events of one request, and where their results are waited for."""

    tenant_id: int
    entries: list[Entry]
    done: asyncio.Future[list[Result]]


class InteractionWriter:
    """Takes events from any number of requests and writes them group by group.

    refilter: replays one learner from its rows, in a thread of its own; called for those whose history was
    too long to be replayed within a request.
    """

    def __init__(
        self,
        reading: AsyncEngine,
        writing: AsyncEngine,
        registry: Registry,
        *,
        refilter: Callable[[Learning], None] | None = None,
        clock_skew_limit: float = 86_400.0,
        queue_limit: int = 10_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.catalogue = Catalogue(reading, writing)
        self._reading = reading
        self._ledger = open_ledger(writing)
        self._recorder = Recorder(reading, self._ledger, self.catalogue, registry, clock_skew_limit, clock)
        self._refilter = refilter
        self._queue_limit = queue_limit
        self._clock = clock
        self._queue: deque[Submission] = deque()
        self._waiting = 0
        self._wake = asyncio.Event()
        self._stale: dict[Learning, None] = {}
        self._stale_wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = False

    async def start(self) -> None:
        """Begin to write, and to replay what was left stale."""
        query = (
            select(states.c.tenant_id, states.c.learner_id, states.c.course_id)
            .where(states.c.is_stale)
            .order_by(states.c.updated_at.desc())
            .limit(STALE_LIMIT)
        )
        async with self._reading.connect() as connection:
            self._note_stale(Learning(*row) for row in (await connection.execute(query)))
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._refilter_stale())]

    async def close(self) -> None:
        """Write what is queued, then stop."""
        self._closing = True
        self._wake.set()
        self._stale_wake.set()
        if self._tasks:
            await asyncio.gather(*self._tasks)
        await self.catalogue.close()
        await self._ledger.close()

    @property
    def waiting(self) -> int:
        """Events that are queued or being written."""
        return self._waiting

    async def submit(self, tenant_id: int, events: Sequence[Event], *, shows: bool = True) -> list[Result]:
        """What became of each event, once it is durable.

        shows: whether a `respond`, which may be changed until its submit, is told its verdict.
        Raises ApiError 503 when too many events wait already or the server is stopping.
        """
        if self._closing or self._waiting + len(events) > self._queue_limit:
            detail = f"{self._waiting} events wait to be written; send these again in {RETRY_AFTER_S} s."
            raise ApiError(503, "overloaded", detail, headers={"Retry-After": str(RETRY_AFTER_S)})
        received_at = int(self._clock() * 1000)
        entries = [Entry(event, received_at, shows, event.digest()) for event in events]
        submission = Submission(tenant_id, entries, asyncio.get_running_loop().create_future())
        self._queue.append(submission)
        self._waiting += len(events)
        self._wake.set()
        return await submission.done

    async def _run(self) -> None:
        while not (self._closing and not self._queue):
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                try:
                    await self._settle(self._take())
                except Exception:  # a fault of ours; the next group must not suffer from it
                    log.exception("a group was not settled")

    def _take(self) -> list[Submission]:
        group: list[Submission] = []
        size = 0
        while self._queue and (not group or size + len(self._queue[0].entries) <= GROUP_LIMIT):
            group.append(self._queue.popleft())
            size += len(group[-1].entries)
        return group

    async def _settle(self, group: list[Submission]) -> None:
        """Write a group and answer everybody in it."""
        try:
            by_tenant: dict[int, list[Entry]] = {}
            for submission in group:
                by_tenant.setdefault(submission.tenant_id, []).extend(submission.entries)
            for tenant_id, entries in by_tenant.items():
                await self._write(tenant_id, entries)
        finally:
            for submission in group:
                self._waiting -= len(submission.entries)
                results = [entry.result or FAILED for entry in submission.entries]
                if not submission.done.done():  # the client may have gone away
                    submission.done.set_result(results)

    async def _write(self, tenant_id: int, entries: list[Entry]) -> None:
        """Write the events of one tenant; an event that fails takes nobody with it."""
        try:
            ready = await self._recorder.prepare(tenant_id, entries)
        except Exception as error:
            self._refuse(entries, error)
            return
        ready, again = _once(ready)
        waiting = await self._attempt(tenant_id, ready, with_replays=False)
        if waiting:
            await self._attempt(tenant_id, waiting, with_replays=True)
        for entry in again:  # an id twice in one group: the second one finds the first one written
            await self._attempt(tenant_id, [entry], with_replays=True)

    async def _attempt(self, tenant_id: int, entries: list[Entry], with_replays: bool) -> list[Entry]:
        """Commit the events, together if possible, else one by one; gives those that need a replay first."""
        if not entries:
            return []
        error: Exception | None = None
        for _ in range(ATTEMPTS):
            try:
                waiting, stale = await self._recorder.transact(tenant_id, entries, with_replays)
                self._note_stale(stale)
                return waiting
            except GroupConflict as conflict:
                self._recorder.forget(entries)
                error = conflict
            except LedgerUnavailable as lost:
                error = lost
                break
            except Exception as poison:
                error = poison
                break
        if len(entries) == 1 or isinstance(error, LedgerUnavailable):
            self._refuse(entries, error)
            return []
        waiting = []
        for entry in entries:
            waiting += await self._attempt(tenant_id, [entry], with_replays)
        return waiting

    def _refuse(self, entries: Iterable[Entry], error: Exception | None) -> None:
        """Answer that the events could not be written."""
        log.error("events not written", exc_info=error)
        is_lost = isinstance(error, (LedgerUnavailable, LearnerLocked, GroupConflict))
        problem = unavailable() if error is None or is_lost else problem_of(error)
        for entry in entries:
            entry.result = Result("rejected", problem=problem)

    def _note_stale(self, stale: Iterable[Learning]) -> None:
        for who in stale:
            self._stale[who] = None
            self._stale_wake.set()

    async def _refilter_stale(self) -> None:
        """Replay, one after the other, the learners that no request could."""
        while not self._closing:
            await self._stale_wake.wait()
            self._stale_wake.clear()
            while self._stale and not self._closing and self._refilter is not None:
                who = next(iter(self._stale))
                del self._stale[who]
                began = time.monotonic()
                try:
                    await asyncio.to_thread(self._refilter, who)
                except Exception:  # the state stays marked; `proxima replay` gets it right
                    log.exception("a learner could not be replayed")
                # Half of the time is for requests.
                await asyncio.sleep(min(time.monotonic() - began, 1.0))


def _once(entries: Iterable[Entry]) -> tuple[list[Entry], list[Entry]]:
    """The first entry of each event id, and the others."""
    first: dict[object, Entry] = {}
    others = [entry for entry in entries if first.setdefault(entry.event.event_id, entry) is not entry]
    return list(first.values()), others

"""Recorder: looks a group of events up, judges it, moves knowledge on and writes it in one transaction."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from app.catalogue import Catalogue
from app.group import Entry, Result, Track, Visit, judge, move_on, rejected
from app.knowledge import Learning, Trace, visit_rows, way_to
from app.ledger import Ledger, Pair, StoredState, Transaction, Writes
from app.registry import Registry
from tracing import KnowledgeState, Parameters, population_parameters, start_state
from tracing.ednet import MS_PER_DAY
from tracing.errors import ArtifactError

HELD_LIMIT = 2000
"""Learners whose knowledge is kept in memory between their events, some 10 kB each."""
NOBODY = start_state(population_parameters())
REUSED = rejected(409, "event_id_reused", "event_id", "This event_id was used for an event of another body.")

log = structlog.get_logger("proxima.recorder")


@dataclass(frozen=True, slots=True)
class Held:
    """A learner's knowledge as a group left it; true while the learner's counter stands at `last_seq`.

    Should a replay have changed it all the same, the version does not match and the group is tried again.
    """

    who: Learning
    stored: StoredState
    parameters: Parameters
    state: KnowledgeState
    last_seq: int


def unknown_learner(name: str) -> Result:
    """The refusal of an event of a learner that the tenant does not have."""
    return rejected(404, "unknown_learner", "learner", f"There is no learner {name!r}.")


class Recorder:
    """Writes groups of events of one tenant. One at a time: the caller sees to that."""

    def __init__(
        self,
        reading: AsyncEngine,
        ledger: Ledger,
        catalogue: Catalogue,
        registry: Registry,
        clock_skew_limit: float,
        clock: Callable[[], float],
    ) -> None:
        self._reading = reading
        self._ledger = ledger
        self._catalogue = catalogue
        self._registry = registry
        self._held: dict[Pair, Held] = {}
        self._clock_skew_limit = clock_skew_limit
        self._clock = clock

    async def prepare(self, tenant_id: int, entries: list[Entry]) -> list[Entry]:
        """Look names up and refuse what cannot be written whatever the database holds; gives the rest."""
        items = await self._catalogue.items(tenant_id, {entry.event.item for entry in entries})
        learners = await self._catalogue.learners(tenant_id, {entry.event.learner for entry in entries})
        ready = []
        for entry in entries:
            event = entry.event
            latest = entry.received_at + self._clock_skew_limit * 1000
            if event.learner not in learners:
                entry.result = unknown_learner(event.learner)
            elif event.item not in items:
                entry.result = rejected(404, "unknown_item", "item", f"There is no item {event.item!r}.")
            elif event.timestamp > latest:
                ahead = (event.timestamp - entry.received_at) / 1000
                detail = f"The timestamp lies {ahead:.0f} s ahead of the server's clock."
                entry.result = rejected(422, "timestamp_ahead", "timestamp", detail)
            else:
                entry.learner_id, entry.item = learners[event.learner], items[event.item]
                if event.source is not None:
                    entry.source = await self._catalogue.code("source", event.source)
                if event.platform is not None:
                    entry.platform = await self._catalogue.code("platform", event.platform)
                ready.append(entry)
        return ready

    async def transact(
        self, tenant_id: int, entries: list[Entry], with_replays: bool
    ) -> tuple[list[Entry], list[Learning]]:
        """One transaction; results are told when it is committed.

        Gives the events left out because they need a replay first, and the learners left stale.
        Raises GroupConflict, LedgerUnavailable, or what is wrong with one of the events.
        """
        results: list[tuple[Entry, Result]] = []
        waiting: list[Entry] = []
        tracks: list[Track] = []
        async with self._ledger.transaction(tenant_id) as transaction:
            fresh, counters = await self._sift(transaction, tenant_id, entries, results)
            if fresh:
                judge(fresh, await self._visits(tenant_id, fresh))
                tracks = await self._tracks(transaction, tenant_id, fresh, counters)
            if not with_replays:
                waiting = [entry for track in tracks if track.needs_replay() for entry in track.entries]
                tracks = [track for track in tracks if not track.needs_replay()]
            if tracks:
                writes = await self._move_on(tracks, fresh, counters)
                for track in tracks:
                    results += track.results()
                await transaction.write(writes)
        for entry, result in results:
            entry.result = result
        for track in tracks:
            self._hold(track)
        return waiting, [track.who for track in tracks if track.is_stale]

    async def _move_on(self, tracks: list[Track], fresh: list[Entry], counters: dict[int, int]) -> Writes:
        """Number the events in the order they came, move the knowledge on, and gather the rows."""
        now = self._clock()
        month = datetime.fromtimestamp(now, UTC)
        writes = Writes(int(now * 1000), month.year * 100 + month.month)
        written = {id(entry) for track in tracks for entry in track.entries}
        for entry in fresh:
            if id(entry) in written:
                entry.seq = counters[entry.learner_id] = counters[entry.learner_id] + 1
                writes.counters[entry.learner_id] = entry.seq
                writes.events.append(entry.row())
        late = [track for track in tracks if track.needs_replay()]
        move_on(track for track in tracks if track not in late)
        for track in late:
            await self._replay(track)
        for track in tracks:
            track.finish(writes)
        return writes

    async def _sift(
        self,
        transaction: Transaction,
        tenant_id: int,
        entries: list[Entry],
        results: list[tuple[Entry, Result]],
    ) -> tuple[list[Entry], dict[int, int]]:
        """Lock the learners and set aside what was written before; gives the rest, and the counters."""
        learner_ids = sorted({entry.learner_id for entry in entries})
        counters, known = await transaction.lock(learner_ids, [entry.event.event_id for entry in entries])
        fresh = []
        for entry in entries:
            first = known.get(entry.event.event_id)
            if first is None and entry.learner_id in counters:
                fresh.append(entry)
            elif first is None:
                self._catalogue.forget_learner(tenant_id, entry.event.learner)
                results.append((entry, unknown_learner(entry.event.learner)))
            elif first.body_sha256 == entry.digest:
                results.append((entry, Result("duplicate", first.answer)))
            else:
                results.append((entry, REUSED))
        return fresh, counters

    async def _visits(self, tenant_id: int, entries: list[Entry]) -> dict[tuple[int, int], Visit]:
        """What was answered so far in the visits that a `submit` of the group ends."""
        ended = {
            (entry.learner_id, entry.item.visit): entry.item.course_id
            for entry in entries
            if entry.event.action == "submit"
        }
        visits = {}
        for (learner_id, bundle), course_id in ended.items():
            query = visit_rows(Learning(tenant_id, learner_id, course_id), [bundle])
            async with self._reading.connect() as connection:
                rows = (await connection.execute(query)).all()
            items = await self._catalogue.items(tenant_id, {row[5] for row in rows})
            visits[learner_id, bundle] = visit = Visit()
            visit.take_in(rows, items)
        return visits

    async def _tracks(
        self, transaction: Transaction, tenant_id: int, entries: list[Entry], counters: dict[int, int]
    ) -> list[Track]:
        """The knowledge that the events bear on: held from an earlier group, or as it is stored."""
        by_pair: dict[Pair, list[Entry]] = {}
        for entry in entries:
            by_pair.setdefault((entry.learner_id, entry.item.course_id), []).append(entry)
        held = {pair: self._held_for(pair, counters[pair[0]]) for pair in by_pair}
        unheld = [pair for pair, found in held.items() if found is None]
        stored, unread = await transaction.states(unheld) if unheld else ({}, set())
        tracks = []
        for pair, of_pair in by_pair.items():
            track = held[pair] or await self._track(Learning(tenant_id, *pair), stored.get(pair))
            track.is_unread |= pair in unread
            for entry in of_pair:
                track.add(entry)
            tracks.append(track)
        return tracks

    def _held_for(self, pair: Pair, last_seq: int) -> Track | None:
        """A track from the state that the last group left, if nobody has written for the learner since."""
        held = self._held.get(pair)
        if held is None or held.last_seq != last_seq:
            return None
        return Track(held.who, held.stored, held.parameters, Trace(held.state, held.stored.snapshot_answers))

    def _hold(self, track: Track) -> None:
        """Keep what a committed group left, unless it has to be read anew."""
        pair = (track.who.learner_id, track.who.course_id)
        self._held.pop(pair, None)
        version = track.version_after()
        if version is None or track.parameters is None:
            return
        state = track.trace.state
        stored = StoredState(version[0], state.answers, version[1], False, b"", track.trace.snapshot_answers)
        self._held[pair] = Held(track.who, stored, track.parameters, state, track.entries[-1].seq)
        if len(self._held) > HELD_LIMIT:
            del self._held[next(iter(self._held))]

    def forget(self, entries: Iterable[Entry]) -> None:
        """Read the knowledge that the events bear on anew: somebody else has changed it."""
        for entry in entries:
            self._held.pop((entry.learner_id, entry.item.course_id), None)

    async def _track(self, who: Learning, stored: StoredState | None) -> Track:
        if stored is None:
            parameters = await self._registry.promoted(who.course_id)
            return Track(who, None, parameters, Trace(start_state(parameters, who.learner_id)))
        try:
            parameters = await self._registry.by_id(stored.fit_id)
        except ArtifactError:
            log.exception("a fit cannot be read", fit_id=stored.fit_id)
            return Track(who, stored, None, Trace(NOBODY), is_stale=True)
        try:
            state = KnowledgeState.from_bytes(stored.state)
        except ArtifactError:  # of an older format: it is a cache
            start = Trace(start_state(parameters, who.learner_id))
            return Track(who, stored, parameters, start, is_unread=True)
        return Track(who, stored, parameters, Trace(state, stored.snapshot_answers), is_stale=stored.is_stale)

    async def _replay(self, track: Track) -> None:
        """Put the group's labels where they belong in the learner's history and go through it again.

        When that is more than a request may take, the state stays and is marked stale. A state that was
        stale is so no longer.
        """
        labels, parameters = track.labels, track.parameters
        if parameters is None:
            return
        earliest = min((round(seen.at * MS_PER_DAY) for seen in labels), default=None)
        new_rows = [entry.history_row() for entry in track.entries]
        async with self._reading.connect() as connection:
            start, seen = await connection.run_sync(
                way_to, track.who, parameters, before=earliest, new_rows=new_rows
            )
        track.drop_above = start.kept_answers
        track.is_stale = seen is None
        if seen is None:
            return
        await asyncio.to_thread(start.observe_all, seen, parameters)
        track.trace = start

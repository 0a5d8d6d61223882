"""A group of events on its way to the database: verdicts, labels, new states, answers. No SQL here."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from app.catalogue import ItemFacts
from app.errors import Problem
from app.events import ANSWERING, Event
from app.knowledge import (
    SNAPSHOT_EVERY,
    Learning,
    Trace,
    as_told,
    day_of,
    timestamp_of,
    what_was_touched,
)
from app.ledger import StoredState, Version, Writes
from app.tables import NATIVE_STREAM
from tracing import KnowledgeState, Observation, Parameters
from tracing.ednet import ACTIONS
from tracing.together import Said, Turn, fits_together, observe_together

TOGETHER = 3
"""From how many learners on it is quicker to take them side by side."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one event: the answer's JSON, or what is wrong with it."""

    status: Literal["accepted", "duplicate", "rejected"]
    answer: bytes = b""
    problem: Problem | None = None


def rejected(status: int, code: str, field: str, detail: str) -> Result:
    """An event that cannot be taken, because of one of its fields."""
    fault = {"in": "body", "pointer": f"/{field}", "code": code, "detail": detail}
    return Result("rejected", problem=Problem(status, code, detail, [fault]))


@dataclass(slots=True, eq=False)
class Entry:
    """An event and what is found out about it on the way. `shows`: whether a `respond` tells its verdict."""

    event: Event
    received_at: int
    shows: bool = True
    digest: bytes = b""
    learner_id: int = 0
    source: int | None = None
    platform: int | None = None
    seq: int = 0
    correct: bool | None = None
    labels: Sequence[Observation] = ()
    touched: dict[int, str] = field(default_factory=dict)
    first_answer: bytes = b""
    result: Result | None = None
    _item: ItemFacts | None = None

    @property
    def item(self) -> ItemFacts:
        """The facts of its item."""
        if self._item is None:
            raise RuntimeError("the item of an event was used before it was looked up")
        return self._item

    @item.setter
    def item(self, facts: ItemFacts) -> None:
        self._item = facts

    def row(self) -> tuple[Any, ...]:
        """The row of `interaction`, in the order of EVENT_COLUMNS."""
        e = self.event
        return (
            self.learner_id, self.seq, self.item.course_id, e.timestamp, ACTIONS[e.action], self.item.id,
            e.user_answer, e.elapsed_time, self.source, self.platform, self.correct, e.attempt, e.hints,
            e.decision_id, e.assignment_id, e.response_id,
        )  # fmt: skip

    def history_row(self) -> tuple[Any, ...]:
        """The row in the order of HISTORY."""
        e = self.event
        return (self.learner_id, NATIVE_STREAM, self.seq, e.timestamp, ACTIONS[e.action], self.item.id,
                e.user_answer, self.correct, e.elapsed_time, e.attempt, e.hints)  # fmt: skip

    def answer(self, state: KnowledgeState, known: Mapping[str, Any]) -> bytes:
        """The JSON that answers the event."""
        is_told = self.event.action == "answer" or (self.event.action == "respond" and self.shows)
        return orjson.dumps(
            {
                "event_id": self.event.event_id,
                "seq": self.seq,
                "correct": self.correct if is_told else None,
                "state_as_of": timestamp_of(state.at),
                "knowledge": [known[name] for name in self.touched.values() if name in known],
            }
        )


def verdict(answer: str | None, key: str | None) -> bool | None:
    """Whether an answer is right by its item's key; None for a blank answer or without a key."""
    given = answer.strip() if answer else ""
    return given == key if given and key is not None else None


@dataclass(slots=True)
class Visit:
    """The answers to a bundle's questions since its last submit; the last one to each counts."""

    pending: dict[int, tuple[ItemFacts, Observation]] = field(default_factory=dict)

    def respond(self, item: ItemFacts, outcome: bool | None, rest: Sequence[int | None]) -> None:
        """Note an answer; `rest` is elapsed_time, attempt, hints."""
        self.pending.pop(item.id, None)  # the order is that of the last answers
        self.pending[item.id] = (item, Observation(item.id, item.components, outcome, 0.0, *rest))

    def submit(self, at: float) -> list[tuple[ItemFacts, Observation]]:
        """The answers that the submit makes final: those with a verdict, at its moment."""
        final = [
            (item, Observation(seen.item, seen.components, seen.outcome, at, *_rest(seen)))
            for item, seen in self.pending.values()
            if seen.outcome is not None
        ]
        self.pending.clear()
        return final

    def take_in(self, rows: Iterable[Sequence[Any]], items: Mapping[Any, ItemFacts]) -> None:
        """Go through native `respond` and `submit` rows (columns HISTORY) in their order."""
        for row in rows:
            if row[1] != NATIVE_STREAM:
                continue
            if row[4] == ACTIONS["submit"]:
                self.pending.clear()
            elif facts := items.get(row[5]):
                judged = row[7] if row[7] is not None else verdict(row[6], facts.answer_key)
                self.respond(facts, judged, row[8:11])


def _rest(seen: Observation) -> tuple[int | None, int | None, int | None]:
    return seen.elapsed_time, seen.attempt, seen.hints


def judge(entries: Iterable[Entry], visits: Mapping[tuple[int, int], Visit]) -> None:
    """Fill in verdicts, labels and touched components, in the order the events came.

    visits: by (learner, bundle), those that a `submit` in the group ends.
    """
    for entry in entries:
        event, item = entry.event, entry.item
        entry.labels = ()
        entry.touched = dict(zip(item.components, item.names, strict=True))
        if event.action in ANSWERING:
            entry.correct = verdict(event.user_answer, item.answer_key)
        if event.action == "answer" and entry.correct is not None:
            rest = (event.elapsed_time, event.attempt, event.hints)
            entry.labels = (
                Observation(item.id, item.components, entry.correct, day_of(event.timestamp), *rest),
            )
        elif event.action in ("respond", "submit"):
            visit = visits.get((entry.learner_id, item.visit))
            if visit is not None and event.action == "respond":
                visit.respond(item, entry.correct, (event.elapsed_time, event.attempt, event.hints))
            elif visit is not None:
                final = visit.submit(day_of(event.timestamp))
                entry.labels = [seen for _, seen in final]
                for facts, _ in final:
                    entry.touched |= dict(zip(facts.components, facts.names, strict=True))


@dataclass(slots=True, eq=False)
class Track:
    """A learner's knowledge of a course while a group goes through it.

    `parameters` is None when the fit of the stored state cannot be read: the state stays as it is and is
    marked stale. `is_unread`: there are interactions but no state yet.
    """

    who: Learning
    stored: StoredState | None
    parameters: Parameters | None
    trace: Trace
    is_unread: bool = False
    is_stale: bool = False
    drop_above: int | None = None
    entries: list[Entry] = field(default_factory=list)
    labels: list[Observation] = field(default_factory=list)
    touched: dict[int, str] = field(default_factory=dict)
    known: dict[str, Any] | None = None

    def add(self, entry: Entry) -> None:
        """Let a judged event of the learner in the course belong to the track."""
        self.entries.append(entry)
        self.labels += entry.labels
        self.touched |= entry.touched

    def needs_replay(self) -> bool:
        """Whether a label lies before the state, or there is more to read than the group brings."""
        if self.is_unread or (self.is_stale and self.labels):
            return True
        at = self.trace.state.at
        for seen in self.labels:
            if seen.at < at:
                return True
            at = seen.at
        return False

    @property
    def told_at(self) -> float:
        """The day for which the answers tell what is known."""
        return max(self.trace.state.at, *(day_of(entry.event.timestamp) for entry in self.entries))

    def observe(self) -> None:
        """Take in the labels."""
        if self.parameters is not None:
            for seen in self.labels:
                self.trace.observe(seen, self.parameters)

    def turn(self) -> Turn | None:
        """The labels as a turn beside others; None where a snapshot may be due on the way."""
        trace = self.trace
        if trace.state.answers + len(self.labels) > trace.snapshot_answers + SNAPSHOT_EVERY:
            return None
        turn = Turn(trace.state, self.labels, tuple(self.touched), self.told_at)
        return turn if fits_together(turn) else None

    def take(self, said: Said) -> None:
        """What a turn came to."""
        self.trace.state = said.state
        self.known = {
            name: as_told(name, *found)
            for name, found in zip(self.touched.values(), said.touched, strict=True)
        }

    def finish(self, writes: Writes) -> None:
        """Add the rows of the state and the snapshots, and the answers: all by the state after the group."""
        state, known = self.trace.state, self.known
        if known is None:
            known = {}
            if self.parameters is not None:
                known = what_was_touched(state, self.touched, self.told_at, self.parameters)
        for entry in self.entries:
            entry.first_answer = entry.answer(state, known)
            writes.keys.append(
                (entry.event.event_id, entry.learner_id, entry.seq, entry.digest, entry.first_answer)
            )
        last_seq = self.entries[-1].seq
        if self.has_moved:
            version = self.stored.version if self.stored else None
            writes.states.append((self.state_row(last_seq), version))
        if self.drop_above is not None:
            writes.dropped.append((self.who.learner_id, self.who.course_id, self.drop_above))
        writes.snapshots += self.snapshot_rows(last_seq)

    @property
    def has_moved(self) -> bool:
        """Whether the group changes the state."""
        return self.is_unread or bool(self.labels)

    def version_after(self) -> Version | None:
        """The version of the stored state after the group; None where there is none or it is stale."""
        if self.is_stale:
            return None
        if self.has_moved:
            return self.trace.state.fit_id, self.entries[-1].seq, False
        return self.stored.version if self.stored else None

    def results(self) -> list[tuple[Entry, Result]]:
        """What is told to the senders."""
        return [(entry, Result("accepted", entry.first_answer)) for entry in self.entries]

    def state_row(self, last_seq: int) -> tuple[Any, ...]:
        """The row of `knowledge_state`, in the order of STATE_COLUMNS."""
        state, who = self.trace.state, self.who
        if self.parameters is None and self.stored is not None:
            kept = self.stored
            return (who.learner_id, who.course_id, kept.fit_id, kept.answers, last_seq, True, kept.state)
        data = state.to_bytes()
        return (who.learner_id, who.course_id, state.fit_id, state.answers, last_seq, self.is_stale, data)

    def snapshot_rows(self, last_seq: int) -> list[tuple[Any, ...]]:
        """Rows of snapshots, in the order of SNAPSHOT_COLUMNS."""
        who = self.who
        return [
            (who.learner_id, who.course_id, state.answers, state.fit_id, last_seq, state.to_bytes())
            for state in self.trace.taken
        ]


def move_on(tracks: Iterable[Track]) -> None:
    """Take in the labels of tracks that need no replay, side by side where that is quicker."""
    by_fit: dict[int, list[tuple[Track, Turn]]] = {}
    for track in tracks:
        turn = track.turn() if track.parameters is not None else None
        if turn is None:
            track.observe()
        else:
            by_fit.setdefault(id(track.parameters), []).append((track, turn))
    for beside in by_fit.values():
        parameters = beside[0][0].parameters
        if len(beside) < TOGETHER or parameters is None:
            for track, _ in beside:
                track.observe()
            continue
        said = observe_together([turn for _, turn in beside], parameters)
        for (track, _), found in zip(beside, said, strict=True):
            track.take(found)

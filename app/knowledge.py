"""Knowledge states and the rows they come from: history -> observations -> state -> what it says.

A state is a cache of a learner's labelled answers in one course, in the order of `tracing.ednet.answers`.
Snapshots are states on the way, taken where time moves on and SNAPSHOT_EVERY answers lie behind: so that
no answer of the moment of a snapshot lies after it, and its day alone says where to go on.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl
from sqlalchemy import Connection, Select, or_, select

from app.catalogue import TABLES, ItemFacts, bundle, item, load_items, with_bundle
from app.tables import NATIVE_STREAM
from tracing import KnowledgeState, Observation, Parameters, advance, mastery, observe, start_state
from tracing.ednet import ACTIONS, KT1, MS_PER_DAY, answers
from tracing.errors import ArtifactError
from tracing.glance import glance

SNAPSHOT_EVERY = 500
REPLAY_LIMIT = 500
"""Answers that a request replays at most; more are left to the background."""
ROWS_LIMIT = 20 * REPLAY_LIMIT
ENOUGH_EVIDENCE = 3
"""Answers that practised a component, below which its mastery says little beyond the population's."""
LABELLING = (ACTIONS["answer"], ACTIONS["respond"], ACTIONS["submit"])
VISITING = (ACTIONS["respond"], ACTIONS["submit"])

interaction, states, snapshots = (
    TABLES[name] for name in ("interaction", "knowledge_state", "knowledgesnapshot")
)

HISTORY = ("learner_id", "stream", "seq", "timestamp", "action_type", "item_id", "user_answer", "correct",
           "elapsed_time", "attempt", "hints")  # fmt: skip
"""Columns of `interaction` that labels are made of."""
_FRAME = {
    "learner": pl.Int64, "stream": pl.Int64, "seq": pl.Int64, "timestamp": pl.Int64, "action_type": pl.Int64,
    "item": pl.Int64, "user_answer": pl.String, "correct": pl.Boolean, "elapsed_time": pl.Int64,
    "attempt": pl.Int64, "hints": pl.Int64,
}  # fmt: skip
_KEYS = {"item": pl.Int64, "answer_key": pl.String, "bundle": pl.Int64}
_LABEL = ("learner", "item", "correct", "timestamp", "elapsed_time", "attempt", "hints")


class HistoryTooLong(Exception):
    """More answers than a request may replay; the background has to do it."""


@dataclass(frozen=True, slots=True)
class Learning:
    """Whose knowledge of what: a learner in a course of a tenant."""

    tenant_id: int
    learner_id: int
    course_id: int


@dataclass(slots=True)
class Trace:
    """A state on its way through answers; `taken` are the snapshots due on it.

    snapshot_answers: answers in the newest snapshot behind the state; kept_answers: the same when the trace
    began, so that snapshots with more answers are not its own.
    """

    state: KnowledgeState
    snapshot_answers: int = 0
    taken: list[KnowledgeState] = field(default_factory=list)
    kept_answers: int = 0

    def observe(self, observation: Observation, parameters: Parameters) -> None:
        """Take in one answer. Raises TimeReversed when it lies before the state."""
        state = self.state
        if state.answers - self.snapshot_answers >= SNAPSHOT_EVERY and observation.at > state.at:
            self.taken.append(state)
            self.snapshot_answers = state.answers
        self.state = observe(state, observation, parameters)

    def observe_all(self, seen: Iterable[Observation], parameters: Parameters) -> None:
        """Take in answers, in order of time."""
        for observation in seen:
            self.observe(observation, parameters)


def day_of(timestamp: int) -> float:
    """Days since 1970-01-01 UTC of Unix milliseconds."""
    return timestamp / MS_PER_DAY


def timestamp_of(day: float) -> int | None:
    """Unix milliseconds of a day, the inverse of `day_of`; None for a state that has seen nothing."""
    return round(day * MS_PER_DAY) if math.isfinite(day) else None


def observations(
    rows: Iterable[Sequence[Any]], items: Mapping[int, ItemFacts]
) -> dict[int, list[Observation]]:
    """The labelled answers among rows (columns HISTORY) of one course, by learner, in order."""
    frame = pl.DataFrame([tuple(row) for row in rows], schema=_FRAME, orient="row")
    facts = [(found.id, found.answer_key, found.visit) for found in items.values()]
    labelled: dict[int, list[Observation]] = {}
    found = answers(frame, pl.DataFrame(facts, schema=_KEYS, orient="row"))
    for learner, item_id, correct, timestamp, *rest in found.select(_LABEL).iter_rows():
        components = items[item_id].components if item_id in items else ()
        labelled.setdefault(learner, []).append(
            Observation(item_id, components, correct, day_of(timestamp), *rest)
        )
    return labelled


def used_streams(connection: Connection, who: Learning) -> tuple[int, ...]:
    """The streams whose rows label a learner's answers: native, and KT1 or else the highest level."""
    imported = interaction.c.stream != NATIVE_STREAM
    found = connection.scalars(select(interaction.c.stream).where(*_of(who), imported).distinct()).all()
    if not found:
        return (NATIVE_STREAM,)
    return (KT1 if KT1 in found else max(found), NATIVE_STREAM)


def history(
    connection: Connection,
    who: Learning,
    since: int | None = None,
    new_rows: Sequence[Sequence[Any]] = (),
    rows_limit: int | None = None,
    until: int | None = None,
) -> list[Observation]:
    """The labelled answers of a learner later than `since` and up to `until` (Unix ms; None: all), in order.

    new_rows: native rows (columns HISTORY) of the learner and course that are not in the database yet.
    Raises HistoryTooLong when there are more than `rows_limit` rows to read.
    """
    streams = used_streams(connection, who)
    query = labelling_rows(who).where(interaction.c.stream.in_(streams))
    if since is not None:
        query = query.where(interaction.c.timestamp > since)
    if until is not None:
        query = query.where(interaction.c.timestamp <= until)
    found = connection.execute(query.limit(rows_limit + 1 if rows_limit else None)).all()
    if rows_limit and len(found) > rows_limit:
        raise HistoryTooLong(f"more than {rows_limit} rows since {since}")
    rows = {(row[1], row[2]): tuple(row) for row in (*found, *new_rows)}
    visits = {row[5] for row in rows.values() if row[4] == ACTIONS["submit"]}
    if visits and not (since is None and until is None):
        # What a submit labels may lie before `since`, and so may the submit that ended the visit before.
        bundles = {found.visit for found in load_items(connection, who.tenant_id, ids=visits)}
        under = connection.execute(visit_rows(who, bundles).where(interaction.c.stream.in_(streams)))
        rows = {(row[1], row[2]): tuple(row) for row in under} | rows
    items = load_items(connection, who.tenant_id, ids={row[5] for row in rows.values()})
    labelled = observations(rows.values(), {found.id: found for found in items}).get(who.learner_id, [])
    first = -math.inf if since is None else day_of(since)
    last = math.inf if until is None else day_of(until)
    return [seen for seen in labelled if first < seen.at <= last]


def _of(who: Learning) -> tuple[Any, ...]:
    return (
        interaction.c.tenant_id == who.tenant_id,
        interaction.c.learner_id == who.learner_id,
        interaction.c.course_id == who.course_id,
    )


def labelling_rows(who: Learning) -> Select[Any]:
    """Rows (columns HISTORY) of a learner that answers come from."""
    action = interaction.c.action_type
    labels = or_(action.is_(None), action.in_(LABELLING))
    return select(*(interaction.c[name] for name in HISTORY)).where(*_of(who), labels)


def visit_rows(who: Learning, bundles: Iterable[int]) -> Select[Any]:
    """`respond` and `submit` rows (columns HISTORY) of a learner under these bundles' keys, in order."""
    keys = list(bundles)
    joined = with_bundle(interaction.join(item, item.c.id == interaction.c.item_id))
    under = or_(interaction.c.item_id.in_(keys), bundle.c.id.in_(keys))
    return (
        select(*(interaction.c[name] for name in HISTORY))
        .select_from(joined)
        .where(*_of(who), interaction.c.action_type.in_(VISITING), under)
        .order_by(interaction.c.stream, interaction.c.seq)
    )


def newest_snapshot(
    connection: Connection, who: Learning, parameters: Parameters, before: int | None
) -> Trace:
    """Where to replay from: the newest snapshot of this fit that lies before a moment (Unix ms; None: now).

    Without any, the learner's start.
    """
    query = (
        select(snapshots.c.answers, snapshots.c.state)
        .where(
            snapshots.c.tenant_id == who.tenant_id,
            snapshots.c.learner_id == who.learner_id,
            snapshots.c.course_id == who.course_id,
            snapshots.c.fit_id == parameters.fit_id,
        )
        .order_by(snapshots.c.answers.desc())
    )
    limit = math.inf if before is None else day_of(before)
    for answered, data in connection.execute(query):
        try:
            state = KnowledgeState.from_bytes(data)
        except ArtifactError:
            continue  # of an older format: go further back
        if state.at < limit:
            return Trace(state, answered, kept_answers=answered)
    return Trace(start_state(parameters, who.learner_id))


def way_to(
    connection: Connection,
    who: Learning,
    parameters: Parameters,
    *,
    before: int | None = None,
    until: int | None = None,
    new_rows: Sequence[Sequence[Any]] = (),
) -> tuple[Trace, list[Observation] | None]:
    """Where to start from and what to observe then: the state at `until` (Unix ms; None: now).

    The start lies before `before`. The observations are None when they are more than a request may take.
    """
    trace = newest_snapshot(connection, who, parameters, before)
    try:
        seen = history(connection, who, timestamp_of(trace.state.at), new_rows, ROWS_LIMIT, until)
    except HistoryTooLong:
        return trace, None
    return trace, seen if len(seen) <= REPLAY_LIMIT else None


def replay(
    connection: Connection, tenant_id: int, learner_id: int, course_id: int, parameters: Parameters
) -> KnowledgeState:
    """The state by definition: every labelled answer of the learner in the course, from the start."""
    trace = Trace(start_state(parameters, learner_id))
    for seen in history(connection, Learning(tenant_id, learner_id, course_id)):
        trace.observe(seen, parameters)
    return trace.state


def what_is_known(
    state: KnowledgeState, components: Mapping[int, str], at: float, parameters: Parameters
) -> list[dict[str, Any]]:
    """Mastery of components (key -> name) at a day, as it stands on the wire; not before the state's day."""
    if not components:
        return []
    found = mastery([state], tuple(components), max(at, state.at), parameters)
    columns = (found.mean, found.low, found.high, found.evidence, found.half_life)
    return [
        {
            "kc": name,
            "mastery": round(mean, 6),
            "low": round(low, 6),
            "high": round(high, 6),
            "evidence": evidence,
            "half_life_days": None if math.isnan(half_life) else round(half_life, 4),
            "enough_evidence": evidence >= ENOUGH_EVIDENCE,
        }
        for name, mean, low, high, evidence, half_life in zip(
            components.values(), *(column[0].tolist() for column in columns), strict=True
        )
    ]


def what_was_touched(
    state: KnowledgeState, components: Mapping[int, str], at: float, parameters: Parameters
) -> dict[str, dict[str, Any]]:
    """Mastery of components as the answer to an interaction tells it, by name."""
    state = advance(state, at, parameters) if at > state.at else state
    return {
        name: as_told(name, *glance(state, key, state.at, parameters)) for key, name in components.items()
    }


def as_told(name: str, mean: float, low: float, high: float, evidence: int) -> dict[str, Any]:
    """Mastery of a component as it stands in the answer to an interaction."""
    return {
        "kc": name,
        "mastery": round(mean, 6),
        "low": round(low, 6),
        "high": round(high, 6),
        "evidence": evidence,
    }

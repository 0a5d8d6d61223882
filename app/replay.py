"""Knowledge computed anew from the interactions: after a promotion, an import, or a late event far back.

Learners are read a batch at a time without a lock, gone through, and written under a lock; whoever got
events meanwhile is gone through again from the last snapshot. `proxima replay` is this for a course.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from sqlalchemy import Connection, Engine, delete, exists, func, insert, select

from app.catalogue import TABLES, ItemFacts, load_items
from app.database import open_engine
from app.ednet_files.rows import batches, reading
from app.knowledge import (
    HISTORY,
    LABELLING,
    ROWS_LIMIT,
    HistoryTooLong,
    Learning,
    Trace,
    day_of,
    history,
    interaction,
    newest_snapshot,
    observations,
    snapshots,
    states,
    timestamp_of,
)
from app.registry import RegistryError, load_fit, promoted_fit_id
from app.settings import Settings
from app.tables import NATIVE_STREAM
from tracing import Parameters, start_state
from tracing.ednet import KT1

BATCH = 64
learner, course, tenant = (TABLES[name] for name in ("learner", "course", "tenant"))


@dataclass(slots=True)
class ReplayReport:
    """What a replay did. `busy`: learners whose events came faster than they could be gone through."""

    fit_id: int
    learners: int = 0
    answers: int = 0
    busy: int = 0


def replay_course(
    engine: Engine,
    artifact_dir: Path,
    course_id: int,
    *,
    everyone: bool = False,
    on_batch: Callable[[ReplayReport, int], None] | None = None,
) -> ReplayReport:
    """Bring the knowledge of a course to its promoted fit, learners active last first.

    Those whose state is stale, missing or of another fit; with `everyone` also the others. on_batch gets
    the report so far and how many learners there are in all. Raises RegistryError, ArtifactError.
    """
    with reading(engine) as connection:
        tenant_id = connection.scalar(select(course.c.tenant_id).where(course.c.id == course_id))
        if tenant_id is None:
            raise RegistryError(f"there is no course with id {course_id}")
        parameters = load_fit(connection, artifact_dir, promoted_fit_id(connection, course_id))
        wanted = _wanting(connection, int(tenant_id), course_id, parameters.fit_id, everyone)
        items = {facts.id: facts for facts in load_items(connection, int(tenant_id), course_id=course_id)}
    report = ReplayReport(parameters.fit_id)
    for batch in batches(wanted, BATCH):
        refilter(engine, tenant_id, course_id, batch, parameters, items, report)
        if on_batch is not None:
            on_batch(report, len(wanted))
    return report


def _wanting(
    connection: Connection, tenant_id: int, course_id: int, fit_id: int, everyone: bool
) -> list[int]:
    """Learners to go through: those with a state, active last first, then those without."""
    ours = (states.c.tenant_id == tenant_id, states.c.course_id == course_id)
    query = select(states.c.learner_id).where(*ours).order_by(states.c.updated_at.desc())
    if not everyone:
        query = query.where(states.c.is_stale | (states.c.fit_id != fit_id))
    with_state = select(states.c.learner_id).where(*ours)
    has_history = exists().where(
        interaction.c.tenant_id == tenant_id,
        interaction.c.learner_id == learner.c.id,
        interaction.c.course_id == course_id,
    )
    without = select(learner.c.id).where(
        learner.c.tenant_id == tenant_id, learner.c.id.not_in(with_state), has_history
    )
    return [*connection.scalars(query), *connection.scalars(without.order_by(learner.c.id))]


def refilter(
    engine: Engine,
    tenant_id: int,
    course_id: int,
    learners: Sequence[int],
    parameters: Parameters,
    items: dict[int, ItemFacts],
    report: ReplayReport,
) -> None:
    """Go through these learners from their start, in one read and one write."""
    action = interaction.c.action_type
    rows = select(*(interaction.c[name] for name in HISTORY)).where(
        interaction.c.tenant_id == tenant_id,
        interaction.c.course_id == course_id,
        interaction.c.learner_id.in_(learners),
        (interaction.c.stream == KT1) | action.in_(LABELLING),
    )
    counters = select(learner.c.id, learner.c.last_seq).where(learner.c.id.in_(learners))
    with reading(engine) as connection:
        # First the counters: an event that comes between is then taken for one to come.
        read = dict(connection.execute(counters).all())
        found = connection.execute(rows).all()
        missing = {row[5] for row in found} - items.keys()
        items.update((facts.id, facts) for facts in load_items(connection, tenant_id, ids=missing))
    labelled = observations(found, items)
    traces = {}
    for key in read:
        traces[key] = Trace(start_state(parameters, key))
        traces[key].observe_all(labelled.get(key, ()), parameters)
    overtaken = []
    with engine.begin() as connection:
        locked = counters.order_by(learner.c.id).with_for_update(key_share=True)
        for key, last_seq in connection.execute(locked).all():
            who = Learning(tenant_id, key, course_id)
            if last_seq == read[key]:
                _store(connection, who, traces[key], last_seq, report)
            else:
                overtaken.append(who)
    for who in overtaken:
        _again(engine, who, parameters, report)


def _again(engine: Engine, who: Learning, parameters: Parameters, report: ReplayReport) -> None:
    """Go through one learner: what is there without a lock, and what came meanwhile under the lock."""
    counter = select(learner.c.last_seq).where(learner.c.id == who.learner_id)
    with reading(engine) as connection:
        read = connection.scalar(counter)
        trace = newest_snapshot(connection, who, parameters, None)
        seen = history(connection, who, timestamp_of(trace.state.at))
    if read is None:
        return
    trace.observe_all(seen, parameters)
    with engine.begin() as connection:
        last_seq = connection.scalar(counter.with_for_update(key_share=True))
        if last_seq is not None and last_seq != read:
            caught_up = _catch_up(connection, who, read, trace, parameters)
            if caught_up is None:
                report.busy += 1
                return
            trace = caught_up
        if last_seq is not None:
            _store(connection, who, trace, last_seq, report)


def _catch_up(
    connection: Connection, who: Learning, read: int, trace: Trace, parameters: Parameters
) -> Trace | None:
    """The trace with the native events after `read`; None when that is too much under a lock."""
    earliest = connection.scalar(
        select(func.min(interaction.c.timestamp)).where(
            interaction.c.tenant_id == who.tenant_id,
            interaction.c.learner_id == who.learner_id,
            interaction.c.stream == NATIVE_STREAM,
            interaction.c.seq > read,
        )
    )
    base = newest_snapshot(connection, who, parameters, earliest)
    for state in trace.taken:
        if earliest is None or state.at < day_of(earliest):
            base = Trace(state, state.answers, [*base.taken, state], base.kept_answers)
    try:
        seen = history(connection, who, timestamp_of(base.state.at), rows_limit=ROWS_LIMIT)
    except HistoryTooLong:
        return None
    base.observe_all(seen, parameters)
    return base


def _store(connection: Connection, who: Learning, trace: Trace, last_seq: int, report: ReplayReport) -> None:
    """Replace state and snapshots of a learner that is locked."""
    state = trace.state
    whose = {"tenant_id": who.tenant_id, "learner_id": who.learner_id, "course_id": who.course_id}
    same = {**whose, "fit_id": state.fit_id, "last_seq": last_seq}
    of_learner, with_snapshots = (
        [table.c[name] == value for name, value in whose.items()] for table in (states, snapshots)
    )
    untrue = (snapshots.c.answers > trace.kept_answers) | (snapshots.c.fit_id != state.fit_id)
    connection.execute(delete(snapshots).where(*with_snapshots, untrue))
    if trace.taken:
        rows = [{**same, "answers": taken.answers, "state": taken.to_bytes()} for taken in trace.taken]
        connection.execute(insert(snapshots), rows)
    connection.execute(delete(states).where(*of_learner))
    row = {"answers": state.answers, "is_stale": False, "state": state.to_bytes()}
    row["updated_at"] = int(time.time() * 1000)
    connection.execute(insert(states).values(**same, **row))
    report.learners += 1
    report.answers += state.answers


class Refilterer:
    """Replays single learners for a server, in a thread; remembers the fit it used last."""

    def __init__(self, engine: Engine, artifact_dir: Path) -> None:
        self._engine = engine
        self._artifact_dir = artifact_dir
        self._parameters: Parameters | None = None

    def __call__(self, who: Learning) -> None:
        """Bring one learner to the promoted fit, from the newest snapshot that is still true."""
        with reading(self._engine) as connection:
            fit_id = promoted_fit_id(connection, who.course_id)
            if self._parameters is None or self._parameters.fit_id != fit_id:
                self._parameters = load_fit(connection, self._artifact_dir, fit_id)
        _again(self._engine, who, self._parameters, ReplayReport(fit_id))


def find_course(connection: Connection, tenant_name: str, course_name: str) -> int:
    """The id of a course by name. Raises RegistryError that names the courses there are."""
    query = (
        select(course.c.name, course.c.id)
        .join(tenant, tenant.c.id == course.c.tenant_id)
        .where(tenant.c.name == tenant_name)
    )
    courses = dict(connection.execute(query).all())
    if course_name not in courses:
        known = ", ".join(sorted(courses)) or "none"
        raise RegistryError(f"tenant {tenant_name} has no course {course_name!r}; its courses: {known}")
    return int(courses[course_name])


def replay_command(
    course: Annotated[str, typer.Option(help="Course whose learners' knowledge is computed anew.")],
    tenant: Annotated[str, typer.Option(help="School or district of the course.")] = "default",
    everyone: Annotated[
        bool, typer.Option("--all", help="Also learners whose knowledge is of the promoted fit already.")
    ] = False,
) -> None:
    """Compute knowledge anew from the interactions, by the promoted fit; the server may go on running.

    Goes through learners whose knowledge is stale, missing or of another fit, active last first.
    """
    settings = Settings()
    engine = open_engine(settings)
    console = Console(stderr=True)
    try:
        with reading(engine) as connection:
            course_id = find_course(connection, tenant, course)
        with console.status("replaying") as status:

            def show(report: ReplayReport, total: int) -> None:
                status.update(f"replaying: {report.learners:,} of {total:,} learners")

            report = replay_course(engine, settings.artifact_dir, course_id, everyone=everyone, on_batch=show)
    finally:
        engine.dispose()
    fit = f"fit {report.fit_id}" if report.fit_id else "population priors (no fit promoted)"
    typer.echo(f"{report.learners:,} learners, {report.answers:,} answers, by {fit}")
    if report.busy:
        typer.echo(f"{report.busy:,} learners were too busy; run it again", err=True)
        raise typer.Exit(1)

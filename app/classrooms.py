"""What a class knows, as values: two queries and one vectorised call, however large the class."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import and_, func, select
from sqlmodel import col

from app.errors import ApiError
from app.knowledge import ENOUGH_EVIDENCE
from app.resources import Resources
from app.tables import Classroom, Component, Course, Enrolment, KnowledgeStateRow, Learner, now
from tracing import KnowledgeState, Parameters, mastery, start_state
from tracing.ednet import MS_PER_DAY


@dataclass(frozen=True)
class ClassSummary:
    """A class in a list."""

    id: int
    name: str
    course: str
    learners: int


@dataclass(frozen=True)
class ClassLearner:
    """A row of the class. `last_ms`: the moment of the last answer, None without one."""

    id: int
    external_id: str
    answers: int
    last_ms: int | None
    is_stale: bool


@dataclass(frozen=True)
class ClassComponent:
    """A column of the class."""

    id: int
    external_id: str
    label: str


@dataclass(frozen=True)
class ClassMastery:
    """What a class knows at one moment. mean, low, high (90 %) and evidence (answers): [L, K].

    `fit`: the promoted fit of the course, 0 when population priors serve it; `model` is its kind.
    """

    id: int
    name: str
    course: str
    learners: tuple[ClassLearner, ...]
    components: tuple[ClassComponent, ...]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    evidence: NDArray[np.int64]
    as_of: datetime
    fit: int
    model: str

    def component_means(self) -> NDArray[np.float64]:
        """Mean mastery of each component over the learners with enough evidence, nan without any; [K]."""
        enough = self.evidence >= ENOUGH_EVIDENCE
        count = enough.sum(0)
        total = np.where(enough, self.mean, 0.0).sum(0)
        means: NDArray[np.float64] = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
        return means


async def list_classes(resources: Resources, tenant_id: int) -> list[ClassSummary]:
    """The classes of a tenant by name."""
    learners = func.count(col(Enrolment.learner_id))
    query = (
        select(col(Classroom.id), col(Classroom.name), col(Course.name), learners)
        .join(Course, col(Course.id) == col(Classroom.course_id))
        .outerjoin(Enrolment, col(Enrolment.classroom_id) == col(Classroom.id))
        .where(col(Classroom.tenant_id) == tenant_id)
        .group_by(col(Classroom.id), col(Classroom.name), col(Course.name))
        .order_by(col(Classroom.name))
    )
    async with resources.engine.connect() as connection:
        rows = (await connection.execute(query)).all()
    return [ClassSummary(*row) for row in rows]  # type: ignore[arg-type]


async def class_mastery(
    resources: Resources, tenant_id: int, classroom_id: int, at_ms: int | None = None
) -> ClassMastery:
    """What a class knows at `at_ms` (ms since 1970, default now).

    Raises ApiError 404 for a class of another tenant, TimeReversed when `at_ms` lies before an answer.
    """
    (name, course_id, course), rows, components = await read_class(resources, tenant_id, classroom_id)
    promoted = await resources.registry.promoted(course_id)
    states = [
        KnowledgeState.from_bytes(row.state) if row.state is not None else start_state(promoted, row.id)
        for row in rows
    ]
    latest = max((state.at for state in states), default=-np.inf)
    # A tablet's clock may run ahead of ours: "now" is never before the last answer.
    at = max(now().timestamp() * 1000 / MS_PER_DAY, latest) if at_ms is None else at_ms / MS_PER_DAY
    fits = {promoted.fit_id: promoted}
    for fit_id in {state.fit_id for state in states} - set(fits):
        fits[fit_id] = await resources.registry.by_id(fit_id)
    mean, low, high, evidence = mastery_by_fit(states, [column.id for column in components], at, fits)
    learners = (
        ClassLearner(row.id, row.external_id, state.answers, moment(state.at), bool(row.is_stale))
        for row, state in zip(rows, states, strict=True)
    )
    return ClassMastery(
        classroom_id, name, course, tuple(learners), components,
        mean, low, high, evidence,
        datetime.fromtimestamp(at * MS_PER_DAY / 1000, UTC), promoted.fit_id, promoted.model,
    )  # fmt: skip


async def read_class(
    resources: Resources, tenant_id: int, classroom_id: int
) -> tuple[tuple[str, int, str], Sequence[Any], tuple[ClassComponent, ...]]:
    """((name, course id, course), learners with their states, components); raises ApiError 404."""
    classes = (
        select(col(Classroom.name), col(Classroom.course_id), col(Course.name))
        .join(Course, col(Course.id) == col(Classroom.course_id))
        .where(col(Classroom.tenant_id) == tenant_id, col(Classroom.id) == classroom_id)
    )
    state_of = and_(
        col(KnowledgeStateRow.tenant_id) == col(Enrolment.tenant_id),
        col(KnowledgeStateRow.learner_id) == col(Enrolment.learner_id),
        col(KnowledgeStateRow.course_id) == col(Classroom.course_id),
    )
    learners = (
        select(
            col(Learner.id),
            col(Learner.external_id),
            col(KnowledgeStateRow.state),
            col(KnowledgeStateRow.is_stale),
        )
        .select_from(Enrolment)
        .join(Classroom, col(Classroom.id) == col(Enrolment.classroom_id))
        .join(Learner, col(Learner.id) == col(Enrolment.learner_id))
        .outerjoin(KnowledgeStateRow, state_of)
        .where(col(Enrolment.tenant_id) == tenant_id, col(Enrolment.classroom_id) == classroom_id)
    )
    async with resources.engine.connect() as connection:
        classroom = (await connection.execute(classes)).one_or_none()
        if classroom is None:
            raise ApiError(404, "not_found", f"There is no class {classroom_id}.")
        rows = sorted((await connection.execute(learners)).all(), key=lambda row: in_order(row.external_id))
        columns = select(col(Component.id), col(Component.external_id), col(Component.label)).where(
            col(Component.tenant_id) == tenant_id, col(Component.course_id) == classroom[1]
        )
        found = (await connection.execute(columns.order_by(col(Component.id)))).all()
    name, course_id, course = classroom
    return (name, course_id, course), rows, tuple(ClassComponent(*row) for row in found)  # type: ignore[arg-type]


def mastery_by_fit(
    states: Sequence[KnowledgeState], components: Sequence[int], at: float, fits: dict[int, Parameters]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """(mean, low, high, evidence), each [L, K]: one call for each fit, as a state is served with its own."""
    shape = (len(states), len(components))
    mean, low, high = np.empty(shape), np.empty(shape), np.empty(shape)
    evidence = np.zeros(shape, np.int64)
    for fit_id, parameters in fits.items():
        chosen = [n for n, state in enumerate(states) if state.fit_id == fit_id]
        found = mastery([states[n] for n in chosen], components, at, parameters)
        mean[chosen], low[chosen], high[chosen] = found.mean, found.low, found.high
        evidence[chosen] = found.evidence
    return mean, low, high, evidence


def in_order(name: str) -> list[tuple[int, str]]:
    """A key that sorts u2 before u10."""
    return [(int(part or 0), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def moment(at: float) -> int | None:
    """Days since 1970 as ms, None where there was no event."""
    return None if at == -np.inf else round(at * MS_PER_DAY)

"""The pages of classes: what each learner knows, in a table."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Path, Query
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from app.auth import require
from app.classrooms import ClassMastery, class_mastery, list_classes
from app.knowledge import ENOUGH_EVIDENCE
from app.pages.rendering import page
from app.pages.session import StaffDep
from app.resources import resources_of

router = APIRouter()
COLUMNS = 24
"""Columns shown at first: those with the most evidence. A link shows all."""
ACTIVE = timedelta(days=7)
READERS = ("teacher", "admin")


@dataclass(frozen=True)
class Cell:
    """A learner's mastery of one component as shown. `level`: 1 to 5, 0 = not enough evidence."""

    level: int
    percent: int
    low: int
    high: int
    evidence: int


@dataclass(frozen=True)
class Column:
    """A component as shown; `percent` is the class's mean, None without enough evidence."""

    name: str
    percent: int | None
    level: int


@dataclass(frozen=True)
class Row:
    """A learner as shown."""

    name: str
    answers: int
    last: datetime | None
    is_stale: bool
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Overview:
    """The class in a few numbers; `weakest` are the components with the lowest mean, lowest first."""

    learners: int
    active: int
    answers: int
    percent: int | None
    weakest: tuple[Column, ...]


@router.get("/classes")
async def classes_page(request: Request, staff: StaffDep) -> Response:
    """All classes of the school."""
    require(staff.caller, *READERS)
    found = await list_classes(resources_of(request), staff.caller.tenant_id)
    return page("classes.html", session=staff.session, classes=found)


@router.get("/classes/{class_id}")
async def class_page(
    request: Request,
    staff: StaffDep,
    class_id: Annotated[int, Path(ge=1, le=2**31 - 1)],
    every: Annotated[bool, Query(alias="all")] = False,
) -> Response:
    """A class: its overview, then learners by components."""
    require(staff.caller, *READERS)
    found = await class_mastery(resources_of(request), staff.caller.tenant_id, class_id)
    columns = all_columns(found)
    shown = np.arange(len(columns)) if every else most_evidence(found)
    return page(
        "class.html",
        session=staff.session,
        found=found,
        overview=overview(found, columns),
        columns=[columns[k] for k in shown],
        hidden=len(columns) - len(shown),
        rows=rows(found, shown),
        enough=ENOUGH_EVIDENCE,
    )


def level_of(share: float) -> int:
    """Which fifth a share of 0 to 1 falls into: 1 (lowest) to 5."""
    return min(int(share * 5), 4) + 1


def all_columns(found: ClassMastery) -> list[Column]:
    """Every component of the course with the class's mean."""
    means = found.component_means()
    return [
        Column(component.label or component.external_id, None, 0)
        if np.isnan(mean)
        else Column(component.label or component.external_id, round(mean * 100), level_of(mean))
        for component, mean in zip(found.components, means, strict=True)
    ]


def most_evidence(found: ClassMastery) -> NDArray[np.int64]:
    """Indices of the components the class has answered most, at most `COLUMNS`, in the course's order."""
    total = found.evidence.sum(0)
    answered = np.flatnonzero(total)
    ranked = answered[np.argsort(-total[answered], kind="stable")][:COLUMNS]
    return np.sort(ranked)


def rows(found: ClassMastery, shown: NDArray[np.int64]) -> list[Row]:
    """Every learner with a cell for each shown component."""
    level = np.minimum((found.mean * 5).astype(np.int64), 4) + 1
    level[found.evidence < ENOUGH_EVIDENCE] = 0
    percents = [np.rint(values * 100).astype(np.int64) for values in (found.mean, found.low, found.high)]
    stacked = np.stack([level, *percents, found.evidence])[:, :, shown]  # [5, L, shown]
    return [
        Row(
            learner.external_id,
            learner.answers,
            datetime.fromtimestamp(learner.last_ms / 1000, UTC) if learner.last_ms is not None else None,
            learner.is_stale,
            tuple(Cell(*values) for values in stacked[:, n].T.tolist()),
        )
        for n, learner in enumerate(found.learners)
    ]


def overview(found: ClassMastery, columns: list[Column]) -> Overview:
    """The class in a few numbers."""
    since_ms = (found.as_of - ACTIVE).timestamp() * 1000
    enough = found.evidence >= ENOUGH_EVIDENCE
    known = [column for column in columns if column.percent is not None]
    return Overview(
        learners=len(found.learners),
        active=sum(row.last_ms is not None and row.last_ms >= since_ms for row in found.learners),
        answers=sum(row.answers for row in found.learners),
        percent=round(float(found.mean[enough].mean()) * 100) if enough.any() else None,
        weakest=tuple(sorted(known, key=lambda column: column.percent or 0)[:3]),
    )

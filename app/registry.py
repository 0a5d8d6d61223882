"""Fitted models: saved once, never changed; one row per course points at the one that serves.

Promotion and roll-back flip that row and leave an audit entry. Without a row a course is served by IRT with
population priors (fit 0). Servers re-read the row at most every POINTER_S seconds.
"""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.catalogue import TABLES
from app.tables import now
from tracing import Parameters, load_parameters, population_parameters, save_parameters
from tracing.errors import ArtifactError

POINTER_S = 2.0
LOADED_LIMIT = 32
NO_FIT = 0
"""The number of the population's parameters: what serves a course without a fit."""

fit, pointer, course, audit = (TABLES[name] for name in ("fit", "fitpointer", "course", "auditentry"))


log = structlog.get_logger("proxima.registry")


class RegistryError(ValueError):
    """A fit that cannot be saved, promoted or rolled back as asked; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class FitSummary:
    """A fit as it is listed."""

    id: int
    course_id: int
    course: str
    state: str
    reason: str
    parent_id: int | None
    artifact_sha256: str
    card: dict[str, Any]
    started_at: datetime
    finished_at: datetime | None
    is_serving: bool


def begin_fit(
    connection: Connection, tenant_id: int, course_id: int, *, seed: int = 0, parent_id: int | None = None
) -> int:
    """The number of a fit that begins now (state `running`)."""
    row = {"tenant_id": tenant_id, "course_id": course_id, "state": "running", "reason": "", "seed": seed}
    row |= {"parent_id": parent_id, "artifact": "", "artifact_sha256": "", "card": {}, "started_at": now()}
    return int(connection.execute(insert(fit).returning(fit.c.id), row).scalar_one())


def save_fit(
    connection: Connection,
    artifact_dir: Path,
    fit_id: int,
    parameters: Parameters,
    card: dict[str, Any],
    reason: str = "",
) -> Parameters:
    """Keep what a running fit found: first its folder on disk, whole or not at all, then its row.

    Gives the parameters under the fit's number; the fit is `kept` until it is promoted.
    """
    found = connection.execute(select(fit.c.state).where(fit.c.id == fit_id)).scalar()
    if found != "running":
        raise RegistryError(f"fit {fit_id} is {found or 'unknown'}, only a running fit can be saved")
    partial = artifact_dir / f".fit-{fit_id}.partial-{os.getpid()}"
    digest = save_parameters(parameters.with_fit_id(fit_id), partial, card)
    folder = artifact_dir / f"fit-{fit_id}-{digest[:12]}"
    partial.rename(folder)
    _sync_folder(artifact_dir)
    values = {"state": "kept", "reason": reason, "card": card, "finished_at": now()}
    values |= {"artifact": folder.name, "artifact_sha256": digest}
    connection.execute(update(fit).where(fit.c.id == fit_id).values(values))
    return parameters.with_fit_id(fit_id)


def fail_fit(connection: Connection, fit_id: int, reason: str) -> None:
    """Note that a running fit came to nothing."""
    values = {"state": "failed", "reason": reason, "finished_at": now()}
    connection.execute(update(fit).where(fit.c.id == fit_id, fit.c.state == "running").values(values))


def promote(connection: Connection, fit_id: int, actor: str, reason: str = "") -> None:
    """Let a kept fit serve its course. Raises RegistryError for a fit that was not saved."""
    row = connection.execute(select(fit).where(fit.c.id == fit_id)).one_or_none()
    if row is None:
        raise RegistryError(f"there is no fit {fit_id}; `proxima fits` lists them")
    if row.state not in ("kept", "promoted"):
        raise RegistryError(
            f"fit {fit_id} is {row.state}: {row.reason or 'it was not saved'}; refit the course"
        )
    _flip(connection, row.tenant_id, row.course_id, fit_id, actor, "promote", reason)


def rollback(connection: Connection, course_id: int, actor: str, reason: str = "") -> int:
    """Let the fit that served before serve again; gives its number."""
    row = connection.execute(select(pointer).where(pointer.c.course_id == course_id)).one_or_none()
    if row is None or row.previous_fit_id is None:
        raise RegistryError(f"course {course_id} has no earlier fit to go back to; `proxima fits` lists fits")
    _flip(connection, row.tenant_id, course_id, row.previous_fit_id, actor, "rollback", reason)
    return int(row.previous_fit_id)


def _flip(
    connection: Connection, tenant_id: int, course_id: int, fit_id: int, actor: str, action: str, reason: str
) -> None:
    locked = select(pointer.c.fit_id).where(pointer.c.course_id == course_id).with_for_update()
    serving = connection.execute(locked).scalar()
    if serving == fit_id:
        raise RegistryError(f"fit {fit_id} serves course {course_id} already")
    values = {"fit_id": fit_id, "previous_fit_id": serving, "changed_at": now()}
    if serving is None:
        values |= {"course_id": course_id, "tenant_id": tenant_id}
        connection.execute(insert(pointer).values(values))
    else:
        connection.execute(update(pointer).where(pointer.c.course_id == course_id).values(values))
        connection.execute(update(fit).where(fit.c.id == serving).values(state="kept"))
    connection.execute(update(fit).where(fit.c.id == fit_id).values(state="promoted"))
    detail = {"course_id": course_id, "fit_id": fit_id, "previous_fit_id": serving, "reason": reason}
    connection.execute(
        insert(audit).values(
            tenant_id=tenant_id, at=now(), actor=actor, action=action, subject=f"fit:{fit_id}", detail=detail
        )
    )


def list_fits(
    connection: Connection, tenant_id: int, course_id: int | None = None, fit_id: int | None = None
) -> list[FitSummary]:
    """A tenant's fits, newest first; those of one course, or the one of a number, if given."""
    query = (
        select(
            fit.c.id, fit.c.course_id, course.c.name, fit.c.state, fit.c.reason, fit.c.parent_id,
            fit.c.artifact_sha256, fit.c.card, fit.c.started_at, fit.c.finished_at,
            pointer.c.fit_id.is_not(None),
        )
        .join(course, course.c.id == fit.c.course_id)
        .outerjoin(pointer, pointer.c.fit_id == fit.c.id)
        .where(fit.c.tenant_id == tenant_id)
        .order_by(fit.c.id.desc())
    )  # fmt: skip
    if course_id is not None:
        query = query.where(fit.c.course_id == course_id)
    if fit_id is not None:
        query = query.where(fit.c.id == fit_id)
    return [FitSummary(*row[:10], bool(row[10])) for row in connection.execute(query)]


def promoted_fit_id(connection: Connection, course_id: int) -> int:
    """The number of the fit that serves a course, NO_FIT where there is none."""
    return (
        connection.execute(select(pointer.c.fit_id).where(pointer.c.course_id == course_id)).scalar()
        or NO_FIT
    )


def load_fit(connection: Connection, artifact_dir: Path, fit_id: int) -> Parameters:
    """A fit from its artifact, checked against its SHA-256. Raises ArtifactError."""
    if fit_id == NO_FIT:
        return population_parameters()
    query = select(fit.c.artifact, fit.c.artifact_sha256).where(fit.c.id == fit_id)
    row = connection.execute(query).one_or_none()
    if row is None or not row.artifact:
        raise ArtifactError(f"there is no saved fit {fit_id}; refit the course or roll back")
    return load_parameters(artifact_dir / row.artifact, row.artifact_sha256, fit_id=fit_id)


class Registry:
    """Fits in the memory of a server: each loaded once, the one that serves looked up every few seconds."""

    def __init__(
        self, artifact_dir: Path, engine: AsyncEngine, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._artifact_dir = artifact_dir
        self._engine = engine
        self._clock = clock
        self._serving: dict[int, tuple[float, int]] = {}
        self._loaded: dict[int, Parameters] = {NO_FIT: population_parameters()}
        self._loading: dict[int, asyncio.Lock] = {}

    async def promoted(self, course_id: int) -> Parameters:
        """What serves a course now: its promoted fit, or the population's parameters.

        A fit that cannot be read is logged and counts as none until it can.
        """
        known = self._serving.get(course_id)
        if known is None or known[0] <= self._clock():
            async with self._engine.connect() as connection:
                serving = await connection.run_sync(promoted_fit_id, course_id)
            known = self._serving[course_id] = (self._clock() + POINTER_S, serving)
        try:
            return self._loaded.get(known[1]) or await self.by_id(known[1])
        except ArtifactError:
            log.exception("a promoted fit cannot be read", course_id=course_id, fit_id=known[1])
            self._serving[course_id] = (self._clock() + POINTER_S, NO_FIT)
            return self._loaded[NO_FIT]

    async def by_id(self, fit_id: int) -> Parameters:
        """A fit by its number, also one that no longer serves. Raises ArtifactError."""
        found = self._loaded.get(fit_id)
        if found is None:
            async with self._loading.setdefault(fit_id, asyncio.Lock()):
                found = self._loaded.get(fit_id) or await self._load(fit_id)
            self._loading.pop(fit_id, None)
        return found

    async def _load(self, fit_id: int) -> Parameters:
        query = select(fit.c.artifact, fit.c.artifact_sha256).where(fit.c.id == fit_id)
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None or not row.artifact:
            raise ArtifactError(f"there is no saved fit {fit_id}; refit the course or roll back")
        folder = self._artifact_dir / row.artifact
        found = await asyncio.to_thread(load_parameters, folder, row.artifact_sha256, fit_id)
        if len(self._loaded) > LOADED_LIMIT:
            self._loaded.pop(min(self._loaded.keys() - {NO_FIT}))
        self._loaded[fit_id] = found
        return found

    def forget(self, course_id: int | None = None) -> None:
        """Look up what serves a course (None: every course) at the next request."""
        if course_id is None:
            self._serving.clear()
        else:
            self._serving.pop(course_id, None)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

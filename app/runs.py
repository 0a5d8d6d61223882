"""Runs of the refit as rows: one at a time in a course, with progress, and told apart from dead ones.

A run is a row of `fit` in the state `running`; its card holds `progress`, which the process at work renews
every BEAT_S seconds. One that was silent for SILENT_S has ended without a word.
"""

import os
import socket
import time
from typing import Any

from sqlalchemy import Connection, select, update

from app.catalogue import TABLES
from app.registry import NO_FIT, RegistryError, begin_fit, fail_fit, promoted_fit_id

BEAT_S = 10.0
SILENT_S = 120.0
QUEUED = "queued"

fit, course = TABLES["fit"], TABLES["course"]


class RefitRunning(RegistryError):
    """The course is being refitted; `fit_id` is the run."""

    def __init__(self, fit_id: int) -> None:
        super().__init__(f"the course is being refitted by run {fit_id}; wait for it to end")
        self.fit_id = fit_id


def begin_run(connection: Connection, course_id: int, asked: dict[str, Any]) -> int:
    """The number of a run that waits to be taken up; `asked` (seed, steps, actor) is kept in its card.

    Raises RefitRunning when another is at work. Runs that have fallen silent are marked failed.
    """
    # The lock on the course keeps two callers from both finding nothing.
    of_course = select(course.c.tenant_id).where(course.c.id == course_id).with_for_update()
    tenant_id = connection.execute(of_course).scalar_one()
    at_work = select(fit.c.id, fit.c.card).where(fit.c.course_id == course_id, fit.c.state == "running")
    for row in connection.execute(at_work).all():
        if not is_silent(row.card):
            raise RefitRunning(row.id)
        fail_fit(connection, row.id, last_words(row.card))
    parent = promoted_fit_id(connection, course_id)
    fit_id = begin_fit(
        connection,
        tenant_id,
        course_id,
        seed=int(asked["seed"]),
        parent_id=parent if parent != NO_FIT else None,
    )
    note(connection, fit_id, {"asked": asked, "progress": progress(QUEUED)})
    return fit_id


def take_up(connection: Connection, fit_id: int) -> tuple[int, dict[str, Any]]:
    """(course id, what was asked) of a waiting run, which is at work from now on."""
    row = connection.execute(select(fit).where(fit.c.id == fit_id).with_for_update()).one_or_none()
    if row is None:
        raise RegistryError(f"there is no run {fit_id}; `proxima fits` lists them")
    phase = row.card.get("progress", {}).get("phase")
    if row.state != "running" or phase != QUEUED:
        raise RegistryError(f"run {fit_id} is {phase if row.state == 'running' else row.state} already")
    note(connection, fit_id, {**row.card, "progress": progress("reading")})
    return int(row.course_id), dict(row.card["asked"])


def progress(phase: str, step: int = 0, steps: int = 1, loss: float | None = None) -> dict[str, Any]:
    """A sign of life: what is being done, how far it is, by which process."""
    doing = {"phase": phase, "step": step, "steps": steps, "loss": loss}
    return {**doing, "at": int(time.time() * 1000), "host": socket.gethostname(), "process": os.getpid()}


def note(connection: Connection, fit_id: int, card: dict[str, Any]) -> None:
    """Keep the card of a run."""
    connection.execute(update(fit).where(fit.c.id == fit_id).values(card=card))


def is_silent(card: dict[str, Any]) -> bool:
    """Whether a run with this card has given no sign of life for SILENT_S, or its process here is gone."""
    last = card.get("progress", {})
    if time.time() - last.get("at", 0) / 1000 > SILENT_S:
        return True
    return (
        last.get("phase") != QUEUED
        and last.get("host") == socket.gethostname()
        and not lives(last["process"])
    )


def lives(process: int) -> bool:
    """Whether there is a process of this number on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def last_words(card: dict[str, Any]) -> str:
    """Why a silent run is taken to have failed."""
    last = card.get("progress", {})
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(last.get("at", 0) / 1000))
    return f"it ended without a word while {last.get('phase', 'starting')}; last sign of life {when} UTC"

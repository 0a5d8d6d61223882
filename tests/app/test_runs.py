"""Runs: one at a time, told apart from dead ones."""

import os
import subprocess
import sys
import time
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select

from app.catalogue import TABLES
from app.registry import RegistryError, list_fits
from app.runs import SILENT_S, RefitRunning, begin_run, is_silent, lives, note, progress, take_up
from app.tables import now
from tests.app.schools import ASKED, begin


@pytest.fixture
def course_id(sync_engine: Engine, tenant: int) -> int:
    row = {"tenant_id": tenant, "name": "demo", "title": "", "created_at": now()}
    with sync_engine.begin() as connection:
        found = connection.execute(insert(TABLES["course"]).values(row)).inserted_primary_key
    assert found is not None
    return int(found[0])


def card_of(engine: Engine, fit_id: int) -> dict[str, Any]:
    with engine.connect() as connection:
        query = select(TABLES["fit"].c.card).where(TABLES["fit"].c.id == fit_id)
        return dict(connection.execute(query).scalar_one())


def change(engine: Engine, fit_id: int, **changed: Any) -> None:
    card = card_of(engine, fit_id)
    with engine.begin() as connection:
        note(connection, fit_id, {**card, "progress": {**card["progress"], **changed}})


def test_one_run_of_a_course_at_a_time(sync_engine: Engine, course_id: int) -> None:
    first = begin(sync_engine, course_id)
    with sync_engine.begin() as connection, pytest.raises(RefitRunning, match=f"run {first}") as refused:
        begin_run(connection, course_id, ASKED)
    assert refused.value.fit_id == first


def test_a_run_is_taken_up_once(sync_engine: Engine, course_id: int) -> None:
    fit_id = begin(sync_engine, course_id, seed=4)
    with sync_engine.begin() as connection:
        assert take_up(connection, fit_id) == (course_id, {**ASKED, "seed": 4})
    with sync_engine.begin() as connection, pytest.raises(RegistryError, match="reading already"):
        take_up(connection, fit_id)
    with sync_engine.begin() as connection, pytest.raises(RegistryError, match="no run 99"):
        take_up(connection, 99)


def test_a_silent_run_makes_room_and_is_recorded_as_failed(
    sync_engine: Engine, course_id: int, tenant: int
) -> None:
    first = begin(sync_engine, course_id)
    change(sync_engine, first, phase="population", at=int((time.time() - SILENT_S - 5) * 1000))
    second = begin(sync_engine, course_id)
    with sync_engine.connect() as connection:
        found = {fit.id: fit for fit in list_fits(connection, tenant)}
    assert found[first].state == "failed"
    assert "without a word while population" in found[first].reason
    assert found[second].state == "running"


def test_a_run_whose_process_is_gone_is_silent_at_once() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert not lives(gone.pid)
    assert lives(os.getpid())
    at_work = {"progress": progress("population")}
    assert not is_silent(at_work)
    assert is_silent({"progress": {**at_work["progress"], "process": gone.pid}})
    assert not is_silent({"progress": {**at_work["progress"], "process": gone.pid, "host": "elsewhere"}})


def test_a_waiting_run_may_have_been_queued_by_a_process_that_ended() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert not is_silent({"progress": {**progress("queued"), "process": gone.pid}})

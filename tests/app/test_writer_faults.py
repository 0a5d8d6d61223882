"""The writer when something goes wrong: never one event at the cost of another."""

import asyncio
from typing import Any

import orjson
import pytest
from sqlalchemy import Engine, select, text, update
from sqlmodel import SQLModel

from app.errors import ApiError
from app.ledger import GroupConflict, LedgerUnavailable
from app.settings import Settings
from tests.app.questions import (
    Questions,
    assert_states_equal_replays,
    counts,
    event,
    lay_out,
    running_writer,
    serve_fit,
)

TABLES = SQLModel.metadata.tables
DAY = 86_400_000


@pytest.fixture
def questions(sync_engine: Engine, tenant: int) -> Questions:
    return lay_out(sync_engine, tenant)


def told(result: Any) -> dict[str, Any]:
    """The JSON of an accepted event."""
    assert result.problem is None, result.problem
    answer = orjson.loads(result.answer)
    assert isinstance(answer, dict)
    return answer


async def test_a_conflict_is_tried_again(
    settings: Settings, sync_engine: Engine, questions: Questions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bulk replay changes the state between a group's read and its write: it reads and observes again."""
    u0, q0 = questions.learners[0], questions.items[0]
    async with running_writer(settings) as writer:
        await writer.submit(questions.tenant, [event(u0, q0)])
        move_on = writer._recorder._move_on
        conflicts = []

        async def disturbed(*given: Any) -> Any:
            if not conflicts:
                conflicts.append(1)
                if sync_engine.dialect.name == "sqlite":
                    raise GroupConflict("as on PostgreSQL")
                with sync_engine.begin() as connection:
                    connection.execute(update(TABLES["knowledge_state"]).values(fit_id=0, last_seq=77))
            return await move_on(*given)

        monkeypatch.setattr(writer._recorder, "_move_on", disturbed)
        answer = told((await writer.submit(questions.tenant, [event(u0, q0)]))[0])
    assert conflicts
    assert (answer["seq"], answer["knowledge"][0]["evidence"]) == (2, 2)
    assert_states_equal_replays(sync_engine, settings)


async def test_a_poisoned_event_takes_nobody_with_it(
    settings: Settings, sync_engine: Engine, questions: Questions, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = [event(questions.learners[n % 3], questions.items[n % 6]) for n in range(9)]
    poisoned = sent[4]
    async with running_writer(settings) as writer:
        row = type(writer._recorder)._move_on

        async def choke(self: Any, tracks: Any, fresh: list[Any], counters: Any) -> Any:
            if any(entry.event is poisoned for entry in fresh):
                raise ZeroDivisionError("poison")
            return await row(self, tracks, fresh, counters)

        monkeypatch.setattr(type(writer._recorder), "_move_on", choke)
        results = await asyncio.gather(*(writer.submit(questions.tenant, [one]) for one in sent))
    statuses = [result.status for [result] in results]
    assert statuses == ["accepted"] * 4 + ["rejected"] + ["accepted"] * 4
    problem = results[4][0].problem
    assert problem is not None
    assert problem.code == "internal"
    assert counts(sync_engine)["interaction"] == 8
    assert_states_equal_replays(sync_engine, settings)


async def test_a_full_queue_is_told_at_once(settings: Settings, questions: Questions) -> None:
    sent = [event(questions.learners[0], questions.items[0]) for _ in range(5)]
    async with running_writer(settings, queue_limit=4) as writer:
        with pytest.raises(ApiError) as caught:
            await writer.submit(questions.tenant, sent)
        assert caught.value.problem.status == 503
        assert caught.value.problem.headers["Retry-After"] == "1"
        results = await writer.submit(questions.tenant, sent[:4])
        assert [result.status for result in results] == ["accepted"] * 4
        assert writer.waiting == 0


async def test_a_lost_database_is_told_and_found_again(
    settings: Settings, sync_engine: Engine, questions: Questions, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = event(questions.learners[0], questions.items[0])
    async with running_writer(settings) as writer:
        await writer.submit(questions.tenant, [event(questions.learners[0], questions.items[1])])
        if sync_engine.dialect.name == "postgresql":
            with sync_engine.connect() as connection:
                connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                )
        else:

            def broken(tenant: int) -> Any:
                raise LedgerUnavailable("disk I/O error")

            monkeypatch.setattr(writer._ledger, "transaction", broken)
        [lost] = await writer.submit(questions.tenant, [one])
        monkeypatch.undo()
        [found] = await writer.submit(questions.tenant, [one])
    assert lost.problem is not None
    assert (lost.problem.status, lost.problem.code) == (503, "unavailable")
    assert found.status == "accepted"


@pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
async def test_a_learner_held_elsewhere_holds_up_nobody_else(
    settings: Settings, sync_engine: Engine, questions: Questions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.ledger.postgres.LOCK_TIMEOUT", "50ms")
    learner = TABLES["learner"]
    held = select(learner.c.id).where(learner.c.external_id == questions.learners[0]).with_for_update()
    sent = [event(u, questions.items[0]) for u in questions.learners]
    async with running_writer(settings) as writer:
        with sync_engine.begin() as connection:
            connection.execute(held)
            results = await writer.submit(questions.tenant, sent)
        again = await writer.submit(questions.tenant, sent)
    assert [result.status for result in results] == ["rejected", "accepted", "accepted"]
    assert results[0].problem is not None
    assert results[0].problem.status == 503
    assert [result.status for result in again] == ["accepted", "duplicate", "duplicate"]


async def test_a_fit_that_is_gone_does_not_stop_answers(
    settings: Settings, sync_engine: Engine, questions: Questions
) -> None:
    """The event is written; the state stays as it is, marked stale, until its fit or a replay is there."""
    serve_fit(sync_engine, settings, questions)
    u0 = questions.learners[0]
    async with running_writer(settings) as writer:
        await writer.submit(questions.tenant, [event(u0, questions.items[0])])
    [folder] = settings.artifact_dir.iterdir()
    folder.rename(folder.with_name("elsewhere"))
    async with running_writer(settings, refilter=None) as writer:
        answer = told((await writer.submit(questions.tenant, [event(u0, questions.items[0])]))[0])
    assert (answer["seq"], answer["correct"], answer["knowledge"]) == (2, True, [])
    with sync_engine.connect() as connection:
        [row] = connection.execute(select(TABLES["knowledge_state"])).all()
    assert (row.is_stale, row.answers) == (True, 1)
    folder.with_name("elsewhere").rename(folder)
    async with running_writer(settings) as writer:
        answer = told((await writer.submit(questions.tenant, [event(u0, questions.items[0])]))[0])
    assert (answer["seq"], answer["knowledge"][0]["evidence"]) == (3, 3)
    assert_states_equal_replays(sync_engine, settings)

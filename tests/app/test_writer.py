"""The writer: together, exactly once, durable, and never one event at the cost of another."""

import asyncio
import random
import uuid
from typing import Any

import orjson
import pytest
from sqlalchemy import Engine, select, text
from sqlmodel import SQLModel

from app.errors import ApiError
from app.settings import Settings
from app.tables import Tenant
from tests.app.questions import (
    NOW_MS,
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


async def test_an_answer_is_judged_written_and_known(
    settings: Settings, sync_engine: Engine, questions: Questions
) -> None:
    u0, q3 = questions.learners[0], questions.items[3]
    right, wrong = event(u0, q3, elapsed_time=900, attempt=1, hints=0), event(u0, q3, answer="c")
    async with running_writer(settings) as writer:
        [first] = await writer.submit(questions.tenant, [right])
        [second] = await writer.submit(questions.tenant, [wrong])
    answer, later = told(first), told(second)
    assert (first.status, answer["event_id"], answer["seq"]) == ("accepted", str(right.event_id), 1)
    assert (answer["correct"], later["correct"], later["seq"]) == (True, False, 2)
    assert answer["state_as_of"] == right.timestamp
    assert [known["kc"] for known in answer["knowledge"]] == ["maths/x", "maths/y"]
    before, after = answer["knowledge"][0], later["knowledge"][0]
    assert 0 < before["low"] < before["mastery"] < before["high"] < 1
    assert (before["evidence"], after["evidence"]) == (1, 2)
    assert after["mastery"] < before["mastery"]
    assert counts(sync_engine) == {
        "interaction": 2, "eventkey": 2, "knowledge_state": 1, "knowledgesnapshot": 0, "last_seq": 2,
    }  # fmt: skip
    with sync_engine.connect() as connection:
        row = connection.execute(select(TABLES["interaction"]).where(text("seq = 1"))).one()
    assert (row.stream, row.user_answer, row.correct, row.elapsed_time, row.attempt, row.hints) == (
        9, "b", True, 900, 1, 0,
    )  # fmt: skip
    assert row.received_month == 202311
    assert_states_equal_replays(sync_engine, settings)


async def test_a_repeat_gets_the_first_answer_and_another_body_is_refused(
    settings: Settings, sync_engine: Engine, questions: Questions
) -> None:
    sent = event(questions.learners[0], questions.items[0])
    other = sent.model_copy(update={"user_answer": "c"})
    async with running_writer(settings) as writer:
        [first] = await writer.submit(questions.tenant, [sent])
        await writer.submit(questions.tenant, [event(questions.learners[0], questions.items[0])])
        before = counts(sync_engine)
        [again] = await writer.submit(questions.tenant, [sent])
        [reused] = await writer.submit(questions.tenant, [other])
        # Twice in one group, and a reuse beside them.
        fresh = event(questions.learners[1], questions.items[0])
        third = await writer.submit(
            questions.tenant, [fresh, fresh, fresh.model_copy(update={"user_answer": "a"})]
        )
    assert (again.status, again.answer) == ("duplicate", first.answer)
    assert reused.problem is not None
    assert (reused.problem.status, reused.problem.code) == (409, "event_id_reused")
    assert reused.problem.errors[0]["pointer"] == "/event_id"
    assert [result.status for result in third] == ["accepted", "duplicate", "rejected"]
    assert third[0].answer == third[1].answer
    after = counts(sync_engine)
    assert after["interaction"] == before["interaction"] + 1
    assert after["eventkey"] == before["eventkey"] + 1


async def test_events_of_many_requests_share_transactions(
    settings: Settings, sync_engine: Engine, questions: Questions, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = []
    async with running_writer(settings) as writer:
        transact = writer._recorder.transact

        async def counted(tenant: int, entries: list[Any], with_replays: bool) -> Any:
            groups.append(len(entries))
            return await transact(tenant, entries, with_replays)

        monkeypatch.setattr(writer._recorder, "transact", counted)
        sent = [event(random.choice(questions.learners), random.choice(questions.items)) for _ in range(60)]
        results = await asyncio.gather(*(writer.submit(questions.tenant, [one]) for one in sent))
    assert {result.status for [result] in results} == {"accepted"}
    assert sum(groups) == 60
    assert len(groups) < 10
    assert counts(sync_engine)["last_seq"] == 60
    assert_states_equal_replays(sync_engine, settings)


async def test_a_respond_counts_when_its_bundle_is_submitted(
    settings: Settings, sync_engine: Engine, questions: Questions
) -> None:
    u0, (q0, q1, q2) = questions.learners[0], questions.items[:3]
    steps = [
        event(u0, questions.bundle, "enter", None, timestamp=NOW_MS - 9000),
        event(u0, q0, "respond", "b", timestamp=NOW_MS - 8000, attempt=1),
        event(u0, q1, "respond", "c", timestamp=NOW_MS - 7000),
        event(u0, q0, "respond", "a", timestamp=NOW_MS - 6000, attempt=2),
        event(u0, q2, "respond", "b", timestamp=NOW_MS - 5500),  # of no bundle: never submitted
        event(u0, questions.bundle, "submit", None, timestamp=NOW_MS - 5000),
        event(u0, questions.bundle, "submit", None, timestamp=NOW_MS - 4000),
        event(u0, q1, "respond", " ", timestamp=NOW_MS - 3000),
        event(u0, questions.bundle, "submit", None, timestamp=NOW_MS - 2000),
    ]
    async with running_writer(settings) as writer:
        answers = [told((await writer.submit(questions.tenant, [step]))[0]) for step in steps]
        hidden = await writer.submit(questions.tenant, [event(u0, q0, "respond", "b")], shows=False)
    assert [answer["correct"] for answer in answers] == [
        None, True, False, False, True, None, None, None, None,
    ]  # fmt: skip
    assert told(hidden[0])["correct"] is None
    assert answers[4]["state_as_of"] is None
    assert answers[5]["state_as_of"] == NOW_MS - 5000
    assert {known["kc"]: known["evidence"] for known in answers[5]["knowledge"]} == {
        "maths/x": 1,
        "maths/y": 1,
    }
    assert answers[8]["state_as_of"] == NOW_MS - 5000
    with sync_engine.connect() as connection:
        assert connection.scalar(select(TABLES["knowledge_state"].c.answers)) == 2
    assert_states_equal_replays(sync_engine, settings)


async def test_what_is_not_an_answer_changes_no_knowledge(
    settings: Settings, sync_engine: Engine, questions: Questions
) -> None:
    u0, q0 = questions.learners[0], questions.items[0]
    sent = [
        event(u0, q0, "hint", None),
        event(u0, q0, "abandon", None),
        event(u0, questions.lecture, "play_video", None),
        event(u0, questions.lecture, "answer", "b"),  # nothing to judge by
        event(u0, q0, "answer", "  "),
        event(u0, q0, "answer", None),
    ]
    async with running_writer(settings) as writer:
        answers = [told(result) for result in await writer.submit(questions.tenant, sent)]
    assert all(answer["correct"] is None and answer["state_as_of"] is None for answer in answers)
    assert answers[0]["knowledge"][0]["evidence"] == 0
    assert answers[2]["knowledge"] == []
    found = counts(sync_engine)
    assert (found["interaction"], found["knowledge_state"]) == (6, 0)


async def test_bad_events_are_named_and_change_nothing(
    settings: Settings, sync_engine: Engine, questions: Questions
) -> None:
    u0, q0 = questions.learners[0], questions.items[0]
    bad = [
        (event("maths/nobody", q0), 404, "unknown_learner", "/learner"),
        (event(u0, "maths/q99"), 404, "unknown_item", "/item"),
        (event(u0, q0, timestamp=NOW_MS + DAY + 1), 422, "timestamp_ahead", "/timestamp"),
    ]
    async with running_writer(settings) as writer:
        for one, status, code, pointer in bad:
            before = counts(sync_engine)
            [result] = await writer.submit(questions.tenant, [one])
            assert result.status == "rejected"
            assert result.problem is not None
            assert (result.problem.status, result.problem.code) == (status, code)
            assert result.problem.errors[0]["pointer"] == pointer
            assert counts(sync_engine) == before
        good = event(u0, q0, timestamp=NOW_MS + DAY)
        results = await writer.submit(questions.tenant, [bad[0][0], good, bad[1][0], bad[2][0]])
    assert [result.status for result in results] == ["rejected", "accepted", "rejected", "rejected"]
    assert counts(sync_engine)["interaction"] == 1


async def test_a_learner_of_another_school_is_unknown(
    settings: Settings, sync_engine: Engine, questions: Questions
) -> None:
    with sync_engine.begin() as connection:
        other = connection.execute(
            TABLES["tenant"].insert().returning(TABLES["tenant"].c.id),
            {"name": "other", "created_at": Tenant(name="").created_at},
        ).scalar_one()
    theirs = lay_out(sync_engine, other, name="physics")
    async with running_writer(settings) as writer:
        results = await writer.submit(
            questions.tenant,
            [event(theirs.learners[0], questions.items[0]), event(questions.learners[0], theirs.items[0])],
        )
        # The same event id may be used by both: it is theirs.
        name = uuid.uuid4()
        both = await asyncio.gather(
            writer.submit(
                questions.tenant, [event(questions.learners[0], questions.items[0], event_id=name)]
            ),
            writer.submit(theirs.tenant, [event(theirs.learners[0], theirs.items[0], event_id=name)]),
        )
    assert [result.problem.code for result in results if result.problem] == [
        "unknown_learner",
        "unknown_item",
    ]
    assert [result.status for [result] in both] == ["accepted", "accepted"]


async def test_late_events_are_put_where_they_belong(
    settings: Settings, sync_engine: Engine, questions: Questions
) -> None:
    serve_fit(sync_engine, settings, questions)
    u0 = questions.learners[0]
    random_ = random.Random(3)
    sent = [
        event(
            u0, random_.choice(questions.items), answer=random_.choice("bbc"), timestamp=NOW_MS - n * DAY // 3
        )
        for n in range(40)
    ]
    random_.shuffle(sent)
    async with running_writer(settings) as writer:
        for one in sent[:20]:
            answer = told((await writer.submit(questions.tenant, [one]))[0])
        newest = max(one.timestamp for one in sent[:20])
        assert answer["state_as_of"] == newest
        await writer.submit(questions.tenant, sent[20:])
    assert assert_states_equal_replays(sync_engine, settings) == 1


async def test_what_is_queued_is_written_before_the_end(
    settings: Settings, sync_engine: Engine, questions: Questions
) -> None:
    async with running_writer(settings) as writer:
        tasks = [
            asyncio.create_task(writer.submit(questions.tenant, [event(u, questions.items[0])]))
            for u in questions.learners
        ]
        await asyncio.sleep(0)
        closing = asyncio.create_task(writer.close())
        await asyncio.gather(*tasks, closing)
        with pytest.raises(ApiError):
            await writer.submit(questions.tenant, [event(questions.learners[0], questions.items[0])])
    assert counts(sync_engine)["interaction"] == 3


async def test_new_words_of_open_vocabularies_get_codes(
    settings: Settings, sync_engine: Engine, questions: Questions
) -> None:
    sent = [
        event(questions.learners[0], questions.items[0], source="sprint", platform="web"),
        event(questions.learners[0], questions.items[0], source="homework", platform="tablet"),
        event(questions.learners[0], questions.items[0], source="homework"),
    ]
    async with running_writer(settings) as writer:
        await writer.submit(questions.tenant, sent)
    async with running_writer(settings) as writer:
        await writer.submit(
            questions.tenant, [event(questions.learners[0], questions.items[0], source="exam")]
        )
        literals = await writer.catalogue.literals()
    row = TABLES["interaction"].c
    with sync_engine.connect() as connection:
        codes = connection.execute(select(row.source, row.platform).order_by(row.seq)).all()
    assert [literals["source", code] for code, _ in codes] == ["sprint", "homework", "homework", "exam"]
    assert codes[1][0] == codes[2][0] >= 100
    assert literals["platform", codes[1][1]] == "tablet"


@pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
async def test_a_group_takes_few_statements(
    settings: Settings, sync_engine: Engine, questions: Questions
) -> None:
    statements: list[str] = []
    async with running_writer(settings) as writer:
        first = [event(u, item) for u in questions.learners for item in questions.items]
        await writer.submit(questions.tenant, first)
        held = writer._ledger._held  # type: ignore[attr-defined]
        driver = (await held.get_raw_connection()).driver_connection
        driver.add_query_logger(lambda record: statements.append(record.query))
        await writer.submit(questions.tenant, [event(u, questions.items[0]) for u in questions.learners])
        again = list(statements)
        statements.clear()
        writer._recorder._held.clear()
        await writer.submit(questions.tenant, [event(u, questions.items[1]) for u in questions.learners])
    assert len(again) == 4, again  # BEGIN, lock, write, COMMIT: what the learners know is held
    assert len(statements) == 5, statements
    assert_states_equal_replays(sync_engine, settings)

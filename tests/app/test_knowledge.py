"""The law of knowledge: after whatever load, every learner's state is the replay of its interactions."""

import asyncio
import random
from typing import Any

import orjson
import pytest
from sqlalchemy import Engine, delete, insert, select, update
from sqlmodel import SQLModel

from app.events import Event
from app.knowledge import (
    REPLAY_LIMIT,
    SNAPSHOT_EVERY,
    Learning,
    Trace,
    day_of,
    replay,
    timestamp_of,
    way_to,
    what_is_known,
)
from app.replay import Refilterer, find_course, replay_course
from app.settings import Settings
from tests.app.questions import (
    NOW_MS,
    Questions,
    assert_same_state,
    assert_states_equal_replays,
    counts,
    event,
    lay_out,
    running_writer,
    serve_fit,
    until,
)
from tracing import KnowledgeState, Observation, population_parameters, start_state

TABLES = SQLModel.metadata.tables
MINUTE = 60_000


@pytest.fixture
def questions(sync_engine: Engine, tenant: int) -> Questions:
    return lay_out(sync_engine, tenant)


def a_term(questions: Questions, seed: int, size: int) -> list[Event]:
    """Events of several learners: answers, bundles, hints, blanks, some at the same moment, some repeated."""
    draw = random.Random(seed)
    events: list[Event] = []
    for n in range(size):
        who, at = draw.choice(questions.learners), NOW_MS - draw.randrange(size) * 5 * MINUTE
        answer = draw.choice(["b", "b", "c", " b", "", None])
        action = draw.choices(["answer", "respond", "submit", "hint"], [6, 4, 2, 1])[0]
        item = draw.choice(questions.items[:2] if action == "respond" and n % 3 else questions.items)
        if action == "submit":
            item, answer = draw.choice([questions.bundle, questions.items[0], questions.items[2]]), None
        events.append(event(who, item, action, answer, timestamp=at, elapsed_time=draw.choice([None, 3000])))
    return events + draw.sample(events, size // 10)


def in_order(events: list[Event], seed: int) -> list[Event]:
    """Mostly in order of time, with some that come late."""
    draw = random.Random(seed)
    return sorted(events, key=lambda one: one.timestamp + (draw.random() < 0.2) * draw.randrange(10**9))


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_states_equal_replays_after_a_term(
    settings: Settings, sync_engine: Engine, questions: Questions, seed: int
) -> None:
    if seed > 1:
        serve_fit(sync_engine, settings, questions)
    sent = in_order(a_term(questions, seed, 240), seed)
    draw = random.Random(seed)
    async with running_writer(settings) as writer:
        while sent:
            chunks = [[sent.pop(0) for _ in range(min(len(sent), draw.randrange(1, 9)))] for _ in range(4)]
            done = await asyncio.gather(
                *(writer.submit(questions.tenant, chunk) for chunk in chunks if chunk)
            )
            assert {result.status for results in done for result in results} <= {"accepted", "duplicate"}
    assert counts(sync_engine)["interaction"] == 240
    assert assert_states_equal_replays(sync_engine, settings) == 3


@pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
@pytest.mark.parametrize("seed", [1, 2])
async def test_states_equal_replays_with_two_writers(
    settings: Settings, sync_engine: Engine, questions: Questions, seed: int
) -> None:
    serve_fit(sync_engine, settings, questions)
    sent = in_order(a_term(questions, seed, 300), seed)
    draw = random.Random(seed)
    async with running_writer(settings) as one, running_writer(settings) as other:
        writers = [one, other]
        done = await asyncio.gather(
            *(writers[draw.random() < 0.5].submit(questions.tenant, [each]) for each in sent),
            *(writers[draw.random() < 0.5].submit(questions.tenant, [each]) for each in sent[::7]),
        )
    assert {result.status for [result] in done} == {"accepted", "duplicate"}
    answers: dict[str, bytes] = {}
    for [result] in done:
        name = orjson.loads(result.answer)["event_id"]
        assert answers.setdefault(name, result.answer) == result.answer
    found = counts(sync_engine)
    assert (found["interaction"], found["eventkey"], found["last_seq"]) == (300, 300, 300)
    assert assert_states_equal_replays(sync_engine, settings) == 3


def term_of_answers(questions: Questions, size: int, seed: int = 5) -> list[Event]:
    """A long series of one learner's answers, a minute apart; every tenth at the moment of the one before."""
    draw = random.Random(seed)
    return [
        event(
            questions.learners[0], draw.choice(questions.items), answer=draw.choice("bbc"),
            timestamp=NOW_MS - (size - n + (n % 10 == 0)) * MINUTE,
        )
        for n in range(size)
    ]  # fmt: skip


async def test_snapshots_bound_what_a_late_event_replays(
    settings: Settings, sync_engine: Engine, questions: Questions, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = serve_fit(sync_engine, settings, questions)
    sent = term_of_answers(questions, 1250)
    late = [
        event(questions.learners[0], questions.items[1], timestamp=NOW_MS - n * MINUTE) for n in (100, 1000)
    ]
    snapshots = TABLES["knowledgesnapshot"]
    observed: list[int] = []
    observe_all = Trace.observe_all

    def counted(trace: Trace, seen: list[Observation], given: Any) -> None:
        observed.append(len(seen))
        observe_all(trace, seen, given)

    async with running_writer(settings, refilter=None) as writer:
        for n in range(0, len(sent), 125):
            await writer.submit(questions.tenant, sent[n : n + 125])
        with sync_engine.connect() as connection:
            found = connection.scalars(select(snapshots.c.answers).order_by(snapshots.c.answers)).all()
        assert [n // SNAPSHOT_EVERY for n in found] == [1, 2]
        monkeypatch.setattr(Trace, "observe_all", counted)
        [soon] = await writer.submit(questions.tenant, late[:1])
        assert observed
        assert max(observed) <= REPLAY_LIMIT
        assert orjson.loads(soon.answer)["state_as_of"] == sent[-1].timestamp
        monkeypatch.undo()
        assert_states_equal_replays(sync_engine, settings)
        # Too far back for a request: written, marked, and left to the background.
        [far] = await writer.submit(questions.tenant, late[1:])
        assert far.status == "accepted"
        [more] = await writer.submit(questions.tenant, [event(questions.learners[0], questions.items[2])])
        assert orjson.loads(more.answer)["state_as_of"] == sent[-1].timestamp
    with sync_engine.connect() as connection:
        assert connection.scalar(select(TABLES["knowledge_state"].c.is_stale))
        assert connection.scalars(select(snapshots.c.answers)).all() == []
    await asyncio.to_thread(replay_course, sync_engine, settings.artifact_dir, questions.course)
    assert assert_states_equal_replays(sync_engine, settings) == 1
    with sync_engine.connect() as connection:
        learner = TABLES["learner"].c
        key = connection.scalar(select(learner.id).where(learner.external_id == questions.learners[0]))
        who = Learning(questions.tenant, key or 0, questions.course)
        rows = connection.execute(select(snapshots).order_by(snapshots.c.answers)).all()
        assert [row.answers // SNAPSHOT_EVERY for row in rows] == [1, 2]
        # A state in the past, from the snapshot before it, is the replay of what lay before it.
        at = NOW_MS - 300 * MINUTE
        trace, seen = way_to(connection, who, parameters, before=at + 1, until=at)
        assert seen is not None
        assert 0 < len(seen) < SNAPSHOT_EVERY
        trace.observe_all(seen, parameters)
        past = Trace(start_state(parameters, who.learner_id))
        for one in sorted([*sent, *late], key=lambda one: one.timestamp):
            if one.timestamp <= at:
                past.state = replay_one(past.state, one, connection, parameters)
        assert_same_state(trace.state, past.state)


def replay_one(state: KnowledgeState, one: Event, connection: Any, parameters: Any) -> KnowledgeState:
    """Observe one answer by hand."""
    item, tag = TABLES["item"].c, TABLES["itemcomponent"].c
    key = connection.scalar(select(item.id).where(item.external_id == one.item))
    components = connection.scalars(select(tag.component_id).where(tag.item_id == key).order_by(tag.position))
    trace = Trace(state)
    trace.observe(
        Observation(key, tuple(dict.fromkeys(components)), one.user_answer == "b", day_of(one.timestamp)),
        parameters,
    )
    return trace.state


async def test_what_is_stale_is_replayed_in_the_background(
    settings: Settings, sync_engine: Engine, questions: Questions
) -> None:
    sent = term_of_answers(questions, 620)
    first = event(questions.learners[0], questions.items[1], timestamp=NOW_MS - 2000 * MINUTE)
    state = TABLES["knowledge_state"].c

    def is_fresh() -> bool:
        with sync_engine.connect() as connection:
            return connection.scalars(select(state.is_stale)).all() == [False]

    async with running_writer(settings) as writer:
        await writer.submit(questions.tenant, sent[:500])
        await writer.submit(questions.tenant, sent[500:])
        await writer.submit(questions.tenant, [first])
        await until(is_fresh)
        # The next event finds a state that is true again.
        [answer] = await writer.submit(
            questions.tenant, [event(questions.learners[0], questions.items[0], timestamp=NOW_MS)]
        )
        assert orjson.loads(answer.answer)["state_as_of"] == NOW_MS
    assert assert_states_equal_replays(sync_engine, settings) == 1
    # What a stopped server left stale, the next one replays.
    with sync_engine.begin() as connection:
        connection.execute(update(TABLES["knowledge_state"]).values(is_stale=True, state=b"old"))
    async with running_writer(settings):
        await until(is_fresh)
    assert assert_states_equal_replays(sync_engine, settings) == 1


async def test_a_state_of_an_older_fit_serves_until_it_is_replayed(
    settings: Settings, sync_engine: Engine, questions: Questions
) -> None:
    u0, u1, u2 = questions.learners
    async with running_writer(settings) as writer:
        await writer.submit(
            questions.tenant, [event(u0, item, timestamp=NOW_MS - 9000) for item in questions.items]
        )
        fit = serve_fit(sync_engine, settings, questions)
        writer._recorder._registry.forget()
        await writer.submit(questions.tenant, [event(u0, questions.items[0]), event(u1, questions.items[0])])
    state = TABLES["knowledge_state"].c
    with sync_engine.connect() as connection:
        fits = connection.execute(select(state.learner_id, state.fit_id).order_by(state.learner_id)).all()
    assert [fit_id for _, fit_id in fits] == [0, fit.fit_id]
    assert_states_equal_replays(sync_engine, settings)
    report = await asyncio.to_thread(replay_course, sync_engine, settings.artifact_dir, questions.course)
    assert (report.fit_id, report.learners, report.answers) == (fit.fit_id, 1, 7)
    with sync_engine.connect() as connection:
        assert set(connection.scalars(select(state.fit_id))) == {fit.fit_id}
    everyone = await asyncio.to_thread(
        replay_course, sync_engine, settings.artifact_dir, questions.course, everyone=True
    )
    assert everyone.learners == 2
    assert_states_equal_replays(sync_engine, settings)
    assert u2 not in {key for key, _ in fits}


async def test_knowledge_that_is_missing_is_made_from_the_history(
    settings: Settings, sync_engine: Engine, questions: Questions
) -> None:
    """As after an import: interactions without a state."""
    u0 = questions.learners[0]
    async with running_writer(settings) as writer:
        await writer.submit(questions.tenant, [event(u0, item) for item in questions.items])
    with sync_engine.begin() as connection:
        connection.execute(delete(TABLES["knowledge_state"]))
    async with running_writer(settings) as writer:
        [hint] = await writer.submit(questions.tenant, [event(u0, questions.items[0], "hint", None)])
        assert {known["kc"]: known["evidence"] for known in orjson.loads(hint.answer)["knowledge"]} == {
            "maths/x": 3
        }
        [answer] = await writer.submit(questions.tenant, [event(u0, questions.items[0])])
    assert orjson.loads(answer.answer)["knowledge"][0]["evidence"] == 4
    assert assert_states_equal_replays(sync_engine, settings) == 1


async def test_replays_do_not_undo_what_comes_meanwhile(
    settings: Settings, sync_engine: Engine, questions: Questions
) -> None:
    sent = in_order(a_term(questions, 9, 400), 9)
    async with running_writer(settings) as writer:
        await writer.submit(questions.tenant, sent[:200])
        serve_fit(sync_engine, settings, questions)

        async def go_on() -> None:
            for n in range(200, len(sent), 5):
                await writer.submit(questions.tenant, sent[n : n + 5])

        def go_through() -> None:
            for _ in range(3):
                replay_course(sync_engine, settings.artifact_dir, questions.course, everyone=True)

        await asyncio.gather(go_on(), asyncio.to_thread(go_through))
    assert assert_states_equal_replays(sync_engine, settings) == 3


def test_one_learner_is_refiltered(settings: Settings, sync_engine: Engine, questions: Questions) -> None:
    learner = TABLES["learner"].c
    with sync_engine.begin() as connection:
        key = connection.scalar(select(learner.id)) or 0
        item = connection.scalar(select(TABLES["item"].c.id)) or 0
        row: dict[str, Any] = {
            "tenant_id": questions.tenant,
            "learner_id": key,
            "course_id": questions.course,
            "stream": 1,
            "received_month": 202311,
            "item_id": item,
            "user_answer": "b",
            "flags": 0,
        }
        rows = [{**row, "seq": n, "timestamp": NOW_MS + n} for n in range(1, 4)]
        connection.execute(insert(TABLES["interaction"]), rows)
    Refilterer(sync_engine, settings.artifact_dir)(Learning(questions.tenant, key, questions.course))
    with sync_engine.connect() as connection:
        assert connection.scalar(select(TABLES["knowledge_state"].c.answers)) == 3
        found = replay(connection, questions.tenant, key, questions.course, population_parameters())
        assert timestamp_of(found.at) == NOW_MS + 3
        assert find_course(connection, "school", "maths") == questions.course
    assert assert_states_equal_replays(sync_engine, settings) == 1


def test_nothing_known_is_said_so() -> None:
    parameters = population_parameters()
    state = start_state(parameters)
    [known] = what_is_known(state, {7: "a"}, 20_000.0, parameters)
    assert known["mastery"] == pytest.approx(0.5)
    assert (known["evidence"], known["enough_evidence"], known["half_life_days"]) == (0, False, None)
    assert what_is_known(state, {}, 20_000.0, parameters) == []
    assert timestamp_of(state.at) is None
    assert all(timestamp_of(day_of(NOW_MS + n)) == NOW_MS + n for n in range(1000))

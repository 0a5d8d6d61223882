"""A course with questions and learners, written straight into the tables, and events about them."""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Engine, func, select
from sqlmodel import Session, SQLModel

from app.database import open_async_engines, open_engine
from app.events import Event
from app.knowledge import replay
from app.registry import Registry, begin_fit, load_fit, promote, save_fit
from app.replay import Refilterer
from app.settings import Settings
from app.tables import Component, Course, Item, ItemComponent, Learner, Source
from app.writer import InteractionWriter
from tracing import KnowledgeState, Parameters
from tracing.population import default_population

NOW_MS = 1_700_000_000_000
"""The writers' clock in these tests."""


@dataclass(frozen=True)
class Questions:
    """What was written. Questions have the key `b`; q0 and q1 make up bundle b0; the lecture has no key."""

    tenant: int
    course: int
    components: tuple[str, ...]
    learners: tuple[str, ...]
    items: tuple[str, ...]
    bundle: str
    lecture: str


def lay_out(engine: Engine, tenant: int, learners: int = 3, name: str = "maths") -> Questions:
    """Write a course of 6 questions on 3 components, a bundle and a lecture."""
    with Session(engine, expire_on_commit=False) as session, session.begin():
        source = Source(tenant_id=tenant, name=name)
        course = Course(tenant_id=tenant, name=name)
        session.add_all([source, course])
        session.flush()
        ours: dict[str, Any] = {"tenant_id": tenant, "course_id": course.id}
        components = [Component(external_id=f"{name}/{tag}", label=tag, **ours) for tag in "xyz"]
        same: dict[str, Any] = {**ours, "source_id": source.id}
        items = [
            Item(external_id=f"{name}/q{n}", kind="q", answer_key="b", bundle="b0" if n < 2 else None, **same)
            for n in range(6)
        ]
        others = [
            Item(external_id=f"{name}/b0", kind="b", **same),
            Item(external_id=f"{name}/l0", kind="l", **same),
        ]
        people = [
            Learner(tenant_id=tenant, source_id=source.id, external_id=f"{name}/u{n}")
            for n in range(learners)
        ]
        session.add_all([*components, *items, *others, *people])
        session.flush()
        for n, item in enumerate(items):
            # q0: x; q1: y; q2: z; q3: x y; q4: y z; q5: z x z (a tag that repeats)
            tags = [n % 3] if n < 3 else [n - 3, (n - 2) % 3] + ([2] if n == 5 else [])
            for position, tag in enumerate(tags):
                key = components[tag].id
                session.add(ItemComponent(item_id=item.id, position=position, component_id=key))
        return Questions(
            tenant,
            course.id or 0,
            tuple(component.external_id for component in components),
            tuple(person.external_id for person in people),
            tuple(item.external_id for item in items),
            *(other.external_id for other in others),
        )


def event(learner: str, item: str, action: str = "answer", answer: str | None = "b", **given: Any) -> Event:
    """An event, by default a right answer an hour before the writers' clock."""
    body = {"event_id": uuid.uuid4(), "timestamp": NOW_MS - 3_600_000, **given}
    return Event(learner=learner, item=item, action=action, user_answer=answer, **body)


@asynccontextmanager
async def running_writer(settings: Settings, **given: Any) -> AsyncIterator[InteractionWriter]:
    """A writer on the database of the settings, its clock standing at NOW_MS."""
    reading, writing = open_async_engines(settings)
    blocking = open_engine(settings)
    writer = InteractionWriter(
        reading,
        writing,
        Registry(settings.artifact_dir, reading),
        clock=lambda: NOW_MS / 1000,
        **{"refilter": Refilterer(blocking, settings.artifact_dir), **given},
    )
    await writer.start()
    try:
        yield writer
    finally:
        await writer.close()
        blocking.dispose()
        await writing.dispose()
        await reading.dispose()


def counts(engine: Engine) -> dict[str, int]:
    """Rows of every table that the writer touches, and the sum of the counters."""
    tables = SQLModel.metadata.tables
    names = ("interaction", "eventkey", "knowledge_state", "knowledgesnapshot")
    with engine.connect() as connection:
        found = {name: connection.scalar(select(func.count()).select_from(tables[name])) for name in names}
        found["last_seq"] = connection.scalar(select(func.sum(tables["learner"].c.last_seq)))
    return {name: int(count or 0) for name, count in found.items()}


def assert_states_equal_replays(engine: Engine, settings: Settings, tolerance: float = 1e-6) -> int:
    """Every stored state must be the replay of its learner's rows, and none stale; how many there are."""
    table = SQLModel.metadata.tables["knowledge_state"]
    with engine.connect() as connection:
        rows = connection.execute(select(table)).all()
        for row in rows:
            assert not row.is_stale, row.learner_id
            parameters = load_fit(connection, settings.artifact_dir, row.fit_id)
            again = replay(connection, row.tenant_id, row.learner_id, row.course_id, parameters)
            state = KnowledgeState.from_bytes(row.state)
            assert row.answers == state.answers
            assert_same_state(state, again, tolerance)
    return len(rows)


def assert_same_state(state: KnowledgeState, other: KnowledgeState, tolerance: float = 1e-6) -> None:
    """Two states say the same."""
    assert (state.fit_id, state.answers, state.at) == (other.fit_id, other.answers, other.at)
    np.testing.assert_array_equal(state.components, other.components)
    np.testing.assert_array_equal(state.evidence, other.evidence)
    np.testing.assert_array_equal(state.items.keys, other.items.keys)
    for name in state.belief._fields:
        here, there = getattr(state.belief, name), getattr(other.belief, name)
        np.testing.assert_allclose(here, there, rtol=tolerance, atol=tolerance, err_msg=name)


def moving_parameters(engine: Engine, questions: Questions) -> Parameters:
    """Parameters in which everything moves: forgetting, learning, a prerequisite, a learner's own traits."""
    tables = SQLModel.metadata.tables
    item, component, learner = (tables[name].c for name in ("item", "component", "learner"))
    with engine.connect() as connection:
        items = list(connection.scalars(select(item.id).where(item.kind == "q").order_by(item.id)))
        components = list(connection.scalars(select(component.id).order_by(component.id)))
        learners = list(connection.scalars(select(learner.id).order_by(learner.id)))
    return Parameters(
        fit_id=0,
        model="psi_kt",
        population=default_population(),
        item_keys=np.array(items, np.int64),
        item_difficulty=np.linspace(-1, 1, len(items)),
        item_spread=np.full(len(items), 0.2),
        component_keys=np.array(components, np.int64),
        component_difficulty=np.zeros(len(components)),
        component_level=np.zeros(len(components)),
        edges=np.array([[0, 1]], np.int32),
        edge_probability=np.array([0.8]),
        edge_spread=np.array([0.1]),
        learner_keys=np.array(learners[:1], np.int64),
        traits=np.array([[0.3, -0.2]]),
        trait_spread=np.full((1, 2), 0.1),
        trait_prior_spread=np.full(2, 0.3),
    )


def serve_fit(engine: Engine, settings: Settings, questions: Questions) -> Parameters:
    """Save and promote a fit of the course."""
    settings.artifact_dir.mkdir(exist_ok=True)
    parameters = moving_parameters(engine, questions)
    with engine.begin() as connection:
        fit_id = begin_fit(connection, questions.tenant, questions.course)
        saved = save_fit(connection, settings.artifact_dir, fit_id, parameters, {"about": "a test"})
        promote(connection, fit_id, "test")
    return saved


def shuffled(events: list[Event], seed: int) -> list[Event]:
    """The events in another order."""
    order = list(events)
    random.Random(seed).shuffle(order)
    return order


async def until(condition: Any, timeout_s: float = 10.0) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  (what is waited for is in the database)
            await asyncio.sleep(0.01)

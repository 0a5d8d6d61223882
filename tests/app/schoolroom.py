"""A class with learners and their knowledge, written straight into the tables."""

import time
from dataclasses import dataclass

from sqlalchemy import Engine
from sqlmodel import Session

from app.tables import Classroom, Component, Course, Enrolment, KnowledgeStateRow, Learner, Source
from tracing import KnowledgeState, Observation, filter_sequence, population_parameters, start_state
from tracing.ednet import MS_PER_DAY

PARAMETERS = population_parameters()


def today() -> float:
    """Now in days since 1970."""
    return time.time() * 1000 / MS_PER_DAY


@dataclass(frozen=True)
class Schoolroom:
    """Ids of what was written, and the states by the learners' names."""

    classroom: int
    course: int
    components: tuple[int, ...]
    states: dict[str, KnowledgeState]


def furnish(
    engine: Engine,
    tenant: int,
    answers: dict[str, str],
    labels: tuple[str, ...] = ("Ratio", "Percentages", ""),
    name: str = "7b",
    until: float | None = None,
) -> Schoolroom:
    """Write a class. `answers`: for each learner a text such as `0+ 1- 1+`: component, right or wrong.

    The last answer of each learner lies a day before `until` (default now).
    """
    end = (today() if until is None else until) - 1
    with Session(engine, expire_on_commit=False) as session, session.begin():
        source = Source(tenant_id=tenant, name=f"source of {name}")
        course = Course(tenant_id=tenant, name=f"course of {name}")
        session.add_all([source, course])
        session.flush()
        components = [
            Component(tenant_id=tenant, course_id=course.id, external_id=f"{name}/{n}", label=label)
            for n, label in enumerate(labels)
        ]
        room = Classroom(tenant_id=tenant, course_id=course.id, name=name)
        session.add_all([room, *components])
        session.flush()
        assert room.id
        assert course.id
        keys = tuple(component.id or 0 for component in components)
        states = {}
        for who, text in answers.items():
            learner = Learner(tenant_id=tenant, source_id=source.id, external_id=who)
            session.add(learner)
            session.flush()
            session.add(Enrolment(classroom_id=room.id, learner_id=learner.id, tenant_id=tenant))
            states[who] = answered(text, keys, end)
            if text:
                session.add(
                    KnowledgeStateRow(
                        tenant_id=tenant,
                        learner_id=learner.id,
                        course_id=course.id,
                        fit_id=0,
                        answers=states[who].answers,
                        last_seq=0,
                        is_stale="late" in who,
                        state=states[who].to_bytes(),
                        updated_at=0,
                    )
                )
        return Schoolroom(room.id, course.id, keys, states)


def answered(text: str, components: tuple[int, ...], end: float) -> KnowledgeState:
    """The state after answers, the last of them at day `end`."""
    parts = text.split()
    observations = [
        Observation(n, (components[int(part[0])],), part[1] == "+", end - (len(parts) - 1 - n) * 0.01)
        for n, part in enumerate(parts)
    ]
    return filter_sequence(start_state(PARAMETERS), observations, PARAMETERS)

"""What a class knows: the same numbers as one learner at a time, in few statements, and nobody else's."""

from typing import Any

import httpx2
import numpy as np
import pytest
from sqlalchemy import Engine, event, update
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import Session, col

from app.classrooms import class_mastery, in_order
from app.credentials import create_key, find_tenant
from app.errors import ApiError
from app.knowledge import ENOUGH_EVIDENCE
from app.resources import Resources, open_resources
from app.settings import Settings
from app.tables import Component
from tests.app.schoolroom import PARAMETERS, furnish, today
from tests.conftest import bearer
from tracing import mastery
from tracing.errors import TimeReversed

ANSWERS = {"s/u10": "0+ 0+ 0+ 0+ 1-", "s/u2": "0- 0- 0- 1- 1- 1-", "s/late": "1+ 1+ 1+", "s/new": ""}


async def test_the_numbers_are_those_of_each_learner_alone(
    settings: Settings, sync_engine: Engine, tenant: int
) -> None:
    room = furnish(sync_engine, tenant, ANSWERS)
    at = today()
    async with open_resources(settings) as resources:
        found = await class_mastery(resources, tenant, room.classroom, round(at * 86_400_000))
    assert [row.external_id for row in found.learners] == ["s/late", "s/new", "s/u2", "s/u10"]
    assert [column.label for column in found.components] == ["Ratio", "Percentages", ""]
    for n, row in enumerate(found.learners):
        alone = mastery([room.states[row.external_id]], room.components, at, PARAMETERS)
        for name in ("mean", "low", "high"):
            np.testing.assert_allclose(getattr(found, name)[n], getattr(alone, name)[0], atol=1e-6)
        np.testing.assert_array_equal(found.evidence[n], alone.evidence[0])
    assert found.evidence.tolist() == [[0, 3, 0], [0, 0, 0], [3, 3, 0], [4, 1, 0]]
    assert (found.low <= found.mean).all()
    assert (found.mean <= found.high).all()
    assert found.mean[3, 0] > found.mean[2, 0]
    assert [row.answers for row in found.learners] == [3, 0, 6, 5]
    assert [row.is_stale for row in found.learners] == [True, False, False, False]
    assert found.learners[1].last_ms is None
    assert (found.fit, found.model) == (0, "irt")


async def test_means_of_the_class_take_enough_evidence_only(
    settings: Settings, sync_engine: Engine, tenant: int
) -> None:
    room = furnish(sync_engine, tenant, ANSWERS)
    async with open_resources(settings) as resources:
        found = await class_mastery(resources, tenant, room.classroom)
    means = found.component_means()
    assert ENOUGH_EVIDENCE == 3
    assert means[0] == pytest.approx(found.mean[[2, 3], 0].mean())
    assert means[1] == pytest.approx(found.mean[[0, 2], 1].mean())
    assert np.isnan(means[2])


async def test_a_class_takes_four_statements_however_large(
    settings: Settings, sync_engine: Engine, tenant: int
) -> None:
    small = furnish(sync_engine, tenant, {"s/a": "0+"}, name="small")
    large = furnish(sync_engine, tenant, {f"s/u{n}": "0+ 1-" for n in range(40)}, name="large")
    async with open_resources(settings) as resources:
        counts = [await statements_of(resources, tenant, room.classroom) for room in (small, large)]
    assert counts[0] == counts[1] == 4  # class, learners with states, components; and which fit serves


async def statements_of(resources: Resources, tenant: int, classroom: int) -> int:
    """How many queries a class takes when nothing is remembered."""
    seen: list[str] = []
    resources.registry.forget()

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.startswith("SELECT"):
            seen.append(statement)

    engine: AsyncEngine = resources.engine
    event.listen(engine.sync_engine, "before_cursor_execute", note)
    await class_mastery(resources, tenant, classroom)
    event.remove(engine.sync_engine, "before_cursor_execute", note)
    return len(seen)


async def test_a_moment_before_an_answer_is_refused_but_now_never_is(
    settings: Settings, sync_engine: Engine, tenant: int
) -> None:
    """A tablet's clock may run ahead of the server's."""
    room = furnish(sync_engine, tenant, {"s/a": "0+ 0+"}, until=today() + 1.5)
    async with open_resources(settings) as resources:
        found = await class_mastery(resources, tenant, room.classroom)
        assert found.as_of.timestamp() == pytest.approx((today() + 0.5) * 86_400, abs=60)
        with pytest.raises(TimeReversed):
            await class_mastery(resources, tenant, room.classroom, round(today() * 86_400_000))


async def test_another_schools_class_is_not_there(
    settings: Settings, sync_engine: Engine, tenant: int
) -> None:
    room = furnish(sync_engine, tenant, ANSWERS)
    with Session(sync_engine) as session, session.begin():
        other = find_tenant(session, "other", make=True)
    async with open_resources(settings) as resources:
        with pytest.raises(ApiError, match="no class"):
            await class_mastery(resources, other, room.classroom)


async def test_over_http(
    client: httpx2.AsyncClient, keys: dict[str, str], sync_engine: Engine, tenant: int
) -> None:
    room = furnish(sync_engine, tenant, ANSWERS)
    empty = furnish(sync_engine, tenant, {}, name="8a", labels=())
    headers = bearer(keys["teacher"])
    listed = (await client.get("/v1/classes", headers=headers)).json()["classes"]
    assert listed == [
        {"id": room.classroom, "name": "7b", "course": "course of 7b", "learners": 4},
        {"id": empty.classroom, "name": "8a", "course": "course of 8a", "learners": 0},
    ]
    answer = await client.get(f"/v1/classes/{room.classroom}/dashboard", headers=headers)
    assert answer.status_code == 200
    document = answer.json()
    assert [column["kc"] for column in document["components"]] == ["7b/0", "7b/1", "7b/2"]
    assert document["components"][2]["mean"] is None
    last = document["learners"][3]
    assert (last["learner"], last["evidence"], last["enough_evidence"]) == (
        "s/u10",
        [4, 1, 0],
        [True, False, False],
    )
    assert all(
        0 < low < mean < high < 1
        for low, mean, high in zip(last["low"], last["mastery"], last["high"], strict=True)
    )
    assert document["learners"][1]["last_answer_at"] is None
    blank = (await client.get(f"/v1/classes/{empty.classroom}/dashboard", headers=headers)).json()
    assert (blank["learners"], blank["components"]) == ([], [])


async def test_the_answer_is_as_described(
    client: httpx2.AsyncClient, keys: dict[str, str], sync_engine: Engine, tenant: int
) -> None:
    """The numbers skip validation on the way out, so it is done here."""
    from app.classes import Dashboard

    room = furnish(sync_engine, tenant, ANSWERS)
    answer = await client.get(f"/v1/classes/{room.classroom}/dashboard", headers=bearer(keys["teacher"]))
    described = Dashboard.model_validate_json(answer.content, strict=True, extra="forbid")
    assert len(described.learners) == 4


async def test_who_may_read(
    client: httpx2.AsyncClient, keys: dict[str, str], sync_engine: Engine, tenant: int
) -> None:
    room = furnish(sync_engine, tenant, ANSWERS)
    with Session(sync_engine) as session, session.begin():
        other = create_key(session, find_tenant(session, "other", make=True), "teacher", "x").secret
    path = f"/v1/classes/{room.classroom}/dashboard"
    for secret, status in ((keys["admin"], 200), (keys["frontend"], 403), (other, 404)):
        assert (await client.get(path, headers=bearer(secret))).status_code == status
    assert (await client.get("/v1/classes", headers=bearer(other))).json() == {"classes": []}


def test_learners_are_in_the_order_a_person_expects() -> None:
    names = ["s/u10", "s/u9", "s/u", "s/u1a", "s/u1", "a2/u1", "a10/u1", ""]
    assert sorted(names, key=in_order) == ["", "a2/u1", "a10/u1", "s/u", "s/u1", "s/u1a", "s/u9", "s/u10"]


async def test_labels_may_change(settings: Settings, sync_engine: Engine, tenant: int) -> None:
    room = furnish(sync_engine, tenant, {"s/a": "0+"})
    with sync_engine.begin() as connection:
        connection.execute(
            update(Component).where(col(Component.id) == room.components[0]).values(label="Ratios")
        )
    async with open_resources(settings) as resources:
        assert (await class_mastery(resources, tenant, room.classroom)).components[0].label == "Ratios"

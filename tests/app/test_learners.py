"""What a learner knows and did, over HTTP; new learners."""

import asyncio
import json
import uuid
from typing import Any

import httpx2
import numpy as np
import pytest
from sqlalchemy import Engine, delete, insert, select, update
from sqlmodel import SQLModel

from app.registry import load_fit
from app.settings import Settings
from app.tables import now
from tests.app.questions import Questions, lay_out, serve_fit
from tests.conftest import bearer
from tracing import filter_sequence, mastery, start_state
from tracing.ednet import MS_PER_DAY
from tracing.state import Observation

TABLES = SQLModel.metadata.tables
BEGIN_MS = 1_700_000_000_000
HOUR = 3_600_000


@pytest.fixture
def questions(sync_engine: Engine, tenant: int) -> Questions:
    return lay_out(sync_engine, tenant)


async def answer(client: httpx2.AsyncClient, key: str, questions: Questions, **given: Any) -> dict[str, Any]:
    """Send one answer."""
    body = {
        "event_id": str(uuid.uuid4()),
        "learner": questions.learners[0],
        "action": "answer",
        "item": questions.items[0],
        "user_answer": "b",
        "timestamp": BEGIN_MS,
        **given,
    }
    found = await client.post("/v1/interactions", json=body, headers=bearer(key))
    assert found.status_code == 200, found.text
    return dict(found.json())


async def knowledge(client: httpx2.AsyncClient, key: str, learner: str, **query: Any) -> httpx2.Response:
    return await client.get(f"/v1/learners/{learner}/knowledge", params=query, headers=bearer(key))


async def test_knowledge_is_the_posterior_at_a_moment(
    client: httpx2.AsyncClient,
    keys: dict[str, str],
    questions: Questions,
    sync_engine: Engine,
    settings: Settings,
) -> None:
    parameters = serve_fit(sync_engine, settings, questions)
    for n, item in enumerate([*questions.items] * 2):
        sent = await answer(
            client,
            keys["frontend"],
            questions,
            item=item,
            user_answer="bc"[n % 2],
            timestamp=BEGIN_MS + n * HOUR,
        )
    learner = questions.learners[0]
    last = BEGIN_MS + 11 * HOUR
    told = (await knowledge(client, keys["teacher"], learner, at=last)).json()
    assert (told["learner"], told["at"]) == (learner, last)
    [course] = told["courses"]
    assert course == {
        "course": "maths", "fit_id": parameters.fit_id, "model": "psi_kt", "answers": 12, "as_of": last,
        "is_stale": False, "note": None,
    }  # fmt: skip
    assert [known["kc"] for known in told["knowledge"]] == list(questions.components)
    for known in told["knowledge"]:
        assert known["low"] < known["mastery"] < known["high"]
        assert (known["fit_id"], known["model"], known["as_of"]) == (parameters.fit_id, "psi_kt", last)
        assert known["enough_evidence"] == (known["evidence"] >= 3)
        assert known["half_life_days"] is None or known["half_life_days"] > 0
    by_name = {known["kc"]: known for known in told["knowledge"]}
    for known in sent["knowledge"]:
        assert by_name[known["kc"]].items() >= known.items()
    # Later it has faded: the interval is wider.
    later = (await knowledge(client, keys["admin"], learner, at=last + 90 * MS_PER_DAY, kc="maths/x")).json()
    [faded] = later["knowledge"]
    assert faded["high"] - faded["low"] > by_name["maths/x"]["high"] - by_name["maths/x"]["low"]
    # At a moment in the past only what lay before it counts.
    past = (await knowledge(client, keys["frontend"], learner, at=BEGIN_MS + 5 * HOUR, kc="maths/x")).json()
    assert past["courses"][0]["answers"] == 6
    [then] = past["knowledge"]
    with sync_engine.connect() as connection:
        item, tag = TABLES["item"].c, TABLES["itemcomponent"].c
        rows = connection.execute(
            select(item.external_id, item.id, tag.component_id)
            .join(TABLES["itemcomponent"], tag.item_id == item.id)
            .order_by(tag.position)
        ).all()
        component = TABLES["component"].c
        x = connection.scalar(select(component.id).where(component.external_id == "maths/x"))
        key = connection.scalar(
            select(TABLES["learner"].c.id).where(TABLES["learner"].c.external_id == learner)
        )
        fit = load_fit(connection, settings.artifact_dir, parameters.fit_id)
    seen = [
        Observation(
            next(row[1] for row in rows if row[0] == name),
            tuple(dict.fromkeys(row[2] for row in rows if row[0] == name)),
            n % 2 == 0,
            (BEGIN_MS + n * HOUR) / MS_PER_DAY,
        )
        for n, name in enumerate(questions.items)
    ]
    state = filter_sequence(start_state(fit, key), seen, fit)
    found = mastery([state], [x or 0], state.at, fit)
    np.testing.assert_allclose(
        [then["mastery"], then["low"], then["high"]],
        [found.mean[0, 0], found.low[0, 0], found.high[0, 0]],
        atol=2e-6,
    )
    before = (await knowledge(client, keys["frontend"], learner, at=1)).json()
    assert (before["courses"][0]["as_of"], before["courses"][0]["answers"]) == (None, 0)


async def test_a_course_without_a_fit_says_so(
    client: httpx2.AsyncClient, keys: dict[str, str], questions: Questions
) -> None:
    await answer(client, keys["frontend"], questions)
    told = (await knowledge(client, keys["frontend"], questions.learners[0])).json()
    [course] = told["courses"]
    assert (course["fit_id"], course["model"]) == (0, "irt")
    assert "population priors" in course["note"]
    assert [known["evidence"] for known in told["knowledge"]] == [1, 0, 0]


async def test_who_may_ask_and_for_what(
    client: httpx2.AsyncClient, keys: dict[str, str], questions: Questions, sync_engine: Engine
) -> None:
    mine, other = questions.learners[:2]
    minted = await client.post("/v1/tokens", json={"learner": mine}, headers=bearer(keys["frontend"]))
    token = minted.json()["token"]
    with sync_engine.begin() as connection:
        row = {"name": "other", "created_at": now()}
        tenant = connection.execute(
            insert(TABLES["tenant"]).values(row).returning(TABLES["tenant"].c.id)
        ).scalar_one()
    theirs = lay_out(sync_engine, tenant, name="physics")
    await answer(client, token, questions)
    cases = [
        (token, mine, {}, 200, None),
        (token, other, {}, 404, "not_found"),
        (keys["frontend"], theirs.learners[0], {}, 404, "unknown_learner"),
        (keys["frontend"], "maths/u99", {}, 404, "unknown_learner"),
        (keys["frontend"], mine, {"kc": "maths/w"}, 404, "unknown_component"),
        (keys["frontend"], mine, {"kc": "physics/x"}, 404, "unknown_component"),
        (keys["frontend"], mine, {"course": "physics"}, 404, "unknown_course"),
        (keys["frontend"], mine, {"at": -1}, 422, "invalid"),
        (keys["frontend"], mine, {"at": "noon"}, 422, "invalid"),
        (keys["frontend"], other, {"course": "maths"}, 200, None),
    ]
    for key, learner, query, status, code in cases:
        for path in ("knowledge",) if query else ("knowledge", "interactions"):
            found = await client.get(f"/v1/learners/{learner}/{path}", params=query, headers=bearer(key))
            assert (found.status_code, found.json().get("code")) == (status, code), (learner, query, path)
    assert (await client.get(f"/v1/learners/{mine}/knowledge")).status_code == 401
    # Somebody who has done nothing: nothing, unless a course is named.
    assert (await knowledge(client, keys["frontend"], other)).json()["knowledge"] == []
    named = (await knowledge(client, keys["frontend"], other, course="maths")).json()["knowledge"]
    assert [known["evidence"] for known in named] == [0, 0, 0]


async def test_knowledge_without_a_stored_state(
    client: httpx2.AsyncClient, keys: dict[str, str], questions: Questions, sync_engine: Engine
) -> None:
    """As after an import: it is made from the interactions; a stale one says so."""
    await answer(client, keys["frontend"], questions)
    learner = questions.learners[0]
    first = (await knowledge(client, keys["frontend"], learner, at=BEGIN_MS)).json()
    with sync_engine.begin() as connection:
        connection.execute(delete(TABLES["knowledge_state"]))
    assert (await knowledge(client, keys["frontend"], learner, at=BEGIN_MS)).json() == first
    await answer(client, keys["frontend"], questions, timestamp=BEGIN_MS + 1)
    with sync_engine.begin() as connection:
        connection.execute(update(TABLES["knowledge_state"]).values(is_stale=True))
    [course] = (await knowledge(client, keys["frontend"], learner)).json()["courses"]
    assert course["is_stale"]
    assert "replayed" in course["note"]
    with sync_engine.begin() as connection:
        connection.execute(
            update(TABLES["knowledge_state"]).values(is_stale=False, state=b"of another format")
        )
    [course] = (await knowledge(client, keys["frontend"], learner)).json()["courses"]
    assert (course["answers"], course["is_stale"]) == (2, False)


async def test_history_comes_in_pages(
    client: httpx2.AsyncClient, keys: dict[str, str], questions: Questions, sync_engine: Engine
) -> None:
    learner = questions.learners[0]
    for n in range(5):
        await answer(
            client,
            keys["frontend"],
            questions,
            timestamp=BEGIN_MS - n,
            source="homework",
            platform="web",
            hints=n,
        )
    await answer(client, keys["frontend"], questions, action="respond", user_answer="b")
    with sync_engine.begin() as connection:  # two rows of an imported KT1 file
        key = connection.scalar(
            select(TABLES["learner"].c.id).where(TABLES["learner"].c.external_id == learner)
        )
        item = connection.scalar(
            select(TABLES["item"].c.id).where(TABLES["item"].c.external_id == "maths/q1")
        )
        row = {
            "tenant_id": questions.tenant, "learner_id": key, "course_id": questions.course, "stream": 1,
            "received_month": 202311, "item_id": item, "flags": 0,
        }  # fmt: skip
        rows = [
            {**row, "seq": n, "timestamp": n, "user_answer": answer_} for n, answer_ in ((1, "b"), (2, "c"))
        ]
        connection.execute(insert(TABLES["interaction"]), rows)
    seen: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    pages = 0
    while True:
        found = await client.get(
            f"/v1/learners/{learner}/interactions",
            params={"limit": 3, **cursor},
            headers=bearer(keys["teacher"]),
        )
        page = found.json()
        seen += page["interactions"]
        pages += 1
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert pages == 3
    assert [(one["stream"], one["seq"]) for one in seen] == [(1, 1), (1, 2), *((9, n) for n in range(1, 7))]
    assert [one["correct"] for one in seen] == [True, False, *[True] * 6]
    assert seen[0]["action"] is None
    assert seen[2] == {
        "stream": 9, "seq": 1, "timestamp": BEGIN_MS, "action": "answer", "item": "maths/q0",
        "user_answer": "b", "correct": True, "elapsed_time": None, "attempt": None, "hints": 0,
        "source": "homework", "platform": "web", "decision_id": None,
        "assignment_id": None, "response_id": None,
    }  # fmt: skip
    minted = await client.post("/v1/tokens", json={"learner": learner}, headers=bearer(keys["frontend"]))
    mine = await client.get(f"/v1/learners/{learner}/interactions", headers=bearer(minted.json()["token"]))
    assert mine.json()["interactions"][-1]["correct"] is None
    for wrong in ("x", "AAAA", "OQ", "LTEuMg"):
        found = await client.get(
            f"/v1/learners/{learner}/interactions", params={"cursor": wrong}, headers=bearer(keys["teacher"])
        )
        assert (found.status_code, found.json()["errors"][0]["code"]) == (422, "bad_cursor"), wrong
    found = await client.get(
        f"/v1/learners/{learner}/interactions", params={"limit": 501}, headers=bearer(keys["teacher"])
    )
    assert found.status_code == 422


async def test_learners_are_created(
    client: httpx2.AsyncClient, keys: dict[str, str], questions: Questions
) -> None:
    async def create(body: Any, key: str = "frontend") -> httpx2.Response:
        return await client.post("/v1/learners", json=body, headers=bearer(keys[key]))

    ada = await create({"source": "maths", "pseudonym": "ada"})
    again = await create({"source": "maths", "pseudonym": "ada"})
    assert (ada.status_code, again.status_code) == (201, 200)
    assert ada.json() == again.json() == {"learner": "maths/ada"}
    made = await asyncio.gather(*(create({"source": "maths"}) for _ in range(5)))
    assert {found.status_code for found in made} == {201}
    names = {found.json()["learner"] for found in made}
    assert len(names) == 5
    assert all(name.startswith("maths/u") and name[7:].isdigit() and int(name[7:]) > 10**8 for name in names)
    sent = await answer(client, keys["frontend"], questions, learner="maths/ada")
    assert sent["seq"] == 1
    for body, status, code in [
        ({"source": "nowhere"}, 404, "unknown_source"),
        ({"source": "maths", "pseudonym": "Ada Lovelace"}, 422, "invalid"),
        ({"source": "maths", "pseudonym": ""}, 422, "invalid"),
        ({"source": "maths", "name": "Ada"}, 422, "invalid"),
        ({}, 422, "invalid"),
    ]:
        found = await create(body)
        assert (found.status_code, found.json()["code"]) == (status, code), json.dumps(body)
    assert (await create({"source": "maths"}, key="teacher")).status_code == 403

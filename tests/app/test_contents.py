"""Items, components and courses, and what of them is for whom."""

import httpx2
import pytest
from sqlalchemy import Engine, insert, select, update
from sqlmodel import SQLModel

from tests.app.questions import Questions, lay_out
from tests.conftest import bearer

TABLES = SQLModel.metadata.tables


@pytest.fixture
def questions(sync_engine: Engine, tenant: int) -> Questions:
    found = lay_out(sync_engine, tenant)
    body = {"text": "2 + 3 = ?", "options": ["4", "5"], "solution": "5", "answer": "b"}
    with sync_engine.begin() as connection:
        item, component = TABLES["item"], TABLES["component"]
        connection.execute(update(item).where(item.c.external_id == "maths/q5").values(body=body, part=2))
        low, high, _ = connection.scalars(select(component.c.id).order_by(component.c.id))
        edge = {
            "from_component_id": low,
            "to_component_id": high,
            "tenant_id": tenant,
            "course_id": found.course,
        }
        connection.execute(insert(TABLES["prerequisite"]).values(edge))
    return found


async def test_an_item_shows_its_answer_to_staff_alone(
    client: httpx2.AsyncClient, keys: dict[str, str], questions: Questions
) -> None:
    seen = {
        role: (await client.get("/v1/items/maths/q5", headers=bearer(key))).json()
        for role, key in keys.items()
    }
    assert seen["teacher"] == seen["admin"]
    assert seen["teacher"]["answer_key"] == "b"
    assert seen["teacher"]["body"]["solution"] == "5"
    assert seen["frontend"] == {
        "item": "maths/q5", "kind": "q", "course": "maths", "components": ["maths/z", "maths/x"],
        "bundle": None, "part": 2, "version": 1, "answer_key": None,
        "body": {"text": "2 + 3 = ?", "options": ["4", "5"]},
    }  # fmt: skip
    missing = await client.get("/v1/items/maths/q99", headers=bearer(keys["frontend"]))
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown_item")


async def test_lists(client: httpx2.AsyncClient, keys: dict[str, str], questions: Questions) -> None:
    headers = bearer(keys["frontend"])
    first = (await client.get("/v1/items", params={"limit": 5, "course": "maths"}, headers=headers)).json()
    rest = (await client.get("/v1/items", params={"cursor": first["next"]}, headers=headers)).json()
    names = [item["item"] for item in first["items"] + rest["items"]]
    assert names == [*questions.items, questions.bundle, questions.lecture]
    assert rest["next"] is None
    assert [item["bundle"] for item in first["items"]] == ["b0", "b0", None, None, None]
    assert (await client.get("/v1/items", params={"course": "latin"}, headers=headers)).json()["items"] == []
    courses = (await client.get("/v1/courses", headers=headers)).json()["courses"]
    assert courses == [{"course": "maths", "title": "", "items": 8, "components": 3}]
    components = (await client.get("/v1/components", headers=headers)).json()["components"]
    assert [(found["kc"], found["label"], found["prerequisites"]) for found in components] == [
        ("maths/x", "x", []), ("maths/y", "y", ["maths/x"]), ("maths/z", "z", []),
    ]  # fmt: skip
    assert (await client.get("/v1/components", params={"course": "latin"}, headers=headers)).json() == {
        "components": []
    }
    assert (await client.get("/v1/courses")).status_code == 401

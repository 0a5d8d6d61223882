"""The trips from end to end, each as one story over HTTP, on both databases."""

import uuid
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import Engine, update
from sqlmodel import SQLModel

from app.ednet_files import import_folder
from app.main import create_app
from app.replay import replay_course
from app.settings import Settings
from tests.app.questions import assert_states_equal_replays, counts
from tests.conftest import bearer
from tests.lifespan import lifespan

DAY = 86_400_000
BEGIN_MS = 1_700_000_000_000
QUESTIONS = """question_id,bundle_id,explanation_id,correct_answer,part,tags,deployed_at
q1,b1,e1,b,5,10,-1
q2,b2,e2,a,5,10;20,-1
q3,b3,e3,c,6,20,-1
q4,b3,e3,d,6,30,-1
"""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A small EdNet archive: four questions, and what u1 answered to them."""
    folder = tmp_path / "ednet"
    for part in ("KT1", "contents"):
        (folder / part).mkdir(parents=True)
    (folder / "contents/questions.csv").write_text(QUESTIONS)
    rows = [f"{BEGIN_MS + n * 60_000},{n},q{n % 4 + 1},{'bacd'[n % 4]},20000" for n in range(8)]
    header = "timestamp,solving_id,question_id,user_answer,elapsed_time"
    (folder / "KT1/u1.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder


def answer(item: str, given: str, timestamp: int, **more: Any) -> dict[str, Any]:
    """An answer of demo/u1."""
    body = {"learner": "demo/u1", "action": "answer", "item": f"demo/{item}", "user_answer": given}
    return {"event_id": str(uuid.uuid4()), "timestamp": timestamp, **body, **more}


async def test_trip_a_interactions(
    settings: Settings, sync_engine: Engine, tenant: int, keys: dict[str, str], archive: Path
) -> None:
    """An archive is imported, lessons go on over HTTP, a tablet was offline, the server restarts."""
    report = import_folder(sync_engine, archive, tenant="school", source="demo", course="English")
    assert (report.files, report.rows) == (2, 12)
    frontend = bearer(keys["frontend"])
    lesson = BEGIN_MS + DAY
    first = answer("q1", "b", lesson, elapsed_time=12_000, attempt=1, hints=0, platform="web")
    async with lifespan(create_app(settings)) as app, browser(app) as client:
        # Knowledge is there before anything was sent: it comes from the imported history.
        told = (await client.get("/v1/learners/demo/u1/knowledge", headers=frontend)).json()
        assert [(known["kc"], known["evidence"]) for known in told["knowledge"]] == [
            ("demo/10", 4), ("demo/20", 4), ("demo/30", 2),
        ]  # fmt: skip
        assert told["courses"][0]["answers"] == 8
        assert "population priors" in told["courses"][0]["note"]
        # The first answer of the lesson is judged, counted and answered with what is known now.
        sent = (await client.post("/v1/interactions", json=first, headers=frontend)).json()
        assert (sent["seq"], sent["correct"], sent["state_as_of"]) == (1, True, lesson)
        assert [(known["kc"], known["evidence"]) for known in sent["knowledge"]] == [("demo/10", 5)]
        # A bundle: two answers that may be changed, then submitted together.
        bundle = [
            {**answer("q3", "a", lesson + 1000), "action": "respond"},
            {**answer("q3", "c", lesson + 2000), "action": "respond"},
            {**answer("q4", "d", lesson + 3000), "action": "respond"},
            {**answer("b3", "", lesson + 4000), "action": "submit"},
        ]
        results = [
            (await client.post("/v1/interactions", json=one, headers=frontend)).json() for one in bundle
        ]
        assert [result["state_as_of"] for result in results] == [lesson, lesson, lesson, lesson + 4000]
        assert {known["kc"]: known["evidence"] for known in results[3]["knowledge"]} == {
            "demo/20": 5,
            "demo/30": 3,
        }
        # A tablet was offline: yesterday's answers arrive in a batch, with one it had sent already.
        tablet = [answer("q2", "b", lesson - 3600_000 + n * 1000) for n in range(5)]
        batch = await client.post("/v1/interactions:batch", json=[*tablet, first], headers=frontend)
        told = batch.json()
        assert (told["accepted"], told["duplicate"], told["rejected"]) == (5, 1, 0)
        assert {result["state_as_of"] for result in told["results"][:5]} == {lesson + 4000}
        assert told["results"][5]["knowledge"] == sent["knowledge"]
    assert_states_equal_replays(sync_engine, settings)
    async with lifespan(create_app(settings)) as app, browser(app) as client:
        # After a restart a repeat still gets its first answer, and nothing is written twice.
        before = counts(sync_engine)
        again = await client.post("/v1/interactions", json=first, headers=frontend)
        assert (again.json(), again.headers["idempotent-replayed"]) == (sent, "true")
        assert counts(sync_engine) == before
        history = (await client.get("/v1/learners/demo/u1/interactions", headers=frontend)).json()
        assert [one["stream"] for one in history["interactions"]] == [1] * 8 + [9] * 10
        # The next answer carries the whole history.
        last = answer("q1", "c", lesson + DAY)
        sent = (await client.post("/v1/interactions", json=last, headers=frontend)).json()
        assert (sent["correct"], sent["knowledge"][0]["evidence"]) == (False, 11)
    assert assert_states_equal_replays(sync_engine, settings) == 1
    # An import of more rows makes knowledge stale; `proxima replay` brings it back.
    states = SQLModel.metadata.tables["knowledge_state"]
    with sync_engine.begin() as connection:
        connection.execute(update(states).values(is_stale=True, state=b""))
        course = connection.scalar(states.select().with_only_columns(states.c.course_id))
    assert replay_course(sync_engine, settings.artifact_dir, course or 0).learners == 1
    assert assert_states_equal_replays(sync_engine, settings) == 1


def browser(app: Any) -> httpx2.AsyncClient:
    """A client of the application."""
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://proxima.test")

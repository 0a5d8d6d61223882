"""Fits over HTTP: refits asked for and watched, promotion, rolling back, who may."""

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import Engine, insert, select

from app.catalogue import TABLES
from app.children import Children
from app.demo.school import Size
from app.registry import begin_fit, promote, save_fit
from app.runs import SILENT_S, note, progress
from app.settings import Settings
from app.tables import now
from tests.app.schools import begin, import_school
from tests.conftest import bearer
from tracing import population_parameters


@pytest.fixture
def course_id(sync_engine: Engine, tenant: int) -> int:
    row = {"tenant_id": tenant, "name": "maths/4", "title": "", "created_at": now()}
    with sync_engine.begin() as connection:
        found = connection.execute(insert(TABLES["course"]).values(row)).inserted_primary_key
    assert found is not None
    return int(found[0])


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The words of the processes that would have been started."""
    words: list[list[str]] = []
    monkeypatch.setattr(Children, "start", lambda self, wanted, fit_id=None: words.append(wanted))
    return words


def keep_fit(engine: Engine, settings: Settings, tenant: int, course_id: int, *, serving: bool) -> int:
    """A saved fit, promoted if it is to serve."""
    settings.artifact_dir.mkdir(exist_ok=True)
    gate = {
        "name": "irt",
        "passed": True,
        "value": 0.5,
        "limit": 0.6,
        "text": "log loss 0.5, below IRT's 0.6",
    }
    card = {"gates": [gate], "metrics": {"psi_kt": {"nll": 0.5, "auc": None}}, "seed": 3}
    with engine.begin() as connection:
        fit_id = begin_fit(connection, tenant, course_id, seed=3)
        save_fit(connection, settings.artifact_dir, fit_id, population_parameters(), card)
        if serving:
            promote(connection, fit_id, "test")
    return fit_id


async def test_a_refit_is_accepted_and_runs_elsewhere(
    client: httpx2.AsyncClient, keys: dict[str, str], course_id: int, started: list[list[str]]
) -> None:
    body = {"course": "maths/4", "seed": 5, "steps": 20}
    answer = await client.post("/v1/refits", json=body, headers=bearer(keys["teacher"]))
    assert answer.status_code == 202
    run = answer.json()
    assert answer.headers["location"] == f"/v1/refits/{run['id']}"
    assert (run["state"], run["progress"]["phase"], run["course"]) == ("running", "queued", "maths/4")
    assert started == [["refit", "--run", str(run["id"])]]
    again = await client.post("/v1/refits", json=body, headers=bearer(keys["admin"]))
    assert (again.status_code, again.json()["code"]) == (409, "refit_running")
    assert f"run {run['id']}" in again.json()["detail"]
    read = await client.get(answer.headers["location"], headers=bearer(keys["teacher"]))
    assert read.json()["state"] == "running"
    detail = await client.get(f"/v1/fits/{run['id']}", headers=bearer(keys["teacher"]))
    assert detail.json()["card"]["asked"]["seed"] == 5


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"course": "nope"}, 404, "unknown_course"),
        ({}, 422, "invalid"),
        ({"course": "maths/4", "seed": -1}, 422, "invalid"),
        ({"course": "maths/4", "force": True}, 422, "invalid"),
    ],
)
async def test_refits_that_are_refused(
    client: httpx2.AsyncClient,
    keys: dict[str, str],
    course_id: int,
    started: list[list[str]],
    body: dict[str, Any],
    status: int,
    code: str,
) -> None:
    answer = await client.post("/v1/refits", json=body, headers=bearer(keys["admin"]))
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert started == []


async def test_who_may(
    client: httpx2.AsyncClient,
    keys: dict[str, str],
    sync_engine: Engine,
    settings: Settings,
    tenant: int,
    course_id: int,
    started: list[list[str]],
) -> None:
    fit_id = keep_fit(sync_engine, settings, tenant, course_id, serving=False)
    wanted = {
        ("GET", "/v1/fits"): {"admin", "teacher"},
        ("GET", f"/v1/fits/{fit_id}"): {"admin", "teacher"},
        ("GET", f"/v1/refits/{fit_id}"): {"admin", "teacher"},
        ("POST", "/v1/refits"): {"admin", "teacher"},
        ("POST", f"/v1/fits/{fit_id}:promote"): {"admin"},
        ("POST", "/v1/courses/maths/4:rollback"): {"admin"},
    }
    for (method, path), roles in wanted.items():
        body = {"course": "maths/4"} if path == "/v1/refits" else {} if method == "POST" else None
        for role in ("frontend", "teacher", "admin"):
            answer = await client.request(method, path, json=body, headers=bearer(keys[role]))
            assert (answer.status_code == 403) == (role not in roles), (method, path, role, answer.text)


async def test_promote_and_roll_back(
    client: httpx2.AsyncClient,
    keys: dict[str, str],
    sync_engine: Engine,
    settings: Settings,
    tenant: int,
    course_id: int,
    started: list[list[str]],
) -> None:
    first = keep_fit(sync_engine, settings, tenant, course_id, serving=True)
    second = keep_fit(sync_engine, settings, tenant, course_id, serving=False)
    admin = bearer(keys["admin"])
    done = await client.post(f"/v1/fits/{second}:promote", json={"reason": "a look"}, headers=admin)
    assert done.json() == {"course": "maths/4", "fit_id": second}
    listed = (await client.get("/v1/fits?course=maths/4", headers=admin)).json()["fits"]
    assert [(fit["id"], fit["is_serving"]) for fit in listed] == [(second, True), (first, False)]
    assert listed[0]["gates"][0]["text"] == "log loss 0.5, below IRT's 0.6"
    twice = await client.post(f"/v1/fits/{second}:promote", headers=admin)
    assert (twice.status_code, twice.json()["code"]) == (409, "cannot_serve")
    back = await client.post("/v1/courses/maths/4:rollback", headers=admin)
    assert back.json() == {"course": "maths/4", "fit_id": first}
    assert started == [["replay", "--course", "maths/4", "--tenant", "school"]] * 2
    with sync_engine.connect() as connection:
        audit = TABLES["auditentry"]
        query = select(audit.c.actor, audit.c.action, audit.c.detail).where(audit.c.action != "key.use")
        entries = connection.execute(query.order_by(audit.c.id)).all()
    promoted, rolled_back = entries[-2:]
    assert (promoted.action, promoted.detail["reason"]) == ("promote", "a look")
    assert promoted.actor.startswith("key:")
    assert (rolled_back.action, rolled_back.detail["fit_id"]) == ("rollback", first)


async def test_nothing_to_roll_back_to(
    client: httpx2.AsyncClient, keys: dict[str, str], course_id: int, started: list[list[str]]
) -> None:
    answer = await client.post("/v1/courses/maths/4:rollback", headers=bearer(keys["admin"]))
    assert (answer.status_code, answer.json()["code"]) == (409, "cannot_serve")
    missing = await client.post("/v1/courses/nope:rollback", headers=bearer(keys["admin"]))
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown_course")
    assert started == []


async def test_a_run_that_fell_silent_is_shown_as_failed(
    client: httpx2.AsyncClient, keys: dict[str, str], sync_engine: Engine, course_id: int
) -> None:
    fit_id = begin(sync_engine, course_id)
    silent = {**progress("traits"), "at": int((time.time() - SILENT_S - 60) * 1000)}
    with sync_engine.begin() as connection:
        note(connection, fit_id, {"asked": {}, "progress": silent})
    run = (await client.get(f"/v1/refits/{fit_id}", headers=bearer(keys["admin"]))).json()
    assert run["state"] == "failed"
    assert "without a word while traits" in run["reason"]


async def test_fits_of_another_school_are_not_there(
    client: httpx2.AsyncClient, keys: dict[str, str], sync_engine: Engine, course_id: int
) -> None:
    with sync_engine.begin() as connection:
        row = {"name": "other school", "created_at": now()}
        found = connection.execute(insert(TABLES["tenant"]).values(row)).inserted_primary_key
        assert found is not None
        course = {"tenant_id": found[0], "name": "theirs", "title": "", "created_at": now()}
        theirs = connection.execute(insert(TABLES["course"]).values(course)).inserted_primary_key
        assert theirs is not None
        fit_id = begin_fit(connection, int(found[0]), int(theirs[0]))
    admin = bearer(keys["admin"])
    for method, path in (("GET", "/v1/fits/{}"), ("GET", "/v1/refits/{}"), ("POST", "/v1/fits/{}:promote")):
        answer = await client.request(method, path.format(fit_id), headers=admin)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_fit")
    assert (await client.get("/v1/fits", headers=admin)).json() == {"fits": []}
    answer = await client.post("/v1/refits", json={"course": "theirs"}, headers=admin)
    assert answer.status_code == 404


async def test_a_process_that_cannot_begin_is_recorded_as_failed(
    client: httpx2.AsyncClient,
    keys: dict[str, str],
    course_id: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'no module named app' >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr("app.children.sys.executable", str(broken))
    body = {"course": "maths/4"}
    run = (await client.post("/v1/refits", json=body, headers=bearer(keys["admin"]))).json()
    for _ in range(100):
        run = (await client.get(f"/v1/refits/{run['id']}", headers=bearer(keys["admin"]))).json()
        if run["state"] == "failed":
            break
        await asyncio.sleep(0.05)
    assert run["state"] == "failed"
    assert run["reason"] == "the process ended with code 3: no module named app"


@pytest.mark.slow
async def test_a_refit_from_request_to_promotion(
    client: httpx2.AsyncClient, keys: dict[str, str], sync_engine: Engine, tenant: int, tmp_path: Path
) -> None:
    """In both worlds: a real process, a real fit, knowledge brought to it."""
    await asyncio.to_thread(import_school, sync_engine, tmp_path / "school", Size(80, 50))
    admin = bearer(keys["admin"])
    run = (await client.post("/v1/refits", json={"course": "demo", "steps": 15}, headers=admin)).json()
    phases = set()
    while run["state"] != "failed" and run["progress"]["phase"] != "done":
        await asyncio.sleep(0.1)
        run = (await client.get(f"/v1/refits/{run['id']}", headers=admin)).json()
        phases.add(run["progress"]["phase"])
    assert run["state"] == "promoted", run["reason"]
    assert run["is_serving"]
    assert {"reading", "done"} <= phases
    assert [gate["passed"] for gate in run["gates"]] == [True, None, True, True]
    looking_after = [task for task in asyncio.all_tasks() if task.get_name() == f"refit --run {run['id']}"]
    await asyncio.gather(*looking_after)
    known = (await client.get("/v1/learners/demo/u1/knowledge", headers=admin)).json()
    assert known["courses"][0]["fit_id"] == run["id"]
    log = (tmp_path / "school" / "KT1" / "u1.csv").read_text().splitlines()
    assert known["courses"][0]["answers"] == len(log) - 1

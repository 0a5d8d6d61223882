"""Trip (a) over HTTP: bodies, answers, errors with code and place, batches in every form."""

import json
import uuid
from pathlib import Path
from typing import Any, get_args

import httpx2
import orjson
import pytest
from sqlalchemy import Engine

from app.events import Action, Event
from app.settings import Settings
from tests.app.questions import Questions, assert_states_equal_replays, counts, lay_out
from tests.conftest import bearer
from tracing.ednet import ACTIONS

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "wire"
NOW_MS = 1_700_000_000_000


@pytest.fixture
def questions(sync_engine: Engine, tenant: int) -> Questions:
    return lay_out(sync_engine, tenant)


def body(questions: Questions, **given: Any) -> dict[str, Any]:
    """A right answer as it is sent; None leaves a field out."""
    usual = {
        "event_id": str(uuid.uuid4()),
        "learner": questions.learners[0],
        "action": "answer",
        "item": questions.items[3],
        "user_answer": "b",
        "timestamp": NOW_MS,
    }
    return {name: value for name, value in {**usual, **given}.items() if value is not None}


async def post(
    client: httpx2.AsyncClient, key: str, sent: Any, path: str = "/v1/interactions"
) -> httpx2.Response:
    return await client.post(path, json=sent, headers=bearer(key))


async def test_an_event_is_answered(
    client: httpx2.AsyncClient,
    keys: dict[str, str],
    questions: Questions,
    sync_engine: Engine,
    settings: Settings,
) -> None:
    sent = body(questions, elapsed_time=4000, attempt=1, hints=0, platform="web", source="homework")
    first = await post(client, keys["frontend"], sent)
    again = await post(client, keys["frontend"], dict(reversed(sent.items())))
    other = await post(client, keys["frontend"], {**sent, "user_answer": "a"})
    assert first.status_code == 200, first.text
    answer = first.json()
    assert answer.keys() == {"event_id", "seq", "correct", "state_as_of", "knowledge"}
    assert (answer["event_id"], answer["seq"], answer["correct"]) == (sent["event_id"], 1, True)
    assert answer["state_as_of"] == NOW_MS
    assert [set(known) for known in answer["knowledge"]] == [{"kc", "mastery", "low", "high", "evidence"}] * 2
    assert "idempotent-replayed" not in first.headers
    assert (again.status_code, again.content, again.headers["idempotent-replayed"]) == (
        200,
        first.content,
        "true",
    )
    assert (other.status_code, other.json()["code"]) == (409, "event_id_reused")
    assert other.headers["content-type"] == "application/problem+json"
    assert counts(sync_engine)["interaction"] == 1
    assert_states_equal_replays(sync_engine, settings)


def changed(**given: Any) -> Any:
    return lambda questions: {**body(questions), **given}


def without(name: str) -> Any:
    return lambda questions: {key: value for key, value in body(questions).items() if key != name}


BAD = {
    "unknown learner": (changed(learner="maths/u99"), 404, "unknown_learner", "/learner", "unknown_learner"),
    "unknown item": (changed(item="maths/q99"), 404, "unknown_item", "/item", "unknown_item"),
    "far ahead": (
        changed(timestamp=4_000_000_000_000),
        422,
        "timestamp_ahead",
        "/timestamp",
        "timestamp_ahead",
    ),
    "negative time": (changed(timestamp=-1), 422, "invalid", "/timestamp", "greater_than_equal"),
    "huge time": (changed(timestamp=2**63), 422, "invalid", "/timestamp", "less_than_equal"),
    "negative elapsed": (changed(elapsed_time=-5), 422, "invalid", "/elapsed_time", "greater_than_equal"),
    "elapsed for years": (changed(elapsed_time=10**12), 422, "invalid", "/elapsed_time", "less_than_equal"),
    "attempt 0": (changed(attempt=0), 422, "invalid", "/attempt", "greater_than_equal"),
    "negative hints": (changed(hints=-1), 422, "invalid", "/hints", "greater_than_equal"),
    "unknown field": (changed(correct=True), 422, "invalid", "/correct", "unknown_field"),
    "unknown action": (changed(action="guess"), 422, "invalid", "/action", "literal_error"),
    "time as text": (changed(timestamp="1700000000000"), 422, "invalid", "/timestamp", "int_type"),
    "time as fraction": (changed(timestamp=1.5), 422, "invalid", "/timestamp", "int_type"),
    "time as bool": (changed(timestamp=True), 422, "invalid", "/timestamp", "int_type"),
    "answer as number": (changed(user_answer=2), 422, "invalid", "/user_answer", "string_type"),
    "long answer": (changed(user_answer="x" * 65), 422, "invalid", "/user_answer", "string_too_long"),
    "control character": (
        changed(user_answer="a\x01"),
        422,
        "invalid",
        "/user_answer",
        "string_pattern_mismatch",
    ),
    "no uuid": (changed(event_id="12"), 422, "invalid", "/event_id", "uuid_parsing"),
    "no event id": (without("event_id"), 422, "invalid", "/event_id", "missing"),
    "no timestamp": (without("timestamp"), 422, "invalid", "/timestamp", "missing"),
    "null learner": (changed(learner=None), 422, "invalid", "/learner", "string_type"),
    "empty item": (changed(item=""), 422, "invalid", "/item", "string_too_short"),
    "list": (lambda questions: [body(questions)], 422, "invalid", "", "model_type"),
    "null": (lambda _: None, 422, "invalid", "", "model_type"),
}


async def test_bad_events_are_named_and_change_nothing(
    client: httpx2.AsyncClient, keys: dict[str, str], questions: Questions, sync_engine: Engine
) -> None:
    headers = {**bearer(keys["frontend"]), "content-type": "application/json"}
    for name, (make, status, code, pointer, fault) in BAD.items():
        answer = await client.post("/v1/interactions", content=json.dumps(make(questions)), headers=headers)
        assert answer.status_code == status, (name, answer.text)
        problem = answer.json()
        first = problem["errors"][0]
        assert (problem["code"], first["pointer"], first["code"]) == (code, pointer, fault), name
        assert problem["detail"], name
        assert problem["request_id"], name
        assert counts(sync_engine) == dict.fromkeys(counts(sync_engine), 0), name


@pytest.mark.parametrize(
    "raw", [b"", b"{", b'{"a": NaN}', b'"\\ud800"', b"\xff", b'{"a":1,"a":2}', b"[" * 40 + b"]" * 40]
)
async def test_what_is_no_json_is_refused(
    raw: bytes, client: httpx2.AsyncClient, keys: dict[str, str], sync_engine: Engine
) -> None:
    headers = {**bearer(keys["frontend"]), "content-type": "application/json"}
    for path in ("/v1/interactions", "/v1/interactions:batch"):
        answer = await client.post(path, content=raw, headers=headers)
        assert answer.status_code == 400, (path, raw)
        assert answer.json()["code"] == "bad_json"
    assert counts(sync_engine) == dict.fromkeys(counts(sync_engine), 0)


async def test_who_may_send(
    client: httpx2.AsyncClient, keys: dict[str, str], questions: Questions, app: Any
) -> None:
    minted = await client.post(
        "/v1/tokens", json={"learner": questions.learners[0]}, headers=bearer(keys["frontend"])
    )
    token = minted.json()["token"]
    respond = body(questions, action="respond")
    by_teacher = await post(client, keys["teacher"], respond)
    by_nobody = await client.post("/v1/interactions", json=respond)
    by_learner = await post(client, token, respond)
    by_frontend = await post(client, keys["frontend"], body(questions, action="respond"))
    foreign = body(questions, learner=questions.learners[1])
    of_other = await post(client, token, foreign)
    assert (by_teacher.status_code, by_nobody.status_code) == (403, 401)
    # What may still be changed does not tell its verdict to the learner's own browser.
    assert (by_learner.json()["correct"], by_frontend.json()["correct"]) == (None, True)
    assert (of_other.status_code, of_other.json()["code"]) == (404, "unknown_learner")
    batch = await post(client, token, [body(questions), foreign], "/v1/interactions:batch")
    assert [result["status"] for result in batch.json()["results"]] == ["accepted", "rejected"]


def as_ndjson(events: list[Any]) -> tuple[bytes, str]:
    return b"\n".join(
        orjson.dumps(event) for event in events
    ) + b"\n\n", "application/x-ndjson; charset=utf-8"


FORMS = {
    "array": lambda events: (orjson.dumps(events), "application/json"),
    "object": lambda events: (orjson.dumps({"events": events}), "application/json"),
    "lines": as_ndjson,
}


@pytest.mark.parametrize("form", FORMS)
async def test_the_good_events_of_a_batch_are_written_and_the_bad_named(
    form: str,
    client: httpx2.AsyncClient,
    keys: dict[str, str],
    questions: Questions,
    sync_engine: Engine,
    settings: Settings,
) -> None:
    good = [body(questions, item=item, timestamp=NOW_MS + n) for n, item in enumerate(questions.items)]
    bad = [
        body(questions, item="maths/q99"),
        {**body(questions), "timestamp": -1, "unknown": 1},
        {**good[0], "user_answer": "c"},
        body(questions, learner="maths/u99"),
        7,
    ]
    content, kind = FORMS[form]([good[0], bad[0], *good[1:], bad[1], good[0], *bad[2:]])
    headers = {**bearer(keys["frontend"]), "content-type": kind}
    answer = await client.post("/v1/interactions:batch", content=content, headers=headers)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    results = told["results"]
    assert [result["index"] for result in results] == list(range(12))
    assert (told["accepted"], told["duplicate"], told["rejected"]) == (6, 1, 5)
    assert [result["status"][0] for result in results] == list("araaaaardrrr")
    assert [(result["code"], result["pointer"]) for result in results if result["status"] == "rejected"] == [
        ("unknown_item", "/item"),
        ("invalid", "/timestamp"),
        ("event_id_reused", "/event_id"),
        ("unknown_learner", "/learner"),
        ("invalid", ""),
    ]
    assert {fault["pointer"] for fault in results[7]["errors"]} == {"/timestamp", "/unknown"}
    assert results[7]["event_id"] == bad[1]["event_id"]
    accepted = [result for result in results if result["status"] == "accepted"]
    assert [result["seq"] for result in accepted] == [1, 2, 3, 4, 5, 6]
    assert {result["state_as_of"] for result in accepted} == {NOW_MS + 5}
    assert counts(sync_engine)["interaction"] == 6
    # The whole batch again changes nothing, and an event alone gets the answer of the batch.
    again = await client.post("/v1/interactions:batch", content=content, headers=headers)
    assert again.json()["duplicate"] == 7
    alone = await post(client, keys["frontend"], good[0])
    assert alone.headers["idempotent-replayed"] == "true"
    assert alone.json().items() <= results[0].items()
    assert counts(sync_engine)["interaction"] == 6
    assert_states_equal_replays(sync_engine, settings)


async def test_batches_have_limits_and_forms(
    client: httpx2.AsyncClient, keys: dict[str, str], questions: Questions, sync_engine: Engine
) -> None:
    path = "/v1/interactions:batch"
    full = [body(questions, timestamp=NOW_MS + n) for n in range(500)]
    answer = await post(client, keys["frontend"], full, path)
    assert answer.json()["accepted"] == 500
    answer = await post(client, keys["frontend"], [body(questions) for _ in range(501)], path)
    assert (answer.status_code, answer.json()["code"]) == (422, "too_many_events")
    assert (await post(client, keys["frontend"], [], path)).json()["results"] == []
    for wrong in ({"events": 1}, {"event": []}, 3, None):
        answer = await client.post(
            path,
            content=json.dumps(wrong),
            headers={**bearer(keys["frontend"]), "content-type": "application/json"},
        )
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), wrong
    answer = await client.post(
        path, content=b"x", headers={**bearer(keys["frontend"]), "content-type": "text/csv"}
    )
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert counts(sync_engine)["interaction"] == 500


def test_actions_are_those_of_the_contract() -> None:
    assert set(get_args(Action)) == set(ACTIONS)


def test_a_digest_says_what_the_event_says() -> None:
    sent = {
        "event_id": str(uuid.uuid4()),
        "learner": "a/u1",
        "action": "hint",
        "item": "a/q1",
        "timestamp": 1,
    }
    same = Event.model_validate_json(json.dumps({**dict(reversed(sent.items())), "hints": None}))
    assert Event.model_validate_json(json.dumps(sent)).digest() == same.digest()
    assert Event.model_validate_json(json.dumps({**sent, "hints": 0})).digest() != same.digest()


async def test_the_description_shows_the_body(client: httpx2.AsyncClient) -> None:
    described = (await client.get("/openapi.json")).json()
    operation = described["paths"]["/v1/interactions"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert set(schema["required"]) == {"event_id", "learner", "action", "item", "timestamp"}
    assert schema["additionalProperties"] is False
    assert set(described["paths"]["/v1/interactions:batch"]["post"]["requestBody"]["content"]) == {
        "application/json", "application/x-ndjson",
    }  # fmt: skip


async def test_the_wire_stays_as_it_is(
    client: httpx2.AsyncClient, keys: dict[str, str], questions: Questions
) -> None:
    """Requests and answers as agreed with frontends: they change with a new API version only."""
    for name in ("interaction", "unknown_item", "batch"):
        agreed = json.loads((GOLDEN / f"{name}.json").read_text())
        answer = await post(client, keys["frontend"], agreed["body"], agreed["path"])
        told = answer.json()
        assert answer.status_code == agreed["status"]
        if "request_id" in told:
            told["request_id"] = agreed["answer"]["request_id"]
        assert rounded(told) == rounded(agreed["answer"]), name


def rounded(value: Any) -> Any:
    """Numbers to five places: the last ones differ between machines."""
    if isinstance(value, float):
        return round(value, 5)
    if isinstance(value, dict):
        return {name: rounded(held) for name, held in value.items()}
    return [rounded(held) for held in value] if isinstance(value, list) else value

"""What must not reach the app, and that the guard costs little."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.json_guard import BadJson, InputGuard, check_json

DEPTH = 16
REFUSED = {
    "nothing": b" ",
    "cut short": b'{"a": [1, 2',
    "two values": b"{} {}",
    "single quotes": b"{'a': 1}",
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": -Infinity}',
    "beyond a double": b'{"a": 1e999}',
    "5000 digits": b'{"a": ' + b"1" * 5000 + b"}",
    "NUL byte": b'{"a": "\x00"}',
    "escaped NUL": b'{"a": "x\\u0000y"}',
    "escaped NUL as name": b'{"\\u0000": 1}',
    "escaped NUL deep inside": b'{"a": [{"b": ["\\u0000"]}]}',
    "lone high surrogate": b'{"a": "\\ud800"}',
    "lone low surrogate": b'{"a": "\\udc00"}',
    "surrogates in the wrong order": b'{"a": "\\udc00\\ud800"}',
    "surrogate as bytes": b'{"a": "\xed\xa0\x80"}',
    "not UTF-8": b'{"a": "\xff"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"a": 1}',
    "too deep by arrays": b"[" * (DEPTH + 1) + b"]" * (DEPTH + 1),
    "too deep by objects": b'{"a":' * (DEPTH + 1) + b"1" + b"}" * (DEPTH + 1),
    "far too deep": b"[" * 100_000 + b"]" * 100_000,
    "deep, hidden by strings": b'["]",' * (DEPTH + 1) + b"1" + b"]" * (DEPTH + 1),
    "a name twice": b'{"a": 1, "a": 2}',
    "a name twice, once escaped": b'{"a": 1, "\\u0061": 2}',
    "a name twice, colon in a string": b'{"a": ":", "a": "::"}',
    "a name twice, deep inside": b'{"x": [{"a": 1, "b": 2, "a": 3}]}',
}
TAKEN = {
    "an event": b'{"learner": "demo/u1", "timestamp": 1700000000000, "user_answer": null}',
    "spaces": b' \t\r\n{"a" : 1 }\n',
    "colons in strings": b'{"a": "10:30:00", "b": {"c:d": ":"}}',
    "brackets in strings": b'{"a": "' + b"[{" * 50 + b'"}',
    "an escaped backslash before u0000": b'{"a": "\\\\u0000"}',
    "a pair of surrogates": b'{"a": "\\ud83d\\ude00"}',
    "as deep as allowed": b"[" * DEPTH + b"]" * DEPTH,
    "the same name in two objects": b'[{"a": 1}, {"a": 2, "b": {"a": 3}}]',
    "a text": b'"hello"',
    "null": b"null",
    "the empty object": b"{}",
}


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED)
def test_refuses(body: bytes) -> None:
    with pytest.raises(BadJson):
        check_json(body, DEPTH)


@pytest.mark.parametrize("body", TAKEN.values(), ids=TAKEN)
def test_takes(body: bytes) -> None:
    check_json(body, DEPTH)


def test_repeated_name_is_told() -> None:
    with pytest.raises(BadJson, match="'learner' twice"):
        check_json(b'{"learner": "a", "learner": "b"}', DEPTH)


text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)


@given(values, st.booleans())
def test_takes_whatever_json_writes(value: Any, ascii_only: bool) -> None:
    check_json(json.dumps(value, ensure_ascii=ascii_only).encode(), 64)


@given(st.binary(max_size=60))
def test_says_bad_json_or_nothing(body: bytes) -> None:
    """Any bytes at all: the verdict is BadJson or none, and what passes is JSON for the standard library."""
    try:
        check_json(body, DEPTH)
    except BadJson:
        return
    json.loads(body)


def test_a_hostile_body_takes_no_longer_than_its_size() -> None:
    names = ",".join(f'"{n}":":"' for n in range(60_000)) + ',"7":1'
    begun = time.thread_time()
    with pytest.raises(BadJson, match="twice"):
        check_json(("{" + names + "}").encode(), DEPTH)
    assert time.thread_time() - begun < 1.0


def test_an_event_costs_microseconds() -> None:
    event = {
        "event_id": "5e2f8a52-1c5b-4d6c-9b3e-0d8c2b1f7a60",
        "learner": "demo/u1",
        "timestamp": 1_700_000_000_000,
    }
    body = json.dumps(event).encode()
    begun = time.thread_time()
    for _ in range(2000):
        check_json(body, DEPTH)
    assert (time.thread_time() - begun) / 2000 < 40e-6


class Received:
    """An ASGI app that notes the bodies it gets."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        self.bodies.append(message.get("body", b""))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def call(
    chunks: list[bytes], *, kind: bytes = b"application/json", length: bytes | None = None, **scope: Any
) -> tuple[int, list[bytes], int]:
    """(status, bodies that reached the app, chunks that were read) of a streamed request."""
    headers = [(b"content-type", kind)] + ([(b"content-length", length)] if length else [])
    waiting = list(chunks)
    statuses: list[int] = []
    read = 0

    async def receive() -> dict[str, Any]:
        nonlocal read
        read += 1
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    inner = Received()
    asked = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers, **scope}
    await InputGuard(inner, body_limit=100, depth_limit=DEPTH)(asked, receive, send)  # type: ignore[arg-type]
    return statuses[0], inner.bodies, read


async def test_a_body_in_pieces_arrives_whole() -> None:
    assert await call([b'{"a"', b": ", b"1}"]) == (204, [b'{"a": 1}'], 3)


async def test_a_body_that_grows_too_large_is_stopped_while_it_streams() -> None:
    status, bodies, read = await call([b"x" * 60] * 50)
    assert (status, bodies, read) == (413, [], 2)


async def test_a_body_announced_as_too_large_is_not_read() -> None:
    assert await call([b"x"], length=b"101") == (413, [], 0)


async def test_a_body_of_exactly_the_limit_is_taken() -> None:
    status, bodies, _ = await call([b'"' + b"x" * 98 + b'"'])
    assert status == 204
    assert len(bodies[0]) == 100


async def test_other_kinds_of_bodies_pass() -> None:
    assert (await call([b"\xff\x00"], kind=b"text/csv"))[0] == 204


@pytest.mark.parametrize("kind", [b"application/problem+json", b"application/json; charset=utf-8", b""])
async def test_what_counts_as_json(kind: bytes) -> None:
    assert (await call([b"{"], kind=kind))[0] == 400


@pytest.mark.parametrize(
    "scope",
    [{"path": "/v1/learners/a\0b"}, {"query_string": b"at=%00"}, {"method": "GET", "path": "/\0"}],
    ids=["path", "query", "GET"],
)
async def test_nul_outside_the_body(scope: dict[str, Any]) -> None:
    assert (await call([b"{}"], **scope))[0] == 400


async def test_nul_in_a_form() -> None:
    assert (await call([b"username=a%00b"], kind=b"application/x-www-form-urlencoded"))[0] == 400

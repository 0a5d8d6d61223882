"""Requests that must not reach the app: too large, not strict JSON, too deep, or with a NUL anywhere.

Strict means RFC 8259 as the narrowest reader takes it: UTF-8 without a mark, no NaN or Infinity, no number
beyond a double, no lone surrogate, no NUL in a string (PostgreSQL cannot keep one), and no name twice in an
object (two readers would see two bodies).
"""

import json
import re
from collections import Counter
from typing import Any

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import Problem

MAY_HOLD_NUL = re.compile(rb"\\u0000")
JSON, FORM = b"application/json", b"application/x-www-form-urlencoded"
BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})


class BadJson(ValueError):
    """A body is not acceptable JSON; the message says what and where."""


def check_json(body: bytes, depth_limit: int) -> None:
    """Raise BadJson unless `body` is strict JSON nested at most `depth_limit` deep.

    The common small object costs one parse and three scans; only nested ones are walked.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadJson(f"The body is not JSON: {error}.") from None
    opened = body.count(b"{") + body.count(b"[")
    if opened <= depth_limit and type(value) is dict and len(value) == body.count(b":") and opened == 1:
        pass  # flat, and as many names as colons: no name twice
    elif count_names(value, depth_limit) != body.count(b":"):
        # A colon too many is a name twice, or just a colon inside a string.
        refuse_repeated_names(body)
    if MAY_HOLD_NUL.search(body):
        refuse_nul(value)


def count_names(value: Any, depth_limit: int) -> int:
    """How many names all objects in `value` hold together; raises BadJson when it is nested too deep."""
    names = 0
    level = [value] if type(value) in (dict, list) else []
    for _ in range(depth_limit):
        inner: list[Any] = []
        for container in level:
            if type(container) is dict:
                names += len(container)
                inner += [held for held in container.values() if type(held) is dict or type(held) is list]
            else:
                inner += [held for held in container if type(held) is dict or type(held) is list]
        level = inner
        if not level:
            return names
    raise BadJson(f"The body is nested more than {depth_limit} deep.")


def refuse_repeated_names(body: bytes) -> None:
    """Raise BadJson when an object has a name twice."""

    def check(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        held = dict(pairs)
        if len(held) != len(pairs):
            repeated = Counter(name for name, _ in pairs).most_common(1)[0][0]
            raise BadJson(f"The body has the name {repeated[:40]!r} twice in one object.")
        return held

    json.loads(body, object_pairs_hook=check)


def refuse_nul(value: Any) -> None:
    """Raise BadJson when a string in `value` holds a NUL."""
    waiting = [value]
    while waiting:
        held = waiting.pop()
        if isinstance(held, str):
            if "\0" in held:
                raise BadJson("The body holds a NUL character in a string.")
        elif isinstance(held, dict):
            waiting += [*held.keys(), *held.values()]
        elif isinstance(held, list):
            waiting += held


class InputGuard:
    """ASGI middleware: 413 while a body still streams in, 400 for what is not strict JSON or holds a NUL."""

    def __init__(self, app: ASGIApp, body_limit: int, depth_limit: int) -> None:
        self.app = app
        self.body_limit = body_limit
        self.depth_limit = depth_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if "\0" in scope["path"] or b"%00" in scope["query_string"]:
            problem = Problem(400, "bad_request", "The path or the query holds a NUL character.")
            await problem.response()(scope, receive, send)
            return
        if scope["method"] in BODILESS:
            await self.app(scope, receive, send)
            return
        kind, announced = read_headers(scope)
        body = await self.read_body(receive) if announced <= self.body_limit else None
        if body is None:
            await self.refuse_size(scope, receive, send)
            return
        try:
            if body and is_json(kind):
                check_json(body, self.depth_limit)
            elif kind == FORM and b"%00" in body:
                raise BadJson("The form holds a NUL character.")
        except BadJson as error:
            await Problem(400, "bad_json", str(error)).response()(scope, receive, send)
            return
        await self.app(scope, replay(body, receive), send)

    async def read_body(self, receive: Receive) -> bytes | None:
        """The whole body, None once it is too large."""
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return b""  # the client went away; whoever reads on is told so
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > self.body_limit:
                return None
            if not message.get("more_body", False):
                return chunk if not chunks else b"".join((*chunks, chunk))
            chunks.append(chunk)

    async def refuse_size(self, scope: Scope, receive: Receive, send: Send) -> None:
        detail = f"The body has more than {self.body_limit} bytes; send fewer at a time."
        # The rest of the body is not read, so the connection cannot be used again.
        problem = Problem(413, "too_large", detail, headers={"Connection": "close"})
        await problem.response()(scope, receive, send)


def read_headers(scope: Scope) -> tuple[bytes, int]:
    """(the media type, empty when it is not given; the announced length or 0)."""
    kind, length = b"", 0
    for name, value in scope["headers"]:
        if name == b"content-type":
            kind = value.split(b";", 1)[0].strip().lower()
        elif name == b"content-length" and value.isdigit():
            length = int(value)
    return kind, length


def is_json(kind: bytes) -> bool:
    """Whether a body of this media type is JSON; one of unknown type is taken for it."""
    return kind == JSON or not kind or kind.endswith(b"+json")


def replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the whole body first, then what the server says."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again

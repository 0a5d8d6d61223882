"""An ASGI application in this process, started and stopped by the lifespan protocol as a server does it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

Message = dict[str, Any]


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[Any]:
    """The application to send requests to, between its startup and its shutdown.

    The lifespan runs in one task of its own, so that a task group opened at startup is closed by
    the task that opened it; what it left in the state is in the scope of every request.
    """
    state: dict[str, Any] = {}
    to_app: asyncio.Queue[Message] = asyncio.Queue()
    from_app: asyncio.Queue[Message] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.3"}, "state": state}
    task = asyncio.create_task(app(scope, to_app.get, from_app.put))

    async def step(name: str) -> None:
        await to_app.put({"type": f"lifespan.{name}"})
        answer = asyncio.create_task(from_app.get())
        await asyncio.wait({answer, task}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            await task
            raise RuntimeError(f"the application ended without an answer to lifespan.{name}")
        message = answer.result()
        if message["type"] != f"lifespan.{name}.complete":
            await task
            raise RuntimeError(f"lifespan.{name} failed: {message.get('message', '')}")

    async def with_state(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "state": dict(state)}, receive, send)

    await step("startup")
    try:
        yield with_state
    finally:
        await step("shutdown")
        await task

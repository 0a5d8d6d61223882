"""A server killed in the middle of its work loses nothing that it acknowledged."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
from sqlalchemy import Engine, select
from sqlmodel import SQLModel

from app.settings import Settings
from tests.app.questions import NOW_MS, assert_states_equal_replays, counts, event, lay_out
from tests.conftest import bearer
from tests.servers import free_port

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
CLIENTS = 8


@asynccontextmanager
async def serving(settings: Settings, port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """`proxima serve` as a process of its own, from when it answers."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PROXIMA_DATABASE_URL": settings.database_url,
        "PROXIMA_ARTIFACT_DIR": str(settings.artifact_dir),
        "PROXIMA_LOG_LEVEL": "error",
    }
    command = [sys.executable, "-m", "app", "serve", "--port", str(port)]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment)
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            for _ in range(400):
                assert process.returncode is None
                try:
                    await client.get("/livez")
                    break
                except httpx2.TransportError:
                    await asyncio.sleep(0.05)
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def send(port: int, key: str, sent: list[Any], acknowledged: dict[str, bytes]) -> None:
    """Send events one after the other until the server is gone; note what it acknowledged."""
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=bearer(key)) as client:
        for one in sent:
            try:
                answer = await client.post(
                    "/v1/interactions",
                    content=one.model_dump_json(exclude_none=True),
                    headers={"content-type": "application/json"},
                )
            except httpx2.TransportError:
                return
            assert answer.status_code == 200, answer.text
            acknowledged[str(one.event_id)] = answer.content


async def test_nothing_acknowledged_is_lost(
    settings: Settings, sync_engine: Engine, tenant: int, keys: dict[str, str]
) -> None:
    questions = lay_out(sync_engine, tenant, learners=CLIENTS)
    draw = random.Random(4)
    sent = [
        [
            event(who, draw.choice(questions.items), answer=draw.choice("bc"), timestamp=NOW_MS + n * 60_000)
            for n in range(400)
        ]
        for who in questions.learners
    ]
    port = free_port()
    acknowledged: dict[str, bytes] = {}
    async with serving(settings, port) as process:
        clients = [asyncio.create_task(send(port, keys["frontend"], mine, acknowledged)) for mine in sent]
        while len(acknowledged) < 150:  # noqa: ASYNC110  (the server sets the pace)
            await asyncio.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        await asyncio.gather(*clients)
    assert 150 <= len(acknowledged) < CLIENTS * 400
    names = SQLModel.metadata.tables["eventkey"].c
    with sync_engine.connect() as connection:
        written = {
            str(name): answer for name, answer in connection.execute(select(names.event_id, names.answer))
        }
    assert acknowledged.items() <= written.items()
    # Events without an answer may be there, whole: at most one a client was in flight.
    assert len(written) - len(acknowledged) <= CLIENTS
    assert counts(sync_engine)["interaction"] == counts(sync_engine)["last_seq"] == len(written)
    assert_states_equal_replays(sync_engine, settings)
    # What the clients send again after a restart is there once, answered as before.
    again: dict[str, bytes] = {}
    async with serving(settings, port):
        await asyncio.gather(*(send(port, keys["frontend"], mine[:60], again) for mine in sent))
    assert len(again) == CLIENTS * 60
    assert all(answer == written[name] for name, answer in again.items() if name in written)
    assert orjson.loads(again[str(sent[0][59].event_id)])["seq"] >= 60
    assert_states_equal_replays(sync_engine, settings)

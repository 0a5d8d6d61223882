"""What an interaction costs the server, alone and in batches, against a bare echo of the same body.

A real server (`proxima serve`) on PostgreSQL that syncs to the disk, 32 keep-alive clients over the loopback,
a promoted PSI-KT fit of 600 items and 60 components. CPU time is that of the server's process (not of
PostgreSQL, not of the clients). Afterwards every acknowledged event must be in the database and every
learner's state must be the replay of its interactions.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Engine, func, insert, select
from sqlmodel import Session, SQLModel

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, os.fspath(ROOT))

from app.credentials import create_key
from app.database import open_engine
from app.knowledge import replay
from app.migrate import migrate
from app.registry import begin_fit, load_fit, promote, save_fit
from app.settings import Settings
from app.tables import now
from tests.servers import free_port, running_postgres
from tracing import KnowledgeState, Parameters
from tracing.population import default_population

TABLES = SQLModel.metadata.tables
CLIENTS, BATCH = 32, 50
LEARNERS, ITEMS, COMPONENTS = 1600, 600, 60
TICKS = os.sysconf("SC_CLK_TCK")
BATCHES = ("50, one event of each of 50 learners", "50 of one learner")
UVICORN = ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning")


@dataclass(frozen=True)
class Load:
    """What a load took: the server's CPU seconds, wall seconds, and each answer with its seconds."""

    cpu_s: float
    wall_s: float
    answers: list[tuple[bytes, float]]


def lay_out(engine: Engine) -> tuple[int, int]:
    """A school, a course with its items, and learners; (tenant, course)."""
    draw = random.Random(1)
    with engine.begin() as connection:

        def put(table_name: str, /, **row: Any) -> int:
            table = TABLES[table_name]
            return int(connection.execute(insert(table).values(row).returning(table.c.id)).scalar_one())

        tenant = put("tenant", name="default", created_at=now())
        source = put("source", tenant_id=tenant, name="load")
        course = put("course", tenant_id=tenant, name="load", title="", created_at=now())
        ours = {"tenant_id": tenant, "course_id": course}
        tags = [put("component", **ours, external_id=f"load/{n}", label="") for n in range(COMPONENTS)]
        for n in range(ITEMS):
            item = put(
                "item",
                **ours,
                source_id=source,
                external_id=f"load/q{n}",
                kind="q",
                answer_key="b",
                version=1,
            )
            chosen = draw.sample(tags, draw.choice([1, 1, 2, 3]))
            rows = [{"item_id": item, "position": p, "component_id": tag} for p, tag in enumerate(chosen)]
            connection.execute(insert(TABLES["itemcomponent"]), rows)
        people = [
            {"tenant_id": tenant, "source_id": source, "external_id": f"load/u{n}", "last_seq": 0,
             "created_at": now()} for n in range(LEARNERS)
        ]  # fmt: skip
        connection.execute(insert(TABLES["learner"]), people)
    return tenant, course


def serve_fit(engine: Engine, settings: Settings, tenant: int, course: int) -> None:
    """Promote a fit in which everything moves and some components are prerequisites of others."""
    draw = np.random.default_rng(1)
    with engine.connect() as connection:
        items = list(connection.scalars(select(TABLES["item"].c.id).order_by(TABLES["item"].c.id)))
        tags = list(connection.scalars(select(TABLES["component"].c.id).order_by(TABLES["component"].c.id)))
    edges = [(n, n + 1) for n in range(0, COMPONENTS - 1, 3)]
    parameters = Parameters(
        fit_id=0,
        model="psi_kt",
        population=default_population(),
        item_keys=np.array(items, np.int64),
        item_difficulty=draw.normal(0, 0.8, len(items)),
        item_spread=np.full(len(items), 0.2),
        component_keys=np.array(tags, np.int64),
        component_difficulty=np.zeros(len(tags)),
        component_level=np.zeros(len(tags)),
        edges=np.array(edges, np.int32),
        edge_probability=np.full(len(edges), 0.8),
        edge_spread=np.full(len(edges), 0.1),
        trait_prior_spread=np.full(2, 0.3),
    )
    settings.artifact_dir.mkdir(parents=True, exist_ok=True)
    with engine.begin() as connection:
        fit_id = begin_fit(connection, tenant, course)
        save_fit(connection, settings.artifact_dir, fit_id, parameters, {"about": "api_load"})
        promote(connection, fit_id, "bench")


def make_events(count: int, day: int, learners: int = LEARNERS) -> list[list[dict[str, Any]]]:
    """Answers for each of the 32 clients: each has learners of its own and sends their answers in order."""
    draw = random.Random(day)
    start = int(time.time() * 1000) - (40 - day) * 86_400_000
    by_client: list[list[dict[str, Any]]] = [[] for _ in range(CLIENTS)]
    for n in range(count):
        by_client[n % learners % CLIENTS].append(
            {
                "event_id": str(uuid.UUID(int=draw.getrandbits(128), version=4)),
                "learner": f"load/u{n % learners}",
                "action": "answer",
                "item": f"load/q{draw.randrange(ITEMS)}",
                "user_answer": draw.choice("bbc"),
                "timestamp": start + n // learners * 60_000,
                "elapsed_time": draw.randrange(1000, 90_000),
                "attempt": 1,
                "hints": 0,
                "platform": "web",
            }
        )
    return by_client


def alone(by_client: list[list[dict[str, Any]]], key: str) -> list[list[bytes]]:
    """A request an event."""
    return [
        [request("/v1/interactions", json.dumps(event).encode(), key) for event in mine] for mine in by_client
    ]


def in_batches(by_client: list[list[dict[str, Any]]], key: str) -> list[list[bytes]]:
    """A request for each 50 events of a client; a learner with 50 or more sends them alone."""
    path = "/v1/interactions:batch"
    for mine in by_client:
        if len(mine) >= BATCH * len({event["learner"] for event in mine}):
            mine.sort(key=lambda event: event["learner"])
    return [
        [request(path, json.dumps(mine[n : n + BATCH]).encode(), key) for n in range(0, len(mine), BATCH)]
        for mine in by_client
    ]


def request(path: str, body: bytes, key: str) -> bytes:
    """An HTTP/1.1 request as bytes."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: proxima\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def client(port: int, requests: Sequence[bytes], found: list[tuple[bytes, float]]) -> None:
    """Send requests one after the other over one connection; keep each answer's body and seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for sent in requests:
        began = time.perf_counter()
        writer.write(sent)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        body = await reader.readexactly(length)
        if b" 200 " not in head[:16]:
            raise RuntimeError(f"the server answered {head[:60]!r} {body[:300]!r}")
        found.append((body, time.perf_counter() - began))
    writer.close()


def load(port: int, pid: int, by_client: list[list[bytes]]) -> Load:
    """Send each client's requests, all clients at once."""
    answers: list[tuple[bytes, float]] = []

    async def all_clients() -> None:
        await asyncio.gather(*(client(port, mine, answers) for mine in by_client))

    before, began = cpu_seconds(pid), time.perf_counter()
    asyncio.run(all_clients())
    return Load(cpu_seconds(pid) - before, time.perf_counter() - began, answers)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@contextmanager
def running(command: list[str], port: int, environment: dict[str, str]) -> Iterator[int]:
    """The process id of a server, from when it answers until the end of the block."""
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": os.fspath(ROOT), **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=1)
                break
            except OSError as error:
                if getattr(error, "code", None):
                    break
                if process.poll() is not None:
                    raise RuntimeError(f"{command[:4]} ended with {process.returncode}") from None
                time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


def check(engine: Engine, settings: Settings, answers: list[dict[str, Any]]) -> tuple[int, float]:
    """(acknowledged events that are missing, largest difference of a state from its replay)."""
    with engine.connect() as connection:
        key, row, state = TABLES["eventkey"], TABLES["interaction"], TABLES["knowledge_state"]
        written = connection.execute(
            select(key.c.event_id, key.c.seq).join(
                row,
                (row.c.tenant_id == key.c.tenant_id)
                & (row.c.learner_id == key.c.learner_id)
                & (row.c.seq == key.c.seq)
                & (row.c.stream == 9),
            )
        ).all()
        there = {(str(event_id), seq) for event_id, seq in written}
        missing = sum((answer["event_id"], answer["seq"]) not in there for answer in answers)
        if connection.scalar(select(func.count()).select_from(row)) != len(written):
            raise RuntimeError("there are interactions without a key")
        worst = 0.0
        for found in connection.execute(select(state)).all():
            parameters = load_fit(connection, settings.artifact_dir, found.fit_id)
            again = replay(connection, found.tenant_id, found.learner_id, found.course_id, parameters)
            worst = max(worst, difference(KnowledgeState.from_bytes(found.state), again))
    return missing, worst


def difference(state: KnowledgeState, other: KnowledgeState) -> float:
    """The largest difference of any moment of two states; infinite when they are not of the same answers."""
    if state.answers != other.answers or state.at != other.at or (state.components != other.components).any():
        return float("inf")
    return max(
        float(np.abs(np.asarray(getattr(state.belief, name)) - getattr(other.belief, name)).max(initial=0.0))
        for name in state.belief._fields
    )


def measure(count: int) -> list[dict[str, Any]]:
    """Every claim."""
    with tempfile.TemporaryDirectory() as folder, running_postgres() as server:
        server.create("proxima_bench")
        settings = Settings(
            database_url=server.database_url("proxima_bench"), artifact_dir=Path(folder) / "artifacts"
        )
        migrate(settings)
        engine = open_engine(settings)
        tenant, course = lay_out(engine)
        serve_fit(engine, settings, tenant, course)
        with Session(engine) as session, session.begin():
            key = create_key(session, tenant, "frontend", "bench").secret
        loads = run_servers(settings, count, key)
        answers = [json.loads(body) for body, _ in loads["alone"].answers]
        for name in BATCHES:
            answers += [result for body, _ in loads[name].answers for result in json.loads(body)["results"]]
        if any(answer.get("status", "accepted") != "accepted" for answer in answers):
            raise RuntimeError("a batch was not accepted whole")
        missing, worst = check(engine, settings, answers)
        engine.dispose()
    cost = {name: found.cpu_s / count * 1e6 for name, found in loads.items()}
    times = sorted(seconds for _, seconds in loads["alone"].answers)
    claims = [("server CPU of one interaction", cost["alone"], "us", cost["echo"])]
    claims += [
        (f"server CPU of an event in a batch of {name}", cost[name], "us", cost["echo"]) for name in BATCHES
    ]
    more: list[tuple[str, float, str]] = [
        ("interactions a second, 32 clients, one process", count / loads["alone"].wall_s, "1/s"),
        ("median time of an interaction, 32 clients", statistics.median(times) * 1e3, "ms"),
        ("99th percentile of it", times[int(len(times) * 0.99)] * 1e3, "ms"),
        (f"events missing of {len(answers)} acknowledged", missing, "events"),
        ("largest difference of a state from its replay", worst, "logits"),
    ]
    return [
        {
            "claim": name,
            "value": value,
            "unit": unit,
            "baseline": base,
            "ratio": value / base if base else None,
        }
        for name, value, unit, base in [*claims, *((*claim, None) for claim in more)]
    ]


def run_servers(settings: Settings, count: int, key: str) -> dict[str, Load]:
    """Put the loads on the server, and the same single events on the echo."""
    port = free_port()
    environment = {
        "PROXIMA_DATABASE_URL": settings.database_url,
        "PROXIMA_ARTIFACT_DIR": os.fspath(settings.artifact_dir),
    }
    warm, single = alone(make_events(640, 1), key), alone(make_events(count, 2), key)
    loads = {}
    with running([sys.executable, "-m", "app", "serve", "--port", str(port)], port, environment) as pid:
        load(port, pid, warm)
        loads["alone"] = load(port, pid, single)
        for day, (name, learners) in enumerate(zip(BATCHES, (LEARNERS, count // BATCH), strict=True), 3):
            loads[name] = load(port, pid, in_batches(make_events(count, day, learners), key))
    with running(
        [sys.executable, "-m", "uvicorn", "bench.echo:app", "--port", str(port), *UVICORN], port, {}
    ) as pid:
        load(port, pid, warm)
        loads["echo"] = load(port, pid, single)
    return loads


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON line a claim")
    parser.add_argument("--events", type=int, default=10_000, help="events of each kind")
    arguments = parser.parse_args()
    for claim in measure(arguments.events):
        if arguments.json:
            print(json.dumps(claim))
        else:
            base = f"  ({claim['ratio']:.2f} x echo, {claim['baseline']:.0f})" if claim["baseline"] else ""
            print(f"{claim['claim']}: {claim['value']:.4g} {claim['unit']}{base}")


if __name__ == "__main__":
    main()

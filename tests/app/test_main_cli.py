"""The command `proxima` as a person meets it: quick help, one clear line for what went wrong, exit codes."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from app.__main__ import VERBS, command_of, database_reason, main
from app.database import UnusableDatabase
from app.server import check_processes
from app.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
NOWHERE = "sqlite+aiosqlite:////nowhere/x.db"
CLOSED = "postgresql+asyncpg://127.0.0.1:1/x"
PROMOTED_FIT = """
INSERT INTO tenant (id, name, created_at) VALUES (1, 't', '2026-01-01');
INSERT INTO course (id, tenant_id, name, title, created_at) VALUES (5, 1, 'c', '', '2026-01-01');
INSERT INTO fit (id, tenant_id, course_id, state, reason, seed, artifact, artifact_sha256, card, started_at)
 VALUES (3, 1, 5, 'promoted', '', 0, 'fit-3', '', '{}', '2026-01-01');
INSERT INTO fitpointer (course_id, tenant_id, fit_id, changed_at) VALUES (5, 1, 3, '2026-01-01')
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and an environment of its own."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("PROXIMA_") and not name.startswith("PROXIMA_TEST_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "dumb")
    return tmp_path


class Ran:
    """What a verb left: exit code, standard output, standard error."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


Run = Callable[..., Ran]


@pytest.fixture
def proxima(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    """Runs a verb in this process."""

    def run(*words: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["proxima", *words])
        code: object = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code
        captured = capfd.readouterr()
        assert "Traceback" not in captured.err
        return Ran(int(str(code or 0)), captured.out, captured.err)

    return run


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import sys, time; begun = time.process_time()\n"
        "from app.__main__ import main\n"
        "sys.argv = ['proxima', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(time.process_time() - begun)\n"
        "print(sorted({'fastapi', 'sqlalchemy', 'numpy', 'polars', 'torch'} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    *shown, seconds, heavy = run.stdout.splitlines()
    assert float(seconds) < 0.7
    assert heavy == "[]"
    for verb in ("serve", "migrate", *VERBS):
        assert any(re.search(rf"\b{verb}\b", line) for line in shown), verb


@pytest.mark.parametrize("verb", ["serve", "migrate", *VERBS])
def test_every_verb_explains_itself(proxima: Run, verb: str) -> None:
    ran = proxima(verb, "--help")
    assert ran.code == 0
    assert "Usage" in ran.out
    assert len(ran.out) > 200


def test_wrong_usage_is_2(proxima: Run) -> None:
    for words in (
        ["nope"],
        ["serve", "--port", "http"],
        ["keys", "revoke", "one"],
        ["keys", "create"],
        ["--nope"],
    ):
        ran = proxima(*words)
        assert ran.code == 2, words
        assert ran.err


def test_version(proxima: Run) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", proxima("--version").out)


def test_migrate(proxima: Run, folder: Path) -> None:
    assert proxima("migrate").out.startswith("no tables -> ")
    assert proxima("migrate").out.startswith("already at ")
    assert (folder / "proxima.db").exists()
    assert proxima("migrate", "base", "--yes").out.rstrip().endswith("-> no tables")


def test_a_key_from_making_to_revoking(proxima: Run) -> None:
    proxima("migrate")
    made = proxima("keys", "create", "--role", "frontend", "--name", "portal", "--days", "30")
    assert re.fullmatch(r"pxk_[\w-]{43}\n", made.out)
    assert "not shown again" in made.err
    rotated = proxima("keys", "rotate", "1")
    assert rotated.out != made.out
    assert proxima("keys", "revoke", "1").code == 0
    again = proxima("keys", "revoke", "1")
    assert (again.code, again.out) == (1, "")
    assert re.fullmatch(r"proxima: key 1 was revoked at [\d :-]+ UTC\n", again.err)
    listed = proxima("keys", "list").out
    assert "portal" in listed
    assert "revoked" in listed
    assert "works until" in listed
    assert "pxk_" not in listed


def test_keys_and_accounts_of_unknown_schools(proxima: Run) -> None:
    proxima("migrate")
    refused = proxima("keys", "create", "--role", "admin", "--name", "x", "--tenant", "sprngfield")
    assert (refused.code, refused.err) == (1, "proxima: no tenant 'sprngfield'; known: none\n")
    words = ("accounts", "create", "ada", "--generate", "--tenant", "springfield", "--new-tenant")
    made = proxima(*words)
    assert made.code == 0
    assert re.fullmatch(r"[\w-]{16}\n", made.out)
    assert "already" in proxima(*words).err
    assert "springfield" in proxima("accounts", "list").out


@pytest.mark.parametrize(
    ("words", "environment", "said"),
    [
        (["keys", "list"], {}, "the database has no tables yet: run `proxima migrate`"),
        (["serve"], {"PROXIMA_PORT": "99999"}, "PROXIMA_PORT: Input should be less than or equal to 65535"),
        (["serve", "--processes", "2"], {}, "2 processes cannot share SQLite"),
        (["serve"], {"PROXIMA_CACHE_URL": "x:"}, "PROXIMA_CACHE_URL begins with x:"),
        (["serve"], {"PROXIMA_SESSION_SECRET": "abc"}, "PROXIMA_SESSION_SECRET has 3 characters"),
        (["migrate"], {"PROXIMA_DATABASE_URL": "mysql://h/d"}, "PROXIMA_DATABASE_URL begins with mysql://"),
        (
            ["migrate"],
            {"PROXIMA_DATABASE_URL": "sqlite+aiosqlite:////nowhere/x.db"},
            "there is no folder /nowhere; make it",
        ),
        (
            ["keys", "list"],
            {"PROXIMA_DATABASE_URL": "postgresql+asyncpg://127.0.0.1:1/x"},
            "the database is out of reach",
        ),
        (
            ["serve"],
            {"PROXIMA_DATABASE_URL": "postgresql+asyncpg://127.0.0.1:1/x"},
            "the database is out of reach",
        ),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, list) else "",
)
def test_what_goes_wrong_is_one_line(
    proxima: Run, monkeypatch: pytest.MonkeyPatch, words: list[str], environment: dict[str, str], said: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("app.server.configure_logging", lambda level: None)
    ran = proxima(*words)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("proxima: ")
    assert said in ran.err
    assert ran.err.count("\n") == 1


def test_a_fault_of_the_program_is_not_hidden(proxima: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(*_: object) -> None:
        raise KeyError("a fault")

    monkeypatch.setattr("app.migrate.migrate", break_down)
    with pytest.raises(KeyError):
        proxima("migrate")
    assert database_reason('syntax error at or near "SELEC"') is None


def test_several_processes_need_what_they_can_share() -> None:
    check_processes(Settings(), 1)
    postgres = Settings(database_url="postgresql+asyncpg://h/d")
    with pytest.raises(UnusableDatabase, match="memory:"):
        check_processes(postgres, 2)
    check_processes(postgres.model_copy(update={"cache_url": "redis://h/0"}), 8)


def test_a_lone_function_becomes_a_command() -> None:
    def hello(name: str) -> None:
        """Greet."""

    assert command_of(hello).help == "Greet."


def test_doctor_on_a_new_machine(proxima: Run) -> None:
    first = proxima("doctor")
    assert first.code == 1
    assert "problem  migrations" in first.out
    assert "do: run `proxima migrate`" in first.out
    proxima("migrate")
    second = proxima("doctor")
    assert second.code == 0
    assert "warning  keys" in second.out
    proxima("keys", "create", "--role", "admin", "--name", "x")
    third = proxima("doctor")
    assert third.code == 0
    assert "warning" not in third.out.replace("warning  artifacts", "")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PROXIMA_PORT", "x", "problem  settings: PROXIMA_PORT"),
        ("PROXIMA_DATABASE_URL", "oracle://x", "problem  database: PROXIMA_DATABASE_URL"),
        ("PROXIMA_DATABASE_URL", CLOSED, "problem  database: out of reach"),
        ("PROXIMA_CACHE_URL", "x:", "problem  cache: PROXIMA_CACHE_URL"),
        ("PROXIMA_CACHE_URL", "redis://127.0.0.1:1/0", "warning  cache: out of reach"),
        ("PROXIMA_SESSION_SECRET", "short", "problem  sessions"),
    ],
)
def test_doctor_names_the_illness(
    proxima: Run, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    proxima("migrate")
    monkeypatch.setenv(name, value)
    ran = proxima("doctor")
    assert said in ran.out
    assert "do: " in ran.out
    assert ran.code == (1 if said.startswith("problem") else 0)


def test_doctor_misses_a_promoted_fit(proxima: Run, folder: Path) -> None:
    from app.database import open_engine

    proxima("migrate")
    engine: Engine = open_engine(Settings())
    with engine.begin() as connection:
        for statement in PROMOTED_FIT.split(";"):
            connection.execute(text(statement))
    engine.dispose()
    ran = proxima("doctor")
    assert ran.code == 1
    assert "fit 3 serves course 5, but artifacts/fit-3 is missing" in ran.out
    (folder / "artifacts" / "fit-3").mkdir(parents=True)
    assert proxima("doctor").code == 0


def test_serve_answers_and_stops_when_asked(folder: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "serve", "--port", str(port)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        ready = b""
        for _ in range(150):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as answer:
                    ready = answer.read()
                break
            except OSError:
                time.sleep(0.1)
        assert b'"status":"ok"' in ready
        process.send_signal(signal.SIGTERM)
        _, logged = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode in (0, -signal.SIGTERM)
    assert all(line.startswith("{") for line in logged.splitlines()), logged
    assert (folder / "proxima.db").exists()

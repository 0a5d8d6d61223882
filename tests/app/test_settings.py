"""Settings: from the environment only, checked, and the same for every reader."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def test_defaults_serve_a_laptop() -> None:
    settings = Settings()
    assert settings.is_sqlite
    assert settings.cache_url == "memory:"
    assert settings.host == "127.0.0.1"


def test_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXIMA_PORT", "9000")
    monkeypatch.setenv("PROXIMA_DATABASE_URL", "postgresql+asyncpg://u:p@h/d")
    settings = Settings()
    assert settings.port == 9000
    assert not settings.is_sqlite
    assert settings.sync_database_url == "postgresql+psycopg://u:p@h/d"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", -1), ("port", 65536), ("port", "http"), ("body_limit", 10), ("batch_limit", 501),
        ("batch_limit", 0), ("json_depth_limit", 1), ("clock_skew_limit", 0), ("writer_queue_limit", 0),
        ("device", "tpu"), ("log_level", "loud"),
    ],
)  # fmt: skip
def test_nonsense_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError, match=name):
        Settings(**{name: value})  # type: ignore[arg-type]


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1  # type: ignore[misc]


def test_a_secret_is_not_shown() -> None:
    assert "hunter2" not in repr(Settings(session_secret="hunter2" * 8))  # type: ignore[arg-type]


def test_only_settings_read_the_environment() -> None:
    readers = [
        path.name
        for path in (ROOT / "app").rglob("*.py")
        if any(word in path.read_text(encoding="utf-8") for word in ("os.environ", "getenv", "BaseSettings"))
    ]
    assert readers == ["settings.py"]


def test_a_server_enters_neither_torch_nor_pyro() -> None:
    code = "import sys, app.main; print(sorted({'torch', 'pyro', 'sklearn'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert run.stdout.strip() == "[]"

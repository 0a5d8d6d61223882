"""Processes that the server starts: they get its settings, and no secret."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.settings import Settings


def test_a_child_has_the_settings_of_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXIMA_PORT", "1")
    given = Settings(
        database_url=f"sqlite+aiosqlite:///{tmp_path}/x.db",
        artifact_dir=tmp_path,
        port=8123,
        clock_skew_limit=0.5,
        session_secret=SecretStr("s" * 64),
    )
    program = (
        "from app.settings import Settings; print(Settings().model_dump_json(exclude={'session_secret'}))"
    )
    command = [sys.executable, "-c", program]
    told = subprocess.run(command, env=given.environment(), capture_output=True, text=True, check=True)
    assert told.stdout.strip() == given.model_dump_json(exclude={"session_secret"})
    assert not any("s" * 64 in value for value in given.environment().values())
    assert "PATH" in given.environment()

"""Settings: the only reader of the environment. Every field is `PROXIMA_` + its name in capitals."""

import json
import os
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What differs between a laptop and a district. A URL's scheme picks the adapter."""

    model_config = SettingsConfigDict(env_prefix="PROXIMA_", frozen=True, extra="ignore")

    database_url: str = Field(
        "sqlite+aiosqlite:///proxima.db",
        description="Where rows live: sqlite+aiosqlite:// or postgresql+asyncpg://.",
    )
    cache_url: str = Field("memory:", description="Cache: memory: (this process) or redis://host:port/n.")
    artifact_dir: Path = Field(Path("artifacts"), description="Folder of fitted models.")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Where fits run; auto takes a CUDA device if there is one."
    )
    host: str = Field("127.0.0.1", description="Address the server listens on.")
    port: int = Field(8000, ge=0, le=65535, description="Port the server listens on; 0 picks a free one.")
    session_secret: SecretStr | None = Field(
        None,
        description="Signs the cookie of staff pages; by default made once and kept in the artifact folder.",
    )
    body_limit: int = Field(1_048_576, ge=1024, description="Largest request body in bytes.")
    batch_limit: int = Field(500, ge=1, le=500, description="Most events in one batch.")
    json_depth_limit: int = Field(16, ge=2, le=100, description="Deepest nesting of a JSON body.")
    clock_skew_limit: float = Field(
        86_400.0, gt=0, description="Seconds a timestamp may lie ahead of the server's clock."
    )
    writer_queue_limit: int = Field(
        10_000, ge=1, description="Events waiting for the writer before the server answers 503."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe log line that is written."
    )

    @cached_property
    def is_sqlite(self) -> bool:
        """Whether rows live in one SQLite file (one writer, one server process)."""
        return self.database_url.startswith("sqlite")

    @cached_property
    def sync_database_url(self) -> str:
        """The same database for blocking code (import, refit, migrations)."""
        return self.database_url.replace("+aiosqlite", "").replace("+asyncpg", "+psycopg")

    def environment(self) -> dict[str, str]:
        """The environment for a child process that is to have these settings; secrets stay here."""
        told = self.model_dump(mode="json", exclude_none=True, exclude={"session_secret"})
        given = {name: value if isinstance(value, str) else json.dumps(value) for name, value in told.items()}
        return {**os.environ, **{f"PROXIMA_{name.upper()}": value for name, value in given.items()}}

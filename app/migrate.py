"""Bringing the tables to the newest revision, and knowing whether they are there."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from app.database import open_engine
from app.settings import Settings

FOLDER = Path(__file__).resolve().parent.parent / "migrations"
LOCK = 0x50524F58
"""Key of PostgreSQL's advisory lock: two servers that start together do not migrate together."""


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's configuration without a file; `connection` is what the revisions run on."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.attributes["connection"] = connection
    return config


def head_revision() -> str:
    """The newest revision this version of the program knows."""
    head = ScriptDirectory.from_config(alembic_config()).get_current_head()
    if head is None:
        raise RuntimeError(f"no revisions in {FOLDER}: the installation is incomplete")
    return head


def current_revision(connection: Connection) -> str | None:
    """The revision of the database, None when it has no tables yet."""
    return MigrationContext.configure(connection).get_current_revision()


def migrate(settings: Settings, revision: str = "head") -> tuple[str | None, str | None]:
    """Bring the database up (or, with an older `revision` or `base`, down); (revision before, after)."""
    engine = open_engine(settings)
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
            before = current_revision(connection)
            config = alembic_config(connection)
            if revision == "head" or is_newer(config, revision, before):
                command.upgrade(config, revision)
            else:
                command.downgrade(config, revision)
            return before, current_revision(connection)
    finally:
        engine.dispose()


def is_newer(config: Config, revision: str, current: str | None) -> bool:
    """Whether `revision` comes after `current` in the history."""
    if revision == "base":
        return False
    if current is None:
        return True
    older = {
        found.revision for found in ScriptDirectory.from_config(config).iterate_revisions(current, "base")
    }
    return revision not in older

"""The revisions make exactly the tables of app.tables, on both databases, up and down."""

from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text
from sqlmodel import SQLModel

import app.tables
from app.database import open_engine
from app.migrate import alembic_config, current_revision, head_revision, migrate
from app.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def test_tables_are_those_of_the_models(settings: Settings, sync_engine: Engine) -> None:
    with sync_engine.connect() as connection:
        command.check(alembic_config(connection))
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, SQLModel.metadata) == []
        assert current_revision(connection) == head_revision()


def test_every_model_has_its_table(sync_engine: Engine) -> None:
    there = set(inspect(sync_engine).get_table_names())
    assert there == set(SQLModel.metadata.tables) | {"alembic_version"}
    assert app.tables.Interaction.__tablename__ in there


def test_every_constraint_has_a_name(sync_engine: Engine) -> None:
    """A later revision can only alter what it can name."""
    inspector = inspect(sync_engine)
    for table in SQLModel.metadata.tables:
        keys = [inspector.get_pk_constraint(table), *inspector.get_foreign_keys(table)]
        keys += inspector.get_unique_constraints(table)
        assert all(key["name"] for key in keys), table


def test_down_and_up_again(settings: Settings, sync_engine: Engine) -> None:
    head = head_revision()
    assert migrate(settings) == (head, head)
    assert migrate(settings, "base") == (head, None)
    assert set(inspect(sync_engine).get_table_names()) <= {"alembic_version"}
    assert migrate(settings) == (None, head)


def test_one_step_at_a_time(settings: Settings) -> None:
    revisions = [found.revision for found in ScriptDirectory.from_config(alembic_config()).walk_revisions()][
        ::-1
    ]
    migrate(settings, "base")
    before = None
    for revision in revisions:
        assert migrate(settings, revision) == (before, revision)
        before = revision
    for revision in reversed(revisions[:-1]):
        assert migrate(settings, revision) == (before, revision)
        before = revision


def test_a_failed_migration_leaves_nothing_behind(
    settings: Settings, sync_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(settings, "base")

    def upgrade(config: Config, revision: str) -> None:
        connection = config.attributes["connection"]
        connection.execute(text("CREATE TABLE half_done (id integer)"))
        raise RuntimeError("the power went")

    monkeypatch.setattr(command, "upgrade", upgrade)
    with pytest.raises(RuntimeError):
        migrate(settings)
    assert "half_done" not in inspect(sync_engine).get_table_names()


def test_models_that_ran_ahead_are_noticed(tmp_path: Path) -> None:
    settings = Settings(database_url=f"sqlite+aiosqlite:///{tmp_path / 'ahead.db'}")
    migrate(settings)
    engine = open_engine(settings)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE prerequisite"))
        context = MigrationContext.configure(connection)
        assert [difference[0] for difference in compare_metadata(context, SQLModel.metadata)] == [
            "add_table",
            "add_index",
        ]
    engine.dispose()


def test_the_command_line_of_alembic_knows_the_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    config = Config(toml_file=ROOT / "pyproject.toml")
    config.cmd_opts = type("Options", (), {"x": [f"url=sqlite+aiosqlite:///{tmp_path / 'x.db'}"]})()
    command.upgrade(config, "head")
    command.check(config)
    assert (tmp_path / "x.db").exists()

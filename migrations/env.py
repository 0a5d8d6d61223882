"""How Alembic reaches the database: an open connection, `-x url=...`, or the settings; in this order."""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection
from sqlmodel import SQLModel
from sqlmodel.sql.sqltypes import AutoString

import app.tables
from app.database import open_engine
from app.settings import Settings


def render_item(kind: str, item: Any, autogen: AutogenContext) -> str | Literal[False]:
    """Write the project's own column types as plain SQLAlchemy ones: a migration must not import the app."""
    if kind != "type":
        return False
    if isinstance(item, app.tables.UTCDateTime):
        return "sa.DateTime(timezone=True)"
    if isinstance(item, AutoString):
        return f"sa.String({item.length or ''})"
    return False


def configure(**target: Any) -> None:
    """Set the options shared by online, offline and check runs."""
    context.configure(
        target_metadata=SQLModel.metadata,
        render_as_batch=True,
        render_item=render_item,
        compare_server_default=True,
        transactional_ddl=True,  # on SQLite too: app.database begins transactions itself
        **target,
    )


def migrate_over(connection: Connection) -> None:
    """Run the revisions in one transaction of an open connection."""
    configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()


def settings() -> Settings:
    """The settings, with the database of `-x url=...` where it is given."""
    given = context.get_x_argument(as_dictionary=True).get("url")
    return Settings(database_url=given) if given else Settings()


def main() -> None:
    """Run online over the caller's connection or a fresh one, or print SQL when offline."""
    given = context.config.attributes.get("connection")
    if isinstance(given, Connection):
        migrate_over(given)
    elif context.is_offline_mode():
        configure(url=settings().sync_database_url, literal_binds=True, dialect_opts={"paramstyle": "named"})
        with context.begin_transaction():
            context.run_migrations()
    else:
        engine = open_engine(settings())
        with engine.connect() as connection:
            migrate_over(connection)
        engine.dispose()


main()

"""Every table. Event columns are named as EdNet names them; times of events are integer Unix ms.

Interactions are the truth. `knowledge_state`, `knowledge_snapshot` and `fit_pointer` are caches of it
that can be rebuilt. A class with `table=True` does not validate: request bodies are never tables.
"""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, ForeignKey, LargeBinary, SmallInteger
from sqlalchemy.types import TypeDecorator
from sqlmodel import Column, Field, Integer, SQLModel, UniqueConstraint

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
# Named constraints, because a migration can only alter what it can name (SQLite's batch mode above all).

NATIVE_STREAM = 9
"""`Interaction.stream` of events that came over HTTP; 1-4 are EdNet's KT1-KT4."""


class UTCDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime on both databases (SQLite alone would give back a naive one)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("a naive datetime was given; use datetime.now(UTC)")
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if not isinstance(value, datetime):
            return None
        return value if value.tzinfo else value.replace(tzinfo=UTC)


def now() -> datetime:
    """The current time, aware, UTC."""
    return datetime.now(UTC)


BigKey = BigInteger().with_variant(Integer, "sqlite")
"""A 64-bit key that SQLite still autoincrements."""


class Tenant(SQLModel, table=True):
    """A school or district; every other row belongs to one."""

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True)
    created_at: datetime = Field(default_factory=now, sa_type=UTCDateTime)


class Source(SQLModel, table=True):
    """Where ids come from: external ids are unique per (tenant, source)."""

    __table_args__ = (UniqueConstraint("tenant_id", "name"),)
    id: int | None = Field(default=None, primary_key=True)
    tenant_id: int = Field(foreign_key="tenant.id")
    name: str


class Course(SQLModel, table=True):
    """What is fitted together: a set of items and the learners who answer them."""

    __table_args__ = (UniqueConstraint("tenant_id", "name"),)
    id: int | None = Field(default=None, primary_key=True)
    tenant_id: int = Field(foreign_key="tenant.id")
    name: str
    title: str = ""
    created_at: datetime = Field(default_factory=now, sa_type=UTCDateTime)


class Learner(SQLModel, table=True):
    """A learner, known by pseudonym only: `external_id` is SOURCE/uN. `last_seq` counts native events."""

    __table_args__ = (UniqueConstraint("tenant_id", "external_id"),)
    id: int | None = Field(default=None, sa_column=Column(BigKey, primary_key=True))
    tenant_id: int = Field(foreign_key="tenant.id")
    source_id: int = Field(foreign_key="source.id")
    external_id: str
    last_seq: int = 0
    created_at: datetime = Field(default_factory=now, sa_type=UTCDateTime)


class Classroom(SQLModel, table=True):
    """A class of a course."""

    __table_args__ = (UniqueConstraint("tenant_id", "name"),)
    id: int | None = Field(default=None, primary_key=True)
    tenant_id: int = Field(foreign_key="tenant.id")
    course_id: int = Field(foreign_key="course.id")
    name: str


class Enrolment(SQLModel, table=True):
    """A learner's place in a class."""

    classroom_id: int = Field(foreign_key="classroom.id", primary_key=True)
    learner_id: int = Field(
        sa_column=Column(BigInteger, ForeignKey("learner.id"), primary_key=True, index=True)
    )
    tenant_id: int = Field(foreign_key="tenant.id")


class Component(SQLModel, table=True):
    """A knowledge component: an EdNet tag (`external_id` SOURCE/tag) or one of a course's own."""

    __table_args__ = (UniqueConstraint("tenant_id", "external_id"),)
    id: int | None = Field(default=None, primary_key=True)
    tenant_id: int = Field(foreign_key="tenant.id")
    course_id: int = Field(foreign_key="course.id", index=True)
    external_id: str
    label: str = ""


class Prerequisite(SQLModel, table=True):
    """An expert's edge: `from_component_id` is wanted before `to_component_id`."""

    from_component_id: int = Field(foreign_key="component.id", primary_key=True)
    to_component_id: int = Field(foreign_key="component.id", primary_key=True)
    tenant_id: int = Field(foreign_key="tenant.id")
    course_id: int = Field(foreign_key="course.id", index=True)


class Item(SQLModel, table=True):
    """Whatever an action can act on: question, bundle, explanation, lecture, payment item, coupon, or `-1`.

    `bundle`, `explanation`, `answer_key`, `part`, `deployed_at` are EdNet's cells of a question;
    `body` is the JSON document of what EdNet cannot carry (text, policy, equations, hints).
    """

    __table_args__ = (UniqueConstraint("tenant_id", "external_id"),)
    id: int | None = Field(default=None, sa_column=Column(BigKey, primary_key=True))
    tenant_id: int = Field(foreign_key="tenant.id")
    source_id: int = Field(foreign_key="source.id")
    course_id: int = Field(foreign_key="course.id", index=True)
    external_id: str
    kind: str = Field(max_length=1)
    bundle: str | None = None
    explanation: str | None = None
    answer_key: str | None = None
    part: int | None = None
    deployed_at: int | None = Field(default=None, sa_type=BigInteger)
    version: int = 1
    body: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON))


class ItemComponent(SQLModel, table=True):
    """The components of an item in the order of its tags; a tag that repeats keeps its repeats."""

    item_id: int = Field(sa_column=Column(BigInteger, ForeignKey("item.id"), primary_key=True))
    position: int = Field(sa_column=Column(SmallInteger, primary_key=True))
    component_id: int = Field(foreign_key="component.id", index=True)


class Vocabulary(SQLModel, table=True):
    """Literals of EdNet's open vocabularies (kind: action_type, source, platform) and their codes."""

    kind: str = Field(primary_key=True)
    code: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    literal: str


class Interaction(SQLModel, table=True):
    """One row of KT1-KT4 (`seq` = row of the file) or one native event (`seq` = the learner's counter).

    `correct`: the server's verdict on a native answer; null where nothing was judged or, in imported
    rows, where it follows from `user_answer` and the item's key. `received_month` is YYYYMM.
    """

    # No foreign keys here: four look-ups a row would halve the bulk import; the writer and the importer
    # resolve every id before they insert, and a test joins all of them.
    __table_args__ = {"sqlite_with_rowid": False}
    tenant_id: int = Field(primary_key=True)
    learner_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    stream: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    seq: int = Field(primary_key=True)
    received_month: int = Field(primary_key=True)
    course_id: int
    timestamp: int = Field(sa_type=BigInteger)
    action_type: int | None = Field(default=None, sa_type=SmallInteger)
    item_id: int = Field(sa_type=BigInteger)
    user_answer: str | None = None
    solving_id: int | None = Field(default=None, sa_type=BigInteger)
    elapsed_time: int | None = Field(default=None, sa_type=BigInteger)
    cursor_time: int | None = Field(default=None, sa_type=BigInteger)
    source: int | None = Field(default=None, sa_type=SmallInteger)
    platform: int | None = Field(default=None, sa_type=SmallInteger)
    correct: bool | None = None
    attempt: int | None = Field(default=None, sa_type=SmallInteger)
    hints: int | None = Field(default=None, sa_type=SmallInteger)
    decision_id: str | None = None
    assignment_id: str | None = None
    response_id: str | None = None
    flags: int = Field(default=0, sa_type=SmallInteger)
    file_id: int | None = None


class EventKey(SQLModel, table=True):
    """Exactly once: the event ids seen, the digest of each body and the answer first given."""

    tenant_id: int = Field(foreign_key="tenant.id", primary_key=True)
    event_id: UUID = Field(primary_key=True)
    learner_id: int = Field(sa_type=BigInteger)
    seq: int
    body_sha256: bytes = Field(sa_type=LargeBinary)
    answer: bytes = Field(sa_type=LargeBinary)
    received_at: int = Field(sa_type=BigInteger, index=True)


class KnowledgeStateRow(SQLModel, table=True):
    """A learner's knowledge in a course, a cache of the replay: compare-and-set on `last_seq`."""

    __tablename__ = "knowledge_state"
    tenant_id: int = Field(foreign_key="tenant.id", primary_key=True)
    learner_id: int = Field(sa_column=Column(BigInteger, ForeignKey("learner.id"), primary_key=True))
    course_id: int = Field(foreign_key="course.id", primary_key=True)
    fit_id: int = 0
    answers: int = 0
    last_seq: int = 0
    is_stale: bool = False
    state: bytes = Field(sa_type=LargeBinary)
    updated_at: int = Field(sa_type=BigInteger)


class KnowledgeSnapshot(SQLModel, table=True):
    """The state after every 500th answer, so that a late event replays little."""

    tenant_id: int = Field(foreign_key="tenant.id", primary_key=True)
    learner_id: int = Field(sa_column=Column(BigInteger, ForeignKey("learner.id"), primary_key=True))
    course_id: int = Field(foreign_key="course.id", primary_key=True)
    answers: int = Field(primary_key=True)
    fit_id: int = 0
    last_seq: int = 0
    state: bytes = Field(sa_type=LargeBinary)


class ImportFile(SQLModel, table=True):
    """A member of an archive as it came: dialect and digest, enough to give every byte back.

    `raw`: the bytes themselves (zlib), only where cells and dialect cannot give them back.
    """

    __table_args__ = (UniqueConstraint("tenant_id", "source_id", "path"),)
    id: int | None = Field(default=None, primary_key=True)
    tenant_id: int = Field(foreign_key="tenant.id")
    source_id: int = Field(foreign_key="source.id")
    learner_id: int | None = Field(default=None, sa_type=BigInteger)
    path: str
    stream: int | None = Field(default=None, sa_type=SmallInteger)
    dialect: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    rows: int
    size: int = Field(sa_type=BigInteger)
    sha256: bytes = Field(sa_type=LargeBinary)
    raw: bytes | None = Field(default=None, sa_type=LargeBinary)
    imported_at: datetime = Field(default_factory=now, sa_type=UTCDateTime)


class CellOverride(SQLModel, table=True):
    """A cell whose text is not what its typed value renders to ('007', '1.0', quotes, spaces)."""

    file_id: int = Field(foreign_key="importfile.id", primary_key=True)
    row: int = Field(primary_key=True)
    column: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    text: bytes = Field(sa_type=LargeBinary)


class ContentRow(SQLModel, table=True):
    """A row of questions, lectures, payments or coupons, cell by cell, for exact export."""

    file_id: int = Field(foreign_key="importfile.id", primary_key=True)
    row: int = Field(primary_key=True)
    cells: list[str] = Field(sa_column=Column(JSON, nullable=False))


class Fit(SQLModel, table=True):
    """A run of the refit and what came of it. state: running, kept, promoted or failed."""

    id: int | None = Field(default=None, primary_key=True)
    tenant_id: int = Field(foreign_key="tenant.id")
    course_id: int = Field(foreign_key="course.id", index=True)
    state: str
    reason: str = ""
    parent_id: int | None = None
    seed: int = 0
    artifact: str = ""
    artifact_sha256: str = ""
    card: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    started_at: datetime = Field(default_factory=now, sa_type=UTCDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UTCDateTime)


class FitPointer(SQLModel, table=True):
    """The promoted fit of a course: promotion and roll-back flip this one row."""

    course_id: int = Field(foreign_key="course.id", primary_key=True)
    tenant_id: int = Field(foreign_key="tenant.id")
    fit_id: int = Field(foreign_key="fit.id")
    previous_fit_id: int | None = None
    changed_at: datetime = Field(default_factory=now, sa_type=UTCDateTime)


class ApiKey(SQLModel, table=True):
    """A credential of a frontend or a script; only the digest of its secret is kept."""

    id: int | None = Field(default=None, primary_key=True)
    tenant_id: int = Field(foreign_key="tenant.id")
    name: str
    role: str
    digest: bytes = Field(sa_type=LargeBinary, unique=True)
    created_at: datetime = Field(default_factory=now, sa_type=UTCDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UTCDateTime)


class Account(SQLModel, table=True):
    """A member of staff who signs in to the pages; the password as argon2 hash."""

    __table_args__ = (UniqueConstraint("tenant_id", "username"),)
    id: int | None = Field(default=None, primary_key=True)
    tenant_id: int = Field(foreign_key="tenant.id")
    username: str
    role: str
    password_hash: str
    created_at: datetime = Field(default_factory=now, sa_type=UTCDateTime)


class AuditEntry(SQLModel, table=True):
    """Who did what: staff actions, keys, promotions."""

    id: int | None = Field(default=None, sa_column=Column(BigKey, primary_key=True))
    tenant_id: int = Field(foreign_key="tenant.id", index=True)
    at: datetime = Field(default_factory=now, sa_type=UTCDateTime)
    actor: str
    action: str
    subject: str
    detail: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))

"""Names of an archive (u1, q1, tag 7) to ids of one tenant, source and course."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Table, literal, select

from app.ednet_files.logs import kind_of
from app.ednet_files.rows import TABLES, EdnetFilesError, Row, batches, insert_missing, is_one_of


@dataclass(slots=True)
class Names:
    """External ids are SOURCE/name; what is missing is created in the caller's transaction."""

    tenant_id: int
    source_id: int
    course_id: int
    source: str
    course: str
    _items: dict[str, int] = field(default_factory=dict)

    @classmethod
    def create(cls, connection: Connection, tenant: str, source: str, course: str) -> "Names":
        """The ids of tenant, source and course, made where they are missing.

        Raises EdnetFilesError if a name is empty, the source has a slash, or the source was imported
        into another course.
        """
        if not tenant or not source or not course:
            raise EdnetFilesError("tenant, source and course need a name: --tenant, --source, --course")
        if "/" in source:
            raise EdnetFilesError(
                f"source {source!r} has a slash, which separates it from its ids; leave it out"
            )
        created = {"created_at": datetime.now(UTC)}
        tenant_id = _named(connection, TABLES["tenant"], tenant, created)
        ours = {"tenant_id": tenant_id}
        source_id = _named(connection, TABLES["source"], source, {}, **ours)
        course_id = _named(connection, TABLES["course"], course, {"title": "", **created}, **ours)
        names = cls(tenant_id, source_id, course_id, source, course)
        names._check_course(connection)
        return names

    @classmethod
    def find(cls, connection: Connection, tenant: str, source: str) -> "Names":
        """The ids of a source that is there; course_id 0. Raises EdnetFilesError if there is none."""
        tenants, sources = TABLES["tenant"], TABLES["source"]
        found = connection.execute(
            select(tenants.c.id, sources.c.id)
            .join_from(tenants, sources, sources.c.tenant_id == tenants.c.id)
            .where(tenants.c.name == tenant, sources.c.name == source)
        ).first()
        if found is None:
            known = connection.execute(
                select(sources.c.name)
                .join_from(tenants, sources, sources.c.tenant_id == tenants.c.id)
                .where(tenants.c.name == tenant)
                .order_by(sources.c.name)
            ).scalars()
            raise EdnetFilesError(
                f"tenant {tenant!r} has no source {source!r}; it has: {', '.join(known) or 'none'}"
            )
        return cls(found[0], found[1], 0, source, "")

    def _check_course(self, connection: Connection) -> None:
        files, items, courses = TABLES["importfile"], TABLES["item"], TABLES["course"]
        if connection.execute(select(files.c.id).where(files.c.source_id == self.source_id).limit(1)).first():
            query = (
                select(courses.c.name)
                .join_from(items, courses, items.c.course_id == courses.c.id)
                .where(items.c.tenant_id == self.tenant_id, items.c.source_id == self.source_id)
                .distinct()
            )
            found = list(connection.execute(query).scalars())
            if found and self.course not in found:
                raise self._other_course(found[0])

    def _other_course(self, course: str) -> EdnetFilesError:
        return EdnetFilesError(
            f"source {self.source!r} belongs to course {course!r}, not {self.course!r}; give --course "
            f"{course} or another --source"
        )

    def external(self, name: str) -> str:
        """SOURCE/name."""
        return f"{self.source}/{name}"

    def learners(self, connection: Connection, names: Sequence[str]) -> dict[str, int]:
        """{u1: id}; new learners get ids in the order given."""
        created = {"source_id": self.source_id, "last_seq": 0, "created_at": datetime.now(UTC)}
        return self._resolve(connection, TABLES["learner"], names, lambda _: created)

    def items(self, connection: Connection, names: Sequence[str]) -> dict[str, int]:
        """{q1: id}; an item not known from contents gets a row with its kind only."""
        missing = [name for name in names if name not in self._items]
        if missing:
            same = {"source_id": self.source_id, "course_id": self.course_id, "version": 1}
            found = self._resolve(
                connection, TABLES["item"], missing, lambda name: {"kind": kind_of(name), **same}
            )
            self._items.update(found)
        return {name: self._items[name] for name in names}

    def components(self, connection: Connection, tags: Sequence[str]) -> dict[str, int]:
        """{tag: id}."""
        same = {"course_id": self.course_id, "label": ""}
        return self._resolve(connection, TABLES["component"], tags, lambda _: same)

    def _resolve(
        self, connection: Connection, table: Table, names: Sequence[str], columns: Callable[[str], Row]
    ) -> dict[str, int]:
        """Ids by name; EdnetFilesError where one belongs to another course."""
        wanted = {self.external(name): name for name in names}
        found = self._known(connection, table, list(wanted))
        missing = [external for external in wanted if external not in found]
        rows = [
            {"tenant_id": self.tenant_id, "external_id": external, **columns(wanted[external])}
            for external in missing
        ]
        insert_missing(connection, table, rows)
        found |= self._known(connection, table, missing)
        return {name: found[external] for external, name in wanted.items()}

    def _known(self, connection: Connection, table: Table, external_ids: Sequence[str]) -> dict[str, int]:
        courses = TABLES["course"]
        course = table.c.course_id if "course_id" in table.c else literal(self.course_id)
        found: dict[str, int] = {}
        for batch in batches(external_ids):
            query = select(table.c.external_id, table.c.id, course).where(
                is_one_of(connection, table.c.external_id, batch), table.c.tenant_id == self.tenant_id
            )
            for external, key, course_id in connection.execute(query):
                if course_id != self.course_id:
                    name = select(courses.c.name).where(courses.c.id == course_id)
                    raise self._other_course(connection.execute(name).scalar_one())
                found[external] = key
        return found


def _named(connection: Connection, table: Table, name: str, rest: dict[str, Any], **ours: int) -> int:
    where = [table.c.name == name, *(table.c[key] == value for key, value in ours.items())]
    query = select(table.c.id).where(*where)
    found = connection.execute(query).scalar()
    if found is None:
        insert_missing(connection, table, [{"name": name, **rest, **ours}])
        found = connection.execute(query).scalar_one()
    return int(found)

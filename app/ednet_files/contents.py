"""Contents of an archive: questions, lectures, payments, coupons; and item bodies, labels, prerequisites.

Every row is kept cell by cell as it is written; what Proxima uses of it is copied to items and components.
"""

import json
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from graphlib import CycleError, TopologicalSorter
from hashlib import sha256
from itertools import pairwise
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select

from app.ednet_files.dialect import (
    INT32,
    Dialect,
    Refusal,
    bare,
    cells_of,
    check_width,
    header_names,
    integer,
    name_of,
    unwrap,
    wrap,
)
from app.ednet_files.logs import kind_of
from app.ednet_files.names import Names
from app.ednet_files.rows import TABLES, batches, insert_missing, insert_rows, is_one_of, update_rows
from tracing.ednet import COUPONS, LECTURES, NOT_AVAILABLE, PAYMENTS, QUESTIONS

COLUMNS: Final[Mapping[str, Sequence[str]]] = {
    "contents/questions.csv": tuple(QUESTIONS),
    "contents/lectures.csv": tuple(LECTURES),
    "contents/payments.csv": tuple(PAYMENTS),
    "contents/coupons.csv": tuple(COUPONS),
    "contents/components.csv": ("tag", "label"),
    "contents/prerequisites.csv": ("from_tag", "to_tag"),
}
ITEM_BODIES: Final = "contents/items.jsonl"
MOST_TAGS: Final = 2**15
_LOOKS_LIKE_DATA: Final = re.compile(r"[qlpc]?-?[0-9]+")


@dataclass(slots=True)
class Contents:
    """A parsed member of contents: cells as written, rows of bare cells, item bodies by question id."""

    path: str
    data: bytes = field(repr=False)
    dialect: Dialect
    cells: list[list[str]] = field(repr=False)
    lines: list[int] = field(repr=False)
    values: list[list[str]] = field(repr=False)
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    raw: bytes | None = None

    @property
    def rows(self) -> int:
        """Rows after the header (documents of `items.jsonl`)."""
        return (
            len(self.cells) if self.path != ITEM_BODIES else sum(bool(row[0].strip()) for row in self.cells)
        )


def parse_contents(path: str, data: bytes) -> Contents:
    """Read a member of contents; Refusal names the line and cell that do not fit."""
    if path == ITEM_BODIES:
        return _parse_bodies(path, data)
    dialect, body = unwrap(data)
    names: Sequence[str] = COLUMNS[path]
    if dialect.header is not None:
        # Released files misname a column: the place of a column counts, not its name.
        header = header_names(dialect.header)
        check_width(header, names, 1)
        if _LOOKS_LIKE_DATA.fullmatch(header[0]):
            raise Refusal(f"the first line is no header; expected {','.join(names)}", 1, 1)
    text = body.decode("utf-8", "surrogateescape")
    cells, lines = [], []
    for line, row in cells_of(text):
        check_width(row, names, line)
        cells.append(row)
        lines.append(line)
    parsed = Contents(path, data, dialect, cells, lines, [[bare(cell) for cell in row] for row in cells])
    whole = "".join(",".join(row) + "\n" for row in cells).encode("utf-8", "surrogateescape")
    # Bytes that are no UTF-8 have no place in a cell of the database.
    if any("\udc80" <= letter <= "\udcff" for letter in text) or wrap(dialect, whole) != data:
        parsed.raw = zlib.compress(data)
    return parsed


def _parse_bodies(path: str, data: bytes) -> Contents:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise Refusal("not UTF-8, as JSON has to be", line, 1) from None
    lines = text.split("\n")
    parsed = Contents(
        path, data, Dialect(None), [[line] for line in lines], list(range(1, len(lines) + 1)), []
    )
    for number, written in enumerate(lines, start=1):
        if written.strip().strip("\ufeff"):
            name, body = _body(written.lstrip("\ufeff"), number)
            parsed.bodies[name] = body
    return parsed


def _body(line: str, number: int) -> tuple[str, dict[str, Any]]:
    try:
        document = json.loads(line, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise Refusal(f"no JSON: {error.msg}", number, error.colno) from None
    except (ValueError, RecursionError) as error:
        raise Refusal(f"no JSON that can be stored: {error}", number, 1) from None
    wanted = 'an item is {"question_id": "q1", "body": {...}}'
    if not isinstance(document, dict) or document.keys() != {"question_id", "body"}:
        raise Refusal(f"{wanted}, with these two members", number, 1)
    name, body = document["question_id"], document["body"]
    if not isinstance(name, str) or not isinstance(body, dict) or name != name_of(bare(name)) or not name:
        raise Refusal(f"{wanted}: an id and an object", number, 1)
    return name, body


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def apply_contents(
    connection: Connection, names: Names, parsed: Contents, digest: bytes | None = None
) -> int:
    """Store the file's rows and what they say, in the caller's transaction; the file's id."""
    file_id = _store(connection, names, parsed, digest or sha256(parsed.data).digest())
    _APPLY[parsed.path](connection, names, parsed)
    return file_id


def _store(connection: Connection, names: Names, parsed: Contents, digest: bytes) -> int:
    described = {
        "tenant_id": names.tenant_id,
        "source_id": names.source_id,
        "path": parsed.path,
        "dialect": parsed.dialect.to_json(""),
        "rows": parsed.rows,
        "size": len(parsed.data),
        "sha256": digest,
        "raw": parsed.raw,
        "imported_at": datetime.now(UTC),
    }
    found = connection.execute(insert(TABLES["importfile"]).values(described)).inserted_primary_key
    file_id = int(found[0]) if found is not None else 0
    if parsed.raw is None and parsed.cells:
        rows = [
            {"file_id": file_id, "row": row, "cells": cells}
            for row, cells in enumerate(parsed.cells, start=1)
        ]
        insert_rows(connection, TABLES["contentrow"], rows)
    return file_id


def render_contents(path: str, dialect: Dialect, cells: Sequence[Sequence[str]]) -> bytes:
    """The bytes of a member of contents from its stored cells."""
    if path == ITEM_BODIES:
        return "\n".join(row[0] for row in cells).encode()
    return wrap(dialect, "".join(",".join(row) + "\n" for row in cells).encode())


def _apply_questions(connection: Connection, names: Names, parsed: Contents) -> None:
    rows = {name_of(row[0]): row for row in parsed.values}
    columns = {
        name: {
            "bundle": name_of(row[1]) or None,
            "explanation": name_of(row[2]) or None,
            "answer_key": row[3] or None,
            "part": integer(row[4], INT32),
            "deployed_at": integer(row[6]),
        }
        for name, row in rows.items()
    }
    _update_items(connection, names, columns)
    _set_tags(connection, names, {name: row[5] for name, row in rows.items()})
    # Bundles are submitted by their name over HTTP, also those that no log of an archive mentions.
    bundles = dict.fromkeys(str(row["bundle"]) for row in columns.values() if row["bundle"])
    names.items(connection, [name for name in bundles if kind_of(name) == "b"])


def _apply_lectures(connection: Connection, names: Names, parsed: Contents) -> None:
    rows = {name_of(row[0]): row for row in parsed.values}
    columns = {
        name: {"part": integer(row[1], INT32), "deployed_at": integer(row[4])} for name, row in rows.items()
    }
    _update_items(connection, names, columns)
    _set_tags(connection, names, {name: row[2] for name, row in rows.items()})


def _apply_names(connection: Connection, names: Names, parsed: Contents) -> None:
    names.items(connection, list(dict.fromkeys(name_of(row[0]) for row in parsed.values)))


def _apply_bodies(connection: Connection, names: Names, parsed: Contents) -> None:
    _update_items(connection, names, {name: {"body": body} for name, body in parsed.bodies.items()})


def _update_items(connection: Connection, names: Names, columns: Mapping[str, Mapping[str, Any]]) -> None:
    if not columns:
        return
    ids = names.items(connection, list(columns))
    same = {"tenant_id": names.tenant_id, "source_id": names.source_id, "course_id": names.course_id}
    rows = [
        {
            "id": ids[name],
            "external_id": names.external(name),
            "kind": kind_of(name),
            "version": 1,
            **same,
            **changed,
        }
        for name, changed in columns.items()
    ]
    changed_columns = {column for changed in columns.values() for column in changed}
    update_rows(connection, TABLES["item"], rows, changed_columns)


def _set_tags(connection: Connection, names: Names, tags: Mapping[str, str]) -> None:
    """Give each item the components of its tags, in their order and with repeats; -1 is none."""
    table = TABLES["itemcomponent"]
    wanted = {name: _tags(text) for name, text in tags.items()}
    items = names.items(connection, list(wanted))
    components = names.components(
        connection, list(dict.fromkeys(tag for row in wanted.values() for tag in row))
    )
    for batch in batches(items.values()):
        connection.execute(delete(table).where(is_one_of(connection, table.c.item_id, batch)))
    rows = [
        {"item_id": items[name], "position": position, "component_id": components[tag]}
        for name, row in wanted.items()
        for position, tag in enumerate(row)
    ]
    insert_missing(connection, table, rows)


def _tags(text: str) -> list[str]:
    names = (name_of(tag.strip()) for tag in text.split(";"))
    return [tag for tag in names if tag and tag != str(NOT_AVAILABLE)][:MOST_TAGS]


def _apply_labels(connection: Connection, names: Names, parsed: Contents) -> None:
    labels = {name_of(row[0]): row[1] for row in parsed.values}
    ids = names.components(connection, list(labels))
    same = {"tenant_id": names.tenant_id, "course_id": names.course_id}
    rows = [
        {"id": ids[tag], "external_id": names.external(tag), "label": label, **same}
        for tag, label in labels.items()
    ]
    update_rows(connection, TABLES["component"], rows, {"label"})


def _apply_prerequisites(connection: Connection, names: Names, parsed: Contents) -> None:
    table, components = TABLES["prerequisite"], TABLES["component"]
    pairs = [(name_of(row[0]), name_of(row[1])) for row in parsed.values]
    ids = names.components(connection, list(dict.fromkeys(tag for pair in pairs for tag in pair)))
    query = select(table.c.from_component_id, table.c.to_component_id).where(
        table.c.course_id == names.course_id
    )
    there = [(int(low), int(high)) for low, high in connection.execute(query)]
    new = [(ids[low], ids[high]) for low, high in pairs]
    cycle = _cycle(there + new) if new else []
    if cycle:
        of_cycle = components.c.id.in_(cycle)
        known = select(components.c.id, components.c.external_id).where(of_cycle)
        shown = dict(connection.execute(known).all())
        steps = set(pairwise(cycle))
        last = max((i for i, edge in enumerate(new) if edge in steps), default=0)
        path = " -> ".join(shown[step].removeprefix(names.external("")) for step in cycle)
        raise Refusal(f"these prerequisites run in a circle: {path}", parsed.lines[last], 1)
    same = {"tenant_id": names.tenant_id, "course_id": names.course_id}
    rows = [{"from_component_id": low, "to_component_id": high, **same} for low, high in new]
    insert_missing(connection, table, rows)


def _cycle(edges: Sequence[tuple[int, int]]) -> list[int]:
    """The nodes of one cycle, first and last the same; empty if there is none."""
    for low, high in edges:
        if low == high:
            return [low, low]
    sorter: TopologicalSorter[int] = TopologicalSorter()
    for low, high in edges:
        sorter.add(high, low)
    try:
        sorter.prepare()
    except CycleError as error:
        return [int(node) for node in error.args[1]]
    return []


_APPLY: Final[Mapping[str, Callable[[Connection, Names, Contents], None]]] = {
    "contents/questions.csv": _apply_questions,
    "contents/lectures.csv": _apply_lectures,
    "contents/payments.csv": _apply_names,
    "contents/coupons.csv": _apply_names,
    ITEM_BODIES: _apply_bodies,
    "contents/components.csv": _apply_labels,
    "contents/prerequisites.csv": _apply_prerequisites,
}

"""Interactions as the frames that fits, evaluations and replays read (schemas: tracing.ednet)."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import polars as pl
from sqlalchemy import (
    Connection,
    Engine,
    FromClause,
    Integer,
    Select,
    and_,
    cast,
    func,
    literal_column,
    or_,
    select,
)

from app.ednet_files.rows import TABLES, EdnetFilesError, batches, read_frame, reading
from tracing.ednet import ACTIONS, ANSWERS, ITEMS, KEYS, KT1, NOT_AVAILABLE, ROWS, answers

Schema = dict[str, type[pl.DataType] | pl.DataType]
LEARNERS_AT_ONCE: Final = 2_000
LABELLING: Final = tuple(ACTIONS[action] for action in ("respond", "submit", "answer"))
"""The actions that `answers()` reads, beside KT1's rows."""

_STORED: Final[Schema] = {name: ROWS[name] for name in ROWS if name != "bundle"} | {"correct": pl.Int64}
_OF_LEARNER: Final[Schema] = _STORED | {"answer_key": KEYS["answer_key"], "bundle": KEYS["bundle"]}


def course_frames(engine: Engine, course_id: int) -> tuple[pl.DataFrame, pl.DataFrame, list[tuple[int, int]]]:
    """(answers, items, prerequisites) of a course.

    answers: frame tracing.ednet.ANSWERS of all its learners. items: frame ITEMS of its questions and of
    whatever else was answered; components are database ids, in the order of the tags. Prerequisites:
    (from, to) component ids. Memory: 2,000 learners' interactions at a time, and the answers.
    Raises EdnetFilesError if there is no such course.
    """
    with reading(engine) as connection:
        courses = TABLES["course"]
        tenant_id = connection.execute(select(courses.c.tenant_id).where(courses.c.id == course_id)).scalar()
        if tenant_id is None:
            raise EdnetFilesError(f"there is no course with id {course_id}")
        keys = read_frame(connection, _keys(course_id), dict(KEYS))
        parts = [
            answers(rows, keys) for rows in _interactions(connection, int(tenant_id), course_id) if len(rows)
        ]
        labelled = pl.concat([pl.DataFrame(schema=dict(ANSWERS)), *parts])
        items = _items(connection, course_id, labelled["item"].unique())
        edges = TABLES["prerequisite"]
        found = connection.execute(
            select(edges.c.from_component_id, edges.c.to_component_id)
            .where(edges.c.course_id == course_id)
            .order_by(edges.c.from_component_id, edges.c.to_component_id)
        )
        return labelled, items, [(int(low), int(high)) for low, high in found]


def learner_statement(tenant_id: int, learner_id: int, course_id: int) -> Select[Any]:
    """The SELECT of what `answers_of` needs of one learner, for blocking and async connections alike."""
    table = TABLES["interaction"]
    item, bundle, joined = _with_bundle()
    return (
        select(*_columns(), item.c.answer_key, bundle.c.id.label("bundle"))
        .select_from(table.outerjoin(joined, item.c.id == table.c.item_id))
        .where(
            table.c.tenant_id == tenant_id,
            table.c.learner_id == learner_id,
            table.c.course_id == course_id,
            _is_used(),
        )
    )


def answers_of(rows: Iterable[Sequence[Any]]) -> pl.DataFrame:
    """The labelled answers (frame ANSWERS) in the rows of `learner_statement`."""
    frame = pl.DataFrame([tuple(row) for row in rows], schema=_OF_LEARNER, orient="row")
    keys = frame.select(list(KEYS)).unique("item")
    return answers(_as_rows(frame.drop("answer_key", "bundle")), keys)


def learner_rows(connection: Connection, tenant_id: int, learner_id: int, course_id: int) -> pl.DataFrame:
    """The labelled answers (frame ANSWERS) of one learner in a course, in order of time."""
    return answers_of(connection.execute(learner_statement(tenant_id, learner_id, course_id)))


def _columns() -> list[Any]:
    """The columns of _STORED, in its order."""
    table = TABLES["interaction"]
    renamed = {
        "learner": table.c.learner_id,
        "item": table.c.item_id,
        "correct": cast(table.c.correct, Integer),
    }
    return [(renamed[name] if name in renamed else table.c[name]).label(name) for name in _STORED]


def _is_used() -> Any:
    table = TABLES["interaction"]
    return or_(table.c.stream == KT1, table.c.action_type.in_(LABELLING))


def _as_rows(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("correct").cast(pl.Boolean))


def _with_bundle() -> tuple[FromClause, FromClause, FromClause]:
    """(item, the item under which its bundle is submitted, their join)."""
    item, source = TABLES["item"], TABLES["source"]
    bundle = item.alias("bundle_item")
    is_bundle = and_(
        bundle.c.tenant_id == item.c.tenant_id,
        bundle.c.external_id == source.c.name + literal_column("'/'") + item.c.bundle,
        bundle.c.kind == literal_column("'b'"),
    )
    return item, bundle, item.join(source, source.c.id == item.c.source_id).outerjoin(bundle, is_bundle)


def _keys(course_id: int) -> Select[Any]:
    item, bundle, joined = _with_bundle()
    return (
        select(item.c.id, item.c.answer_key, bundle.c.id.label("bundle"))
        .select_from(joined)
        .where(item.c.course_id == course_id)
    )


def _interactions(connection: Connection, tenant_id: int, course_id: int) -> Iterable[pl.DataFrame]:
    """The course's rows that can hold answers, some learners at a time."""
    table, learners = TABLES["interaction"], TABLES["learner"]
    ours = select(learners.c.id).where(learners.c.tenant_id == tenant_id).order_by(learners.c.id)
    for group in batches(connection.execute(ours).scalars().all(), LEARNERS_AT_ONCE):
        query = select(*_columns()).where(
            table.c.tenant_id == tenant_id,
            table.c.learner_id.between(group[0], group[-1]),
            table.c.course_id == course_id,
            _is_used(),
        )
        yield _as_rows(read_frame(connection, query, _STORED))


def _items(connection: Connection, course_id: int, answered: pl.Series) -> pl.DataFrame:
    """Frame ITEMS. The key of a bundle is the lowest id among its items: KT1 has no rows of bundles."""
    item, component = TABLES["item"], TABLES["itemcomponent"]
    grouped = func.min(item.c.id).over(partition_by=(item.c.source_id, item.c.bundle))
    query = select(item.c.id, grouped, item.c.bundle, item.c.part, item.c.kind).where(
        item.c.course_id == course_id
    )
    found = read_frame(
        connection,
        query,
        {"item": pl.Int64, "bundle": pl.Int64, "name": pl.String, "part": pl.Int64, "kind": pl.String},
    )
    tags = read_frame(
        connection,
        select(component.c.item_id, component.c.component_id, component.c.position)
        .join_from(component, item, item.c.id == component.c.item_id)
        .where(item.c.course_id == course_id),
        {"item": pl.Int64, "components": pl.Int64, "position": pl.Int64},
    )
    tags = tags.sort("item", "position").group_by("item", maintain_order=True).agg("components")
    return (
        found.filter((pl.col("kind") == "q") | pl.col("item").is_in(answered.implode()))
        .join(tags, on="item", how="left")
        .sort("item")
        .select(
            "item",
            pl.col("components").fill_null(pl.lit([], dtype=pl.List(pl.Int64))),
            pl.when(pl.col("name").is_not_null()).then("bundle"),
            pl.col("part").replace(NOT_AVAILABLE, None),
        )
        .cast(dict(ITEMS))  # type: ignore[arg-type]
    )

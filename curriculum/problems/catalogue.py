"""Items by id, and the demo course as plain data: one JSON document an item."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from curriculum.errors import SchemaError, UnknownItem
from curriculum.problems.components import COMPONENTS, PREREQUISITES, check_prerequisites
from curriculum.problems.exercise import Exercise, item_id, render
from curriculum.problems.parameters import Cell
from curriculum.problems.schemas import SCHEMAS
from curriculum.problems.world import Schema

VERSION = 1
"""Version of an item's JSON document."""

SEED_EXAMPLE = 0


@cache
def schemas() -> Mapping[str, Schema]:
    """Every schema by name. Raises SchemaError for a doubled name or an unknown component."""
    known = {component.id for component in COMPONENTS}
    by_name: dict[str, Schema] = {}
    for one in SCHEMAS:
        faults = [f"component {name!r} is unknown" for name in one.components if name not in known]
        faults += ["its name stands twice"] if one.name in by_name else []
        if faults:
            raise SchemaError(one.name, faults)
        by_name[one.name] = one
    return by_name


def item_ids() -> tuple[str, ...]:
    """The ids of all items, in the order of the course."""
    return tuple(item_id(one, cell.index) for one in schemas().values() for cell in one.box.cells)


def exercise(item: str, seed: int) -> Exercise:
    """The instance of an item that a seed gives; the same pair always gives the same exercise.

    Raises UnknownItem.
    """
    one, cell = _find(item)
    return render(one, cell.index, seed)


def exercise_at(schema: str, values: Mapping[str, float], seed: int) -> Exercise:
    """An exercise made for exactly one point of a schema's box, {parameter: value}.

    Its item is the cell that holds the point. Raises UnknownItem or OutsideBox.
    """
    if schema not in schemas():
        raise UnknownItem(f"no schema is called {schema!r}")
    one = schemas()[schema]
    point = one.box.point(values)
    return render(one, one.box.cell_of(point), seed, point)


def _find(item: str) -> tuple[Schema, Cell]:
    name, _, index = item.rpartition(".")
    one = schemas().get(name)
    if one is None or not index.isdecimal() or int(index) >= len(one.box.cells):
        cells = f"; its cells are 0..{len(one.box.cells) - 1}" if one else "; ids read SCHEMA.CELL"
        raise UnknownItem(f"no generated item {item!r}{cells}")
    return one, one.box.cells[int(index)]


def difficulty(item: str) -> float:
    """The prior difficulty at the centre of the item's cell, in logits."""
    one, cell = _find(item)
    return one.difficulty_at(cell.centre)


def catalogue() -> dict[str, Any]:
    """The demo course: {components, prerequisites, items}, JSON throughout.

    An item is {id, schema, cell, components, difficulty, body}; `body` is its JSON document.
    """
    check_prerequisites(COMPONENTS, PREREQUISITES)
    return {
        "components": [{"id": one.id, "label": one.label, "grade": one.grade} for one in COMPONENTS],
        "prerequisites": [list(edge) for edge in PREREQUISITES],
        "items": [_item(one, cell) for one in schemas().values() for cell in one.box.cells],
    }


def _item(one: Schema, cell: Cell) -> dict[str, Any]:
    prior = round(one.difficulty_at(cell.centre), 4)
    return {
        "id": item_id(one, cell.index),
        "schema": one.name,
        "cell": cell.index,
        "components": list(one.components),
        "difficulty": prior,
        "body": {**_example(one, cell), "difficulty": prior},
    }


def _example(one: Schema, cell: Cell) -> dict[str, Any]:
    example = render(one, cell.index, SEED_EXAMPLE)
    return {
        "kind": "generated",
        "version": VERSION,
        "schema": one.name,
        "cell": {
            "index": cell.index,
            "low": dict(zip(one.box.names, cell.low, strict=True)),
            "high": dict(zip(one.box.names, cell.high, strict=True)),
        },
        "seed_example": SEED_EXAMPLE,
        "components": list(one.components),
        **instance(example),
    }


def instance(one: Exercise) -> dict[str, Any]:
    """What a frontend and the checker need of an exercise, as JSON."""
    return {
        "text": one.text,
        "unknown": one.unknown,
        "answer": one.answer,
        "unit": one.unit,
        "policy": one.policy.as_dict(),
        "equations": list(one.equations),
        "hints": list(one.hints),
    }

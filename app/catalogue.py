"""Items, learners and vocabulary by the names they have on the wire, remembered for a few seconds."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, FromClause, Join, and_, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import SQLModel

import app.tables  # noqa: F401  (fills the metadata)
from tracing.ednet import ACTIONS, FIRST_OPEN_CODE, PLATFORMS, SOURCES

REMEMBERED_S = 10.0
"""How long a change of an item (its answer key, its components) may stay unseen by another process."""
REMEMBERED_LIMIT = 200_000
OPEN_LITERALS_LIMIT = 1000

TABLES = SQLModel.metadata.tables
item, component, item_component = (TABLES[name] for name in ("item", "component", "itemcomponent"))
source, learner, vocabulary = (TABLES[name] for name in ("source", "learner", "vocabulary"))
bundle = item.alias("bundle_item")


@dataclass(frozen=True, slots=True)
class ItemFacts:
    """What an event needs of its item. `components` and their `names` in the order of tags, no repeats.

    `visit` is the key of the bundle under which the item is submitted; its own where it has none.
    """

    id: int
    external_id: str
    course_id: int
    source_id: int
    kind: str
    answer_key: str | None
    visit: int
    components: tuple[int, ...]
    names: tuple[str, ...]


def with_bundle(selected: FromClause) -> Join:
    """`selected`, which holds items, joined to the item of each one's bundle (`bundle`), null where none."""
    return selected.join(source, source.c.id == item.c.source_id).outerjoin(
        bundle,
        and_(
            bundle.c.tenant_id == item.c.tenant_id,
            bundle.c.external_id == source.c.name + "/" + item.c.bundle,
            bundle.c.kind == "b",
        ),
    )


def load_items(
    connection: Connection,
    tenant_id: int,
    *,
    names: Iterable[str] | None = None,
    ids: Iterable[int] | None = None,
    course_id: int | None = None,
) -> list[ItemFacts]:
    """The facts of a tenant's items: of these names, or ids, or of a course; unknown ones are absent."""
    wanted = [item.c.tenant_id == tenant_id]
    if names is not None:
        wanted.append(item.c.external_id.in_(list(names)))
    if ids is not None:
        wanted.append(item.c.id.in_(list(ids)))
    if course_id is not None:
        wanted.append(item.c.course_id == course_id)
    rows = connection.execute(
        select(
            item.c.id, item.c.external_id, item.c.course_id, item.c.source_id, item.c.kind, item.c.answer_key,
            bundle.c.id.label("bundle_id"),
        )
        .select_from(with_bundle(item))
        .where(*wanted)
    ).all()  # fmt: skip
    tagged = connection.execute(
        select(item_component.c.item_id, component.c.id, component.c.external_id)
        .join(component, component.c.id == item_component.c.component_id)
        .join(item, item.c.id == item_component.c.item_id)
        .where(*wanted)
        .order_by(item_component.c.item_id, item_component.c.position)
    ).all()
    tags: dict[int, dict[int, str]] = {}
    for item_id, component_id, name in tagged:
        tags.setdefault(item_id, {})[component_id] = name
    facts = []
    for row in rows:
        tagged_with = tags.get(row.id, {})
        visit = row.bundle_id or row.id
        facts.append(ItemFacts(*row[:6], visit, tuple(tagged_with), tuple(tagged_with.values())))
    return facts


def load_learners(connection: Connection, tenant_id: int, names: Iterable[str]) -> list[tuple[str, int]]:
    """(external id, id) of a tenant's learners; unknown ones are absent."""
    query = select(learner.c.external_id, learner.c.id).where(
        learner.c.tenant_id == tenant_id, learner.c.external_id.in_(list(names))
    )
    return [(name, key) for name, key in connection.execute(query)]


class Catalogue:
    """Names -> ids and facts, read in one query for all that is not remembered."""

    def __init__(
        self, reading: AsyncEngine, writing: AsyncEngine, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._reading = reading
        self._writing = writing
        self._clock = clock
        self._items: dict[tuple[int, str | int], tuple[float, ItemFacts]] = {}
        self._learners: dict[tuple[int, str], tuple[float, int]] = {}
        self._codes: dict[tuple[str, str], int] = {
            **{("source", literal): code for literal, code in SOURCES.items()},
            **{("platform", literal): code for literal, code in PLATFORMS.items()},
        }

    async def items(self, tenant_id: int, names: Iterable[str | int]) -> dict[str | int, ItemFacts]:
        """Facts by external id (str) or by id (int); unknown items are absent."""
        found, missing = _remembered(self._items, tenant_id, names, self._clock())
        if missing:
            texts = [name for name in missing if isinstance(name, str)]
            ids = [name for name in missing if isinstance(name, int)]
            async with self._reading.connect() as connection:
                loaded: list[ItemFacts] = []
                if texts:
                    loaded += await connection.run_sync(load_items, tenant_id, names=texts)
                if ids:
                    loaded += await connection.run_sync(load_items, tenant_id, ids=ids)
            for facts in loaded:
                for name in (facts.external_id, facts.id):
                    self._remember(self._items, tenant_id, name, facts)
                    found[name] = facts
        return found

    async def learners(self, tenant_id: int, names: Iterable[str]) -> dict[str, int]:
        """Learner ids by external id; unknown learners are absent."""
        found, missing = _remembered(self._learners, tenant_id, names, self._clock())
        if missing:
            async with self._reading.connect() as connection:
                loaded = await connection.run_sync(load_learners, tenant_id, missing)
            for name, learner_id in loaded:
                self._remember(self._learners, tenant_id, name, learner_id)
                found[name] = learner_id
        return found

    def forget(self) -> None:
        """Read everything anew."""
        self._items.clear()
        self._learners.clear()

    async def code(self, kind: str, literal: str | None) -> int | None:
        """The code of a `source` or `platform`, a new one for a new literal; None when there is no room."""
        if literal is None:
            return None
        if (kind, literal) not in self._codes:
            await self._learn(kind, literal)
        return self._codes.get((kind, literal))

    async def literals(self) -> dict[tuple[str, int], str]:
        """The literal of every (kind, code): action_type, source, platform."""
        async with self._reading.connect() as connection:
            rows = (await connection.execute(select(vocabulary))).all()
        known = (("action_type", ACTIONS), ("source", SOURCES), ("platform", PLATFORMS))
        fixed = {(kind, code): literal for kind, codes in known for literal, code in codes.items()}
        return fixed | {(row.kind, row.code): row.literal for row in rows}

    async def _learn(self, kind: str, literal: str) -> None:
        """Read the vocabulary of a kind and put the literal into it, unless another process did so first."""
        for _ in range(5):
            async with self._reading.connect() as connection:
                query = select(vocabulary.c.literal, vocabulary.c.code).where(vocabulary.c.kind == kind)
                known = dict((await connection.execute(query)).all())
            for text, code in known.items():
                self._codes.setdefault((kind, text), code)
            if (kind, literal) in self._codes or len(known) >= OPEN_LITERALS_LIMIT:
                return
            code = max([FIRST_OPEN_CODE - 1, *known.values()]) + 1
            try:
                async with self._writing.begin() as connection:
                    await connection.execute(insert(vocabulary).values(kind=kind, code=code, literal=literal))
            except IntegrityError:
                continue
            self._codes[kind, literal] = code
            return

    def _remember(self, memory: dict[Any, Any], tenant_id: int, name: str | int, value: Any) -> None:
        if len(memory) >= REMEMBERED_LIMIT:
            memory.clear()
        memory[tenant_id, name] = (self._clock() + REMEMBERED_S, value)


def _remembered(
    memory: dict[Any, Any], tenant_id: int, names: Iterable[Any], now: float
) -> tuple[dict[Any, Any], list[Any]]:
    """What is remembered and still fresh, and the names of the rest."""
    found, missing = {}, []
    for name in names:
        entry = memory.get((tenant_id, name))
        if entry is not None and entry[0] > now:
            found[name] = entry[1]
        else:
            missing.append(name)
    return found, missing

"""Items, learners and vocabulary by the names they have on the wire, remembered for a few seconds."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection, FromClause, Join, and_, insert, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import SQLModel

import app.tables  # noqa: F401  (fills the metadata)
from tracing.ednet import ACTIONS, FIRST_OPEN_CODE, PLATFORMS, SOURCES

REMEMBERED_S = 60.0
"""After how long a use makes an item (its answer key, its components) be read again."""
FORGOTTEN_S = 600.0
"""An item that was not read for so long is not used any more."""
RENEWED_AT_ONCE = 500
REMEMBERED_LIMIT = 200_000
OPEN_LITERALS_LIMIT = 1000

TABLES = SQLModel.metadata.tables
item, component, item_component = (TABLES[name] for name in ("item", "component", "itemcomponent"))
source, learner, vocabulary = (TABLES[name] for name in ("source", "learner", "vocabulary"))
bundle = item.alias("bundle_item")
log = structlog.get_logger("proxima.catalogue")


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
    """Names -> ids and facts, read in one query for all that is not remembered.

    What is remembered is read again, in the background, when it is used after REMEMBERED_S seconds; so no
    request waits for what was known before.
    """

    def __init__(
        self, reading: AsyncEngine, writing: AsyncEngine, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._reading = reading
        self._writing = writing
        self._clock = clock
        self._items: dict[tuple[int, str | int], tuple[float, ItemFacts]] = {}
        self._learners: dict[tuple[int, str], int] = {}
        self._due: dict[tuple[int, str | int], None] = {}
        self._renewal: asyncio.Task[None] | None = None
        self._codes: dict[tuple[str, str], int] = {
            **{("source", literal): code for literal, code in SOURCES.items()},
            **{("platform", literal): code for literal, code in PLATFORMS.items()},
        }

    async def items(self, tenant_id: int, names: Iterable[str | int]) -> dict[str | int, ItemFacts]:
        """Facts by external id (str) or by id (int); unknown items are absent."""
        found: dict[str | int, ItemFacts] = {}
        missing = []
        now = self._clock()
        for name in names:
            place = (tenant_id, name)
            entry = self._items.get(place)
            if entry is None or now - entry[0] > FORGOTTEN_S:
                missing.append(name)
                continue
            found[name] = entry[1]
            if now - entry[0] > REMEMBERED_S:
                self._due[place] = None
        if missing:
            found |= await self._load(tenant_id, missing)
        if self._due and self._renewal is None:
            self._renewal = asyncio.create_task(self._renew())
        return found

    async def _load(self, tenant_id: int, names: Sequence[str | int]) -> dict[str | int, ItemFacts]:
        """Read items and remember them under their name and their id."""
        texts = [name for name in names if isinstance(name, str)]
        ids = [name for name in names if isinstance(name, int)]
        loaded: list[ItemFacts] = []
        async with self._reading.connect() as connection:
            if texts:
                loaded += await connection.run_sync(load_items, tenant_id, names=texts)
            if ids:
                loaded += await connection.run_sync(load_items, tenant_id, ids=ids)
        now = self._clock()
        if len(self._items) + 2 * len(loaded) > REMEMBERED_LIMIT:
            self._items.clear()
        found: dict[str | int, ItemFacts] = {}
        for facts in loaded:
            found[facts.external_id] = found[facts.id] = facts
            self._items[tenant_id, facts.external_id] = self._items[tenant_id, facts.id] = (now, facts)
        for name in names:
            if name not in found:
                self._items.pop((tenant_id, name), None)
        return found

    async def _renew(self) -> None:
        """Read again what is due, some at a time."""
        try:
            while self._due:
                tenant_id = next(iter(self._due))[0]
                names = [name for of, name in self._due if of == tenant_id][:RENEWED_AT_ONCE]
                for name in names:
                    del self._due[tenant_id, name]
                await self._load(tenant_id, names)
        except (SQLAlchemyError, OSError):
            log.warning("items could not be read again", exc_info=True)  # the next use tries again
        finally:
            self._renewal = None

    async def learners(self, tenant_id: int, names: Iterable[str]) -> dict[str, int]:
        """Learner ids by external id; unknown learners are absent."""
        found, missing = {}, []
        for name in names:
            learner_id = self._learners.get((tenant_id, name))
            if learner_id is None:
                missing.append(name)
            else:
                found[name] = learner_id
        if missing:
            async with self._reading.connect() as connection:
                loaded = await connection.run_sync(load_learners, tenant_id, missing)
            if len(self._learners) + len(loaded) > REMEMBERED_LIMIT:
                self._learners.clear()
            for name, learner_id in loaded:
                found[name] = self._learners[tenant_id, name] = learner_id
        return found

    def forget_learner(self, tenant_id: int, name: str) -> None:
        """Look a learner up anew: it was not where it was thought to be."""
        self._learners.pop((tenant_id, name), None)

    def forget(self) -> None:
        """Look everything up anew."""
        self._items.clear()
        self._learners.clear()

    async def close(self) -> None:
        """Wait for what is being read."""
        self._due.clear()
        if self._renewal is not None:
            await self._renewal

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

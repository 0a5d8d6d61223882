"""The one type of a problem: a typed world.

entities and quantities -> events -> equations -> wording. A `Schema` says which people and things there are,
which quantities (kind of number, unit) tie them together, what happens, which equations that gives and how it
may be told. A `World` is a schema with numbers and words in place. More problems are more schemas, never
another type.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from curriculum.errors import SchemaError
from curriculum.problems.draw import Draw
from curriculum.problems.numbers import Kind, Value
from curriculum.problems.parameters import Box, Parameter
from curriculum.problems.policy import DEFAULT_POLICY, AnswerPolicy
from curriculum.problems.wording import (
    EQUATION_FORMS,
    HIDING_FORMS,
    NOUN_FORMS,
    NUMBER_FORMS,
    PERSON_FORMS,
    Noun,
    Phrase,
    Word,
    phrase,
)

NAME = re.compile(r"[a-z][a-z0-9_]{0,23}")
UNITS: Mapping[str, Noun | None] = {
    "": None, "$": None, "%": None,
    "mm": None, "cm": None, "m": None, "km": None, "g": None, "kg": None, "mL": None, "L": None,
    "cm^2": None, "m^2": None, "km/h": None,
    "s": Noun("second", "seconds"), "min": Noun("minute", "minutes"), "h": Noun("hour", "hours"),
    "day": Noun("day", "days"), "week": Noun("week", "weeks"), "year": Noun("year", "years"),
}  # fmt: skip
"""Units as an answer names them; those with a noun are spelled out in texts."""

SHOWN_UNITS = {"cm^2": "cm²", "m^2": "m²"}

Values = dict[str, Value]


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number of the world. `unit` is a key of UNITS or the name of an entity that is counted.

    A quantity shown in a phrase is given and stands in equations as its number; so does one that is `implied`
    (twelve in a dozen). Any other stands by its name, or by the word drawn for the entity `symbol`.
    `unused`: told, but in no equation. `variable`: the entity that names the variable of an expression.
    """

    name: str
    kind: Kind = Kind.COUNT
    unit: str = ""
    symbol: str = ""
    variable: str = ""
    implied: bool = False
    unused: bool = False


@dataclass(frozen=True, slots=True)
class Entity:
    """Somebody or something in the story, drawn from a lexicon."""

    name: str
    lexicon: tuple[Word, ...]

    @property
    def forms(self) -> frozenset[str]:
        """The forms its slots may take."""
        return NOUN_FORMS if isinstance(self.lexicon[0], Noun) else PERSON_FORMS


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that is the case, happens, or is asked: its paraphrases and the equations it adds."""

    phrases: tuple[Phrase, ...]
    equations: tuple[Phrase, ...] = ()
    is_question: bool = False


def event(*phrases: str, equations: Iterable[str] = ()) -> Event:
    """An event told by any one of `phrases`."""
    return Event(tuple(phrase(text) for text in phrases), tuple(phrase(text) for text in equations))


def ask(*phrases: str, equations: Iterable[str] = ()) -> Event:
    """The question, told by any one of `phrases`."""
    return Event(tuple(phrase(text) for text in phrases), tuple(phrase(text) for text in equations), True)


@dataclass(frozen=True)
class Schema:
    """A kind of problem.

    `draw` gives every quantity a value for a point of the box, or None to draw again. `difficulty` is the
    prior at the lowest corner of the box, in logits; the parameters' effects add to it. `hints` are three
    rungs: what is asked, which way, how it begins; none may tell the unknown. `orders` are the ways the
    events may be told, by index; without any, only as listed. Raises SchemaError with every contradiction.
    """

    name: str
    components: tuple[str, ...]
    difficulty: float
    parameters: tuple[Parameter, ...]
    quantities: tuple[Quantity, ...]
    unknown: str
    events: tuple[Event, ...]
    draw: Callable[[Draw], Values | None]
    hints: tuple[str, str, str]
    entities: tuple[Entity, ...] = ()
    policy: AnswerPolicy = DEFAULT_POLICY
    orders: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        faults = _faults(self)
        if faults:
            raise SchemaError(self.name, faults)

    @cached_property
    def box(self) -> Box:
        """The parameters as a box with its cells."""
        return Box(self.parameters)

    @cached_property
    def by_name(self) -> Mapping[str, Quantity]:
        """The quantities by name."""
        return {quantity.name: quantity for quantity in self.quantities}

    @cached_property
    def told(self) -> frozenset[str]:
        """The quantities whose number the text shows."""
        return frozenset().union(*(_shown(e.phrases[0], self.by_name) for e in self.events))

    @cached_property
    def hint_phrases(self) -> tuple[Phrase, ...]:
        """The hints, read."""
        return tuple(phrase(hint) for hint in self.hints)

    @cached_property
    def event_orders(self) -> tuple[tuple[int, ...], ...]:
        """The orders in which the events may be told."""
        return self.orders or (tuple(range(len(self.events))),)

    def difficulty_at(self, point: Iterable[float]) -> float:
        """The prior difficulty at a point of the box, in logits."""
        return self.difficulty + self.box.effect(tuple(point))


@dataclass(frozen=True, slots=True)
class World:
    """A schema with a value for every quantity and a word for every entity, at a point of its box."""

    schema: Schema
    point: tuple[float, ...]
    values: Mapping[str, Value]
    words: Mapping[str, Word]


def _shown(template: Phrase, quantities: Mapping[str, Quantity]) -> frozenset[str]:
    return frozenset(s.name for s in template.slots if s.name in quantities and s.form not in HIDING_FORMS)


def _faults(schema: Schema) -> list[str]:
    faults = [*schema.box.faults(), *schema.policy.faults()]
    names = [q.name for q in schema.quantities] + [e.name for e in schema.entities]
    faults += [f"name {name!r} stands twice" for name in {*names} if names.count(name) > 1]
    faults += [f"{name!r} is no name" for name in (schema.name, *names) if not NAME.fullmatch(name)]
    entities = {entity.name: entity for entity in schema.entities}
    for quantity in schema.quantities:
        if quantity.unit not in UNITS and quantity.unit not in entities:
            faults.append(f"{quantity.name}: {quantity.unit!r} is neither a unit nor an entity")
        for role in (quantity.symbol, quantity.variable):
            if role and role not in entities:
                faults.append(f"{quantity.name}: {role!r} is no entity")
        if (quantity.kind is Kind.EXPRESSION) != bool(quantity.variable):
            faults.append(f"{quantity.name}: an expression, and only an expression, needs a variable")
        if quantity.kind is Kind.EXPRESSION and quantity.name != schema.unknown:
            faults.append(f"{quantity.name}: only the unknown may be an expression")
    if not schema.components:
        faults.append("needs at least one component")
    if sum(e.is_question for e in schema.events) != 1:
        faults.append("needs exactly one question")
    steps = list(range(len(schema.events)))
    faults += [
        f"order {order} is no order of the events" for order in schema.orders if sorted(order) != steps
    ]
    return faults + _phrase_faults(schema, entities) + _equation_faults(schema, entities)


def _phrase_faults(schema: Schema, entities: Mapping[str, Entity]) -> list[str]:
    faults: list[str] = []
    for number, one in enumerate(schema.events):
        if len({_shown(text, schema.by_name) for text in one.phrases}) != 1:
            faults.append(f"event {number}: every paraphrase must tell the same quantities")
    for text in (*schema.hint_phrases, *(text for one in schema.events for text in one.phrases)):
        if schema.unknown in _shown(text, schema.by_name):
            faults.append(f"{text.template!r} tells the unknown {schema.unknown!r}")
        faults += [
            f"{text.template!r}: {{{slot.name}:{slot.form}}} has no meaning"
            for slot in text.slots
            if not _has_meaning(slot.name, slot.form, schema, entities)
        ]
    return faults


def _has_meaning(name: str, form: str, schema: Schema, entities: Mapping[str, Entity]) -> bool:
    if name in entities:
        return form in entities[name].forms
    quantity = schema.by_name.get(name)
    return quantity is not None and (form in NUMBER_FORMS or quantity.unit in entities)


def _equation_faults(schema: Schema, entities: Mapping[str, Entity]) -> list[str]:
    faults: list[str] = []
    if schema.unknown not in schema.by_name:
        return [f"the unknown {schema.unknown!r} is no quantity"]
    lines = [line for one in schema.events for line in one.equations]
    used = {slot.name for line in lines for slot in line.slots}
    faults += [
        f"equations name {name!r}, which is not declared" for name in used - {*schema.by_name, *entities}
    ]
    given = {quantity.name for quantity in schema.quantities if quantity.implied} | schema.told
    faults += [
        f"{line.template!r}: {{{slot.name}:{slot.form}}} has no meaning in an equation"
        for line in lines
        for slot in line.slots
        if slot.form not in EQUATION_FORMS or (slot.form and slot.name not in given)
    ]
    if schema.unknown not in used:
        faults.append(f"no equation holds the unknown {schema.unknown!r}")
    for quantity in schema.quantities:
        if quantity.name in schema.told and (quantity.name in used) == quantity.unused:
            faults.append(f"{quantity.name!r} is told: it must be in an equation or else marked unused")
        if quantity.name not in schema.told | used:
            faults.append(f"{quantity.name!r} is neither told nor in an equation")
    return faults

"""From a schema and a seed to an exercise: draw a world, write it down, see that it hides its answer."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from curriculum.errors import NoExercise
from curriculum.problems.draw import Draw
from curriculum.problems.numbers import (
    MINUS,
    Kind,
    Linear,
    Number,
    Value,
    fault_of,
    key,
    linear_key,
    spoken,
    written,
)
from curriculum.problems.policy import AnswerPolicy
from curriculum.problems.wording import NUMBER_FORMS, Noun, Phrase, Slot, Word, sentence
from curriculum.problems.world import SHOWN_UNITS, UNITS, Quantity, Schema, World

ATTEMPTS = 200
"""Draws tried for one exercise; schemas keep about every second, so that this is never reached."""

_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:/\d+)?")
_WORD = re.compile(r"[a-z]+")
_SPELT = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBER_WORDS = {str(value): word for value, word in enumerate(_SPELT)}


@dataclass(frozen=True, slots=True)
class Clause:
    """The part of the text that one event wrote, with the quantities it shows and the equations it adds."""

    text: str
    quantities: tuple[str, ...]
    equations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stated:
    """A quantity of an exercise in plain terms; `told` when the text shows its number."""

    name: str
    kind: str
    unit: str
    value: str
    told: bool


@dataclass(frozen=True, slots=True)
class Exercise:
    """One rendered problem: the instance of an item that a seed gives.

    `answer` is exact and canonical (`12`, `3/4`, `0.25`, `3 * x + 4`), `unit` what it counts or measures.
    `equations` are true lines of the equation language that determine `unknown`; `hints` rise in three rungs
    and never hold the answer. `parameters` is the point of the box it was made for.
    """

    item: str
    seed: int
    text: str
    unknown: str
    answer: str
    unit: str
    policy: AnswerPolicy
    equations: tuple[str, ...]
    components: tuple[str, ...]
    hints: tuple[str, ...]
    parameters: tuple[tuple[str, float], ...]
    difficulty: float
    quantities: tuple[Stated, ...]
    clauses: tuple[Clause, ...]

    @property
    def value(self) -> Fraction | None:
        """The answer as a number; None where it is an expression."""
        return Fraction(self.answer) if self.policy.type == "number" else None


def item_id(schema: Schema, cell: int) -> str:
    """The stable id of an item: SCHEMA.CELL."""
    return f"{schema.name}.{cell}"


def render(schema: Schema, cell: int, seed: int, point: Sequence[float] | None = None) -> Exercise:
    """The exercise of (schema, cell, seed); with a `point`, one made for exactly that point of the cell.

    Raises NoExercise when no draw fits the schema's rules.
    """
    item = item_id(schema, cell)
    where = schema.box.cells[cell] if point is None else tuple(point)
    draw = Draw(f"{item}:{seed}", schema.box, where)
    for _ in range(ATTEMPTS):
        world = draw_world(schema, draw)
        exercise = tell(world, draw, item, seed) if world else None
        if exercise and not gives_itself_away(exercise):
            return exercise
    raise NoExercise(f"{item}, seed {seed}: {ATTEMPTS} draws broke the schema's rules; widen its draw")


def draw_world(schema: Schema, draw: Draw) -> World | None:
    """Values and words for the schema, or None when this draw fits no world."""
    values = schema.draw(draw)
    if values is None:
        return None
    for quantity in schema.quantities:
        fault = fault_of(quantity.kind, values[quantity.name])
        if fault:
            raise NoExercise(f"schema {schema.name!r}: {quantity.name} = {values[quantity.name]} {fault}")
    words: dict[str, Word] = {}
    for entity in schema.entities:
        free = [word for word in entity.lexicon if word not in words.values()] if words else entity.lexicon
        words[entity.name] = draw.pick(free)
    return World(schema, draw.point, values, words)


def tell(world: World, draw: Draw, item: str, seed: int) -> Exercise:
    """Write the world down in one of its wordings."""
    schema = world.schema
    clauses = []
    for index in draw.pick(schema.event_orders):
        one = schema.events[index]
        wording = draw.pick(one.phrases)
        shown = tuple(slot.name for slot in wording.slots if slot.name in schema.told)
        lines = tuple(_equation(line, world) for line in one.equations)
        clauses.append(Clause(_told(wording, world), shown, lines))
    unknown = schema.by_name[schema.unknown]
    return Exercise(
        item=item,
        seed=seed,
        text=" ".join(clause.text for clause in clauses),
        unknown=_symbol(unknown, world),
        answer=_key(unknown, world),
        unit=_unit(unknown, world),
        policy=schema.policy,
        equations=tuple(_equation(line, world) for one in schema.events for line in one.equations),
        components=schema.components,
        hints=tuple(_told(hint, world) for hint in schema.hint_phrases),
        parameters=tuple(zip(schema.box.names, world.point, strict=True)),
        difficulty=schema.difficulty_at(world.point),
        quantities=tuple(
            Stated(_symbol(q, world), q.kind, _unit(q, world), _key(q, world), q.name in schema.told)
            for q in schema.quantities
        ),
        clauses=tuple(clauses),
    )


def gives_itself_away(exercise: Exercise) -> bool:
    """Whether the answer can be copied from the text or a hint, as a number or a number word."""
    text = " ".join((exercise.text, *exercise.hints))
    if exercise.policy.type == "expression":
        return exercise.answer.replace(" * ", "") in text.replace("−", "-")
    answer = exercise.answer.lstrip("-")
    if any(_same_number(token, answer) for token in _NUMBER.findall(text)):
        return True
    word = _NUMBER_WORDS.get(answer)
    return word is not None and word in _WORD.findall(text.lower())


def _same_number(token: str, answer: str) -> bool:
    bare = token.replace(",", "")
    return bare == answer or ("." in bare and "/" not in bare and bare.rstrip("0").rstrip(".") == answer)


def _told(wording: Phrase, world: World) -> str:
    return sentence(wording.fill(lambda slot: _slot_text(slot, world)))


def _equation(line: Phrase, world: World) -> str:
    return line.fill(lambda slot: _equation_text(slot, world))


def _equation_text(slot: Slot, world: World) -> str:
    quantity = world.schema.by_name.get(slot.name)
    if quantity is None:
        return world.words[slot.name].text("one")
    value = world.values[slot.name]
    if isinstance(value, Linear) or not (quantity.implied or slot.name in world.schema.told):
        return _symbol(quantity, world)
    if slot.form == "signed":
        sign, size = ("-", -value) if value < 0 else ("+", value)
        return f"{sign} {written(quantity.kind, size)}"
    return written(quantity.kind, value)


def _symbol(quantity: Quantity, world: World) -> str:
    return world.words[quantity.symbol].text("one") if quantity.symbol else quantity.name


def _key(quantity: Quantity, world: World) -> str:
    value = world.values[quantity.name]
    if isinstance(value, Linear):
        return linear_key(value, world.words[quantity.variable].text("one"))
    return key(quantity.kind, value)


def _unit(quantity: Quantity, world: World) -> str:
    word = world.words.get(quantity.unit)
    return word.text("") if word else quantity.unit


def _slot_text(slot: Slot, world: World) -> str:
    word = world.words.get(slot.name)
    if word is not None:
        return word.text(slot.form)
    quantity = world.schema.by_name[slot.name]
    return _quantity_text(quantity, slot.form, world.values[slot.name], world.words)


def _quantity_text(quantity: Quantity, form: str, value: Value, words: Mapping[str, Word]) -> str:
    if isinstance(value, Linear):
        raise NoExercise(f"{quantity.name}: an expression cannot be told in a text")
    if form == "is":
        return "is" if value == 1 else "are"
    if form in NUMBER_FORMS and form != "":
        return _term(quantity.kind, form, value)
    number = spoken(quantity.kind, value)
    noun = words.get(quantity.unit) or UNITS.get(quantity.unit)
    if isinstance(noun, Noun):
        return noun.counted(number, value == 1, form)
    if quantity.unit in ("", "$", "%"):
        return number
    return f"{number} {SHOWN_UNITS.get(quantity.unit, quantity.unit)}"


def _term(kind: Kind, form: str, value: Number) -> str:
    number = spoken(kind, value)
    if form == "paren":
        return f"({number})" if value < 0 else number
    if form in ("signed", "plus_times"):
        size = -value if value < 0 else value
        shown = "" if size == 1 and form == "plus_times" else spoken(kind, size)
        return f"{MINUS if value < 0 else '+'} {shown}"
    if form == "times":
        return "" if value == 1 else MINUS if value == -1 else number
    return number

"""Counting on, addition, and finding what was added."""

from curriculum.problems.draw import Draw
from curriculum.problems.parameters import Parameter
from curriculum.problems.schemas.columns import addends, carry_columns
from curriculum.problems.world import Quantity, Schema, Values, ask

_TERMS = (Quantity("a"), Quantity("b"), Quantity("x"))
_SUM = ask(
    "Work out {a} + {b}.",
    "What is {a} + {b}?",
    "Find the sum of {a} and {b}.",
    "Add {b} to {a}. What do you get?",
    equations=("{x} = {a} + {b}",),
)
_DIGITS = Parameter("digits", 2, 5, "digits of each number", effect=1.2, cells=3)


def _count_on(draw: Draw) -> Values:
    start, jump = draw.whole("start"), draw.whole("jump")
    return {"a": start, "b": jump, "x": start + jump}


def _add_facts(draw: Draw) -> Values:
    total = draw.whole("total")
    first = draw.integer(max(1, total - 9), min(9, total - 1))
    return {"a": first, "b": total - first, "x": total}


def _missing_addend(draw: Draw) -> Values:
    total = draw.whole("total")
    known = draw.integer(max(1, total - 9), min(9, total - 1))
    return {"a": known, "t": total, "x": total - known}


def _add_no_carry(draw: Draw) -> Values:
    first, second = addends(draw, draw.whole("digits"), frozenset())
    return {"a": first, "b": second, "x": first + second}


def _add_carry(draw: Draw) -> Values:
    digits = draw.whole("digits")
    first, second = addends(draw, digits, carry_columns(draw, digits, draw["carries"]))
    return {"a": first, "b": second, "x": first + second}


SCHEMAS = (
    Schema(
        name="count_on",
        components=("count_on",),
        difficulty=-3.2,
        parameters=(
            Parameter("start", 2, 95, "the number counted on from", effect=0.9, cells=3),
            Parameter("jump", 2, 6, "how many steps are counted", effect=0.5),
        ),
        quantities=_TERMS,
        unknown="x",
        events=(
            ask(
                "Start at {a} and count on {b}. Which number do you reach?",
                "You stand at {a} on a number line and take {b} steps forward. Where do you land?",
                "Begin with {a}. Count {b} more. What number do you say last?",
                equations=("{x} = {a} + {b}",),
            ),
        ),
        draw=_count_on,
        hints=(
            "Which number do you start from, and how many steps do you take?",
            "Say the number after {a}; that is your first step. Keep a finger for every step.",
            "Start at {a} and go forward {b} steps. The number {a} itself is not a step.",
        ),
    ),
    Schema(
        name="add_facts",
        components=("add_facts",),
        difficulty=-2.8,
        parameters=(Parameter("total", 4, 19, "the sum", effect=1.0, cells=3),),
        quantities=_TERMS,
        unknown="x",
        events=(_SUM,),
        draw=_add_facts,
        hints=(
            "You are putting two amounts together.",
            "Start from the larger number and count on the smaller.",
            "Split the smaller number so that a part of it first fills the larger up to a round number.",
        ),
    ),
    Schema(
        name="missing_addend",
        components=("missing_addend",),
        difficulty=-2.0,
        parameters=(Parameter("total", 4, 18, "the sum", effect=0.9, cells=3),),
        quantities=(Quantity("a"), Quantity("t"), Quantity("x")),
        unknown="x",
        events=(
            ask(
                "Which number is missing? {a} + □ = {t}",
                "Fill in the box: {a} + □ = {t}",
                "What must be added to {a} to make {t}?",
                equations=("{a} + {x} = {t}",),
            ),
        ),
        draw=_missing_addend,
        hints=(
            "The sum is known; a part of it is missing.",
            "Count up from the part you know until you reach the sum.",
            "Taking the known part away leaves the missing part: {t} − {a}.",
        ),
    ),
    Schema(
        name="add_no_carry",
        components=("add_no_carry",),
        difficulty=-1.8,
        parameters=(_DIGITS,),
        quantities=_TERMS,
        unknown="x",
        events=(_SUM,),
        draw=_add_no_carry,
        hints=(
            "Add numbers that stand in the same place: ones to ones, tens to tens.",
            "Write the numbers under each other and add column by column, from the right.",
            "Write {a} above {b}. Every column can be added on its own: nothing needs to be carried.",
        ),
    ),
    Schema(
        name="add_carry",
        components=("add_carry",),
        difficulty=-1.2,
        parameters=(
            _DIGITS,
            Parameter("carries", 0, 1, "share of the columns that carry", effect=0.6),
        ),
        quantities=_TERMS,
        unknown="x",
        events=(_SUM,),
        draw=_add_carry,
        hints=(
            "Add numbers that stand in the same place, starting with the ones.",
            "When a column makes a two-digit number, write its last digit and carry the first digit on.",
            "Write {a} above {b}. Mark every column that carries, and do not lose what it carries.",
        ),
    ),
)

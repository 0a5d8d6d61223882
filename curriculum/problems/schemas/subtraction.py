"""Subtraction: facts, in columns, with borrowing and across zeros."""

from curriculum.problems.draw import Draw
from curriculum.problems.parameters import Parameter
from curriculum.problems.schemas.columns import addends, carry_columns
from curriculum.problems.world import Quantity, Schema, Values, ask

_TERMS = (Quantity("a"), Quantity("b"), Quantity("x"))
_DIFFERENCE = ask(
    "Work out {a} − {b}.",
    "What is {a} − {b}?",
    "Take {b} away from {a}. What is left?",
    "Subtract {b} from {a}.",
    "Find the difference between {a} and {b}.",
    equations=("{x} = {a} - {b}",),
)


def _subtract_facts(draw: Draw) -> Values:
    total = draw.whole("minuend")
    taken = draw.integer(max(1, total - 9), min(9, total - 1))
    return {"a": total, "b": taken, "x": total - taken}


def _subtract_no_borrow(draw: Draw) -> Values:
    left, taken = addends(draw, draw.whole("digits"), frozenset())
    return {"a": left + taken, "b": taken, "x": left}


def _subtract_borrow(draw: Draw) -> Values:
    digits = draw.whole("digits")
    # The first column cannot borrow: there is nothing to its left.
    left, taken = addends(draw, digits, carry_columns(draw, digits - 1, draw["borrows"]))
    return {"a": left + taken, "b": taken, "x": left}


def _subtract_zeros(draw: Draw) -> Values:
    digits = draw.whole("digits")
    total = draw.integer(2, 9) * 10 ** (digits - 1)
    taken = draw.integer(total // 10 // 10, total // 10 - 1) * 10 + draw.integer(1, 9)
    return {"a": total, "b": taken, "x": total - taken}


SCHEMAS = (
    Schema(
        name="subtract_facts",
        components=("subtract_facts",),
        difficulty=-2.5,
        parameters=(Parameter("minuend", 4, 18, "the number taken away from", effect=1.0, cells=3),),
        quantities=_TERMS,
        unknown="x",
        events=(_DIFFERENCE,),
        draw=_subtract_facts,
        hints=(
            "You start with the first amount and take the other away.",
            "Count back from the larger number, or count up from the smaller to the larger.",
            "How many steps is it from {b} up to {a}?",
        ),
    ),
    Schema(
        name="subtract_no_borrow",
        components=("subtract_no_borrow",),
        difficulty=-1.5,
        parameters=(Parameter("digits", 2, 5, "digits of each number", effect=1.0, cells=3),),
        quantities=_TERMS,
        unknown="x",
        events=(_DIFFERENCE,),
        draw=_subtract_no_borrow,
        hints=(
            "Subtract what stands in the same place: ones from ones, tens from tens.",
            "Write the larger number on top and go column by column, from the right.",
            "Write {a} above {b}. In every column the upper digit is large enough.",
        ),
    ),
    Schema(
        name="subtract_borrow",
        components=("subtract_borrow",),
        difficulty=-0.8,
        parameters=(
            Parameter("digits", 2, 5, "digits of each number", effect=1.2, cells=3),
            Parameter("borrows", 0, 1, "share of the columns that borrow", effect=0.6),
        ),
        quantities=_TERMS,
        unknown="x",
        events=(_DIFFERENCE,),
        draw=_subtract_borrow,
        hints=(
            "Subtract place by place, starting with the ones. Keep the order: top minus bottom.",
            "Where the upper digit is too small, borrow from the next column; that column then has less.",
            "Write {a} above {b}. Mark each column where the upper digit is smaller before you begin.",
        ),
    ),
    Schema(
        name="subtract_zeros",
        components=("subtract_borrow",),
        difficulty=0.0,
        parameters=(Parameter("digits", 3, 5, "digits of the number taken away from", effect=0.7),),
        quantities=_TERMS,
        unknown="x",
        events=(_DIFFERENCE,),
        draw=_subtract_zeros,
        hints=(
            "There is nothing to take in the ones of {a}. Where can you borrow from?",
            "Borrow from the first digit that is not zero; every zero you pass becomes 9.",
            "Write {a} above {b}, do the borrowing in {a} first, then subtract column by column.",
        ),
    ),
)

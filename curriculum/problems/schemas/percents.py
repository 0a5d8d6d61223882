"""Percentages: of an amount, as a share, and as a change."""

from fractions import Fraction

from curriculum.problems.draw import Draw
from curriculum.problems.numbers import Kind
from curriculum.problems.parameters import Parameter
from curriculum.problems.wording import Noun
from curriculum.problems.words import LARGER_GOODS
from curriculum.problems.world import Entity, Quantity, Schema, Values, ask, event

_P = Quantity("p", Kind.PERCENT)
_EASY = (10, 25, 50, 20, 75)


def _rate(effect: float, cells: int) -> Parameter:
    meaning = "round shares, then multiples of five, then any percentage"
    return Parameter("awkwardness", 0, 3, meaning, effect, cells)


def _percent(draw: Draw) -> int:
    """A percentage below 100 as awkward as the parameter says."""
    level = draw.whole("awkwardness")
    if level == 0:
        return draw.pick(_EASY)
    return draw.integer(1, 19) * 5 if level == 1 else draw.integer(2, 98)


def _of(draw: Draw) -> Values:
    percent, amount = _percent(draw), draw.integer(2, 40) * draw.pick((5, 10, 20))
    return {"p": percent, "n": amount, "x": Fraction(percent * amount, 100)}


def _share(draw: Draw) -> Values | None:
    percent, whole = _percent(draw), draw.pick((20, 25, 40, 50, 60, 80, 120, 150, 200, 300, 400))
    part = Fraction(percent * whole, 100)
    return {"a": int(part), "b": whole, "x": percent} if part.denominator == 1 else None


def _discount(draw: Draw) -> Values:
    percent, price = _percent(draw), draw.integer(3, 30) * 5
    return {"n": price, "p": percent, "x": price - Fraction(percent * price, 100)}


def _increase(draw: Draw) -> Values | None:
    percent, before = _percent(draw), draw.integer(2, 60) * 20
    grown = Fraction(percent * before, 100)
    return {"n": before, "p": percent, "x": before + grown} if grown.denominator == 1 else None


_GROWING = (
    Noun("member", "members"), Noun("visitor", "visitors"), Noun("subscriber", "subscribers"),
    Noun("tree", "trees"), Noun("book", "books"),
)  # fmt: skip

SCHEMAS = (
    Schema(
        name="percent_of",
        components=("percent_of",),
        difficulty=0.0,
        parameters=(_rate(1.0, cells=3),),
        quantities=(_P, Quantity("n"), Quantity("x", Kind.DECIMAL)),
        unknown="x",
        events=(
            ask(
                "What is {p} of {n}?",
                "Work out {p} of {n}.",
                "Find {p} of {n}.",
                equations=("{x} = {p} / 100 * {n}",),
            ),
        ),
        draw=_of,
        hints=(
            "Percent means out of a hundred. Which part of {n} is asked for?",
            "Find a single percent or ten percent of {n} first, then build up to what you need.",
            "Write {p} as a fraction with denominator a hundred and multiply it by {n}.",
        ),
    ),
    Schema(
        name="percent_share",
        components=("percent_of", "ratio"),
        difficulty=0.7,
        parameters=(_rate(0.6, cells=1),),
        quantities=(Quantity("a"), Quantity("b"), Quantity("x", Kind.PERCENT, unit="%")),
        unknown="x",
        events=(
            ask(
                "What percentage of {b} is {a}?",
                "{a} out of {b}: what percentage is that?",
                "{a} is what percent of {b}?",
                equations=("{x} / 100 * {b} = {a}",),
            ),
        ),
        draw=_share,
        hints=(
            "Which of the numbers is the whole?",
            "Write the part over the whole, then bring it to a denominator of a hundred.",
            "Divide {a} by {b} and say the result in hundredths.",
        ),
    ),
    Schema(
        name="percent_discount",
        components=("percent_change",),
        difficulty=0.6,
        parameters=(_rate(0.9, cells=2),),
        quantities=(Quantity("n", Kind.MONEY, unit="$"), _P, Quantity("x", Kind.MONEY, unit="$")),
        entities=(Entity("item", LARGER_GOODS),),
        unknown="x",
        events=(
            event("{item:a} costs {n}.", "The usual price of {item:a} is {n}."),
            event("In a sale the price is cut by {p}.", "The shop takes {p} off."),
            ask(
                "What is the sale price?",
                "How much does it cost now?",
                equations=("{x} = {n} - {p} / 100 * {n}",),
            ),
        ),
        draw=_discount,
        hints=(
            "Is the price going up or down? What is the percentage taken of?",
            "Find the reduction first, then take it from the old price.",
            "Work out {p} of {n}; that comes off the price.",
        ),
    ),
    Schema(
        name="percent_increase",
        components=("percent_change",),
        difficulty=0.7,
        parameters=(_rate(0.8, cells=2),),
        quantities=(Quantity("n", unit="kind"), _P, Quantity("x", unit="kind")),
        entities=(Entity("kind", _GROWING),),
        unknown="x",
        events=(
            event("Last year there were {n}.", "A year ago {n} were counted."),
            event("Since then the number has grown by {p}.", "This year there are {p} more."),
            ask(
                "How many {kind} are there now?",
                "What is the number of {kind} now?",
                equations=("{x} = {n} + {p} / 100 * {n}",),
            ),
        ),
        draw=_increase,
        hints=(
            "Is the number going up or down? What is the percentage taken of?",
            "Find the growth first, then add it to the old number.",
            "Work out {p} of {n:bare}; that is by how much it grew.",
        ),
    ),
)

"""Ratio, rates and unit prices."""

from fractions import Fraction
from math import gcd

from curriculum.problems.draw import Draw
from curriculum.problems.numbers import Kind
from curriculum.problems.parameters import Parameter
from curriculum.problems.wording import Noun
from curriculum.problems.words import BULK, COLLECTED, GOODS, PEOPLE, VEHICLES
from curriculum.problems.world import Entity, Quantity, Schema, Values, ask, event


def _term(cells: int) -> Parameter:
    return Parameter("term", 3, 10, "larger term of the ratio", effect=0.7, cells=cells)


_INGREDIENTS = (
    Noun("flour", "flour"), Noun("sugar", "sugar"), Noun("rice", "rice"), Noun("pasta", "pasta"),
    Noun("cheese", "cheese"),
)  # fmt: skip


def _terms(draw: Draw) -> tuple[int, int]:
    """Two whole numbers without a common factor, the larger being the parameter `term`."""
    larger = draw.whole("term")
    return draw.pair(larger, draw.pick([term for term in range(1, larger) if gcd(term, larger) == 1]))


def _equivalent(draw: Draw) -> Values:
    (first, second), scale = _terms(draw), draw.integer(2, 12)
    return {"r": first, "s": second, "a": first * scale, "x": second * scale}


def _divide_in_ratio(draw: Draw) -> Values:
    (first, second), part = _terms(draw), draw.integer(2, 12)
    return {"r": first, "s": second, "t": (first + second) * part, "part": part, "x": first * part}


def _recipe(draw: Draw) -> Values:
    people, each = draw.integer(2, 6), draw.integer(2, 16) * 10
    guests = people + draw.integer(1, draw.whole("people"))
    return {"a": people, "g": people * each, "b": guests, "each": each, "x": each * guests}


def _unit_price(draw: Draw) -> Values:
    price = _price(draw, 20, 300)
    count = draw.integer(2, 12)
    return {"n": count, "t": price * count, "x": price}


def _price(draw: Draw, least: int, most: int) -> Fraction:
    """A price whose grain shrinks from whole dollars over quarters to five cents; least, most in cents."""
    grain = (100, 25, 5)[draw.whole("cents")]
    return Fraction(draw.integer(least // grain + 1, most // grain) * grain, 100)


def _total_price(draw: Draw) -> Values | None:
    price, kilos = _price(draw, 100, 600), Fraction(draw.integer(3, 11), 2)
    total = price * kilos
    return {"p": price, "w": kilos, "x": total} if (total * 100).denominator == 1 else None


def _speed(draw: Draw) -> Values:
    speed, hours = draw.integer(6, draw.whole("speed") // 5) * 5, draw.integer(2, 8)
    return {"d": speed * hours, "t": hours, "x": speed}


_CENTS = Parameter("cents", 0, 3, "price in whole dollars, quarters or five cents", effect=0.8, cells=2)

SCHEMAS = (
    Schema(
        name="ratio_equivalent",
        components=("ratio",),
        difficulty=0.1,
        parameters=(_term(2),),
        quantities=(Quantity("r"), Quantity("s"), Quantity("a", unit="first"), Quantity("x", unit="second")),
        entities=(Entity("first", COLLECTED), Entity("second", COLLECTED)),
        unknown="x",
        events=(
            event(
                "In a box the ratio of {first} to {second} is {r} : {s}.",
                "A shop keeps {first} and {second} in the ratio {r} : {s}.",
            ),
            event("There are {a}.", "The number of {first} is {a:bare}."),
            ask(
                "How many {second} are there?",
                "How many {second} is that?",
                equations=("{x} / {a} = {s} / {r}",),
            ),
        ),
        draw=_equivalent,
        hints=(
            "Which number of the ratio belongs to the {first}, and which to the {second}?",
            "Both numbers of a ratio grow by the same factor.",
            "What is {r} multiplied by to make {a:bare}? Multiply {s} by the same.",
        ),
    ),
    Schema(
        name="ratio_share",
        components=("ratio",),
        difficulty=0.6,
        parameters=(_term(1),),
        quantities=(
            Quantity("t", Kind.MONEY, unit="$"),
            Quantity("r"),
            Quantity("s"),
            Quantity("part", Kind.MONEY, unit="$"),
            Quantity("x", Kind.MONEY, unit="$"),
        ),
        entities=(Entity("who", PEOPLE), Entity("other", PEOPLE)),
        unknown="x",
        events=(
            event(
                "{who} and {other} share {t} in the ratio {r} : {s}.",
                "{t} is split between {who} and {other} in the ratio {r} : {s}.",
                equations=("{part} = {t} / ({r} + {s})",),
            ),
            ask("How much does {who} get?", "What is {who}'s share?", equations=("{x} = {r} * {part}",)),
        ),
        draw=_divide_in_ratio,
        hints=(
            "Into how many equal parts is the money cut altogether?",
            "Add the numbers of the ratio, find what a single part is, then take {who}'s parts.",
            "Divide {t} by {r} + {s}. {who} gets {r} of these parts.",
        ),
    ),
    Schema(
        name="recipe_scale",
        components=("ratio", "unit_rate"),
        difficulty=0.5,
        parameters=(Parameter("people", 2, 8, "most people added", effect=0.4),),
        quantities=(
            Quantity("a"),
            Quantity("g", unit="g"),
            Quantity("b"),
            Quantity("each", unit="g"),
            Quantity("x", unit="g"),
        ),
        entities=(Entity("food", _INGREDIENTS),),
        unknown="x",
        events=(
            event(
                "A recipe for {a} people needs {g} of {food}.",
                "To cook for {a} people you need {g} of {food}.",
                equations=("{each} = {g} / {a}",),
            ),
            ask(
                "How many grams of {food} are needed for {b} people?",
                "How much {food} do you need for {b} people?",
                equations=("{x} = {b} * {each}",),
            ),
        ),
        draw=_recipe,
        hints=(
            "How does the amount change when more people come?",
            "Find what a single person needs first.",
            "Divide {g:bare} by {a}, then multiply by {b}.",
        ),
    ),
    Schema(
        name="unit_price",
        components=("unit_rate",),
        difficulty=0.2,
        parameters=(_CENTS,),
        quantities=(
            Quantity("n", unit="item"),
            Quantity("t", Kind.MONEY, unit="$"),
            Quantity("x", Kind.MONEY, unit="$"),
        ),
        entities=(Entity("item", GOODS),),
        unknown="x",
        events=(
            event("{n} cost {t} altogether.", "For {n} you pay {t}.", "A set of {n} costs {t}."),
            ask(
                "What is the price of a single {item:one}?",
                "How much is that for each {item:one}?",
                equations=("{n} * {x} = {t}",),
            ),
        ),
        draw=_unit_price,
        hints=(
            "Every {item:one} costs the same. What is shared out equally here?",
            "Divide the whole price by the number of {item}.",
            "Which price, taken {n:bare} times, makes {t}?",
        ),
    ),
    Schema(
        name="price_by_weight",
        components=("unit_rate", "decimal_multiply"),
        difficulty=0.5,
        parameters=(Parameter("cents", 0, 2, "price in whole dollars or quarters", effect=0.6),),
        quantities=(
            Quantity("p", Kind.MONEY, unit="$"),
            Quantity("w", Kind.DECIMAL, unit="kg"),
            Quantity("x", Kind.MONEY, unit="$"),
        ),
        entities=(Entity("who", PEOPLE), Entity("food", BULK)),
        unknown="x",
        events=(
            event("At a market {food} cost {p} a kilogram.", "A kilogram of {food} costs {p}."),
            event("{who} buys {w}.", "{who} takes {w}."),
            ask(
                "How much does {who:she} pay?",
                "What does {who:she} have to pay?",
                equations=("{x} = {p} * {w}",),
            ),
        ),
        draw=_total_price,
        hints=(
            "The price is for a single kilogram. How many kilograms are bought?",
            "Multiply the price of a kilogram by the weight.",
            "Work out {p} × {w:bare}; do the whole kilograms first, then the rest.",
        ),
    ),
    Schema(
        name="average_speed",
        components=("unit_rate",),
        difficulty=0.2,
        parameters=(Parameter("speed", 50, 120, "largest speed", effect=0.4),),
        quantities=(Quantity("d", unit="km"), Quantity("t", unit="h"), Quantity("x", unit="km/h")),
        entities=(Entity("vehicle", VEHICLES),),
        unknown="x",
        events=(
            event("{vehicle:a} travels {d} in {t}.", "{vehicle:a} takes {t} for a trip of {d}."),
            ask(
                "What is its average speed in kilometres per hour?",
                "How many kilometres does it cover per hour on average?",
                equations=("{t} * {x} = {d}",),
            ),
        ),
        draw=_speed,
        hints=(
            "Speed says how far it gets in a single hour.",
            "Divide the distance by the time.",
            "How far is it each hour if {t} make {d}?",
        ),
    ),
)

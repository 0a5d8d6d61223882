"""Fractions: equivalence, of an amount, and the four operations."""

from fractions import Fraction
from math import gcd, lcm

from curriculum.problems.draw import Draw
from curriculum.problems.numbers import Kind
from curriculum.problems.parameters import Parameter
from curriculum.problems.policy import AnswerPolicy
from curriculum.problems.words import COLLECTED, PEOPLE
from curriculum.problems.world import Entity, Quantity, Schema, Values, ask, event

LARGEST_COMMON = 60
"""Pairs of denominators whose least common multiple is larger are left to calculators."""

_LOWEST = AnswerPolicy(form="lowest")
_F = Quantity("f", Kind.FRACTION)
_G = Quantity("g", Kind.FRACTION)
_X = Quantity("x", Kind.FRACTION)
_LIKE = (Quantity("a"), Quantity("b"), Quantity("d"), _X)


def _denominator(effect: float, cells: int = 1, low: float = 3, high: float = 13) -> Parameter:
    return Parameter("denominator", low, high, "largest denominator", effect=effect, cells=cells)


def _proper(draw: Draw, denominator: int) -> Fraction:
    """A fraction between 0 and 1 in lowest terms with exactly that denominator."""
    tops = [top for top in range(1, denominator) if gcd(top, denominator) == 1]
    return Fraction(draw.pick(tops), denominator)


def _two_proper(draw: Draw) -> tuple[Fraction, Fraction]:
    """Two fractions with different denominators, the larger being the parameter `denominator`."""
    largest = draw.whole("denominator")
    others = [other for other in range(2, largest) if lcm(other, largest) <= LARGEST_COMMON]
    return draw.pair(_proper(draw, largest), _proper(draw, draw.pick(others)))


def _equivalent(draw: Draw) -> Values:
    fraction, scale = _proper(draw, draw.whole("denominator")), draw.integer(2, 9)
    top, bottom = fraction.numerator, fraction.denominator
    return {"n": top, "d": bottom, "m": bottom * scale, "x": top * scale}


def _simplify(draw: Draw) -> Values:
    fraction, scale = _proper(draw, draw.whole("denominator")), draw.integer(2, 9)
    return {"n": fraction.numerator * scale, "d": fraction.denominator * scale, "x": fraction}


def _of_amount(draw: Draw) -> Values:
    fraction = _proper(draw, draw.whole("denominator"))
    amount = fraction.denominator * draw.integer(2, 12)
    return {"f": fraction, "n": amount, "x": int(fraction * amount)}


def _add_like(draw: Draw) -> Values:
    bottom = draw.whole("denominator")
    first = draw.integer(1, bottom - 1)
    second = draw.integer(1, bottom - 1)
    return {"a": first, "b": second, "d": bottom, "x": Fraction(first + second, bottom)}


def _subtract_like(draw: Draw) -> Values:
    bottom = draw.whole("denominator")
    first = draw.integer(2, bottom - 1)
    second = draw.integer(1, first - 1)
    return {"a": first, "b": second, "d": bottom, "x": Fraction(first - second, bottom)}


def _add_unlike(draw: Draw) -> Values:
    first, second = _two_proper(draw)
    return {"f": first, "g": second, "x": first + second}


def _subtract_unlike(draw: Draw) -> Values:
    first, second = sorted(_two_proper(draw), reverse=True)
    return {"f": first, "g": second, "x": first - second}


def _multiply(draw: Draw) -> Values:
    first, second = _two_proper(draw)
    return {"f": first, "g": second, "x": first * second}


def _multiply_whole(draw: Draw) -> Values:
    fraction, factor = _proper(draw, draw.whole("denominator")), draw.integer(2, 12)
    return {"f": fraction, "n": factor, "x": fraction * factor}


def _divide(draw: Draw) -> Values:
    first, second = _two_proper(draw)
    return {"f": first, "g": second, "x": first / second}


_COMMON = "Bring both to the same denominator first: find a number that is a multiple of both denominators."

_PARTS = (
    Schema(
        name="fraction_equivalent",
        components=("fraction_equivalent",),
        difficulty=-0.9,
        parameters=(_denominator(0.7, cells=2),),
        quantities=(Quantity("n"), Quantity("d"), Quantity("m"), Quantity("x")),
        unknown="x",
        events=(
            ask(
                "Which number is missing? {n}/{d} = □/{m}",
                "Fill in the box so that the fractions are equal: {n}/{d} = □/{m}",
                "Complete the equivalent fraction: {n}/{d} = □/{m}",
                equations=("{x} / {m} = {n} / {d}",),
            ),
        ),
        draw=_equivalent,
        hints=(
            "Equal fractions name the same part of a whole in different pieces.",
            "What was the denominator multiplied by? The numerator must be multiplied by the same.",
            "How do you get from {d} to {m} by multiplying? Do the same to {n}.",
        ),
    ),
    Schema(
        name="fraction_simplify",
        components=("fraction_equivalent",),
        difficulty=-0.5,
        parameters=(_denominator(0.7, cells=2),),
        quantities=(Quantity("n"), Quantity("d"), _X),
        unknown="x",
        policy=_LOWEST,
        events=(
            ask(
                "Write {n}/{d} in lowest terms.",
                "Simplify {n}/{d} as far as possible.",
                "Reduce {n}/{d} to its lowest terms.",
                equations=("{x} = {n} / {d}",),
            ),
        ),
        draw=_simplify,
        hints=(
            "Which number divides both the numerator and the denominator?",
            "Divide both by the same number; go on until nothing divides both any more.",
            "Look for the largest number that divides both {n} and {d}.",
        ),
    ),
    Schema(
        name="fraction_of_amount",
        components=("fraction_of_amount",),
        difficulty=-0.4,
        parameters=(_denominator(0.7, cells=2),),
        quantities=(_F, Quantity("n"), Quantity("x")),
        unknown="x",
        events=(
            ask(
                "What is {f} of {n}?",
                "Work out {f} of {n}.",
                "How much is {f} of {n}?",
                equations=("{x} = {f} * {n}",),
            ),
        ),
        draw=_of_amount,
        hints=(
            "The denominator says into how many equal parts {n} is cut.",
            "Divide by the denominator to get a single part, then multiply by the numerator.",
            "Share {n} into the parts that {f} speaks of. How many of these parts are meant?",
        ),
    ),
    Schema(
        name="fraction_of_collection",
        components=("fraction_of_amount",),
        difficulty=-0.2,
        parameters=(_denominator(0.6),),
        quantities=(_F, Quantity("n", unit="item"), Quantity("x", unit="item")),
        entities=(Entity("who", PEOPLE), Entity("item", COLLECTED)),
        unknown="x",
        events=(
            event("{who} has {n}.", "There are {n} in {who}'s collection.", "{who} owns {n}."),
            event(
                "{who:She} gives {f} of them to a friend.",
                "{who:She} puts {f} of them into a drawer.",
                "{f} of them are blue.",
            ),
            ask(
                "How many {item} is that?",
                "Work out how many {item} that is.",
                equations=("{x} = {f} * {n}",),
            ),
        ),
        draw=_of_amount,
        hints=(
            "All {item} together are the whole. Which part of it is asked for?",
            "Divide the whole by the denominator, then take as many parts as the numerator says.",
            "Cut {n:bare} into the equal parts that {f} speaks of, and count the parts you need.",
        ),
    ),
)

SCHEMAS = (
    *_PARTS,
    Schema(
        name="fraction_add_like",
        components=("fraction_add_like",),
        difficulty=-0.7,
        parameters=(_denominator(0.6, cells=2, low=4),),
        quantities=_LIKE,
        unknown="x",
        events=(
            ask(
                "Work out {a}/{d} + {b}/{d}.",
                "What is {a}/{d} + {b}/{d}?",
                "Add {a}/{d} and {b}/{d}.",
                equations=("{x} = {a} / {d} + {b} / {d}",),
            ),
        ),
        draw=_add_like,
        hints=(
            "Both fractions are made of pieces of the same size.",
            "Only the number of pieces changes; their size, the denominator, stays.",
            "How many pieces are {a} and {b} together? Write that over the same denominator.",
        ),
    ),
    Schema(
        name="fraction_subtract_like",
        components=("fraction_add_like",),
        difficulty=-0.6,
        parameters=(_denominator(0.6, low=4),),
        quantities=_LIKE,
        unknown="x",
        events=(
            ask(
                "Work out {a}/{d} − {b}/{d}.",
                "What is {a}/{d} − {b}/{d}?",
                "Subtract {b}/{d} from {a}/{d}.",
                equations=("{x} = {a} / {d} - {b} / {d}",),
            ),
        ),
        draw=_subtract_like,
        hints=(
            "Both fractions are made of pieces of the same size.",
            "Take pieces away; their size, the denominator, stays.",
            "How many pieces remain when {b} of {a} are taken away? Keep the denominator.",
        ),
    ),
    Schema(
        name="fraction_add_unlike",
        components=("fraction_add_unlike",),
        difficulty=0.3,
        parameters=(_denominator(1.0, cells=2),),
        quantities=(_F, _G, _X),
        unknown="x",
        events=(
            ask(
                "Work out {f} + {g}.",
                "What is {f} + {g}?",
                "Add {f} and {g}.",
                equations=("{x} = {f} + {g}",),
            ),
        ),
        draw=_add_unlike,
        hints=(
            "The pieces of {f} and {g} have different sizes. Can they be counted together as they are?",
            _COMMON,
            "Rewrite {f} and {g} over a common denominator, then add the numerators only.",
        ),
    ),
    Schema(
        name="fraction_subtract_unlike",
        components=("fraction_add_unlike",),
        difficulty=0.4,
        parameters=(_denominator(1.0, cells=2),),
        quantities=(_F, _G, _X),
        unknown="x",
        events=(
            ask(
                "Work out {f} − {g}.",
                "What is {f} − {g}?",
                "Subtract {g} from {f}.",
                equations=("{x} = {f} - {g}",),
            ),
        ),
        draw=_subtract_unlike,
        hints=(
            "The pieces of {f} and {g} have different sizes. Can they be taken away as they are?",
            _COMMON,
            "Rewrite {f} and {g} over a common denominator, then subtract the numerators only.",
        ),
    ),
    Schema(
        name="fraction_multiply",
        components=("fraction_multiply",),
        difficulty=0.1,
        parameters=(_denominator(0.7, cells=2),),
        quantities=(_F, _G, _X),
        unknown="x",
        policy=_LOWEST,
        events=(
            ask(
                "Work out {f} × {g}. Give your answer in lowest terms.",
                "What is {f} of {g}? Answer in lowest terms.",
                "Multiply {f} by {g} and simplify.",
                equations=("{x} = {f} * {g}",),
            ),
        ),
        draw=_multiply,
        hints=(
            "No common denominator is needed for multiplying.",
            "Numerator times numerator, denominator times denominator; then simplify.",
            "Multiply the tops of {f} and {g}, then the bottoms. What divides both results?",
        ),
    ),
    Schema(
        name="fraction_multiply_whole",
        components=("fraction_multiply",),
        difficulty=0.0,
        parameters=(_denominator(0.6),),
        quantities=(_F, Quantity("n"), _X),
        unknown="x",
        policy=_LOWEST,
        events=(
            ask(
                "Work out {n} × {f}. Give your answer in lowest terms.",
                "What is {n} times {f}? Simplify your answer.",
                equations=("{x} = {n} * {f}",),
            ),
        ),
        draw=_multiply_whole,
        hints=(
            "{n} times {f} is {f} added to itself again and again.",
            "Only the numerator is multiplied; the size of the pieces stays.",
            "Multiply the numerator of {f} by {n}, keep the denominator, then simplify.",
        ),
    ),
    Schema(
        name="fraction_divide",
        components=("fraction_divide",),
        difficulty=0.6,
        parameters=(_denominator(0.8, cells=3),),
        quantities=(_F, _G, _X),
        unknown="x",
        policy=_LOWEST,
        events=(
            ask(
                "Work out {f} ÷ {g}. Give your answer in lowest terms.",
                "Divide {f} by {g} and simplify.",
                "What is {f} ÷ {g} in lowest terms?",
                equations=("{x} = {f} / {g}",),
            ),
        ),
        draw=_divide,
        hints=(
            "How often does {g} fit into {f}?",
            "Dividing by a fraction is multiplying by its reciprocal. Which of the two is turned over?",
            "Keep {f}, turn {g} upside down, and multiply.",
        ),
    ),
)

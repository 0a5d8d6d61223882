"""Decimals and what they share with fractions."""

from collections.abc import Callable
from fractions import Fraction
from math import gcd

from curriculum.problems.draw import Draw
from curriculum.problems.numbers import Kind
from curriculum.problems.parameters import Parameter
from curriculum.problems.policy import AnswerPolicy
from curriculum.problems.world import Quantity, Schema, Values, ask

_TERMS = tuple(Quantity(name, Kind.DECIMAL) for name in "abx")


def _parts(draw: Draw, bottom: int) -> Values:
    """A fraction in lowest terms with that denominator."""
    top = draw.pick([top for top in range(1, bottom) if gcd(top, bottom) == 1])
    return {"n": top, "d": bottom, "x": Fraction(top, bottom)}


def _tenths(draw: Draw) -> Values:
    return _parts(draw, 10 if draw["scaling"] < 0.5 else 5)


def _hundredths(draw: Draw) -> Values:
    return _parts(draw, (100, 50, 25, 20, 4)[draw.whole("scaling")])


def _to_fraction(draw: Draw) -> Values:
    value = draw.decimal(0, 1, draw.whole("places"))
    return {"a": value, "x": value}


def _operands(draw: Draw) -> tuple[Fraction, Fraction]:
    most = draw.whole("places")
    return draw.decimal(1, draw.pick((10, 100)), most), draw.decimal(0, 10, draw.integer(1, most))


def _add(draw: Draw) -> Values:
    first, second = draw.pair(*_operands(draw))
    return {"a": first, "b": second, "x": first + second}


def _subtract(draw: Draw) -> Values:
    larger, smaller = sorted(_operands(draw), reverse=True)
    return {"a": larger, "b": smaller, "x": larger - smaller}


def _multiply(draw: Draw) -> Values:
    """As many decimal places in both factors together as the parameter says."""
    total = draw.whole("places")
    left = (total + 1) // 2
    first = draw.decimal(0, 10, left)
    second = draw.decimal(0, 1, total - left) if total > left else Fraction(draw.integer(2, 12))
    first, second = draw.pair(first, second)
    return {"a": first, "b": second, "x": first * second}


def _to_decimal(
    name: str, difficulty: float, places: int, draw: Callable[[Draw], Values], scaling: Parameter, place: str
) -> Schema:
    """Write a fraction as a decimal of exactly `places` places."""
    return Schema(
        name=name,
        components=("decimal_fraction",),
        difficulty=difficulty,
        parameters=(scaling,),
        quantities=(Quantity("n"), Quantity("d"), Quantity("x", Kind.DECIMAL)),
        unknown="x",
        policy=AnswerPolicy(form=f"decimal:{places}"),
        events=(
            ask(
                "Write {n}/{d} as a decimal.",
                "Which decimal is equal to {n}/{d}?",
                "Turn {n}/{d} into a decimal.",
                equations=("{x} = {n} / {d}",),
            ),
        ),
        draw=draw,
        hints=(
            "The places after the point are tenths, hundredths, thousandths.",
            f"Rewrite {{n}}/{{d}} as a number of {place}.",
            f"What turns {{d}} into the denominator of {place}? Do the same to {{n}}, then place the point.",
        ),
    )


def _sum_or_difference(
    name: str, sign: str, cells: int, draw: Callable[[Draw], Values], *words: str
) -> Schema:
    shown, verb = "{a} " + sign.replace("-", "−") + " {b}", words[0]
    return Schema(
        name=name,
        components=("decimal_add",),
        difficulty=-0.2 if sign == "+" else 0.0,
        parameters=(Parameter("places", 1, 4, "most decimal places", effect=0.8, cells=cells),),
        quantities=_TERMS,
        unknown="x",
        events=(
            ask(
                f"Work out {shown}.", f"What is {shown}?", words[1], equations=("{x} = {a} " + sign + " {b}",)
            ),
        ),
        draw=draw,
        hints=(
            f"{verb} tenths and tenths, hundredths and hundredths.",
            "Write the numbers with the points under each other; fill empty places with zeros.",
            f"Line up {{a}} and {{b}} at the point, then {verb.lower()} column by column from the right.",
        ),
    )


SCHEMAS = (
    _to_decimal(
        "decimal_tenths",
        -0.8,
        1,
        _tenths,
        Parameter("scaling", 0, 1, "whether the fraction must first be brought to tenths", effect=0.4),
        "tenths",
    ),
    _to_decimal(
        "decimal_hundredths",
        -0.4,
        2,
        _hundredths,
        Parameter("scaling", 0, 5, "how far the denominator is from a hundred", effect=0.7),
        "hundredths",
    ),
    Schema(
        name="decimal_to_fraction",
        components=("decimal_fraction",),
        difficulty=-0.2,
        parameters=(Parameter("places", 1, 4, "decimal places", effect=0.9, cells=3),),
        quantities=(Quantity("a", Kind.DECIMAL), Quantity("x", Kind.FRACTION)),
        unknown="x",
        policy=AnswerPolicy(form="lowest"),
        events=(
            ask(
                "Write {a} as a fraction in lowest terms.",
                "Which fraction in lowest terms equals {a}?",
                "Turn {a} into a fraction and simplify it.",
                equations=("{x} = {a}",),
            ),
        ),
        draw=_to_fraction,
        hints=(
            "The last decimal place names the denominator: tenths, hundredths, thousandths.",
            "Write the digits after the point over that denominator, then simplify.",
            "Read {a} aloud by its last place, write that down as a fraction, and divide out common factors.",
        ),
    ),
    _sum_or_difference("decimal_add", "+", 2, _add, "Add", "Find the sum of {a} and {b}."),
    _sum_or_difference("decimal_subtract", "-", 2, _subtract, "Subtract", "Subtract {b} from {a}."),
    Schema(
        name="decimal_multiply",
        components=("decimal_multiply",),
        difficulty=0.2,
        parameters=(
            Parameter("places", 1, 4, "decimal places of both factors together", effect=0.9, cells=3),
        ),
        quantities=_TERMS,
        unknown="x",
        events=(
            ask(
                "Work out {a} × {b}.",
                "What is {a} × {b}?",
                "Multiply {a} by {b}.",
                equations=("{x} = {a} * {b}",),
            ),
        ),
        draw=_multiply,
        hints=(
            "About how large must the product be? Round both factors first.",
            "Multiply as if there were no points; then place the point.",
            "Count the decimal places of {a} and of {b} together: the product has that many.",
        ),
    ),
)

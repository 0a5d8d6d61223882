"""Place value and rounding."""

from curriculum.problems.draw import Draw
from curriculum.problems.parameters import Parameter
from curriculum.problems.world import Quantity, Schema, Values, ask


def _digit_value(draw: Draw) -> Values | None:
    digits = draw.whole("digits")
    number = draw.integer(10 ** (digits - 1), 10**digits - 1)
    exponent = draw.integer(1, digits - 1)
    digit = number // 10**exponent % 10
    if digit == 0 or str(number).count(str(digit)) > 1:
        return None
    return {"n": number, "d": digit, "place": 10**exponent, "x": digit * 10**exponent}


def _expanded(draw: Draw) -> Values:
    digits = draw.whole("digits")
    exponents = sorted(draw.sample(range(digits - 1), 2), reverse=True)
    first = draw.integer(1, 9) * 10 ** (digits - 1)
    second, third = (draw.integer(1, 9) * 10**exponent for exponent in exponents)
    return {"a": first, "b": second, "c": third, "x": first + second + third}


def _round(draw: Draw) -> Values:
    place = 10 ** draw.whole("place")
    number = draw.integer(place * 11 // 10, place * 99)
    return {"n": number, "place": place, "x": (2 * number + place) // (2 * place) * place}


SCHEMAS = (
    Schema(
        name="place_value",
        components=("place_value",),
        difficulty=-2.2,
        parameters=(Parameter("digits", 2, 6, "digits of the number", effect=1.4, cells=4),),
        quantities=(
            Quantity("n", unused=True),
            Quantity("d"),
            Quantity("place", implied=True),
            Quantity("x"),
        ),
        unknown="x",
        events=(
            ask(
                "What is the value of the digit {d} in {n}?",
                "In the number {n}, what is the digit {d} worth?",
                "Look at {n}. How much does the {d} stand for?",
                equations=("{x} = {d} * {place}",),
            ),
        ),
        draw=_digit_value,
        hints=(
            "What a digit is worth depends on the place where it stands.",
            "Name the places from the right: ones, tens, hundreds, thousands, and so on.",
            "Find the place of the {d} in {n} and multiply {d} by what that place is worth.",
        ),
    ),
    Schema(
        name="expanded_form",
        components=("place_value",),
        difficulty=-1.6,
        parameters=(Parameter("digits", 3, 6, "digits of the number", effect=0.9),),
        quantities=(Quantity("a"), Quantity("b"), Quantity("c"), Quantity("x")),
        unknown="x",
        events=(
            ask(
                "Which number is {a} + {b} + {c}?",
                "Write {a} + {b} + {c} as a single number.",
                "A number is made of {a}, {b} and {c}. Which number is it?",
                equations=("{x} = {a} + {b} + {c}",),
            ),
        ),
        draw=_expanded,
        hints=(
            "Each part fills a single place of the number.",
            "Draw a place-value chart and put each part in its place; empty places get a zero.",
            "Start with {a}: how many places does it have? Then write in {b} and {c}.",
        ),
    ),
    Schema(
        name="round_whole",
        components=("round_whole",),
        difficulty=-1.2,
        parameters=(Parameter("place", 1, 4, "zeros of the place rounded to", effect=1.2, cells=3),),
        quantities=(Quantity("n"), Quantity("place"), Quantity("x")),
        unknown="x",
        events=(
            ask(
                "Round {n} to the nearest {place}.",
                "What is {n} to the nearest {place}?",
                "Which multiple of {place} is nearest to {n}? (Halfway goes up.)",
                equations=("{x} = floor({n} / {place} + 1 / 2) * {place}",),
            ),
        ),
        draw=_round,
        hints=(
            "Which two multiples of {place} does {n} lie between?",
            "The digit to the right of the place you round to decides: 5 or more goes up, less goes down.",
            "Find the multiples of {place} just below and just above {n}. Which is closer?",
        ),
    ),
)

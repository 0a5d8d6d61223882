"""Negative numbers."""

from collections.abc import Callable

from curriculum.problems.draw import Draw
from curriculum.problems.numbers import Kind
from curriculum.problems.parameters import Parameter
from curriculum.problems.world import Quantity, Schema, Values, ask, event


def _size(low: float, high: float, effect: float, cells: int = 1) -> Parameter:
    return Parameter("size", low, high, "largest number without its sign", effect=effect, cells=cells)


def _signed(draw: Draw) -> tuple[int, int]:
    """Two numbers up to the parameter `size`, at least one of them negative."""
    size = draw.whole("size")
    first, second = draw.integer(2, size), draw.integer(2, size)
    return draw.pick(((-first, second), (first, -second), (-first, -second)))


def _add(draw: Draw) -> Values:
    first, second = _signed(draw)
    return {"a": first, "b": second, "x": first + second}


def _subtract(draw: Draw) -> Values:
    first, second = _signed(draw)
    return {"a": first, "b": second, "x": first - second}


def _temperature(draw: Draw) -> Values:
    size = draw.whole("size")
    evening, below = draw.integer(1, size), draw.integer(2, size)
    return {"a": evening, "d": evening + below, "x": -below}


def _multiply(draw: Draw) -> Values:
    first, second = _signed(draw)
    return {"a": first, "b": second, "x": first * second}


def _divide(draw: Draw) -> Values:
    divisor, quotient = _signed(draw)
    return {"a": divisor * quotient, "b": divisor, "x": quotient}


def _schema(
    name: str,
    difficulty: float,
    size: Parameter,
    sign: tuple[str, str],
    draw: Callable[[Draw], Values],
    hints: tuple[str, str, str],
) -> Schema:
    """a (sign) b, the sign as pupils see it and as equations have it."""
    shown = "{a} " + sign[0] + " {b:paren}"
    return Schema(
        name=name,
        components=("negative_add" if sign[1] in "+-" else "negative_multiply",),
        difficulty=difficulty,
        parameters=(size,),
        quantities=tuple(Quantity(letter, Kind.INTEGER) for letter in "abx"),
        unknown="x",
        events=(
            ask(
                f"Work out {shown}.",
                f"What is {shown}?",
                f"Find the value of {shown}.",
                equations=("{x} = {a} " + sign[1] + " {b}",),
            ),
        ),
        draw=draw,
        hints=hints,
    )


SCHEMAS = (
    _schema(
        "negative_add",
        0.1,
        _size(5, 41, 0.7, cells=2),
        ("+", "+"),
        _add,
        (
            "Where on the number line do you start, and which way do you go?",
            "Adding a negative number moves to the left, adding a positive number to the right.",
            "Start at {a}. Which way does adding {b} take you, and how far?",
        ),
    ),
    _schema(
        "negative_subtract",
        0.4,
        _size(5, 41, 0.7, cells=2),
        ("−", "-"),
        _subtract,
        (
            "Subtracting is the same as adding the opposite.",
            "What is the opposite of {b}? Turn the subtraction into an addition.",
            "Start at {a} on the number line and add the opposite of {b}.",
        ),
    ),
    Schema(
        name="temperature_drop",
        components=("negative_add",),
        difficulty=-0.1,
        parameters=(_size(3, 16, 0.5),),
        quantities=tuple(Quantity(letter, Kind.INTEGER) for letter in "adx"),
        unknown="x",
        events=(
            event(
                "In the evening it is {a} °C.",
                "A thermometer shows {a} °C at sunset.",
                "It is {a} °C when the sun goes down.",
            ),
            event(
                "During the night the temperature falls by {d} degrees.",
                "By morning it is {d} degrees colder.",
            ),
            ask(
                "What is the temperature then, in °C?",
                "How many °C is it then?",
                equations=("{x} = {a} - {d}",),
            ),
        ),
        draw=_temperature,
        hints=(
            "Does the temperature go up or down? Does it pass zero?",
            "Go down to zero first, then down by what is left.",
            "From {a} down by {d}: how much is left to go after zero is reached?",
        ),
    ),
    _schema(
        "negative_multiply",
        0.4,
        _size(4, 13, 0.6, cells=2),
        ("×", "*"),
        _multiply,
        (
            "How many of the factors are negative?",
            "Two factors of the same sign give a positive product, different signs a negative one.",
            "Multiply {a} and {b} without their signs, then settle the sign.",
        ),
    ),
    _schema(
        "negative_divide",
        0.5,
        _size(4, 13, 0.5),
        ("÷", "/"),
        _divide,
        (
            "How many of the numbers are negative?",
            "The rule of signs is that of multiplying: same signs positive, different signs negative.",
            "What must be multiplied by {b} to make {a}?",
        ),
    ),
)

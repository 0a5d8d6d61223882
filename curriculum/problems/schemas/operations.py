"""Order of operations."""

from collections.abc import Callable

from curriculum.problems.draw import Draw
from curriculum.problems.parameters import Parameter
from curriculum.problems.world import Quantity, Schema, Values, ask


def _plus_times(draw: Draw) -> Values:
    size = draw.whole("size")
    a, b, c = draw.integer(2, 30), draw.integer(2, size), draw.integer(2, size)
    return {"a": a, "b": b, "c": c, "x": a + b * c}


def _minus_divide(draw: Draw) -> Values:
    size = draw.whole("size")
    c, quotient = draw.integer(2, size), draw.integer(2, size)
    a = quotient + draw.integer(2, 40)
    return {"a": a, "b": c * quotient, "c": c, "x": a - quotient}


def _brackets(draw: Draw) -> Values:
    a, b, c = draw.integer(2, 12), draw.integer(2, 12), draw.integer(2, draw.whole("size"))
    return {"a": a, "b": b, "c": c, "x": (a + b) * c}


def _minus_plus(draw: Draw) -> Values:
    size = draw.whole("size")
    b, c = draw.integer(2, 2 * size), draw.integer(2, 2 * size)
    a = b + draw.integer(2, 30)
    return {"a": a, "b": b, "c": c, "x": a - b + c}


def _two_products(draw: Draw) -> Values | None:
    a, b, c, d = (draw.integer(2, draw.whole("size")) for _ in range(4))
    return {"a": a, "b": b, "c": c, "d": d, "x": a * b - c * d} if a * b > c * d else None


def _schema(
    name: str, difficulty: float, shown: str, line: str, draw: Callable[[Draw], Values | None], *ways: str
) -> Schema:
    """A bare expression `shown` with its equation's right side `line`, and the two last hints `ways`."""
    letters = [letter for letter in "abcd" if "{" + letter + "}" in line]
    return Schema(
        name=name,
        components=("order_of_operations",),
        difficulty=difficulty,
        parameters=(Parameter("size", 5, 13, "largest number multiplied or divided", effect=0.5),),
        quantities=tuple(Quantity(letter) for letter in (*letters, "x")),
        unknown="x",
        events=(
            ask(
                f"Work out {shown}.",
                f"What is {shown}?",
                f"Find the value of {shown}.",
                equations=("{x} = " + line,),
            ),
        ),
        draw=draw,
        hints=("Which operation comes first here? It need not be the leftmost.", ways[0], ways[1]),
    )


SCHEMAS = (
    _schema(
        "order_minus_plus",
        -0.8,
        "{a} − {b} + {c}",
        "{a} - {b} + {c}",
        _minus_plus,
        "Adding and subtracting rank equally: go from left to right.",
        "Start with {a} − {b}, then add {c} to what you get.",
    ),
    _schema(
        "order_plus_times",
        -0.4,
        "{a} + {b} × {c}",
        "{a} + {b} * {c}",
        _plus_times,
        "Multiplying goes before adding.",
        "Work out {b} × {c} first and keep {a} for later.",
    ),
    _schema(
        "order_minus_divide",
        -0.1,
        "{a} − {b} ÷ {c}",
        "{a} - {b} / {c}",
        _minus_divide,
        "Dividing goes before subtracting.",
        "Work out {b} ÷ {c} first, then take it from {a}.",
    ),
    _schema(
        "order_brackets",
        -0.5,
        "({a} + {b}) × {c}",
        "({a} + {b}) * {c}",
        _brackets,
        "Brackets go before everything else.",
        "Work out {a} + {b} first, then multiply by {c}.",
    ),
    _schema(
        "order_two_products",
        0.3,
        "{a} × {b} − {c} × {d}",
        "{a} * {b} - {c} * {d}",
        _two_products,
        "Multiplying goes before subtracting, on both sides of the minus sign.",
        "Work out {a} × {b} and {c} × {d} separately, then subtract.",
    ),
)

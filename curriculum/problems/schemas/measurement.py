"""Perimeter and area."""

from curriculum.problems.draw import Draw
from curriculum.problems.parameters import Parameter
from curriculum.problems.policy import AnswerPolicy
from curriculum.problems.words import PLOTS, SHEETS
from curriculum.problems.world import Entity, Quantity, Schema, Values, ask, event

_PLOT = (Entity("plot", PLOTS),)
_SHEET = (Entity("sheet", SHEETS),)


def _size(low: float, high: float, effect: float, cells: int = 1) -> Parameter:
    return Parameter("size", low, high, "longest side", effect=effect, cells=cells)


def _sides(draw: Draw) -> tuple[int, int]:
    """Length and width, the length being the parameter `size`."""
    length = draw.whole("size")
    return length, draw.integer(max(2, length // 3), length - 1)


def _rectangle(draw: Draw) -> Values:
    length, width = _sides(draw)
    return {"l": length, "w": width, "x": 2 * (length + width)}


def _missing_side(draw: Draw) -> Values:
    length, width = _sides(draw)
    return {"p": 2 * (length + width), "l": length, "x": width}


def _triangle(draw: Draw) -> Values:
    longest = draw.whole("size")
    second = draw.integer(longest * 2 // 3, longest)
    third = draw.integer(longest - second + 1, longest)
    return {"a": longest, "b": second, "c": third, "x": longest + second + third}


def _area(draw: Draw) -> Values:
    length, width = _sides(draw)
    return {"l": length, "w": width, "x": length * width}


def _area_side(draw: Draw) -> Values:
    length, width = _sides(draw)
    return {"s": length * width, "l": length, "x": width}


_RECTANGLE = event(
    "A rectangular {plot:one} is {l} long and {w} wide.",
    "The sides of a rectangular {plot:one} are {l} and {w}.",
)
_FENCE = ask(
    "What is its perimeter?",
    "How long is a line drawn all the way around it?",
    "How far is it once around the edge?",
    equations=("{x} = 2 * ({l} + {w})",),
)

SCHEMAS = (
    Schema(
        name="perimeter_rectangle",
        components=("perimeter",),
        difficulty=-0.9,
        parameters=(_size(5, 65, 0.6, cells=2),),
        quantities=(Quantity("l", unit="m"), Quantity("w", unit="m"), Quantity("x", unit="m")),
        entities=_PLOT,
        unknown="x",
        events=(_RECTANGLE, _FENCE),
        draw=_rectangle,
        hints=(
            "The perimeter is the way once around the edge.",
            "Opposite sides of a rectangle are equally long: each length is met twice.",
            "Add {l:bare} and {w:bare}, then double it.",
        ),
    ),
    Schema(
        name="perimeter_triangle",
        components=("perimeter",),
        difficulty=-1.0,
        parameters=(_size(6, 30, 0.5),),
        quantities=tuple(Quantity(name, unit="cm") for name in "abcx"),
        unknown="x",
        events=(
            event(
                "A triangle has sides of {a}, {b} and {c}.",
                "The sides of a triangle measure {a}, {b} and {c}.",
            ),
            ask(
                "What is its perimeter?",
                "How long is its edge altogether?",
                equations=("{x} = {a} + {b} + {c}",),
            ),
        ),
        draw=_triangle,
        hints=(
            "The perimeter is the way once around the edge.",
            "Every side of the triangle is walked along a single time.",
            "Add the sides: begin with {a:bare} + {b:bare}.",
        ),
    ),
    Schema(
        name="perimeter_side",
        components=("perimeter", "missing_addend"),
        difficulty=0.2,
        parameters=(_size(6, 30, 0.4),),
        quantities=(Quantity("p", unit="cm"), Quantity("l", unit="cm"), Quantity("x", unit="cm")),
        entities=_SHEET,
        unknown="x",
        events=(
            event(
                "The perimeter of a rectangular {sheet:one} is {p}. Its length is {l}.",
                "A rectangular {sheet:one} is {l} long and has a perimeter of {p}.",
            ),
            ask("How wide is it?", "What is its width?", equations=("2 * ({l} + {x}) = {p}",)),
        ),
        draw=_missing_side,
        hints=(
            "You know the way all around and how long the shape is.",
            "Half of the perimeter is a length and a width together.",
            "Halve {p:bare} and take {l:bare} away.",
        ),
    ),
    Schema(
        name="area_rectangle",
        components=("area",),
        difficulty=-0.7,
        parameters=(_size(4, 34, 0.9, cells=3),),
        quantities=(Quantity("l", unit="cm"), Quantity("w", unit="cm"), Quantity("x", unit="cm^2")),
        entities=_SHEET,
        policy=AnswerPolicy(unit="required"),
        unknown="x",
        events=(
            event(
                "A rectangular {sheet:one} is {l} long and {w} wide.",
                "The sides of a rectangular {sheet:one} are {l} and {w}.",
            ),
            ask(
                "What is its area? Give the unit, too.",
                "How large is its area? Give the unit with your answer.",
                equations=("{x} = {l} * {w}",),
            ),
        ),
        draw=_area,
        hints=(
            "The area says how many unit squares cover the shape.",
            "Think of rows of squares: how many in a row, and how many rows?",
            "Multiply {l:bare} by {w:bare}. Lengths in cm give an area in square centimetres.",
        ),
    ),
    Schema(
        name="area_side",
        components=("area", "divide_facts"),
        difficulty=-0.1,
        parameters=(_size(5, 14, 0.4),),
        quantities=(Quantity("s", unit="m^2"), Quantity("l", unit="m"), Quantity("x", unit="m")),
        entities=_PLOT,
        unknown="x",
        events=(
            event(
                "A rectangular {plot:one} covers {s}. It is {l} long.",
                "The area of a rectangular {plot:one} is {s} and its length is {l}.",
            ),
            ask("How wide is it?", "What is its width?", equations=("{l} * {x} = {s}",)),
        ),
        draw=_area_side,
        hints=(
            "You know the area and the length. What is the area made from?",
            "Length times width is the area, so the width comes from dividing.",
            "What times {l:bare} makes {s:bare}?",
        ),
    ),
)

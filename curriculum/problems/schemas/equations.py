"""One-step and two-step equations."""

from collections.abc import Callable

from curriculum.problems.draw import Draw
from curriculum.problems.numbers import Kind
from curriculum.problems.parameters import Parameter
from curriculum.problems.words import LETTERS, PEOPLE
from curriculum.problems.world import Entity, Quantity, Schema, Values, ask, event

_LETTER = (Entity("letter", LETTERS),)
_X = Quantity("x", Kind.INTEGER, symbol="letter")


def _size(effect: float, cells: int = 1) -> Parameter:
    return Parameter("size", 6, 31, "largest number in the equation's making", effect=effect, cells=cells)


def _nonzero(draw: Draw, size: int) -> int:
    return draw.integer(2, size) * draw.pick((1, -1))


def _add(draw: Draw) -> Values:
    size = draw.whole("size")
    solution, added = draw.integer(2, size), draw.integer(2, size)
    return {"b": added, "c": solution + added, "x": solution}


def _subtract(draw: Draw) -> Values:
    size = draw.whole("size")
    left, taken = draw.integer(1, size), draw.integer(2, size)
    return {"b": taken, "c": left, "x": left + taken}


def _subtract_from(draw: Draw) -> Values:
    size = draw.whole("size")
    left, solution = draw.integer(1, size), draw.integer(2, size)
    return {"b": left + solution, "c": left, "x": solution}


def _multiply(draw: Draw) -> Values:
    factor, solution = draw.integer(2, 12), draw.integer(2, draw.whole("size"))
    return {"a": factor, "c": factor * solution, "x": solution}


def _divide(draw: Draw) -> Values:
    divisor, quotient = draw.integer(2, 12), draw.integer(2, draw.whole("size") // 2)
    return {"a": divisor, "c": quotient, "x": divisor * quotient}


def _two_step(draw: Draw) -> Values:
    size = draw.whole("size")
    factor, solution, constant = draw.integer(2, 9), draw.integer(2, size // 2), _nonzero(draw, size)
    return {"a": factor, "b": constant, "c": factor * solution + constant, "x": solution}


def _two_step_divide(draw: Draw) -> Values:
    size = draw.whole("size")
    divisor, quotient, constant = draw.integer(2, 9), draw.integer(2, size // 2), _nonzero(draw, size)
    return {"a": divisor, "b": constant, "c": quotient + constant, "x": divisor * quotient}


def _think_of(draw: Draw) -> Values:
    size = draw.whole("size")
    factor, solution, added = draw.integer(2, 9), draw.integer(2, size // 2), draw.integer(2, size)
    return {"a": factor, "b": added, "c": factor * solution + added, "x": solution}


def _fare(draw: Draw) -> Values:
    start, rate, distance = draw.integer(2, 8), draw.integer(2, 4), draw.integer(2, draw.whole("distance"))
    return {"b": start, "a": rate, "c": start + rate * distance, "x": distance}


def _schema(
    name: str,
    difficulty: float,
    size: Parameter,
    shown: str,
    line: str,
    draw: Callable[[Draw], Values],
    hints: tuple[str, str, str],
) -> Schema:
    """A bare equation, as pupils see it and as the equation language has it."""
    letters = [letter for letter in "abc" if "{" + letter in line]
    two_steps = len(letters) == 3
    component = "equation_two_step" if two_steps else f"equation_{'multiply' if 'a' in letters else 'add'}"
    return Schema(
        name=name,
        components=(component,),
        difficulty=difficulty,
        parameters=(size,),
        quantities=(*(Quantity(letter, Kind.INTEGER) for letter in letters), _X),
        entities=_LETTER,
        unknown="x",
        events=(
            ask(
                f"Solve {shown}.",
                f"Find {{letter}}: {shown}",
                f"For which value of {{letter}} is {shown}?",
                equations=(line,),
            ),
        ),
        draw=draw,
        hints=hints,
    )


SCHEMAS = (
    _schema(
        "equation_add",
        -0.2,
        _size(0.6, cells=2),
        "{letter} + {b} = {c}",
        "{x} + {b} = {c}",
        _add,
        (
            "The aim is to have {letter} alone on its side.",
            "Undo the addition by doing the opposite on both sides.",
            "Subtract {b} from both sides. What is left of {c}?",
        ),
    ),
    _schema(
        "equation_subtract",
        0.0,
        _size(0.6),
        "{letter} − {b} = {c}",
        "{x} - {b} = {c}",
        _subtract,
        (
            "The aim is to have {letter} alone on its side.",
            "Undo the subtraction by doing the opposite on both sides.",
            "Add {b} to both sides: the left becomes {letter}, the right {c} + {b}.",
        ),
    ),
    _schema(
        "equation_subtract_from",
        0.4,
        _size(0.5),
        "{b} − {letter} = {c}",
        "{b} - {x} = {c}",
        _subtract_from,
        (
            "Here {letter} is what is taken away.",
            "Add {letter} to both sides first; then it is a sum you know how to solve.",
            "From {b} to {c}: how much was taken away?",
        ),
    ),
    _schema(
        "equation_multiply",
        0.0,
        _size(0.6, cells=2),
        "{a:times}{letter} = {c}",
        "{a} * {x} = {c}",
        _multiply,
        (
            "{a}{letter} means {a} times {letter}.",
            "Undo the multiplication by doing the opposite on both sides.",
            "Divide both sides by {a}: what is {c} ÷ {a}?",
        ),
    ),
    _schema(
        "equation_divide",
        0.2,
        _size(0.6),
        "{letter}/{a} = {c}",
        "{x} / {a} = {c}",
        _divide,
        (
            "The term {letter}/{a} means {letter} divided by {a}.",
            "Undo the division by doing the opposite on both sides.",
            "Multiply both sides by {a}: the left becomes {letter}, the right {c} × {a}.",
        ),
    ),
    _schema(
        "equation_two_step",
        0.7,
        _size(0.9, cells=3),
        "{a:times}{letter} {b:signed} = {c}",
        "{a} * {x} {b:signed} = {c}",
        _two_step,
        (
            "What happens to {letter} on the left, and in which order?",
            "Undo the last thing first: deal with the number that is added or subtracted, then divide.",
            "First undo “{b:signed}” on both sides; then divide both sides by {a}.",
        ),
    ),
    _schema(
        "equation_two_step_divide",
        1.1,
        _size(0.7),
        "{letter}/{a} {b:signed} = {c}",
        "{x} / {a} {b:signed} = {c}",
        _two_step_divide,
        (
            "What happens to {letter} on the left, and in which order?",
            "Undo the last thing first: deal with the number that is added or subtracted, then multiply.",
            "First undo “{b:signed}” on both sides; then multiply both sides by {a}.",
        ),
    ),
    Schema(
        name="think_of_a_number",
        components=("equation_two_step", "word_two_step"),
        difficulty=1.0,
        parameters=(_size(0.6),),
        quantities=(*(Quantity(letter) for letter in "abc"), Quantity("x")),
        entities=(Entity("who", PEOPLE),),
        unknown="x",
        events=(
            event("{who} thinks of a number.", "{who} has a number in mind."),
            event(
                "{who:She} multiplies it by {a}, adds {b} and gets {c}.",
                "{a} times this number plus {b} makes {c}.",
                equations=("{a} * {x} + {b} = {c}",),
            ),
            ask("What is {who:hers} number?", "Which number is it?"),
        ),
        draw=_think_of,
        hints=(
            "Call the number x. What is done to it, and in which order?",
            "Write the story as an equation, or walk back from its end doing the opposite each time.",
            "Before {b} was added there was {c} − {b}. What was multiplied by {a} to make that?",
        ),
    ),
    Schema(
        name="taxi_fare",
        components=("equation_two_step", "unit_rate"),
        difficulty=1.2,
        parameters=(Parameter("distance", 4, 24, "longest ride in km", effect=0.4),),
        quantities=(
            Quantity("b", Kind.MONEY, unit="$"),
            Quantity("a", Kind.MONEY, unit="$"),
            Quantity("c", Kind.MONEY, unit="$"),
            Quantity("x", unit="km"),
        ),
        unknown="x",
        events=(
            event(
                "A taxi costs {b} plus {a} for every kilometre.",
                "For a taxi ride you pay {b} at the start and {a} for each kilometre.",
            ),
            event("A ride costs {c}.", "Somebody pays {c} for a ride.", equations=("{a} * {x} + {b} = {c}",)),
            ask("How long was the ride in kilometres?", "How many kilometres was the ride?"),
        ),
        draw=_fare,
        hints=(
            "Which part of the price does not depend on the distance?",
            "Take the fixed part off first; the rest was paid for the kilometres.",
            "{c} less {b} was paid at {a} a kilometre. How many kilometres is that?",
        ),
    ),
)

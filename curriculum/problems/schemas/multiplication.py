"""Multiplication, division and the order of operations."""

from curriculum.problems.draw import Draw
from curriculum.problems.parameters import Parameter
from curriculum.problems.world import Quantity, Schema, Values, ask

_TERMS = (Quantity("a"), Quantity("b"), Quantity("x"))
_PRODUCT = ask(
    "Work out {a} × {b}.",
    "What is {a} × {b}?",
    "Multiply {a} by {b}.",
    "Find the product of {a} and {b}.",
    equations=("{x} = {a} * {b}",),
)
_QUOTIENT = ask(
    "Work out {a} ÷ {b}.",
    "What is {a} ÷ {b}?",
    "Divide {a} by {b}.",
    "How many times does {b} go into {a}?",
    equations=("{x} = {a} / {b}",),
)


def _product(first: int, second: int) -> Values:
    return {"a": first, "b": second, "x": first * second}


def _quotient(divisor: int, quotient: int) -> Values:
    return {"a": divisor * quotient, "b": divisor, "x": quotient}


def _multiply_facts(draw: Draw) -> Values:
    return _product(*draw.pair(draw.whole("factor"), draw.integer(2, 10)))


def _multiply_tens(draw: Draw) -> Values:
    tens = draw.integer(2, 9) * 10 ** draw.whole("zeros")
    return _product(*draw.pair(tens, draw.integer(2, 12)))


def _multiply_one_digit(draw: Draw) -> Values:
    return _product(draw.digits(draw.whole("digits")), draw.integer(3, 9))


def _multiply_two_digit(draw: Draw) -> Values:
    return _product(draw.digits(draw.whole("digits")), draw.digits(2))


def _divide_facts(draw: Draw) -> Values:
    return _quotient(*draw.pair(draw.whole("factor"), draw.integer(2, 10)))


def _divide_long(draw: Draw) -> Values:
    return _quotient(draw.integer(3, 9), draw.digits(draw.whole("digits")))


def _divide_long_two_digit(draw: Draw) -> Values:
    return _quotient(draw.integer(11, 25), draw.whole("quotient"))


def _remainder(draw: Draw) -> Values:
    divisor = draw.integer(3, 9)
    quotient = draw.integer(2, 10 ** draw.whole("digits"))
    rest = draw.integer(1, divisor - 1)
    return {"a": divisor * quotient + rest, "b": divisor, "q": quotient, "x": rest}


_FACTOR = Parameter("factor", 2, 13, "one of the factors", effect=1.1, cells=3)

SCHEMAS = (
    Schema(
        name="multiply_facts",
        components=("multiply_facts",),
        difficulty=-1.7,
        parameters=(_FACTOR,),
        quantities=_TERMS,
        unknown="x",
        events=(_PRODUCT,),
        draw=_multiply_facts,
        hints=(
            "Multiplying adds equal groups: {a} groups of {b}.",
            "Use a product you know close by and go a group further or back.",
            "Split a factor: do a part of {a} × {b} first, then the rest, and add both.",
        ),
    ),
    Schema(
        name="multiply_tens",
        components=("multiply_tens",),
        difficulty=-0.9,
        parameters=(Parameter("zeros", 1, 4, "zeros at the end of a factor", effect=0.8, cells=3),),
        quantities=_TERMS,
        unknown="x",
        events=(_PRODUCT,),
        draw=_multiply_tens,
        hints=(
            "A factor ends in zeros. What is it without them?",
            "Multiply without the zeros first, then put them back.",
            "Count the zeros at the end of {a} and of {b}: the product gets at least as many.",
        ),
    ),
    Schema(
        name="multiply_one_digit",
        components=("multiply_multi_digit",),
        difficulty=-0.6,
        parameters=(Parameter("digits", 2, 5, "digits of the longer factor", effect=0.9, cells=2),),
        quantities=_TERMS,
        unknown="x",
        events=(_PRODUCT,),
        draw=_multiply_one_digit,
        hints=(
            "Split {a} into its ones, tens and so on.",
            "Multiply each part of {a} by {b}, then add the parts.",
            "Start with the ones of {a} times {b}; add what you carry after multiplying the next column.",
        ),
    ),
    Schema(
        name="multiply_two_digit",
        components=("multiply_multi_digit",),
        difficulty=0.3,
        parameters=(Parameter("digits", 2, 4, "digits of the first factor", effect=0.6, cells=2),),
        quantities=_TERMS,
        unknown="x",
        events=(_PRODUCT,),
        draw=_multiply_two_digit,
        hints=(
            "Split {b} into its tens and its ones.",
            "Multiply {a} by the ones of {b} and by the tens of {b}, then add both lines.",
            "The line for the tens of {b} begins with a zero at the right. What does {a} give there?",
        ),
    ),
    Schema(
        name="divide_facts",
        components=("divide_facts",),
        difficulty=-1.3,
        parameters=(_FACTOR,),
        quantities=_TERMS,
        unknown="x",
        events=(_QUOTIENT,),
        draw=_divide_facts,
        hints=(
            "Dividing undoes multiplying.",
            "Ask: what times {b} makes {a}?",
            "Count up in steps of {b} until you reach {a}, and count the steps.",
        ),
    ),
    Schema(
        name="divide_long",
        components=("divide_long",),
        difficulty=-0.3,
        parameters=(Parameter("digits", 2, 5, "digits of the quotient", effect=0.9, cells=3),),
        quantities=_TERMS,
        unknown="x",
        events=(_QUOTIENT,),
        draw=_divide_long,
        hints=(
            "Work from the left: how often does {b} go into the first digits of {a}?",
            "Divide, multiply, subtract, bring down the next digit; where {b} does not fit, write 0.",
            "Set up {a} ÷ {b} and check each line: what you subtract must be a multiple of {b}.",
        ),
    ),
    Schema(
        name="divide_long_two_digit",
        components=("divide_long",),
        difficulty=0.8,
        parameters=(Parameter("quotient", 12, 99, "size of the quotient", effect=0.3),),
        quantities=_TERMS,
        unknown="x",
        events=(_QUOTIENT,),
        draw=_divide_long_two_digit,
        hints=(
            "Estimate first: round {b} and think how often it goes into {a}.",
            "List some multiples of {b} beside your work, then divide digit by digit from the left.",
            "Find the largest multiple of {b} in the first digits of {a}, subtract it, bring down a digit.",
        ),
    ),
    Schema(
        name="divide_remainder",
        components=("divide_remainder",),
        difficulty=-0.6,
        parameters=(Parameter("digits", 1, 3, "largest digits of the quotient", effect=0.8, cells=2),),
        quantities=(Quantity("a"), Quantity("b"), Quantity("q"), Quantity("x")),
        unknown="x",
        events=(
            ask(
                "What is the remainder when {a} is divided by {b}?",
                "Divide {a} by {b}. What remains?",
                "Find the remainder of {a} ÷ {b}.",
                equations=("{q} = floor({a} / {b})", "{x} = {a} - {b} * {q}"),
            ),
        ),
        draw=_remainder,
        hints=(
            "The remainder is what is left when no further full group can be made.",
            "Find the largest multiple of {b} that is not above {a}.",
            "Subtract that multiple of {b} from {a}. What is left must be smaller than {b}.",
        ),
    ),
)

"""Expressions: evaluating, collecting like terms, expanding."""

from curriculum.problems.draw import Draw
from curriculum.problems.numbers import Kind, Linear
from curriculum.problems.parameters import Parameter
from curriculum.problems.policy import AnswerPolicy
from curriculum.problems.words import LETTERS
from curriculum.problems.world import Entity, Quantity, Schema, Values, ask

_LETTER = (Entity("letter", LETTERS),)
_V = Quantity("v", Kind.INTEGER, symbol="letter")
_EXPRESSION = Quantity("answer", Kind.EXPRESSION, variable="letter")
_EXPANDED = AnswerPolicy(type="expression", form="expanded")


def _size(effect: float, cells: int = 1) -> Parameter:
    return Parameter("size", 4, 16, "largest coefficient and constant", effect=effect, cells=cells)


def _nonzero(draw: Draw, size: int) -> int:
    return draw.integer(1, size) * draw.pick((1, -1))


def _evaluate(draw: Draw) -> Values:
    size = draw.whole("size")
    factor, value, constant = draw.integer(2, size), draw.integer(2, 10), _nonzero(draw, size)
    return {"a": factor, "v": value, "b": constant, "x": factor * value + constant}


def _evaluate_bracket(draw: Draw) -> Values | None:
    size = draw.whole("size")
    factor, value, constant = draw.integer(2, size), draw.integer(2, 10), _nonzero(draw, size)
    total = factor * (value + constant)
    return {"a": factor, "v": value, "b": constant, "x": total} if total > 0 else None


def _collect(draw: Draw) -> Values | None:
    size = draw.whole("size")
    first, second = draw.integer(2, size), _nonzero(draw, size)
    constant = _nonzero(draw, 2 * size)
    if first + second == 0:
        return None
    return {"a": first, "b": constant, "c": second, "answer": Linear(first + second, constant)}


def _collect_both(draw: Draw) -> Values | None:
    size = draw.whole("size")
    first, second = draw.integer(2, size), _nonzero(draw, size)
    left, right = _nonzero(draw, size), _nonzero(draw, size)
    if first + second == 0 or left + right == 0:
        return None
    return {"a": first, "b": left, "c": second, "d": right, "answer": Linear(first + second, left + right)}


def _expand(draw: Draw) -> Values:
    size = draw.whole("size")
    factor, constant = draw.integer(2, 9), _nonzero(draw, size)
    return {"a": factor, "b": constant, "answer": Linear(factor, factor * constant)}


SCHEMAS = (
    Schema(
        name="evaluate_linear",
        components=("evaluate_expression",),
        difficulty=-0.2,
        parameters=(_size(0.7, cells=2),),
        quantities=(
            Quantity("a", Kind.INTEGER),
            Quantity("b", Kind.INTEGER),
            _V,
            Quantity("x", Kind.INTEGER),
        ),
        entities=_LETTER,
        unknown="x",
        events=(
            ask(
                "Find the value of {a:times}{letter} {b:signed} when {letter} = {v}.",
                "What is {a:times}{letter} {b:signed} for {letter} = {v}?",
                "Put {letter} = {v} into {a:times}{letter} {b:signed}. What do you get?",
                equations=("{x} = {a} * {v} {b:signed}",),
            ),
        ),
        draw=_evaluate,
        hints=(
            "The letter {letter} stands for a number you know.",
            "{a}{letter} means {a} times {letter}. Multiply before you add or subtract.",
            "Put {v} in the place of {letter}: first {a} × {v}, then the rest.",
        ),
    ),
    Schema(
        name="evaluate_bracket",
        components=("evaluate_expression",),
        difficulty=0.1,
        parameters=(_size(0.6),),
        quantities=(
            Quantity("a", Kind.INTEGER),
            Quantity("b", Kind.INTEGER),
            _V,
            Quantity("x", Kind.INTEGER),
        ),
        entities=_LETTER,
        unknown="x",
        events=(
            ask(
                "Find the value of {a}({letter} {b:signed}) when {letter} = {v}.",
                "What is {a}({letter} {b:signed}) for {letter} = {v}?",
                equations=("{x} = {a} * ({v} {b:signed})",),
            ),
        ),
        draw=_evaluate_bracket,
        hints=(
            "The letter {letter} stands for a number you know.",
            "Brackets first, then multiply: a number before a bracket multiplies all of it.",
            "Put {v} in the place of {letter}, work out the bracket, then multiply by {a}.",
        ),
    ),
    Schema(
        name="collect_terms",
        components=("like_terms",),
        difficulty=0.3,
        parameters=(_size(0.6),),
        quantities=(*(Quantity(name, Kind.INTEGER) for name in "abc"), _EXPRESSION),
        entities=_LETTER,
        policy=_EXPANDED,
        unknown="answer",
        events=(
            ask(
                "Simplify {a:times}{letter} {b:signed} {c:plus_times}{letter}.",
                "Collect like terms: {a:times}{letter} {b:signed} {c:plus_times}{letter}",
                equations=("{answer} = {a} * {letter} {b:signed} {c:signed} * {letter}",),
            ),
        ),
        draw=_collect,
        hints=(
            "Which terms hold the letter {letter}, and which are plain numbers?",
            "Terms with {letter} can be joined with each other, but not with plain numbers.",
            "Join the terms with {letter}: add their numbers, {a} and {c}.",
        ),
    ),
    Schema(
        name="collect_terms_both",
        components=("like_terms",),
        difficulty=0.6,
        parameters=(_size(0.6),),
        quantities=(*(Quantity(name, Kind.INTEGER) for name in "abcd"), _EXPRESSION),
        entities=_LETTER,
        policy=_EXPANDED,
        unknown="answer",
        events=(
            ask(
                "Simplify {a:times}{letter} {b:signed} {c:plus_times}{letter} {d:signed}.",
                "Collect like terms: {a:times}{letter} {b:signed} {c:plus_times}{letter} {d:signed}",
                equations=("{answer} = {a} * {letter} {b:signed} {c:signed} * {letter} {d:signed}",),
            ),
        ),
        draw=_collect_both,
        hints=(
            "Which terms hold the letter {letter}, and which are plain numbers?",
            "Join the terms with {letter}, and join the plain numbers; keep the sign before each.",
            "The numbers before {letter} are {a} and {c}, the plain numbers {b} and {d}. Add each pair.",
        ),
    ),
    Schema(
        name="expand_bracket",
        components=("like_terms", "evaluate_expression"),
        difficulty=0.5,
        parameters=(_size(0.5),),
        quantities=(*(Quantity(name, Kind.INTEGER) for name in "ab"), _EXPRESSION),
        entities=_LETTER,
        policy=_EXPANDED,
        unknown="answer",
        events=(
            ask(
                "Expand {a}({letter} {b:signed}).",
                "Multiply out: {a}({letter} {b:signed})",
                "Write {a}({letter} {b:signed}) without brackets.",
                equations=("{answer} = {a} * ({letter} {b:signed})",),
            ),
        ),
        draw=_expand,
        hints=(
            "The number before the bracket multiplies everything inside it.",
            "Multiply {letter} by {a}, and multiply the other term by {a} as well.",
            "First {a} times {letter}, then {a} times {b:paren}.",
        ),
    ),
)

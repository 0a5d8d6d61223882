"""An evaluator of the equation language that shares nothing with the product: exact linear forms.

A form is {name: coefficient}, the constant under "". Lines are read in order; each may bring one new unknown.
"""

import math
import re
from fractions import Fraction

Form = dict[str, Fraction]
TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d+)?)|([a-z][a-z0-9_]{0,23})|([-+*/()=]))")
FUNCTIONS = {"floor": math.floor, "ceil": math.ceil}


def constant(form: Form) -> Fraction:
    """The value of a form without names."""
    assert not [name for name in form if name], f"{form} is not a number"
    return form.get("", Fraction(0))


def combine(left: Form, right: Form, factor: int) -> Form:
    """left + factor * right, without terms that vanish."""
    total = {
        name: left.get(name, Fraction(0)) + factor * right.get(name, Fraction(0)) for name in left | right
    }
    return {name: value for name, value in total.items() if value}


class Reader:
    """Recursive descent over one side of an equation; known names are replaced by their forms."""

    def __init__(self, text: str, known: dict[str, Form]) -> None:
        self.known = known
        self.tokens: list[str] = []
        position = 0
        while position < len(text.rstrip()):
            match = TOKEN.match(text, position)
            assert match, f"{text!r} leaves the language at {position}"
            self.tokens.append(match.group().strip())
            position = match.end()

    def peek(self) -> str:
        return self.tokens[0] if self.tokens else ""

    def take(self) -> str:
        return self.tokens.pop(0)

    def sum(self) -> Form:
        total = self.product()
        while self.peek() in ("+", "-"):
            total = (
                combine(total, self.product(), 1)
                if self.take() == "+"
                else combine(total, self.product(), -1)
            )
        return total

    def product(self) -> Form:
        total = self.factor()
        while self.peek() in ("*", "/"):
            if self.take() == "/":
                divisor = constant(self.factor())
                total = {name: value / divisor for name, value in total.items()}
                continue
            other = self.factor()
            if any(total):
                total, other = other, total
            scale = constant(total)
            total = combine({}, {name: scale * value for name, value in other.items()}, 1)
        return total

    def factor(self) -> Form:
        token = self.take()
        if token == "-":
            return combine({}, self.factor(), -1)
        if token == "(":
            inside = self.sum()
            assert self.take() == ")"
            return inside
        if token in FUNCTIONS:
            return {"": Fraction(FUNCTIONS[token](constant(self.factor())))}
        if token[0].isdigit():
            return {"": Fraction(token)} if Fraction(token) else {}
        return self.known.get(token, {token: Fraction(1)})


def read(text: str, known: dict[str, Form] | None = None) -> Form:
    """The linear form of an expression; a name that is not known stands for itself."""
    reader = Reader(text, known or {})
    form = reader.sum()
    assert not reader.tokens, f"{text!r} goes on after its end: {reader.tokens}"
    return form


def solve(lines: tuple[str, ...], unknown: str) -> Form:
    """What the lines say `unknown` is. Fails when a line is false or leaves the unknown open."""
    known: dict[str, Form] = {}
    for line in lines:
        left, right = line.split("=")
        rest = combine(read(left, known), read(right, known), -1)
        names = [name for name in rest if name]
        if not names:
            assert not rest, f"{line!r} is false"
            continue
        # In an expression's own line the other name is its variable, which stays free.
        new = unknown if unknown in names else names[0]
        assert len(names) == 1 or new == unknown, f"{line!r} has too many unknowns"
        scale = rest.pop(new)
        known[new] = {name: -value / scale for name, value in rest.items()}
    return known[unknown]

"""Numbers of a problem: their kinds, and how each is written in a text, an equation and an answer key.

All values are exact: int, Fraction, or a linear expression with such coefficients.
"""

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

MINUS = "−"
MAX_PLACES = 6
"""Decimals longer than this are no school numbers; such a value is refused."""


class Kind(StrEnum):
    """What sort of number a quantity is; it settles the values allowed and the way they are written."""

    COUNT = "count"
    INTEGER = "integer"
    FRACTION = "fraction"
    DECIMAL = "decimal"
    MONEY = "money"
    PERCENT = "percent"
    EXPRESSION = "expression"


@dataclass(frozen=True, slots=True)
class Linear:
    """The expression slope * variable + constant; its quantity says which variable."""

    slope: int
    constant: int


Number = int | Fraction
Value = Number | Linear


def fault_of(kind: Kind, value: Value) -> str | None:
    """Why `value` is no value of `kind`, or None when it is one."""
    if isinstance(value, Linear) or kind is Kind.EXPRESSION:
        return None if isinstance(value, Linear) and kind is Kind.EXPRESSION else "an expression is due"
    if kind in (Kind.COUNT, Kind.MONEY, Kind.PERCENT) and value < 0:
        return "must not be negative"
    if kind in (Kind.COUNT, Kind.INTEGER) and value.denominator != 1:
        return "must be whole"
    if kind is Kind.MONEY and (value * 100).denominator != 1:
        return "must be whole cents"
    if kind in (Kind.DECIMAL, Kind.PERCENT) and places(value) is None:
        return f"must be a decimal of at most {MAX_PLACES} places"
    return None


def places(value: Number) -> int | None:
    """The decimal places `value` needs, or None when MAX_PLACES do not suffice."""
    scale = 1
    for count in range(MAX_PLACES + 1):
        if (scale % value.denominator) == 0:
            return count
        scale *= 10
    return None


def decimal_text(value: Number, at_least: int = 0, separator: str = "") -> str:
    """`value` as a terminating decimal: '-0.25', '12', with `at_least` places; thousands by `separator`."""
    needed = places(value)
    if needed is None:
        raise ValueError(f"{value} is no decimal of at most {MAX_PLACES} places")
    shown = max(needed, at_least)
    whole, part = divmod(abs(value.numerator) * 10**shown // value.denominator, 10**shown)
    digits = f"{whole:,}".replace(",", separator)
    sign = "-" if value < 0 else ""
    return f"{sign}{digits}.{part:0{shown}d}" if shown else f"{sign}{digits}"


def spoken(kind: Kind, value: Number) -> str:
    """The number as a pupil reads it: 1,250 or −3 or 3/4 or $2.50 or 15%."""
    if kind is Kind.FRACTION and value.denominator != 1:
        text = f"{value.numerator}/{value.denominator}"
    elif kind is Kind.MONEY:
        text = "$" + decimal_text(value, 0 if value.denominator == 1 else 2, ",")
    elif kind is Kind.PERCENT:
        text = decimal_text(value) + "%"
    elif value.denominator == 1:
        text = f"{value.numerator:,}"
    else:
        text = decimal_text(value, 0, ",")
    return text.replace("-", MINUS)


def written(kind: Kind, value: Number) -> str:
    """The number in the equation language: fractions and negatives in brackets, no thousands sign."""
    text = key(kind, value)
    return f"({text})" if value < 0 or "/" in text else text


def key(kind: Kind, value: Number) -> str:
    """The canonical answer: an integer, a fraction in lowest terms or a terminating decimal."""
    if value.denominator == 1:
        return str(value.numerator)
    if kind is Kind.FRACTION:
        return f"{value.numerator}/{value.denominator}"
    return decimal_text(value)


def linear_key(value: Linear, variable: str) -> str:
    """The canonical expression: `3 * x + 4`, `-x`, `5`."""
    if value.slope == 0:
        return str(value.constant)
    term = {1: variable, -1: f"-{variable}"}.get(value.slope, f"{value.slope} * {variable}")
    if value.constant == 0:
        return term
    return f"{term} {'+' if value.constant > 0 else '-'} {abs(value.constant)}"

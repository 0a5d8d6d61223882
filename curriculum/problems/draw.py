"""Seeded choices: the same key gives the same choices on every machine and Python version."""

from collections.abc import Sequence
from fractions import Fraction
from random import Random
from typing import TypeVar

from curriculum.problems.parameters import Box, Cell

T = TypeVar("T")


class Draw:
    """The random choices behind one exercise, and the point of the box they are made for.

    Only `Random.random` is used: it alone is promised to stay the same across Python versions.
    """

    def __init__(self, key: str, box: Box, where: Cell | Sequence[float]) -> None:
        self._uniform = Random(key).random
        self.point: tuple[float, ...] = (
            tuple(
                low + (high - low) * self._uniform() for low, high in zip(where.low, where.high, strict=True)
            )
            if isinstance(where, Cell)
            else tuple(where)
        )
        self._parameters = {
            parameter.name: (value, parameter.high)
            for parameter, value in zip(box.parameters, self.point, strict=True)
        }

    def __getitem__(self, parameter: str) -> float:
        return self._parameters[parameter][0]

    def whole(self, parameter: str) -> int:
        """The parameter rounded down; a whole high end is itself never reached."""
        value, high = self._parameters[parameter]
        return min(int(value // 1), int(-(-high // 1)) - 1)

    def integer(self, low: int, high: int) -> int:
        """An integer of low..high, both included; low when high is below it."""
        return low + int(self._uniform() * max(high - low + 1, 1))

    def pick(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[int(self._uniform() * len(options))]

    def coin(self) -> bool:
        """Heads."""
        return self._uniform() < 0.5

    def pair(self, first: T, second: T) -> tuple[T, T]:
        """The two in random order."""
        return (first, second) if self.coin() else (second, first)

    def sample(self, options: Sequence[T], count: int) -> list[T]:
        """`count` different options in random order."""
        pool = list(options)
        return [pool.pop(int(self._uniform() * len(pool))) for _ in range(count)]

    def digits(self, count: int) -> int:
        """A number of `count` digits that does not end in 0 (or has only one digit)."""
        if count <= 1:
            return self.integer(2, 9)
        return self.integer(10 ** (count - 2), 10 ** (count - 1) - 1) * 10 + self.integer(1, 9)

    def decimal(self, low: int, high: int, places: int) -> Fraction:
        """A decimal of exactly `places` places between low and high."""
        scale = 10**places
        tail = self.integer(low * scale // 10, high * scale // 10 - 1)
        return Fraction(tail * 10 + self.integer(1, 9), scale)

"""The continuous parameters of a schema: a box, its grid of cells, and difficulty as a line over it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

from curriculum.errors import OutsideBox


@dataclass(frozen=True, slots=True)
class Parameter:
    """One side of the box: values in [low, high], cut into `cells` equal parts.

    `effect` is what going from low to high adds to the difficulty, in logits.
    """

    name: str
    low: float
    high: float
    meaning: str
    effect: float = 0.0
    cells: int = 1

    def share(self, value: float) -> float:
        """Where `value` lies between low (0) and high (1)."""
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True, slots=True)
class Cell:
    """A part of the box: per parameter [low, high)."""

    index: int
    low: tuple[float, ...]
    high: tuple[float, ...]

    @property
    def centre(self) -> tuple[float, ...]:
        """The middle of the cell."""
        return tuple((low + high) / 2 for low, high in zip(self.low, self.high, strict=True))


@dataclass(frozen=True)
class Box:
    """All parameters of a schema; points are given in their order."""

    parameters: tuple[Parameter, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The parameters' names, in order."""
        return tuple(parameter.name for parameter in self.parameters)

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Every cell; the last parameter runs fastest."""
        count = prod(parameter.cells for parameter in self.parameters)
        return tuple(self._cell(index) for index in range(count))

    def _cell(self, index: int) -> Cell:
        low: list[float] = []
        high: list[float] = []
        rest = index
        for parameter in reversed(self.parameters):
            rest, step = divmod(rest, parameter.cells)
            width = (parameter.high - parameter.low) / parameter.cells
            low.append(float(parameter.low + step * width))
            last = step == parameter.cells - 1
            high.append(float(parameter.high) if last else parameter.low + (step + 1) * width)
        return Cell(index, tuple(reversed(low)), tuple(reversed(high)))

    def cell_of(self, point: Sequence[float]) -> int:
        """The index of the cell that holds `point`; the upper face belongs to the last cell."""
        index = 0
        for parameter, value in zip(self.parameters, point, strict=True):
            step = min(int(parameter.share(value) * parameter.cells), parameter.cells - 1)
            index = index * parameter.cells + step
        return index

    def point(self, values: Mapping[str, float]) -> tuple[float, ...]:
        """`values` in the parameters' order. Raises OutsideBox naming everything that does not fit."""
        faults = [f"unknown parameter {name!r}" for name in values if name not in self.names]
        for parameter in self.parameters:
            value = values.get(parameter.name)
            if value is None:
                faults.append(f"no value for {parameter.name!r}")
            elif not parameter.low <= value <= parameter.high:
                faults.append(f"{parameter.name} = {value} is not in [{parameter.low}, {parameter.high}]")
        if faults:
            raise OutsideBox("; ".join(faults))
        return tuple(float(values[name]) for name in self.names)

    def effect(self, point: Sequence[float]) -> float:
        """What the point adds to the difficulty of the easiest corner's schema, in logits."""
        return sum(
            parameter.effect * parameter.share(value)
            for parameter, value in zip(self.parameters, point, strict=True)
        )

    def faults(self) -> list[str]:
        """What makes this no box: doubled names, empty sides, no cells."""
        faults = [f"parameter {name!r} stands twice" for name in {*self.names} if self.names.count(name) > 1]
        faults += [
            f"parameter {p.name!r}: low must be below high" for p in self.parameters if p.low >= p.high
        ]
        faults += [f"parameter {p.name!r}: needs at least one cell" for p in self.parameters if p.cells < 1]
        return faults

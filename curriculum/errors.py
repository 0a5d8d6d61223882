"""What can go wrong in `curriculum`.

CurriculumError
├── SchemaError          a problem schema contradicts itself (all its faults in one message)
├── PrerequisiteError    the prerequisite graph is no graph of the components
│   └── PrerequisiteCycle    components that would each have to come before themselves
├── UnknownItem          no schema or cell has that id
├── OutsideBox           a point lies outside the parameter box of its schema
└── NoExercise           a schema found no numbers that fit its own rules
"""

from collections.abc import Sequence


class CurriculumError(Exception):
    """Base class of every error of this package."""


class SchemaError(CurriculumError):
    """A problem schema contradicts itself; `faults` lists every contradiction found."""

    def __init__(self, schema: str, faults: Sequence[str]) -> None:
        self.schema = schema
        self.faults = tuple(faults)
        super().__init__(f"schema {schema!r}: " + "; ".join(self.faults))


class PrerequisiteError(CurriculumError):
    """An edge names an unknown component, or stands twice, or a component does."""


class PrerequisiteCycle(PrerequisiteError):
    """Prerequisites that lead back to where they began; `cycle` starts and ends at the same id."""

    def __init__(self, cycle: Sequence[str]) -> None:
        self.cycle = tuple(cycle)
        way = " -> ".join(self.cycle)
        super().__init__(f"prerequisites form a cycle: {way}; remove one of these edges")


class UnknownItem(CurriculumError):
    """No generated item has that id; ids read SCHEMA.CELL, as in `add_carry.2`."""


class OutsideBox(CurriculumError):
    """A point lacks a parameter, has one too many, or lies outside the low and high of one."""


class NoExercise(CurriculumError):
    """Every draw of numbers broke a rule of the schema; the schema's draw is at fault."""

"""Every problem schema, by strand."""

from curriculum.problems.schemas import (
    addition,
    algebra,
    averages,
    decimals,
    equations,
    fractions,
    groups,
    integers,
    measurement,
    multiplication,
    operations,
    percents,
    places,
    ratios,
    stories,
    subtraction,
    two_steps,
)
from curriculum.problems.world import Schema

SCHEMAS: tuple[Schema, ...] = (
    *addition.SCHEMAS,
    *subtraction.SCHEMAS,
    *places.SCHEMAS,
    *stories.SCHEMAS,
    *multiplication.SCHEMAS,
    *groups.SCHEMAS,
    *two_steps.SCHEMAS,
    *measurement.SCHEMAS,
    *operations.SCHEMAS,
    *fractions.SCHEMAS,
    *decimals.SCHEMAS,
    *percents.SCHEMAS,
    *ratios.SCHEMAS,
    *averages.SCHEMAS,
    *integers.SCHEMAS,
    *algebra.SCHEMAS,
    *equations.SCHEMAS,
)

"""Numbers for sums done column by column, with the carries where they are wanted."""

from collections.abc import Set

from curriculum.problems.draw import Draw


def addends(draw: Draw, digits: int, carries: Set[int]) -> tuple[int, int]:
    """Two numbers of `digits` digits whose sum carries out of exactly the columns `carries` (0 = ones).

    Subtracting either from the sum then borrows for exactly these columns.
    """
    first = second = carry = 0
    for column in range(digits):
        least = 1 if column == digits - 1 else 0
        if column in carries:
            upper = draw.integer(max(least, 1 - carry), 9)
            lower = draw.integer(max(least, 10 - upper - carry), 9)
        else:
            upper = draw.integer(least, 9 - carry - least)
            lower = draw.integer(least, 9 - carry - upper)
        carry = int(column in carries)
        first += upper * 10**column
        second += lower * 10**column
    return first, second


def carry_columns(draw: Draw, columns: int, share: float) -> set[int]:
    """At least one of the first `columns` columns, about `share` of them."""
    return set(draw.sample(range(columns), max(1, min(columns, round(share * columns)))))

"""The knowledge components of the demo course and which of them come before which."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from curriculum.errors import PrerequisiteCycle, PrerequisiteError


@dataclass(frozen=True, slots=True)
class KnowledgeComponent:
    """A skill that is practised and traced on its own; `grade` is the school year it is usually taught in."""

    id: str
    label: str
    grade: int


def _components(*rows: tuple[str, str, int]) -> tuple[KnowledgeComponent, ...]:
    return tuple(KnowledgeComponent(*row) for row in rows)


COMPONENTS = _components(
    ("count_on", "Counting on", 1),
    ("add_facts", "Addition facts to 18", 1),
    ("subtract_facts", "Subtraction facts to 18", 1),
    ("missing_addend", "Missing addends", 1),
    ("word_change", "Word problems: change", 1),
    ("word_combine", "Word problems: combine", 2),
    ("word_compare", "Word problems: compare", 2),
    ("place_value", "Place value", 2),
    ("add_no_carry", "Addition without carrying", 2),
    ("subtract_no_borrow", "Subtraction without borrowing", 2),
    ("add_carry", "Addition with carrying", 2),
    ("subtract_borrow", "Subtraction with borrowing", 3),
    ("round_whole", "Rounding whole numbers", 3),
    ("multiply_facts", "Multiplication facts", 3),
    ("divide_facts", "Division facts", 3),
    ("equal_groups", "Word problems: equal groups", 3),
    ("word_sharing", "Word problems: sharing", 3),
    ("word_two_step", "Word problems: two steps", 3),
    ("perimeter", "Perimeter", 3),
    ("area", "Area of rectangles", 3),
    ("multiply_tens", "Multiplying by tens, hundreds and thousands", 4),
    ("multiply_multi_digit", "Multi-digit multiplication", 4),
    ("divide_long", "Long division without remainder", 4),
    ("divide_remainder", "Division with remainder", 4),
    ("fraction_equivalent", "Equivalent fractions", 4),
    ("fraction_of_amount", "Fraction of an amount", 4),
    ("fraction_add_like", "Adding and subtracting fractions: same denominator", 4),
    ("decimal_fraction", "Decimals and fractions", 4),
    ("fraction_add_unlike", "Adding and subtracting fractions: different denominators", 5),
    ("fraction_multiply", "Multiplying fractions", 5),
    ("decimal_add", "Adding and subtracting decimals", 5),
    ("decimal_multiply", "Multiplying decimals", 5),
    ("order_of_operations", "Order of operations", 5),
    ("fraction_divide", "Dividing fractions", 6),
    ("ratio", "Ratio", 6),
    ("unit_rate", "Rates and unit prices", 6),
    ("percent_of", "Percentages of an amount", 6),
    ("average", "Averages", 6),
    ("negative_add", "Adding and subtracting negative numbers", 6),
    ("evaluate_expression", "Evaluating expressions", 6),
    ("equation_add", "One-step equations: adding and subtracting", 6),
    ("equation_multiply", "One-step equations: multiplying and dividing", 6),
    ("negative_multiply", "Multiplying and dividing negative numbers", 7),
    ("percent_change", "Percentage increase and decrease", 7),
    ("like_terms", "Collecting like terms", 7),
    ("equation_two_step", "Two-step equations", 7),
)

_BEFORE: Mapping[str, str] = {
    "add_facts": "count_on",
    "subtract_facts": "count_on add_facts",
    "missing_addend": "add_facts subtract_facts",
    "word_change": "add_facts subtract_facts missing_addend",
    "word_combine": "word_change",
    "word_compare": "word_change",
    "place_value": "count_on",
    "add_no_carry": "add_facts place_value",
    "subtract_no_borrow": "subtract_facts place_value",
    "add_carry": "add_no_carry",
    "subtract_borrow": "subtract_no_borrow add_carry",
    "round_whole": "place_value",
    "multiply_facts": "add_facts",
    "divide_facts": "multiply_facts missing_addend",
    "equal_groups": "multiply_facts word_combine",
    "word_sharing": "divide_facts equal_groups",
    "word_two_step": "word_compare equal_groups add_carry subtract_borrow",
    "perimeter": "add_carry",
    "area": "multiply_facts perimeter",
    "multiply_tens": "multiply_facts place_value",
    "multiply_multi_digit": "multiply_tens add_carry",
    "divide_long": "divide_facts subtract_borrow multiply_multi_digit",
    "divide_remainder": "divide_facts subtract_no_borrow",
    "fraction_equivalent": "divide_facts",
    "fraction_of_amount": "word_sharing",
    "fraction_add_like": "add_facts subtract_facts fraction_equivalent",
    "decimal_fraction": "place_value fraction_equivalent",
    "fraction_add_unlike": "fraction_add_like",
    "fraction_multiply": "fraction_equivalent fraction_of_amount",
    "decimal_add": "decimal_fraction add_carry subtract_borrow",
    "decimal_multiply": "decimal_fraction multiply_multi_digit",
    "order_of_operations": "divide_facts add_carry subtract_borrow",
    "fraction_divide": "fraction_multiply",
    "ratio": "fraction_equivalent word_sharing",
    "unit_rate": "ratio decimal_multiply",
    "percent_of": "fraction_of_amount decimal_multiply",
    "average": "divide_long",
    "negative_add": "add_carry subtract_borrow",
    "evaluate_expression": "order_of_operations",
    "equation_add": "missing_addend evaluate_expression",
    "equation_multiply": "divide_facts evaluate_expression",
    "negative_multiply": "negative_add multiply_facts divide_facts",
    "percent_change": "percent_of",
    "like_terms": "evaluate_expression negative_add",
    "equation_two_step": "equation_add equation_multiply",
}

PREREQUISITES: tuple[tuple[str, str], ...] = tuple(
    (before, after) for after, befores in _BEFORE.items() for before in befores.split()
)
"""Edges (from, to): `from` is wanted before `to`."""


def check_prerequisites(
    components: Iterable[KnowledgeComponent], edges: Sequence[tuple[str, str]]
) -> tuple[str, ...]:
    """The components' ids in an order that respects every edge.

    Raises PrerequisiteError for a doubled component or edge or an unknown end, PrerequisiteCycle for a cycle
    (a self-loop is one of length one), naming it.
    """
    ids = [component.id for component in components]
    faults = [f"component {one!r} stands twice" for one in {*ids} if ids.count(one) > 1]
    faults += [f"edge {edge} stands twice" for edge in {*edges} if edges.count(edge) > 1]
    faults += [f"edge {edge} names an unknown component" for edge in edges if not {*edge} <= {*ids}]
    if faults:
        raise PrerequisiteError("; ".join(sorted(faults)))
    before: dict[str, set[str]] = {one: set() for one in ids}
    for start, end in edges:
        before[end].add(start)
    order: list[str] = []
    while len(order) < len(ids):
        ready = [one for one in ids if one in before and not before[one].intersection(before)]
        if not ready:
            raise PrerequisiteCycle(_cycle(before))
        for one in ready:
            del before[one]
        order += ready
    return tuple(order)


def _cycle(before: Mapping[str, set[str]]) -> list[str]:
    """A cycle among components that all wait for another one of them, from first to first."""
    walk = [min(before)]
    while True:
        walk.append(min(before[walk[-1]].intersection(before)))
        if walk[-1] in walk[:-1]:
            return walk[walk.index(walk[-1]) :][::-1]

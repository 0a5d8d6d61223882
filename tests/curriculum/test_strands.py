"""What single schemas promise by their names: carries, borrows, remainders, directions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.problems import Exercise, exercise, item_ids, schemas

seeds = st.integers(0, 10**6)


def value(one: Exercise, name: str) -> int:
    return next(int(quantity.value) for quantity in one.quantities if quantity.name == name)


def carries(first: int, second: int) -> int:
    """How many columns carry in first + second, counted digit by digit."""
    count = carry = 0
    while first or second or carry:
        carry = int(first % 10 + second % 10 + carry >= 10)
        count += carry
        first, second = first // 10, second // 10
    return count


def items(schema: str) -> list[str]:
    return [item for item in item_ids() if item.startswith(schema + ".")]


@given(st.sampled_from(items("add_no_carry") + items("add_carry")), seeds)
def test_sums_carry_where_they_say(item: str, seed: int) -> None:
    one = exercise(item, seed)
    a, b = value(one, "a"), value(one, "b")
    digits = int(dict(one.parameters)["digits"])
    assert len(str(a)) == len(str(b)) == digits
    wanted = 0 if "no_carry" in item else max(1, round(dict(one.parameters)["carries"] * digits))
    assert carries(a, b) == wanted


@given(st.sampled_from(items("subtract_no_borrow") + items("subtract_borrow")), seeds)
def test_differences_borrow_where_they_say(item: str, seed: int) -> None:
    one = exercise(item, seed)
    b, x = value(one, "b"), int(one.answer)
    borrows = carries(b, x)
    assert borrows == 0 if "no_borrow" in item else borrows >= 1


@given(st.sampled_from(items("divide_remainder") + items("left_over")), seeds)
def test_remainders_are_smaller_than_the_divisor(item: str, seed: int) -> None:
    one = exercise(item, seed)
    divisor = value(one, "b" if item.startswith("divide") else "k")
    assert 0 < int(one.answer) < divisor


@given(st.sampled_from(items("round_whole")), seeds)
def test_rounding_goes_to_the_nearest_and_up_from_halfway(item: str, seed: int) -> None:
    one = exercise(item, seed)
    number, place = value(one, "n"), value(one, "place")
    assert -place <= 2 * (number - int(one.answer)) <= place
    assert int(one.answer) % place == 0
    assert 2 * (number - int(one.answer)) != place, "halfway goes up"


@given(st.sampled_from(items("percent_discount") + items("percent_increase")), seeds)
def test_percent_changes_go_the_right_way(item: str, seed: int) -> None:
    one = exercise(item, seed)
    assert one.value is not None
    assert (one.value < value(one, "n")) == ("discount" in item)


@pytest.mark.parametrize(
    ("schema", "parameter"),
    [
        ("add_no_carry", "digits"),
        ("multiply_facts", "factor"),
        ("area_rectangle", "size"),
        ("change_gain", "size"),
        ("fraction_equivalent", "denominator"),
        ("multiply_tens", "zeros"),
        ("negative_add", "size"),
        ("equation_two_step", "size"),
    ],
)
def test_harder_cells_have_larger_numbers(schema: str, parameter: str) -> None:
    def mean(cell: int) -> float:
        told = [
            abs(float(quantity.value))
            for seed in range(60)
            for quantity in exercise(f"{schema}.{cell}", seed).quantities
            if quantity.told
        ]
        return sum(told) / len(told)

    assert schemas()[schema].parameters[0].name == parameter
    means = [mean(cell.index) for cell in schemas()[schema].box.cells]
    assert means == sorted(means)
    assert means[-1] > 1.2 * means[0]

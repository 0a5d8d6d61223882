"""Boxes and their cells."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.problems import schemas
from curriculum.problems.draw import Draw
from curriculum.problems.parameters import Box, Parameter

parameters = st.builds(
    lambda name, low, width, effect, cells: Parameter(name, low, low + width, "", effect, cells),
    st.sampled_from(["a", "b", "c"]),
    st.floats(-100, 100),
    st.floats(0.5, 100),
    st.floats(-3, 3),
    st.integers(1, 5),
)
boxes = st.lists(parameters, min_size=1, max_size=3, unique_by=lambda p: p.name).map(
    lambda ps: Box(tuple(ps))
)


@given(boxes, st.integers())
def test_cells_tile_the_box(box: Box, seed: int) -> None:
    volume = 1.0
    for parameter in box.parameters:
        volume *= parameter.high - parameter.low
    parts = 0.0
    for cell in box.cells:
        assert box.cell_of(cell.centre) == cell.index
        assert box.cell_of(Draw(str(seed), box, cell).point) == cell.index
        part = 1.0
        for low, high in zip(cell.low, cell.high, strict=True):
            part *= high - low
        parts += part
    assert parts == pytest.approx(volume)
    assert box.cell_of(tuple(p.high for p in box.parameters)) == len(box.cells) - 1
    assert box.cell_of(tuple(p.low for p in box.parameters)) == 0


@given(boxes)
def test_difficulty_follows_the_sign_of_each_effect(box: Box) -> None:
    base = tuple((p.low + p.high) / 2 for p in box.parameters)
    for index, parameter in enumerate(box.parameters):
        up = (*base[:index], parameter.high, *base[index + 1 :])
        assert box.effect(up) - box.effect(base) == pytest.approx(parameter.effect / 2)


def test_every_harder_cell_of_the_course_is_harder() -> None:
    for schema in schemas().values():
        priors = {cell.index: schema.difficulty_at(cell.centre) for cell in schema.box.cells}
        for cell in schema.box.cells:
            for other in schema.box.cells:
                steps = [b - a for a, b in zip(cell.low, other.low, strict=True)]
                effects = [p.effect for p in schema.parameters]
                if any(steps) and all(s * e >= 0 for s, e in zip(steps, effects, strict=True)):
                    assert priors[other.index] > priors[cell.index], schema.name


def test_priors_are_plausible_logits() -> None:
    for schema in schemas().values():
        assert all(-4 < schema.difficulty_at(cell.centre) < 4 for cell in schema.box.cells)


def test_draws_are_even_and_stay_in_range() -> None:
    box = Box((Parameter("size", 2, 5, ""),))
    draw = Draw("any", box, box.cells[0])
    seen = [draw.integer(3, 7) for _ in range(5000)]
    assert {*seen} == {3, 4, 5, 6, 7}
    assert all(850 < seen.count(value) < 1150 for value in range(3, 8))
    assert all(draw.digits(3) % 10 > 0 for _ in range(100))
    assert all(100 <= draw.digits(3) <= 999 for _ in range(100))
    assert Draw("any", box, (5.0,)).whole("size") == 4
    assert Draw("any", box, (2.0,)).whole("size") == 2
